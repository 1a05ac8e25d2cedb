//! A session's task: waits for the socket, reads, and does what the rules say.
//!
//! It is a future written by hand, so that its size is known and an idle one holds nothing but three pointers (GW-3; with
//! one more, tokio's task of it takes 256 bytes in place of 128): it waits for readiness, then borrows its thread's buffer. What a turn needs beyond that lives in [`Active`], which
//! exists only while a frame is partial, a call waits for its answer, or hints gather.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use doorbell_protocol::frames::Token;
use doorbell_protocol::{CallId, Payload};
use doorbell_rpc::CallRequest;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::field::{DisplayValue, display};

use super::event::Event;
use super::incoming::Incoming;
use super::phase::ReadGate;
use super::{Errand, Errands, Session, Setting, event_of};
use crate::gateway::Gateway;
use crate::pull::{Answer, Answered, Calls};
use crate::ws::{self, ReadLimits, Reader};

/// One read. Smaller than a socket's buffer, larger than nearly every frame.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Turns in one poll, before others of the thread have theirs.
const TURNS_MAX: usize = 8;

/// What a client may still send after our close frame. A client in the middle of a large upload gets to read the close;
/// one that sends without end is cut.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

thread_local! {
    /// The buffer that this thread's sessions read into, one after the other.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The task.
pub(crate) struct SessionTask {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    active: Option<Box<Active>>,
}

/// What only a busy session has.
#[derive(Default)]
struct Active {
    /// Holds a frame or message that is not whole yet.
    reader: Option<Reader>,
    /// Read from the socket and not parsed yet, because the session may not go on.
    leftover: Vec<u8>,
    calls: Calls,
    /// For the first call's deadline and the window's end. It may ring early and for nothing.
    timer: Option<Pin<Box<Sleep>>>,
    /// Read since our close frame.
    dropped_bytes: usize,
}

enum Turn {
    Again,
    Wait,
    Done,
}

impl SessionTask {
    /// `leftover`: what the client sent along with the upgrade.
    pub(crate) fn new(gateway: Arc<Gateway>, session: Arc<Session>, leftover: &Bytes) -> Self {
        session.hold(gateway.tasks().token());
        let active = (!leftover.is_empty())
            .then(|| Box::new(Active { leftover: leftover.to_vec(), ..Active::default() }));
        Self { gateway, session, active }
    }

    fn setting(&self) -> &Setting {
        self.gateway.setting()
    }

    /// For the log: the address plainly, and nothing once the socket has none.
    fn peer(&self) -> Option<DisplayValue<SocketAddr>> {
        self.session.peer().map(display)
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Turn {
        self.answer_calls(cx);
        self.feed_leftover(cx);
        let next = self.session.settle(self.setting());
        if next.closed {
            return Turn::Done;
        }
        if next.broken {
            self.step(Event::SocketEnded, &[], cx);
            return Turn::Again;
        }
        if next.parked {
            let errands = self.session.unpark(self.setting());
            self.run(errands, cx);
            return Turn::Again;
        }
        if next.blocked && self.session.takes_more(cx) {
            return Turn::Again;
        }
        if self.timer_rings(next.window_ends, cx) {
            return Turn::Again;
        }
        match next.read {
            ReadGate::Open if self.has_leftover() => Turn::Again,
            ReadGate::Open | ReadGate::Drop => self.read(next.read, cx),
            ReadGate::Held | ReadGate::Shut => Turn::Wait,
        }
    }

    fn read(&mut self, gate: ReadGate, cx: &mut Context<'_>) -> Turn {
        let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice());
        let mut buffer = ReadBuf::new(&mut scratch);
        let turn = match self.session.poll_read(cx, &mut buffer) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Ok(incoming)) if !buffer.filled().is_empty() => {
                if gate == ReadGate::Drop {
                    self.count_dropped(buffer.filled().len(), cx);
                }
                if incoming == Incoming::Frames {
                    self.feed(buffer.filled_mut(), cx);
                }
                Turn::Again
            }
            Poll::Ready(_) => {
                self.step(Event::SocketEnded, &[], cx);
                Turn::Again
            }
        };
        SCRATCH.set(Some(scratch));
        turn
    }

    fn count_dropped(&mut self, bytes: usize, cx: &mut Context<'_>) {
        let active = self.active();
        active.dropped_bytes += bytes;
        if active.dropped_bytes > LINGER_BYTES_MAX {
            self.step(Event::Overrun, &[], cx);
        }
    }

    fn feed_leftover(&mut self, cx: &mut Context<'_>) {
        if self.has_leftover() && self.session.gate(self.setting()) != ReadGate::Held {
            let mut leftover = std::mem::take(&mut self.active().leftover);
            self.feed(&mut leftover, cx);
        }
    }

    fn has_leftover(&self) -> bool {
        self.active.as_ref().is_some_and(|active| !active.leftover.is_empty())
    }

    /// Parses what was read, as far as the session may go on; the rest waits.
    fn feed(&mut self, input: &mut [u8], cx: &mut Context<'_>) {
        let kept = self.active.as_mut().and_then(|active| active.reader.take());
        let mut reader = kept.unwrap_or_else(|| Reader::new(limits(self.setting())));
        let mut rest = input;
        loop {
            let gate = self.session.gate(self.setting());
            if matches!(gate, ReadGate::Held | ReadGate::Shut) {
                break;
            }
            match reader.next(&mut rest) {
                Ok(Some(event)) => self.on_event(&event, gate, cx),
                Ok(None) => break,
                Err(violation) => {
                    tracing::info!(
                        session = %self.session.id(), peer = self.peer(),
                        reason = violation.reason, "client breaks the framing"
                    );
                    self.step(Event::Violation(violation), &[], cx);
                    break;
                }
            }
        }
        if !rest.is_empty() {
            self.active().leftover = rest.to_vec();
        }
        if !reader.is_idle() {
            self.active().reader = Some(reader);
        }
    }

    fn on_event(&mut self, event: &ws::Event<'_>, gate: ReadGate, cx: &mut Context<'_>) {
        self.setting().metrics.frame_read();
        self.session.hear(self.setting().uptime.now());
        match event {
            ws::Event::Message(..) if gate == ReadGate::Drop => {}
            ws::Event::Message(kind, bytes) => {
                let event = event_of(self.session.encoding(), *kind, bytes);
                self.step(event, &[], cx);
            }
            ws::Event::Ping(payload) => self.step(Event::Ping, payload, cx),
            ws::Event::Pong => self.step(Event::Pong, &[], cx),
            ws::Event::Close(code) => self.step(Event::ClientClose(*code), &[], cx),
        }
    }

    fn step(&mut self, event: Event, ping: &[u8], cx: &mut Context<'_>) {
        let (errands, _) = self.session.step(event, ping, self.setting());
        self.run(errands, cx);
    }

    fn run(&mut self, errands: Errands, cx: &mut Context<'_>) {
        for errand in errands {
            match errand {
                Errand::Verify(token) => self.verify(&token, cx),
                Errand::Admit => self.gateway.admit(&self.session),
                Errand::Call { id, request } => self.call(id, request, cx),
                Errand::Subscribe { id, topics } => {
                    let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
                    self.await_answer(id, Box::pin(gateway.subscribe(session, topics)), cx);
                }
                Errand::Unsubscribe { id, topics } => {
                    self.gateway.unsubscribe(&self.session, topics);
                    let done = Payload::empty_object(self.session.encoding());
                    self.step(Event::CallDone { id, answered: Answered::from(Ok(done)) }, &[], cx);
                }
                Errand::Signal { topic, data } => self.gateway.send_signal(&self.session, topic, data),
                Errand::Leave => self.gateway.end(&self.session),
            }
        }
    }

    fn call(&mut self, id: CallId, request: CallRequest, cx: &mut Context<'_>) {
        let messages = Arc::clone(&self.setting().messages);
        self.await_answer(id, Box::pin(async move { Answered::from(messages.call(request).await) }), cx);
    }

    fn await_answer(&mut self, id: CallId, answer: Answer, cx: &mut Context<'_>) {
        let gateway = Arc::clone(&self.gateway);
        let finished = self.active().calls.start(id, answer, gateway.setting(), cx);
        if let Some((id, answered)) = finished {
            self.step(Event::CallDone { id, answered }, &[], cx);
        }
    }

    fn verify(&mut self, token: &Token, cx: &mut Context<'_>) {
        let setting = self.setting();
        let outcome = setting.authenticator.verify(token, (setting.clock)());
        if let Err(error) = outcome {
            tracing::info!(
                session = %self.session.id(), peer = self.peer(), %error, "token refused"
            );
        }
        self.step(Event::Verified(outcome), &[], cx);
        // What the last token granted, this one may not.
        self.gateway.review_now(&self.session, Instant::now());
        self.gateway.reschedule(&self.session);
    }

    fn answer_calls(&mut self, cx: &mut Context<'_>) {
        let Some(active) = &mut self.active else { return };
        let finished = active.calls.finished(&self.gateway.setting().metrics, cx);
        for (id, answered) in finished {
            self.step(Event::CallDone { id, answered }, &[], cx);
        }
    }

    /// Whether a deadline or the window's end may have come.
    fn timer_rings(&mut self, window_ends: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let deadline = self.active.as_ref().and_then(|active| active.calls.deadline());
        let Some(due) = deadline.into_iter().chain(window_ends).min() else {
            if let Some(active) = &mut self.active {
                active.timer = None;
            }
            return false;
        };
        let timer = self.active().timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        // Moving a timer costs more than a ring for nothing: it is moved only to an earlier time.
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.active().timer = None;
        true
    }

    fn active(&mut self) -> &mut Active {
        self.active.get_or_insert_default()
    }

    /// Gives back what an idle session does not need.
    fn rest(&mut self) {
        if self.active.as_ref().is_some_and(|active| active.is_empty()) {
            self.active = None;
        }
    }
}

impl Active {
    fn is_empty(&self) -> bool {
        self.reader.is_none()
            && self.leftover.is_empty()
            && self.calls.is_empty()
            && self.timer.is_none()
            && self.dropped_bytes == 0
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Before the state is looked at: whoever changes it after that look wakes this waker.
        this.session.wakes(cx.waker());
        for _ in 0..TURNS_MAX {
            match this.turn(cx) {
                Turn::Again => {}
                Turn::Wait => {
                    this.rest();
                    return Poll::Pending;
                }
                Turn::Done => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for SessionTask {
    /// Whatever ended the task, the session leaves the index.
    fn drop(&mut self) {
        let metrics = &self.gateway.setting().metrics;
        for _ in 0..self.active.as_ref().map_or(0, |active| active.calls.len()) {
            metrics.call_dropped();
        }
        if std::thread::panicking() {
            metrics.session_panicked();
            let _ = self.session.tell(Event::Panicked, self.gateway.setting());
        }
        metrics.socket_closed();
        self.gateway.leave(&self.session);
        self.session.release();
    }
}

fn limits(setting: &Setting) -> ReadLimits {
    let config = &setting.rules.config;
    ReadLimits {
        message_bytes_max: config.message_bytes_max.get(),
        fragments_max: config.message_fragments_max.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Core;
    use super::*;

    /// The size of the idle future is a property of the product: GW-3 and docs/adr/0002-own-frame-reader.md.
    #[test]
    fn an_idle_session_costs_few_bytes() {
        assert!(size_of::<SessionTask>() <= 24, "the task: {}", size_of::<SessionTask>());
        assert!(size_of::<Session>() <= 88, "the session: {}", size_of::<Session>());
        // Where assertions are on, mio's stream knows its selector.
        let guarded_max = if cfg!(debug_assertions) { 128 } else { 120 };
        assert!(size_of::<Core>() <= guarded_max, "what its lock guards: {}", size_of::<Core>());
    }
}
