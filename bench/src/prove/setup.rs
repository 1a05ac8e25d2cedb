//! The conversations of a run, made before anything is written down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::link::{Link, NoEntry, wait_of};
use super::names::Names;
use super::plan::{Group, Plan};
use super::stage::Stage;

/// Conversations made at a time.
const AT_A_TIME: usize = 8;
/// Members of one call: a conversation begins with at most that many, and as many are added at a time.
const MEMBERS_EACH: usize = 900;
/// How long an owner's session may take.
const ENTER_DEADLINE: Duration = Duration::from_secs(15);
/// How long one conversation may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes them and answers their ids in their order.
///
/// # Errors
/// The installation cannot be reached, refuses the tokens, or refuses a conversation.
pub async fn conversations(shared: &Arc<Stage>, plan: &Plan, run: &str) -> anyhow::Result<Vec<String>> {
    let mut ids = vec![String::new(); plan.groups.len()];
    let mut making = JoinSet::new();
    for (number, group) in plan.groups.iter().enumerate() {
        if making.len() >= AT_A_TIME {
            let (number, id) = making.join_next().await.context("nothing is being made")???;
            put(&mut ids, number, id);
        }
        let (shared, group, key) = (Arc::clone(shared), group.clone(), format!("prove-{run}-{number}"));
        making.spawn(async move { anyhow::Ok((number, make(&shared, &group, &key).await?)) });
    }
    while let Some(made) = making.join_next().await {
        let (number, id) = made??;
        put(&mut ids, number, id);
    }
    Ok(ids)
}

fn put(ids: &mut [String], number: usize, id: String) {
    if let Some(place) = ids.get_mut(number) {
        *place = id;
    }
}

async fn make(shared: &Arc<Stage>, group: &Group, key: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + DEADLINE;
    let mut link = enter(shared, group.owner, Instant::now() + ENTER_DEADLINE).await?;
    let names = &shared.names;
    let members: Vec<&str> = group.members.iter().map(|user| names.user(*user).as_str()).collect();
    let mut parts = members.chunks(MEMBERS_EACH);
    let first = parts.next().unwrap_or_default();
    let params = json!({"members": first, "title": "doorbell bench prove", "key": key});
    let made = call(&mut link, "conversations.create", &params, deadline).await?;
    let id = made["conversation"].as_str().context("a conversation without an id")?.to_owned();
    for more in parts {
        call(&mut link, "members.add", &json!({"conversation": id, "users": more}), deadline).await?;
    }
    link.leave().await;
    Ok(id)
}

async fn enter(shared: &Arc<Stage>, user: u32, deadline: Instant) -> anyhow::Result<Link> {
    let name = shared.names.user(user);
    let target = &shared.targets[user as usize % shared.targets.len()];
    loop {
        let token = shared.tokens.of(name.as_str()).await?;
        let wait = match Link::enter(shared, target, user, token).await {
            Ok(link) => return Ok(link),
            Err(NoEntry::Busy(wait)) => wait,
            Err(NoEntry::Later) => Duration::from_millis(300),
            Err(NoEntry::Token(reason)) => {
                bail!(
                    "{target} refuses the token of {name} ({reason}): is it the server's key, and are the clocks alike?"
                )
            }
            Err(NoEntry::Refused(why)) => bail!(why),
        };
        if Instant::now() + wait > deadline {
            bail!("{target} gives no session within {ENTER_DEADLINE:?}: is a Doorbell there?");
        }
        sleep(wait).await;
    }
}

async fn call(link: &mut Link, method: &str, params: &Value, deadline: Instant) -> anyhow::Result<Value> {
    loop {
        let answer = link.ask(method, params).await;
        match answer.map_err(|ended| anyhow::anyhow!("{method}: the socket ended ({ended:?})"))? {
            Ok(payload) => {
                return payload.parse().map_err(|error| anyhow::anyhow!("{method}: {}", error.message));
            }
            Err(error) => match wait_of(&error) {
                Some(wait) if Instant::now() + wait < deadline => sleep(wait).await,
                _ => bail!("{method}: {}: {}", error.code.as_str(), error.message),
            },
        }
    }
}

/// The names of a plan's users, before there are conversations.
pub fn names(plan: &Plan, run: &str) -> Names {
    Names::new(format!("said {run}."), plan.users.clone())
}
