//! The neighbours of a gateway, as far as a test must steer them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_backplane::memory::Memory;
use doorbell_backplane::{
    Enter, Entered, Entry, Error, Lease, LeaseRenewal, Partition, PartitionIdentity, Registry,
};
use doorbell_gateway::auth::{AuthError, Authenticator, Verified};
use doorbell_protocol::frames::Token;
use doorbell_protocol::{Epoch, ErrorBody, ErrorCode, GatewayId, Payload, Timestamp, UserId};
use doorbell_rpc::{CallRequest, Messages};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Takes `name`, `name@MS`, the token's end, and `name+TOPICS`, what it grants; `bad` is refused.
pub struct Names;

impl Authenticator for Names {
    fn verify(&self, token: &Token, now: Timestamp) -> Result<Verified, AuthError> {
        let (name, claims) = match token.0.split_once('+') {
            Some((name, topic)) => {
                let claims = serde_json::from_value(serde_json::json!({"topics": [topic]})).unwrap();
                (name, Some(Arc::new(claims)))
            }
            None => (&*token.0, None),
        };
        let (user, expires) = match name.split_once('@') {
            Some((user, ms)) => (user, Timestamp::from_millis(ms.parse().map_err(|_| AuthError::Bad)?)),
            None => (name, now.plus(Duration::from_secs(86_400))),
        };
        if user == "bad" {
            return Err(AuthError::Bad);
        }
        if expires <= now {
            return Err(AuthError::Expired);
        }
        Ok(Verified { user: UserId::new(user).map_err(|_| AuthError::Bad)?, expires, claims })
    }
}

/// What comes of a canary's enter.
#[derive(Clone, Copy, Debug)]
pub enum Foul {
    Refused,
    /// An answer that says nothing.
    Empty,
}

/// The memory registry behind a gate: enters and leaves can be made to wait, calls to fail.
pub struct Gated {
    memory: Arc<Memory>,
    /// So many enters may pass.
    open: watch::Sender<usize>,
    /// No canary is entered.
    pub canaries: Mutex<Option<Foul>>,
    open_to_leave: watch::Sender<bool>,
    failing: AtomicBool,
    /// Leaves alone fail.
    keeping: AtomicBool,
    pub enters: AtomicUsize,
    /// Calls, each with some users.
    pub leaves: AtomicUsize,
    pub left: Mutex<Vec<UserId>>,
    losing: AtomicBool,
    /// Leaves that got no answer, and are still on their way.
    pub lost: Mutex<Vec<Enter>>,
    /// How often it failed over, with all that it knew.
    failovers: AtomicUsize,
}

impl Gated {
    pub fn new(memory: Arc<Memory>) -> Self {
        Self {
            memory,
            open: watch::Sender::new(usize::MAX),
            canaries: Mutex::default(),
            open_to_leave: watch::Sender::new(true),
            failing: AtomicBool::new(false),
            keeping: AtomicBool::new(false),
            enters: AtomicUsize::new(0),
            leaves: AtomicUsize::new(0),
            left: Mutex::default(),
            losing: AtomicBool::new(false),
            lost: Mutex::default(),
            failovers: AtomicUsize::new(0),
        }
    }

    pub fn hold_enters(&self) {
        self.open.send_replace(self.enters.load(Ordering::SeqCst));
    }

    /// One of those that are held.
    pub fn let_one_enter_go(&self) {
        self.open.send_modify(|open| *open += 1);
    }

    pub fn let_enters_go(&self) {
        self.open.send_replace(usize::MAX);
    }

    pub fn hold_leaves(&self) {
        self.open_to_leave.send_replace(false);
    }

    pub fn let_leaves_go(&self) {
        self.open_to_leave.send_replace(true);
    }

    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    /// Leaves fail, and all else works.
    pub fn fail_leaves(&self) {
        self.keeping.store(true, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.failing.store(false, Ordering::SeqCst);
        self.keeping.store(false, Ordering::SeqCst);
    }

    pub fn lose_leaves(&self) {
        self.losing.store(true, Ordering::SeqCst);
    }

    /// What was lost on the way arrives after all.
    pub async fn deliver_lost_leaves(&self) {
        let lost = std::mem::take(&mut *self.lost.lock());
        self.memory.leave(lost).await.unwrap();
    }

    pub async fn entries(&self, user: &str) -> Vec<Entry> {
        self.memory.look_up(vec![UserId::new(user).unwrap()]).await.unwrap().remove(0)
    }

    /// Another store answers from now on: it has the leases and the entries, and may lack the last of them.
    pub fn fail_over(&self) {
        self.failovers.fetch_add(1, Ordering::SeqCst);
    }

    fn identity(&self) -> PartitionIdentity {
        PartitionIdentity(format!("store-{}", self.failovers.load(Ordering::SeqCst)))
    }

    fn check(&self) -> Result<(), Error> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: "down for the test".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Registry for Gated {
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        self.check()?;
        let lease = self.memory.take_lease(gateway, partition, ttl).await?;
        Ok(Lease { identity: self.identity(), ..lease })
    }

    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error> {
        self.check()?;
        let mut renewals = self.memory.renew_leases(gateway, leases, ttl).await?;
        for renewal in &mut renewals {
            if let LeaseRenewal::Renewed(identity) = renewal {
                *identity = self.identity();
            }
        }
        Ok(renewals)
    }

    async fn end_leases(&self, gateway: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        self.memory.end_leases(gateway, leases).await
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        self.check()?;
        if enters.iter().any(|enter| enter.user.is_canary()) {
            match *self.canaries.lock() {
                Some(Foul::Refused) => return Err(Error::Unavailable { reason: "no room for it".into() }),
                Some(Foul::Empty) => return Ok(Vec::new()),
                None => {}
            }
        }
        let nth = self.enters.fetch_add(1, Ordering::SeqCst);
        self.open.subscribe().wait_for(|open| nth < *open).await.expect("the sender lives in self");
        self.memory.enter(enters).await
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error> {
        self.leaves.fetch_add(1, Ordering::SeqCst);
        self.open_to_leave.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        self.check()?;
        if self.keeping.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: "the test lets nobody leave".into() });
        }
        if self.losing.load(Ordering::SeqCst) {
            self.lost.lock().extend(leaves);
            return Err(Error::Unavailable { reason: "the answer is lost".into() });
        }
        let users: Vec<_> = leaves.iter().map(|leave| leave.user.clone()).collect();
        self.memory.leave(leaves).await?;
        self.left.lock().extend(users);
        Ok(())
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        self.memory.look_up(users).await
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        self.memory.online(users).await
    }

    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error> {
        self.memory.lapsed(partition, entries_max).await
    }
}

/// A message service: `echo` answers its parameters, `big` a page beyond a frame, `page` one of 64 KiB, `page-later` the same when told, `wait` answers
/// when told, `never` does not.
#[derive(Default)]
pub struct Service {
    /// The parameters of each call, in the order in which their futures were first polled.
    pub started: Mutex<Vec<serde_json::Value>>,
    pub go: Notify,
}

#[async_trait]
impl Messages for Service {
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        self.started.lock().push(request.params.parse()?);
        let encoding = request.params.encoding();
        match request.method.as_str() {
            "echo" => Ok(request.params),
            "wait" => {
                self.go.notified().await;
                Ok(request.params)
            }
            "never" => std::future::pending().await,
            "page-later" => {
                self.go.notified().await;
                Ok(Payload::encode(encoding, &serde_json::json!({"text": "x".repeat(64 * 1024)})))
            }
            "page" => Ok(Payload::encode(encoding, &serde_json::json!({"text": "x".repeat(64 * 1024)}))),
            "big" => Ok(Payload::encode(encoding, &serde_json::json!({"text": "x".repeat(300 * 1024)}))),
            "panic" => panic!("as the test asked"),
            _ => Err(ErrorBody::new(ErrorCode::UnknownMethod, "no such method")),
        }
    }
}
