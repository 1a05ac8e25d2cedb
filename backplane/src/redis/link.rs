//! One shared connection to Redis, made when it is needed, with a deadline for every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::{Arg, Cmd, Value};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::dial::{DialError, Dialer, Ear, Wire};
use super::failure::Failure;
use super::script::Script;

/// Between two tries to connect, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A Cluster's connection finds moved and returned servers by itself. After so many failures without one success between
/// it is made anew from the addresses.
const CLUSTER_FAILURES_MAX: u32 = 8;

/// The number of no connection.
const NONE: u64 = u64::MAX;

/// The connection that all calls share.
pub(super) struct Link {
    dialer: Arc<Dialer>,
    call_timeout: Duration,
    slot: Mutex<Slot>,
    cluster: AtomicBool,
    failures: AtomicU32,
    /// The connection that left a call without an answer for long, and answered no other meanwhile.
    silent: AtomicU64,
    begun: Instant,
    /// When the last answer came, in microseconds since it began.
    answered: AtomicU64,
}

#[derive(Default)]
struct Slot {
    wire: Option<Wire>,
    /// The try to connect that is under way: nobody's, so that no caller's little time ends it for the others.
    dial: JoinSet<Result<Wire, DialError>>,
    /// Which connection it is: only who used it may give it up.
    number: u64,
    /// After a failed try: what it said, when the next one may be, and the pause after that.
    closed: Option<(String, Instant, Duration)>,
}

impl Link {
    pub(super) fn new(dialer: Dialer, call_timeout: Duration) -> Self {
        let slot = Mutex::new(Slot::default());
        Self {
            dialer: Arc::new(dialer),
            call_timeout,
            slot,
            cluster: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            silent: AtomicU64::new(NONE),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Whether the servers are a Cluster, as of the last connection.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.load(Ordering::Relaxed)
    }

    /// Runs a script that is asked for by its hash. The deadline holds for all of it: a connection, the call, and one
    /// repetition after a connection failed, which is harmless for each of the scripts.
    pub(super) async fn call(&self, script: &Script, command: &Cmd) -> Result<Value, Failure> {
        let attempts = self.attempts(script, command);
        timeout(self.call_timeout, attempts).await.unwrap_or_else(|_| Err(Failure::late(self.call_timeout)))
    }

    /// Runs a command that is no script.
    #[cfg(feature = "testing")]
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let (mut wire, _) = self.wire().await?;
        wire.ask(command).await.map_err(|error| Failure::of(&error))
    }

    /// A connection of its own for the bell.
    pub(super) async fn dial_bell(&self, ear: Ear) -> Result<Wire, DialError> {
        self.dialer.dial(Some(ear)).await
    }

    /// How long a call may take.
    pub(super) const fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Connects now, if there is no connection.
    pub(super) async fn connect(&self) -> Result<(), DialError> {
        let mut slot = self.slot.lock().await;
        self.fill(&mut slot).await.map(|_| ())
    }

    async fn attempts(&self, script: &Script, command: &Cmd) -> Result<Value, Failure> {
        let (number, first) = self.attempt(script, command).await?;
        let Err(Failure::Connection(_) | Failure::NotHere(_)) = first else { return first };
        self.give_up(number).await;
        if matches!(first, Err(Failure::NotHere(_))) {
            // It refused, and there is no need to ask a replica twice; the next call asks who is the primary now.
            return first;
        }
        let (number, second) = self.attempt(script, command).await?;
        if matches!(second, Err(Failure::Connection(_))) {
            self.give_up(number).await;
        }
        second
    }

    /// One try, and on which connection; an error where there is none.
    async fn attempt(
        &self,
        script: &Script,
        command: &Cmd,
    ) -> Result<(u64, Result<Value, Failure>), Failure> {
        let (mut wire, number) = self.wire().await?;
        let waits = Waits { link: self, number, since: Instant::now() };
        let mut answer = wire.ask(command).await.map_err(|error| Failure::of(&error));
        if matches!(answer, Err(Failure::NoScript)) {
            answer = wire.ask(&in_full(script, command)).await.map_err(|error| Failure::of(&error));
        }
        waits.ended();
        self.answered.store(self.moment(Instant::now()), Ordering::Relaxed);
        if answer.is_ok() {
            self.failures.store(0, Ordering::Relaxed);
        }
        Ok((number, answer))
    }

    async fn wire(&self) -> Result<(Wire, u64), Failure> {
        let mut slot = self.slot.lock().await;
        if self.silent.load(Ordering::Relaxed) == slot.number {
            self.silent.store(NONE, Ordering::Relaxed);
            self.discard(&mut slot);
        }
        let wire = self.fill(&mut slot).await.map_err(|error| Failure::Refused(error.to_string()))?;
        Ok((wire, slot.number))
    }

    async fn fill(&self, slot: &mut Slot) -> Result<Wire, DialError> {
        if let Some(wire) = &slot.wire {
            return Ok(wire.clone());
        }
        if let Some((said, next, _)) = &slot.closed
            && Instant::now() < *next
        {
            return Err(DialError::Away(said.clone()));
        }
        if slot.dial.is_empty() {
            let dialer = Arc::clone(&self.dialer);
            slot.dial.spawn(async move { dialer.dial(None).await });
        }
        let ended = slot.dial.join_next().await;
        match ended.and_then(Result::ok) {
            Some(Ok(wire)) => {
                self.cluster.store(wire.is_cluster(), Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
                slot.number += 1;
                slot.closed = None;
                slot.wire = Some(wire.clone());
                Ok(wire)
            }
            Some(Err(error)) => {
                slot.close(error.to_string());
                Err(error)
            }
            None => {
                slot.close("the try to connect ended without a word".to_owned());
                Err(DialError::Away("the try to connect ended without a word".to_owned()))
            }
        }
    }

    fn moment(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.begun).as_micros()).unwrap_or(u64::MAX)
    }

    /// Makes sure that a connection that failed is not used again.
    async fn give_up(&self, number: u64) {
        let mut slot = self.slot.lock().await;
        if slot.number == number {
            self.discard(&mut slot);
        }
    }

    fn discard(&self, slot: &mut Slot) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let spent = !self.is_cluster() || failures >= CLUSTER_FAILURES_MAX;
        if spent && slot.wire.take().is_some() {
            tracing::info!("the connection to redis is given up and made anew");
        }
    }
}

impl Slot {
    /// No try for a while, and a longer one each time.
    fn close(&mut self, said: String) {
        let pause = self.closed.as_ref().map_or(PAUSE.0, |(_, _, pause)| (*pause * 2).min(PAUSE.1));
        self.closed = Some((said, Instant::now() + pause, pause));
    }
}

/// A call that waits for its answer. Where it is given up after long, by its caller's deadline or by ours, and nobody had an answer
/// meanwhile, the connection is used no more: a server that stands still confirms what it gets, and would be asked for ever. One that is
/// slow is kept: a new connection would be slower still.
struct Waits<'a> {
    link: &'a Link,
    number: u64,
    since: Instant,
}

impl Waits<'_> {
    fn ended(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let is_long = self.since.elapsed() >= self.link.call_timeout / 2;
        if is_long && self.link.answered.load(Ordering::Relaxed) < self.link.moment(self.since) {
            self.link.silent.store(self.number, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("dialer", &self.dialer).finish_non_exhaustive()
    }
}

/// The same call with the script's code in place of its hash.
fn in_full(script: &Script, command: &Cmd) -> Cmd {
    let mut full = redis::cmd("EVAL");
    full.arg(script.code());
    for arg in command.args_iter().skip(2) {
        if let Arg::Simple(bytes) = arg {
            full.arg(bytes);
        }
    }
    full
}
