//! One shared connection to Redis, made when it is needed, with a deadline for every call.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use redis::{Arg, Cmd, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::dial::{DialError, Dialer, Ear, Wire};
use super::failure::Failure;
use super::script::Script;

/// Between two tries to connect, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A Cluster's connection finds moved and returned servers by itself. After so many failures without one success between
/// it is made anew from the addresses.
const CLUSTER_FAILURES_MAX: u32 = 8;

/// The connection that all calls share.
pub(super) struct Link {
    dialer: Dialer,
    call_timeout: Duration,
    slot: Mutex<Slot>,
    cluster: AtomicBool,
    failures: AtomicU32,
}

#[derive(Default)]
struct Slot {
    wire: Option<Wire>,
    /// Which connection it is: only who used it may give it up.
    number: u64,
    /// After a failed try: what it said, when the next one may be, and the pause after that.
    closed: Option<(String, Instant, Duration)>,
}

impl Link {
    pub(super) fn new(dialer: Dialer, call_timeout: Duration) -> Self {
        let slot = Mutex::new(Slot::default());
        Self { dialer, call_timeout, slot, cluster: AtomicBool::new(false), failures: AtomicU32::new(0) }
    }

    /// Whether the servers are a Cluster, as of the last connection.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.load(Ordering::Relaxed)
    }

    /// Runs a script that is asked for by its hash. The deadline holds for all of it: a connection, the call, and one
    /// repetition after a connection failed, which is harmless for each of the scripts.
    pub(super) async fn call(&self, script: &Script, command: &Cmd) -> Result<Value, Failure> {
        let mut used = None;
        match timeout(self.call_timeout, self.attempts(script, command, &mut used)).await {
            Ok(done) => done,
            Err(_) => {
                // Where the slot is held, somebody connects: there is nothing to give up any more.
                let _ = timeout(Duration::from_millis(10), self.give_up(used)).await;
                Err(Failure::late(self.call_timeout))
            }
        }
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

    async fn attempts(
        &self,
        script: &Script,
        command: &Cmd,
        used: &mut Option<u64>,
    ) -> Result<Value, Failure> {
        let first = self.attempt(script, command, used).await;
        let Err(Failure::Connection(_) | Failure::NotHere(_)) = first else { return first };
        self.give_up(*used).await;
        match first {
            // It refused, and there is no need to ask a replica twice; the next call asks who is the primary now.
            Err(Failure::NotHere(_)) => first,
            _ => {
                let second = self.attempt(script, command, used).await;
                if matches!(second, Err(Failure::Connection(_))) {
                    self.give_up(*used).await;
                }
                second
            }
        }
    }

    async fn attempt(
        &self,
        script: &Script,
        command: &Cmd,
        used: &mut Option<u64>,
    ) -> Result<Value, Failure> {
        *used = None;
        let (mut wire, number) = self.wire().await?;
        *used = Some(number);
        let mut answer = wire.ask(command).await.map_err(|error| Failure::of(&error));
        if matches!(answer, Err(Failure::NoScript)) {
            answer = wire.ask(&in_full(script, command)).await.map_err(|error| Failure::of(&error));
        }
        if answer.is_ok() {
            self.failures.store(0, Ordering::Relaxed);
        }
        answer
    }

    async fn wire(&self) -> Result<(Wire, u64), Failure> {
        let mut slot = self.slot.lock().await;
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
        match self.dialer.dial(None).await {
            Ok(wire) => {
                self.cluster.store(wire.is_cluster(), Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
                slot.closed = None;
                slot.number += 1;
                slot.wire = Some(wire.clone());
                Ok(wire)
            }
            Err(error) => {
                let pause = slot.closed.as_ref().map_or(PAUSE.0, |(_, _, pause)| (*pause * 2).min(PAUSE.1));
                slot.closed = Some((error.to_string(), Instant::now() + pause, pause));
                Err(error)
            }
        }
    }

    /// Makes sure that a connection that failed is not used again.
    async fn give_up(&self, used: Option<u64>) {
        let Some(number) = used else { return };
        let mut slot = self.slot.lock().await;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let spent = !self.is_cluster() || failures >= CLUSTER_FAILURES_MAX;
        if spent && slot.number == number && slot.wire.take().is_some() {
            tracing::info!("the connection to redis is given up and made anew");
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
