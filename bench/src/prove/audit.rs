//! The end of a run: fresh connections pull everything, and what must work again is tried.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use doorbell_protocol::TopicId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::client::Client;
use super::history::{Role, What};
use super::link::{Came, Ended, Link, wait_of};
use super::page;
use super::plan::{Plan, rng_of};
use super::stage::{Sabotage, Stage};

/// Conversations are audited by that many members each, so that two of them can be compared.
const READERS_EACH: usize = 2;
/// Read marks and counts are asked for that many pairs of user and conversation.
const COUNTS_MAX: usize = 400;
/// Auditors at a time.
const AT_A_TIME: usize = 8;
/// How long an auditor tries to get a session, and to get each log where it is told to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a probe may take: well below T, well above what it takes.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// What one auditor does as its user.
#[derive(Default)]
struct Errand {
    logs: Vec<u32>,
    counts: Vec<u32>,
}

/// Pulls all logs by fresh connections, and asks for counts. Auditors' numbers begin at `first`.
pub async fn audit(shared: &Arc<Stage>, plan: &Plan, seed: u64, first: u32) {
    let mut errands: HashMap<u32, Errand> = HashMap::new();
    let mut counts = 0;
    for (conversation, group) in (0..).zip(&plan.groups) {
        // The owner and the writers are members all the time; a reader may be out.
        let stays = std::iter::once(&group.owner).chain(&group.writers).take(READERS_EACH);
        stays.for_each(|user| errands.entry(*user).or_default().logs.push(conversation));
        for user in group.members.iter().take(if conversation == 0 { 40 } else { usize::MAX }) {
            if counts < COUNTS_MAX {
                errands.entry(*user).or_default().counts.push(conversation);
                counts += 1;
            }
        }
    }
    let mut users: Vec<(u32, Errand)> = errands.into_iter().collect();
    users.sort_by_key(|(user, _)| *user);
    let mut running = JoinSet::new();
    for (number, (user, errand)) in (first..).zip(users) {
        if running.len() >= AT_A_TIME {
            let _ = running.join_next().await;
        }
        let client = Client::new(shared, number, user, Role::Auditor, rng_of(seed, number));
        running.spawn(run(client, errand));
    }
    while running.join_next().await.is_some() {}
}

async fn run(mut client: Client, errand: Errand) {
    for _ in 0..3 {
        // Without a session no log is read, and L1 says so.
        let Ok(Some(mut link)) = timeout(PATIENCE, client.enter()).await else { return };
        let done = work(&client, &mut link, &errand).await;
        if done.is_ok() {
            return link.leave().await;
        }
    }
}

async fn work(client: &Client, link: &mut Link, errand: &Errand) -> Result<(), Ended> {
    let (shared, session, user) = (&client.shared, link.session(), client.user);
    let mut pull = 0;
    for conversation in &errand.logs {
        let (conversation, mut after) = (*conversation, 0);
        let patience = Instant::now() + PATIENCE;
        loop {
            pull += 1;
            shared.recorder.record(What::Pull { session, pull, conversation, after, to: None }).await;
            let params = json!({"conversation": shared.names.conversation(conversation), "after": after, "limit": 500});
            match link.ask("messages.list", &params).await? {
                Ok(payload) => {
                    // What is no page is no end of the log either.
                    let Some(page) = page::read(&shared.names, &payload, Sabotage::None) else {
                        let code = page::UNREADABLE.to_owned();
                        shared.recorder.record(What::PullRefused { session, pull, code }).await;
                        break;
                    };
                    let (more, last) = (page.more, page.entries.last().map(|entry| entry.version));
                    shared.recorder.record(What::Pulled { session, pull, entries: page.entries, more }).await;
                    match last.filter(|last| more && *last > after) {
                        Some(last) => after = last,
                        None => break,
                    }
                }
                Err(error) => {
                    let code = error.code.as_str().to_owned();
                    shared.recorder.record(What::PullRefused { session, pull, code }).await;
                    let wait = wait_of(&error).filter(|wait| Instant::now() + *wait < patience);
                    let Some(wait) = wait else { break };
                    sleep(wait).await;
                }
            }
        }
    }
    for conversation in &errand.counts {
        #[derive(Deserialize)]
        struct Counted {
            read: u64,
            unread: i64,
        }
        let params = json!({"conversation": shared.names.conversation(*conversation), "members_limit": 1});
        // Who is out is answered `not_found`: there is nothing to count.
        if let Ok(payload) = link.ask("conversations.get", &params).await?
            && let Ok(Counted { read, unread }) = payload.parse()
        {
            let conversation = *conversation;
            shared.recorder.record(What::Unread { user, conversation, read, unread }).await;
        }
    }
    Ok(())
}

/// Tries what must work: connect, create, send, be hinted, pull, follow. Users are the last two of the plan.
pub async fn probe(shared: &Arc<Stage>, users: (u32, u32)) {
    let mut done: Vec<(&str, anyhow::Result<()>)> = Vec::new();
    let deadline = Instant::now() + PROBE_DEADLINE;
    match timeout_at(deadline, try_all(shared, users, &mut done)).await {
        Ok(()) => {}
        Err(_) => done.push(("the probe", Err(anyhow::anyhow!("not done within {PROBE_DEADLINE:?}")))),
    }
    for (what, outcome) in done {
        let said = outcome.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        let probe = What::Probe { what: what.to_owned(), ok: outcome.is_ok(), said };
        shared.recorder.record(probe).await;
    }
}

async fn try_all(shared: &Arc<Stage>, (ada, bob): (u32, u32), done: &mut Vec<(&str, anyhow::Result<()>)>) {
    let (mut first, mut second) = match (connect(shared, ada).await, connect(shared, bob).await) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => return done.push(("a new connection", Err(error))),
    };
    done.push(("a new connection", Ok(())));
    let name = shared.names.user(bob).as_str();
    let params =
        json!({"to": name, "key": format!("probe-{}", shared.recorder.now()), "text": "is anybody there?"});
    let sent = match ask(&mut first, "messages.send", &params).await {
        Ok(sent) => sent,
        Err(error) => return done.push(("a new send", Err(error))),
    };
    done.push(("a new send", Ok(())));
    let conversation = sent["conversation"].as_str().unwrap_or_default().to_owned();
    done.push(("a hint of it", hinted(&mut second, &format!("conversation:{conversation}")).await));
    let params = json!({"conversation": conversation, "after": 0});
    let pulled = ask(&mut second, "messages.list", &params).await.and_then(|page| {
        ensure!(page["messages"][0]["version"] == sent["version"], "the page does not have it");
        Ok(())
    });
    done.push(("a pull of it", pulled));
    done.push(("a subscription", follow(shared, &mut second, ada).await));
    first.leave().await;
    second.leave().await;
}

async fn connect(shared: &Arc<Stage>, user: u32) -> anyhow::Result<Link> {
    let token = shared.tokens.of(shared.names.user(user).as_str()).await?;
    match Link::enter(shared, &shared.targets[0], user, token).await {
        Ok(link) => Ok(link),
        Err(no_entry) => bail!("no session: {no_entry:?}"),
    }
}

async fn ask(link: &mut Link, method: &str, params: &Value) -> anyhow::Result<Value> {
    let outcome =
        link.ask(method, params).await.map_err(|ended| anyhow::anyhow!("the socket ended: {ended:?}"))?;
    let payload = outcome.map_err(|error| anyhow::anyhow!("{}: {}", error.code.as_str(), error.message))?;
    payload.parse().map_err(|error| anyhow::anyhow!("{}", error.message))
}

async fn hinted(link: &mut Link, topic: &str) -> anyhow::Result<()> {
    loop {
        match link.next().await {
            Ok(Came::Hint(hint)) if hint.topics.iter().any(|(named, _)| named.as_str() == topic) => {
                return Ok(());
            }
            Ok(_) => {}
            Err(ended) => bail!("the socket ended: {ended:?}"),
        }
    }
}

/// Follows the presence of somebody with whom it shares a conversation.
async fn follow(shared: &Stage, link: &mut Link, of: u32) -> anyhow::Result<()> {
    let topic = TopicId::presence(shared.names.user(of));
    let id = link.subscribe(topic).await.map_err(|ended| anyhow::anyhow!("the socket ended: {ended:?}"))?;
    let reply = link.reply(id).await.map_err(|ended| anyhow::anyhow!("the socket ended: {ended:?}"))?;
    reply
        .map(|_| ())
        .map_err(|error| anyhow::anyhow!("{}: {}", error.code.as_str(), error.message))
        .context("subscribe")
}
