//! One client's WebSocket: what fan-out, sweep and drain share with the task that reads it.
//!
//! Everything about a session lies behind one short lock, so that frames never interleave; a write under it never
//! waits. Idle, a session owns its socket, its rules and nothing else (GW-3).

mod appointment;
pub(crate) mod event;
mod following;
pub(crate) mod follows;
pub(crate) mod heartbeat;
mod incoming;
pub(crate) mod outbox;
mod perform;
mod phase;
pub(crate) mod rate;
pub(crate) mod state;
pub(crate) mod task;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use doorbell_protocol::codec::decode_client;
use doorbell_protocol::frames::Token;
use doorbell_protocol::{
    CallId, Clock, DecodeError, DeviceId, Encoding, Payload, SessionId, TopicId, UserId, Version,
};
use doorbell_rpc::{CallRequest, Messages, failpoint, sabotage};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::auth::{Authenticator, Verified};
use crate::fanout::Notice;
use crate::metrics::{Metrics, Offered, Shown};
use crate::session::event::Event;
use crate::session::follows::Follows;
use crate::session::outbox::{Flushed, Hints, Outbox, Source};
use crate::session::phase::{HintGate, ReadGate};
use crate::session::state::{At, Rules, State};
use crate::signals::Passing;
use crate::socket::{HeldSocket, Transport};
use crate::uptime::{Moment, Uptime};
use crate::ws;

/// With so many bytes owed, the task writes before it parses further.
const UNSENT_BYTES_PAUSE: usize = 16 * 1024;
/// In the middle of a frame.
const HALF_WRITTEN: &str = "gateway.half-written";

/// What every session of a gateway goes by.
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) uptime: Uptime,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) messages: Arc<dyn Messages>,
}

/// Whose session it is, from `hello` on.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) device: Option<DeviceId>,
}

/// What an event leaves to be done outside the session's lock.
pub(crate) enum Errand {
    /// Check a token, and say so with [`Event::Verified`].
    Verify(Token),
    /// Into the local index, then enter.
    Admit,
    /// Pass a call on.
    Call { id: CallId, request: CallRequest },
    /// Follow topics.
    Subscribe { id: CallId, topics: Vec<(TopicId, Version)> },
    /// Pass a signal on.
    Signal { topic: TopicId, data: Payload },
    /// Follow topics no longer.
    Unsubscribe { id: CallId, topics: Vec<TopicId> },
    /// Out of the local index.
    Leave,
}

pub(crate) type Errands = SmallVec<[Errand; 1]>;

/// What the session's task does next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) read: ReadGate,
    /// Wait until the socket takes more.
    pub(crate) blocked: bool,
    /// The socket broke while writing.
    pub(crate) broken: bool,
    /// When the gathered hints go out.
    pub(crate) window_ends: Option<Instant>,
    /// A frame waited for the `welcome`, which is out.
    pub(crate) parked: bool,
    /// Nothing more will happen.
    pub(crate) closed: bool,
}

/// One session.
pub(crate) struct Session {
    id: SessionId,
    encoding: Encoding,
    transport: Transport,
    identity: OnceLock<Identity>,
    /// The last sign of life, as [`Moment`]'s microseconds.
    heard: AtomicU64,
    /// The second of uptime in which the sweep comes by; an older place in the wheel is void.
    due: AtomicU32,
    told_goaway: AtomicBool,
    waker: AtomicWaker,
    /// A box of its own: the two fit the gaps that glibc's allocator leaves around tokio's aligned ones, of 112 bytes and
    /// 128 more, where one piece of their size does not (`docs/performance.md`, "Memory").
    core: Mutex<Box<Core>>,
}

struct Core {
    state: State,
    /// `None` once the connection is closed.
    socket: Option<HeldSocket>,
    /// The session's place among those whom a drain waits for: until its task ends.
    place: Option<TaskTrackerToken>,
    outbox: Option<Box<Outbox>>,
    /// `None` while it follows nothing.
    follows: Option<Box<Follows>>,
    /// It followed something that it follows no longer.
    let_go: bool,
    hint_window_ms: u16,
    /// End our side of TCP when the outbox is empty.
    ends_writes: bool,
    /// Our side of TCP has ended.
    writes_ended: bool,
    welcomed: bool,
    /// Counted as a slow socket.
    slow: bool,
    /// It is out of the indexes, and follows nothing any more.
    left: bool,
}

impl Session {
    pub(crate) fn new(
        socket: HeldSocket,
        encoding: Encoding,
        verified: Option<Verified>,
        now: Moment,
    ) -> Self {
        Self::with(Some(socket), encoding, State::new(verified, now), now)
    }

    /// A session of a user that has no socket: for tests of what never writes.
    #[cfg(test)]
    pub(crate) fn without_socket(identity: Identity) -> Arc<Self> {
        let now = Moment::default();
        let session = Self::with(None, Encoding::Json, State::new(None, now), now);
        session.identity.set(identity).expect("it is new");
        Arc::new(session)
    }

    fn with(socket: Option<HeldSocket>, encoding: Encoding, state: State, now: Moment) -> Self {
        let transport = socket.as_ref().map_or(Transport::Plain, HeldSocket::transport);
        Self {
            id: SessionId::from_bits(rand::random()),
            encoding,
            transport,
            identity: OnceLock::new(),
            heard: AtomicU64::new(now.as_micros()),
            due: AtomicU32::new(0),
            told_goaway: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            core: Mutex::new(Box::new(Core {
                state,
                socket,
                place: None,
                outbox: None,
                follows: None,
                let_go: false,
                hint_window_ms: 0,
                ends_writes: false,
                writes_ended: false,
                welcomed: false,
                slow: false,
                left: false,
            })),
        }
    }

    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whose it is; `None` before `hello`.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// The last sign of life.
    pub(crate) fn heard(&self) -> Moment {
        Moment::from_micros(self.heard.load(Ordering::Relaxed))
    }

    /// Notes a sign of life.
    pub(crate) fn hear(&self, now: Moment) {
        self.heard.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Whether it had its `welcome`, and has not ended.
    pub(crate) fn is_welcomed(&self) -> bool {
        self.core.lock().welcomed
    }

    pub(crate) fn was_told_goaway(&self) -> bool {
        self.told_goaway.load(Ordering::Relaxed)
    }

    /// Holds the session's place among those whom a drain waits for, until [`Session::release`].
    pub(crate) fn hold(&self, place: TaskTrackerToken) {
        self.core.lock().place = Some(place);
    }

    /// Closes the socket and gives the place back, whoever still knows the session: its task has ended.
    pub(crate) fn release(&self) {
        let (socket, place) = {
            let mut core = self.core.lock();
            (core.socket.take(), core.place.take())
        };
        drop(socket);
        drop(place);
    }

    /// Whom [`Session::wake`] wakes: the session's task.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Wakes the session's task.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Tells the session what happened elsewhere, and wakes its task if that calls for anything.
    pub(crate) fn tell(&self, event: Event, setting: &Setting) -> Errands {
        let (errands, acted) = self.step(event, &[], setting);
        if acted {
            self.wake();
        }
        errands
    }

    /// Tells the session what its own task found. `ping` is the payload of a WebSocket ping.
    pub(crate) fn step(&self, event: Event, ping: &[u8], setting: &Setting) -> (Errands, bool) {
        let at = self.at(setting);
        let mut core = self.core.lock();
        let actions = core.state.on_event(event, &at);
        let acted = !actions.is_empty();
        (self.perform(&mut core, actions, ping, setting), acted)
    }

    /// Takes up the frame that waited for the `welcome`.
    pub(crate) fn unpark(&self, setting: &Setting) -> Errands {
        let mut core = self.core.lock();
        let Some(frame) = core.state.take_parked() else { return Errands::new() };
        let actions = core.state.on_parked(frame);
        self.perform(&mut core, actions, &[], setting)
    }

    fn at<'s>(&'s self, setting: &'s Setting) -> At<'s> {
        At { session: self.id, identity: self.identity(), rules: &setting.rules, now: setting.uptime.now() }
    }

    /// Offers a hint: written at once if the socket takes it and nothing waits, else merged into what waits (GW-2).
    /// Whoever follows a topic no longer is not told of it (GW-11).
    pub(crate) fn offer(&self, notice: &mut Notice, source: Source, setting: &Setting) -> Offered {
        let mut guard = self.core.lock();
        let core = &mut **guard;
        if source == Source::Followed && !core.still_follows(notice.hint()) {
            return Offered::Gone;
        }
        if sabotage::strikes("drop-hints", 12) {
            return Offered::Written;
        }
        match core.state.hints() {
            HintGate::Shut => return Offered::Gone,
            HintGate::Hold => {
                core.outbox().merge(notice.hint(), source);
                return Offered::Held;
            }
            HintGate::Open => {}
        }
        let waits = core.outbox.is_some();
        if !waits && core.hint_window_ms == 0 && core.write_at_once(notice.bytes(self.encoding)) {
            setting.metrics.frame_written();
            if sabotage::strikes("repeat-hints", 4) {
                core.write_at_once(notice.bytes(self.encoding));
            }
            if core.outbox.is_none() {
                return Offered::Written;
            }
            core.note_slow(&setting.metrics);
            drop(guard);
            self.wake();
            return Offered::Written;
        }
        core.outbox().merge(notice.hint(), source);
        if core.hint_window_ms > 0 {
            let ends = Instant::now() + Duration::from_millis(core.hint_window_ms.into());
            core.outbox().open_window(ends);
        }
        drop(guard);
        // What waited already has its waker: the socket, the window, or the task itself in the middle of a turn.
        if !waits {
            self.wake();
        }
        Offered::Merged
    }

    /// Shows a signal: written if the socket takes it now and nothing is owed, else dropped (GW-16).
    pub(crate) fn show(&self, passing: &mut Passing, setting: &Setting) -> Shown {
        let mut guard = self.core.lock();
        let core = &mut **guard;
        if core.state.hints() != HintGate::Open {
            return Shown::Gone;
        }
        if core.is_blocked() {
            return Shown::Slow;
        }
        if core.unsent_bytes() > 0 {
            // The session's task is in the middle of a turn. A break is found by the turn's own flush.
            let _ = self.flush(core, setting);
        }
        if core.unsent_bytes() > 0 || !core.write_at_once(passing.bytes(self.encoding)) {
            return Shown::Slow;
        }
        setting.metrics.frame_written();
        if core.unsent_bytes() > 0 {
            core.note_slow(&setting.metrics);
            drop(guard);
            self.wake();
        }
        Shown::Written
    }

    /// What becomes of the client's bytes at this moment of a turn.
    pub(crate) fn gate(&self, setting: &Setting) -> ReadGate {
        let core = self.core.lock();
        // In the middle of a turn much that is unsent holds reading as well; `settle` has just written, so that what it finds is blocked.
        let held = core.outbox.as_ref().is_some_and(|outbox| {
            outbox.holds_reading() || !outbox.is_blocked() && outbox.unsent_bytes() >= UNSENT_BYTES_PAUSE
        });
        match core.state.reads(&setting.rules) {
            ReadGate::Open if held => ReadGate::Held,
            gate => gate,
        }
    }

    /// Writes what the socket takes, and says what to do next.
    pub(crate) fn settle(&self, setting: &Setting) -> Next {
        let mut guard = self.core.lock();
        let core = &mut **guard;
        let broken = self.flush(core, setting);
        core.note_slow(&setting.metrics);
        let held = core.outbox.as_ref().is_some_and(|outbox| outbox.holds_reading());
        Next {
            read: match core.state.reads(&setting.rules) {
                ReadGate::Open if held => ReadGate::Held,
                gate => gate,
            },
            blocked: core.is_blocked(),
            broken,
            window_ends: core.outbox.as_ref().and_then(|outbox| outbox.window_ends()),
            parked: core.state.has_parked(),
            closed: core.state.is_closed(),
        }
    }

    /// Whether the socket broke.
    fn flush(&self, core: &mut Core, setting: &Setting) -> bool {
        if let Some(outbox) = &mut core.outbox {
            let Some(socket) = core.socket.as_mut().filter(|_| !core.writes_ended) else {
                core.outbox = None;
                return false;
            };
            let hints = match core.state.hints() {
                HintGate::Open if outbox.window_ends().is_none_or(|ends| ends <= Instant::now()) => {
                    if outbox.window_ends().is_some() {
                        failpoint::pass("gateway.before-write");
                    }
                    Hints::Send
                }
                _ => Hints::Hold,
            };
            let (was_blocked, before) = (outbox.is_blocked(), outbox.unsent_bytes());
            let flushed = outbox.flush(self.encoding, hints, |bytes| socket.try_write(bytes));
            if was_blocked && outbox.unsent_bytes() < before {
                // The client's side acknowledged bytes: that is a sign of life.
                self.hear(setting.uptime.now());
            }
            match flushed {
                Flushed::All if outbox.is_empty() => core.outbox = None,
                Flushed::All => {}
                Flushed::Blocked => return false,
                Flushed::Broken(error) => {
                    tracing::debug!(session = %self.id, %error, "the socket broke");
                    return true;
                }
            }
        }
        if core.ends_writes && core.unsent_bytes() == 0 {
            core.end_writes();
            core.state.on_writes_ended();
        }
        false
    }
}

impl Core {
    /// The socket, as long as our side of it is open.
    fn writer(&mut self) -> Option<&mut HeldSocket> {
        self.socket.as_mut().filter(|_| !self.writes_ended)
    }

    fn end_writes(&mut self) {
        if let Some(socket) = self.writer() {
            socket.end_writes();
        }
        self.writes_ended = true;
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_default()
    }

    fn is_blocked(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.is_blocked())
    }

    fn unsent_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.unsent_bytes())
    }

    /// Tries one whole frame with nothing before it. `false`: not a byte was taken. What is left of a frame begun
    /// goes to the outbox.
    fn write_at_once(&mut self, frame: &[u8]) -> bool {
        if failpoint::is_ordered(HALF_WRITTEN) {
            let half = &frame[..frame.len() / 2];
            let _ = self.writer().map(|socket| socket.try_write(half));
            failpoint::pass(HALF_WRITTEN);
        }
        let written = self.writer().and_then(|socket| socket.try_write(frame).ok()).unwrap_or(0);
        if written == 0 {
            return false;
        }
        if written < frame.len() {
            let outbox = self.outbox();
            outbox.raw().extend_from_slice(&frame[written..]);
            outbox.mark_blocked();
        }
        true
    }

    fn note_slow(&mut self, metrics: &Metrics) {
        let slow = self.is_blocked();
        if slow != std::mem::replace(&mut self.slow, slow) {
            if slow { metrics.socket_slowed() } else { metrics.socket_caught_up() }
        }
    }
}

/// Reads one message into the event that it is.
pub(crate) fn event_of(encoding: Encoding, kind: ws::MessageKind, bytes: &[u8]) -> Event {
    if kind != outbox::kind(encoding) {
        return Event::NotProtocol(match encoding {
            Encoding::Json => "this session speaks JSON: text frames only",
            Encoding::MsgPack => "this session speaks MessagePack: binary frames only",
        });
    }
    match decode_client(encoding, bytes) {
        Ok(frame) => Event::Frame(frame),
        Err(DecodeError::NotProtocol(reason)) => Event::NotProtocol(reason),
        Err(DecodeError::Rejected { id, error }) => Event::Faulty { id, error },
    }
}
