//! One stream to one peer, for the calls of one purpose: numbered requests go out in the order of the calls, answers come
//! back as they are ready.
//!
//! A call puts its request into the lane's queue at its first poll, so that requests stand in the order in which calls
//! began; the lane's task connects when there is one to send, and fails those that it sent when the connection breaks.
//! Nothing is sent twice.

mod driver;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::remote::gate::Gate;
use crate::remote::{Config, Metrics, Trust, wire};
use driver::Driver;

#[cfg(test)]
pub(crate) use driver::Requests;

pub(crate) use wire::answer::Result as Answer;
pub(crate) use wire::request::Call;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// As many are under way as may be.
    #[error("too many calls are under way")]
    Busy,
    /// It does not fit into a message.
    #[error("{0}")]
    TooLarge(String),
    /// Nobody is there, or the connection broke.
    #[error("it cannot be reached: {0}")]
    NoConnection(String),
    /// The longest time for any call has passed.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// What the way to a peer needs. Shared by its lanes.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) gate: Gate,
    pub(crate) trust: Trust,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
}

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: mpsc::Sender<wire::Request>,
    waiting: Arc<Waiting>,
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    call_timeout_max: Duration,
    message_bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    number: u64,
    /// Starts with the first call: only then is there a runtime for sure. Ends with the lane.
    driver: Option<Driver>,
    task: JoinSet<()>,
}

impl Lane {
    pub(crate) fn new(peer: Arc<Peer>) -> Self {
        let Config { in_flight_max, in_flight_bytes_max, call_timeout_max, message_bytes_max, .. } =
            peer.config;
        let slots = in_flight_max.get() as usize;
        // As many words as calls, and as many that say that nobody waits any more.
        let (queue, queued) = mpsc::channel(2 * slots);
        let waiting = Arc::new(Waiting::default());
        let driver = Driver::new(peer, queued, Arc::clone(&waiting));
        Self {
            queue,
            waiting,
            slots: Arc::new(Semaphore::new(slots)),
            bytes: Arc::new(Semaphore::new(in_flight_bytes_max.get() as usize)),
            call_timeout_max,
            message_bytes_max: message_bytes_max.get(),
            state: Mutex::new(State { number: 0, driver: Some(driver), task: JoinSet::new() }),
        }
    }

    /// Makes one call. Its request has its place among the others at the first poll.
    ///
    /// *Cancel safety*: the callee is told that nobody waits any more; the call may have happened.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(crate) async fn call(&self, gateway: String, call: Call) -> Result<Answer, NoAnswer> {
        let within = self.call_timeout_max;
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let request = wire::Request { number: 0, within_ms, gateway, call: Some(call) };
        let (answer, _waiter) = self.send(request)?;
        match timeout(within, answer).await {
            Err(_) => Err(NoAnswer::Late(within)),
            Ok(Err(_)) => Err(NoAnswer::NoConnection("the lane has ended".to_owned())),
            Ok(Ok(answer)) => answer,
        }
    }

    fn send(
        &self,
        mut request: wire::Request,
    ) -> Result<(oneshot::Receiver<Result<Answer, NoAnswer>>, Waiter<'_>), NoAnswer> {
        // The number is the only part that is not known yet, and has 10 bytes at most.
        let bytes = request.encoded_len() + 11;
        if bytes > self.message_bytes_max {
            let most = self.message_bytes_max;
            return Err(NoAnswer::TooLarge(format!(
                "the request has {bytes} bytes; message_bytes_max is {most}"
            )));
        }
        let busy = |_| NoAnswer::Busy;
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(busy)?;
        let weight = u32::try_from(bytes).map_err(|_| NoAnswer::Busy)?;
        let room = Arc::clone(&self.bytes).try_acquire_many_owned(weight).map_err(busy)?;
        let (sender, receiver) = oneshot::channel();

        let mut state = self.state.lock();
        if let Some(driver) = state.driver.take() {
            state.task.spawn(driver.run());
        }
        state.number += 1;
        request.number = state.number;
        self.waiting.add(request.number, sender);
        let waiter = Waiter { lane: self, number: request.number, _permits: [slot, room] };
        self.queue.try_send(request).map_err(|_| NoAnswer::Busy)?;
        Ok((receiver, waiter))
    }
}

/// A caller who waits. Its slot is free again when it is dropped.
struct Waiter<'a> {
    lane: &'a Lane,
    number: u64,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.lane.waiting.forget(self.number) == Forgotten::Sent {
            // With no room for the word, the callee's own deadline ends the call.
            let cancel = Some(Call::Cancel(wire::Cancel {}));
            let word = wire::Request { number: self.number, call: cancel, ..wire::Request::default() };
            _ = self.lane.queue.try_send(word);
        }
    }
}

/// Who waits for an answer, by number.
#[derive(Debug, Default)]
struct Waiting {
    by_number: Mutex<HashMap<u64, Caller>>,
}

#[derive(Debug)]
struct Caller {
    answer: oneshot::Sender<Result<Answer, NoAnswer>>,
    /// Whether the request was given to a connection.
    is_sent: bool,
}

/// What was known of a caller who went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgotten {
    /// It had its answer.
    Answered,
    /// Its request waits in the queue, and is left out.
    Queued,
    /// Its request is with the peer.
    Sent,
}

impl Waiting {
    fn add(&self, number: u64, answer: oneshot::Sender<Result<Answer, NoAnswer>>) {
        self.by_number.lock().insert(number, Caller { answer, is_sent: false });
    }

    fn forget(&self, number: u64) -> Forgotten {
        match self.by_number.lock().remove(&number) {
            None => Forgotten::Answered,
            Some(Caller { is_sent: false, .. }) => Forgotten::Queued,
            Some(Caller { is_sent: true, .. }) => Forgotten::Sent,
        }
    }

    /// The request is about to be sent. Whether somebody waits for it.
    fn send(&self, number: u64) -> bool {
        let mut by_number = self.by_number.lock();
        let caller = by_number.get_mut(&number);
        caller.map(|caller| caller.is_sent = true).is_some()
    }

    fn waits(&self, number: u64) -> bool {
        self.by_number.lock().contains_key(&number)
    }

    /// Gives the answer to who waits for it; nobody may.
    fn answer(&self, number: u64, answer: Result<Answer, NoAnswer>) {
        if let Some(caller) = self.by_number.lock().remove(&number) {
            _ = caller.answer.send(answer);
        }
    }

    /// The connection is gone: who waits for an answer on it gets none.
    fn fail_sent(&self, why: &str) {
        for (_, caller) in self.by_number.lock().extract_if(|_, caller| caller.is_sent) {
            _ = caller.answer.send(Err(NoAnswer::NoConnection(why.to_owned())));
        }
    }
}
