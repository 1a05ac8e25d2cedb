//! The parts of a run, from the first connection to the last.

mod progress;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::args::ProveArgs;
use super::client::Client;
use super::history::{Conversation, Moment, Phase, Recorder, Role, Run, What, recorder};
use super::hostile::Hostile;
use super::keeper::Keeper;
use super::nemesis::local::{Local, Manner};
use super::nemesis::{self, Cluster, Fallen, Schedule};
use super::plan::{Plan, rng_of};
use super::reader::Reader;
use super::stage::{Sabotage, Stage};
use super::writer::Writer;
use super::{audit, metrics, setup};
use crate::Host;
use crate::tokens::Tokens;
use progress::Terminal;

/// The file with what happened.
pub const HISTORY: &str = "history.jsonl";
/// The file with what it means.
pub const REPORT: &str = "report.html";

/// Clients that connect in a second: a server takes more, and this machine has to make their keys as well.
const CONNECTS_EACH_SECOND: u32 = 500;
/// How long all of them may take beyond that.
const WARM_UP_DEADLINE: Duration = Duration::from_secs(60);
/// How long writers may take to learn the fate of what is unsure; they give up a little earlier.
const HEAL_DEADLINE: Duration = Duration::from_secs(75);
/// How long readers may take to write down what they know.
const REPORT_DEADLINE: Duration = Duration::from_secs(10);
/// How often the tool's own processes are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// How often a server is asked for its figures, where it gives none.
const SCRAPES_MAX: u32 = 3;
const SCRAPE_PAUSE: Duration = Duration::from_secs(1);
/// Within so long after T one look must find nobody in the queue.
const QUEUE_LOOK: Duration = Duration::from_secs(5);
const QUEUE_LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long a server may take to let go of its clients: users linger for 5 s.
const LEAVE_DEADLINE: Duration = Duration::from_secs(30);

/// One run, with everything that belongs to it.
struct Director<'a> {
    args: &'a ProveArgs,
    seed: u64,
    plan: Plan,
    shared: Arc<Stage>,
    phase: watch::Sender<Phase>,
    metrics: Vec<String>,
    local: Option<Arc<dyn Cluster>>,
    /// What each target held before the first client.
    held: HashMap<String, f64>,
}

/// Runs to the end and leaves a history in `folder`; answers why it was given up, where it was: its history ends early then.
///
/// # Errors
/// It cannot begin, or its history cannot be written.
pub async fn run(args: &ProveArgs, host: &Host, folder: &Path) -> anyhow::Result<Option<anyhow::Error>> {
    let seed = args.seed(host);
    println!("doorbell bench prove  seed {seed}  build {}", host.build);
    let local = start_local(args, host, folder).await?;
    let (recorder, written) = recorder(&folder.join(HISTORY))?;
    let mut director = Director::prepare(args, host, recorder, local, seed).await?;
    let given_up = director.play().await.err();
    director.end().await;
    drop(director);
    // The last recorder is gone with the director, so the file is whole when its task ends.
    written.await??;
    Ok(given_up)
}

/// What the tool starts itself, where it is asked to.
async fn start_local(
    args: &ProveArgs,
    host: &Host,
    folder: &Path,
) -> anyhow::Result<Option<Arc<dyn Cluster>>> {
    let sabotage = args.sabotage().map(|kind| ("DOORBELL_SABOTAGE".to_owned(), kind.to_owned()));
    let env = sabotage.into_iter().collect();
    let local = match args.cluster {
        Some(shape) => {
            let manner = Manner { env, is_cut: args.pace().is_some(), ..Manner::default() };
            Local::installation(&host.binary, folder, shape, manner).await?
        }
        None if args.local => Local::one(&host.binary, folder, env).await?,
        None => return Ok(None),
    };
    Ok(Some(Arc::new(local)))
}

impl<'a> Director<'a> {
    async fn prepare(
        args: &'a ProveArgs,
        host: &Host,
        recorder: Recorder,
        local: Option<Arc<dyn Cluster>>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        // Users of another run with the same seed are others.
        let run = format!("{:x}", host.now_ms & 0xff_ffff_ffff);
        let plan = Plan::draw(seed, &run, &args.scale())?;
        let (targets, tokens, mut metrics) = reach(args, host, local.as_deref())?;
        metrics.extend(args.metrics_url.iter().cloned());
        let (phase, watched) = watch::channel(Phase::WarmUp);
        let sabotage = args.sabotage().map_or(Sabotage::None, Sabotage::named);
        let shared = Stage::new(recorder, (targets, tokens), setup::names(&plan, &run), watched, sabotage);
        let mut shared = Arc::new(shared);
        let ids = setup::conversations(&shared, &plan, &run).await?;
        let unshared = Arc::get_mut(&mut shared).context("somebody still makes conversations")?;
        ids.into_iter().for_each(|id| unshared.names.add_conversation(id));
        let conversations = plan.groups.iter().zip(shared.names.conversations());
        let what = Run {
            seed,
            build: host.build.clone(),
            command: host.command.clone(),
            started_ms: host.now_ms,
            targets: shared.targets.clone(),
            users: plan.users.iter().map(|user| user.as_str().to_owned()).collect(),
            conversations: conversations
                .map(|(group, id)| Conversation { id: id.clone(), members: group.members.clone() })
                .collect(),
            bounds: args.bounds(),
            nemesis: args.pace().is_some(),
            metrics: metrics.clone(),
        };
        shared.recorder.record_at(0, What::Run(Box::new(what))).await;
        Ok(Self { args, seed, plan, shared, phase, metrics, local, held: HashMap::new() })
    }

    async fn play(&mut self) -> anyhow::Result<()> {
        let terminal = Terminal::begin(&self.shared);
        let (stop, mut watching) = (CancellationToken::new(), JoinSet::new());
        if let Some(local) = &self.local {
            watching.spawn(watch(Arc::clone(local), Arc::clone(&self.shared), stop.clone()));
        }
        let played = self.parts().await;
        stop.cancel();
        while watching.join_next().await.is_some() {}
        terminal.end().await;
        played
    }

    /// Ends what the tool started itself, and writes down who did not end well.
    async fn end(&mut self) {
        let Some(local) = self.local.take() else { return };
        let fallen = [local.fallen().await, local.end().await].concat();
        for Fallen { process, how } in fallen {
            self.shared.recorder.record(What::Fell { process, how }).await;
        }
    }

    async fn parts(&mut self) -> anyhow::Result<()> {
        if let Some(why) = self.gauges(Moment::Before).await {
            bail!("{why}: where are a server's metrics?");
        }
        self.enter(Phase::WarmUp).await;
        let mut readers = JoinSet::new();
        let mut others = JoinSet::new();
        self.connect(&mut readers, &mut others).await?;
        self.gauges(Moment::Warm).await;
        self.enter(Phase::Load).await;
        self.load().await?;
        self.enter(Phase::Heal).await;
        let heal = async { while others.join_next().await.is_some() {} };
        // Who does not come to an end is given up: what became of their sends nobody knows, and V1 says so.
        let _ = timeout(HEAL_DEADLINE, heal).await;
        others.abort_all();
        self.enter(Phase::Settle).await;
        self.wait(self.args.settle()).await?;
        self.enter(Phase::Final).await;
        self.reports().await;
        let first = u32::try_from(self.plan.clients.len()).unwrap_or(u32::MAX);
        audit::audit(&self.shared, &self.plan, self.seed, first).await;
        if let [.., group] = self.plan.groups.as_slice() {
            // Owners' throttles are untouched, and two of them share nothing yet.
            let other = self.plan.groups.first().map_or(group.owner, |first| first.owner);
            let writer = group.writers.first().copied().unwrap_or(other);
            audit::probe(&self.shared, (group.owner, if other == group.owner { writer } else { other }))
                .await;
        }
        self.gauges(Moment::Settled).await;
        self.phase.send_replace(Phase::Left);
        while readers.join_next().await.is_some() {}
        self.shared.recorder.record(What::Phase(Phase::Left)).await;
        self.let_go().await;
        self.gauges(Moment::Left).await;
        self.sound()
    }

    async fn enter(&self, phase: Phase) {
        // Written down first: what clients do because of it comes after it.
        self.shared.recorder.record(What::Phase(phase)).await;
        self.phase.send_replace(phase);
    }

    fn sound(&self) -> anyhow::Result<()> {
        match self.shared.broken.lock().as_ref() {
            Some(why) => bail!("the run was given up: {why}"),
            None => Ok(()),
        }
    }

    /// Waits, unless the run is given up.
    async fn wait(&self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.sound()?;
            sleep(Duration::from_millis(200).min(until - Instant::now())).await;
        }
        self.sound()
    }

    /// Starts all clients, and waits until each had its session.
    async fn connect(&self, readers: &mut JoinSet<()>, others: &mut JoinSet<()>) -> anyhow::Result<()> {
        let mut owners = (0..).zip(&self.plan.groups);
        let wanted = self.plan.clients.iter().filter(|place| place.role != Role::Hostile).count();
        for (number, place) in (0_u32..).zip(&self.plan.clients) {
            let mut rng = rng_of(self.seed, number);
            let start = Duration::from_secs(1) / CONNECTS_EACH_SECOND * number
                + Duration::from_millis(rng.random_range(0..100));
            let client = Client::new(&self.shared, number, place.user, place.role, rng);
            match place.role {
                Role::Hinted | Role::Polling => readers.spawn(later(start, Reader::new(client).run())),
                Role::Hostile => readers.spawn(later(start, Hostile::new(client).run())),
                Role::Writer => others.spawn(later(start, self.writer(client).run())),
                Role::Keeper | Role::Auditor => {
                    let Some((conversation, group)) = owners.next() else { continue };
                    let keeper = Keeper::new(client, conversation, &group.readers, self.args.away());
                    others.spawn(later(start, keeper.run()))
                }
            };
        }
        let clients = u32::try_from(self.plan.clients.len()).unwrap_or(u32::MAX);
        let deadline =
            Instant::now() + WARM_UP_DEADLINE + Duration::from_secs(1) / CONNECTS_EACH_SECOND * clients;
        while self.shared.progress.sessions() < i64::try_from(wanted).unwrap_or(i64::MAX) {
            self.sound()?;
            if Instant::now() > deadline {
                bail!("only {} of {wanted} clients got a session", self.shared.progress.sessions());
            }
            sleep(Duration::from_millis(50)).await;
        }
        // What they ask at their start is answered, and large conversations are followed.
        self.wait(Duration::from_secs(2)).await
    }

    fn writer(&self, client: Client) -> Writer {
        let written = self.plan.written_by(client.user);
        let (large, small): (Vec<u32>, Vec<u32>) =
            written.iter().partition(|conversation| **conversation == 0);
        let writers = self.plan.clients.iter().filter(|place| place.role == Role::Writer).count();
        let every = Duration::from_secs(u64::try_from(writers).unwrap_or(1)) / self.args.scale().rate;
        let (small, large) = if small.is_empty() { (large, None) } else { (small, large.first().copied()) };
        Writer::new(client, small, large, every)
    }

    /// The load, and the faults where there are any.
    async fn load(&self) -> anyhow::Result<()> {
        let length = self.args.scale().duration;
        let (Some(local), Some(pace)) = (&self.local, self.args.pace()) else {
            return self.wait(length).await;
        };
        let cluster = Arc::clone(local);
        let schedule = match self.args.given() {
            [] => Schedule::draw(self.seed, length, pace, &*cluster),
            given => Schedule::given(given, self.seed, length, &*cluster)?,
        };
        let stop = CancellationToken::new();
        let mut faults = JoinSet::new();
        faults.spawn(nemesis::run(cluster, schedule, Arc::clone(&self.shared), stop.clone()));
        let waited = self.wait(length).await;
        stop.cancel();
        while faults.join_next().await.is_some() {}
        waited
    }

    /// Waits until readers have written down what they know. Who has no session cannot: a rule finds that.
    async fn reports(&self) {
        let readers =
            self.plan.clients.iter().filter(|place| matches!(place.role, Role::Hinted | Role::Polling));
        let (wanted, deadline) = (readers.count() as u64, Instant::now() + REPORT_DEADLINE);
        while self.shared.progress.reports() < wanted && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes down each server's figures; answers why one has none, where that is so.
    async fn gauges(&mut self, moment: Moment) -> Option<String> {
        let mut silent = None;
        for target in &self.metrics {
            let said = match figures(target, moment).await {
                Ok(values) => {
                    self.held.entry(target.clone()).or_insert_with(|| metrics::held(&values));
                    What::Gauges { target: target.clone(), moment, values }
                }
                // The rules that need it say so.
                Err(error) => {
                    let why = format!("{error:#}");
                    silent.get_or_insert_with(|| format!("{target}: {why}"));
                    What::NoGauges { target: target.clone(), moment, why }
                }
            };
            self.shared.recorder.record(said).await;
        }
        silent
    }

    /// Waits until a server has nothing of its clients any more, or for as long as it may take.
    async fn let_go(&self) {
        let deadline = Instant::now() + LEAVE_DEADLINE;
        for target in &self.metrics {
            while Instant::now() < deadline {
                let Ok(values) = metrics::read(target).await else { break };
                if metrics::held(&values) <= self.held.get(target).copied().unwrap_or(0.0) {
                    break;
                }
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// A server's figures; after T, when nobody is on the way through the queue, or after [`QUEUE_LOOK`]: canaries pass it all the
/// time, each for milliseconds, and what is left over is there at every look.
async fn figures(target: &str, moment: Moment) -> anyhow::Result<Vec<(String, f64)>> {
    let deadline = Instant::now() + QUEUE_LOOK;
    loop {
        let values = scrape(target).await?;
        if moment != Moment::Settled || metrics::queued(&values) == 0.0 || Instant::now() >= deadline {
            return Ok(values);
        }
        sleep(QUEUE_LOOK_PAUSE).await;
    }
}

/// Writes down which processes end by themselves, when it is seen, until `stop`.
async fn watch(cluster: Arc<dyn Cluster>, shared: Arc<Stage>, stop: CancellationToken) {
    loop {
        for Fallen { process, how } in cluster.fallen().await {
            shared.recorder.record(What::Fell { process, how }).await;
        }
        if stop.run_until_cancelled(sleep(WATCH_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Reads a server's figures; one that is late once is not lost.
async fn scrape(target: &str) -> anyhow::Result<Vec<(String, f64)>> {
    for _ in 1..SCRAPES_MAX {
        if let Ok(values) = metrics::read(target).await {
            return Ok(values);
        }
        sleep(SCRAPE_PAUSE).await;
    }
    metrics::read(target).await
}

async fn later(start: Duration, client: impl Future<Output = ()>) {
    sleep(start).await;
    client.await;
}

/// Where to connect, how tokens are made, and where metrics are.
fn reach(
    args: &ProveArgs,
    host: &Host,
    local: Option<&dyn Cluster>,
) -> anyhow::Result<(Vec<String>, Tokens, Vec<String>)> {
    if let Some(local) = local {
        let tokens = Tokens::Key((host.mint)(&local.key_file(), &[])?);
        return Ok((local.urls(), tokens, local.metrics_urls()));
    }
    let tokens = Tokens::of_installation(args.key_file.as_deref(), args.token_command.as_deref(), host)?;
    Ok((args.url.clone(), tokens, Vec::new()))
}
