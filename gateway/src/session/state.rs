//! The pure rules of a session: an event in, actions out. No I/O, no lock, no clock.
//!
//! Waiting for `hello` -> entering (indexed, its enter under way) -> open (welcomed) -> closing (our close frame is
//! sent, the client's is awaited) -> parting (both closes are said: the end as soon as ours is written) -> closed.
//! After a violation: lingering (our side of TCP is ended; what still comes is dropped) -> closed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::frames::{Goaway, Hello};
use doorbell_protocol::{
    CallId, ClientFrame, ErrorBody, ErrorCode, ServerFrame, SessionId, Timestamp, UserId,
};

use super::Identity;
use super::event::{Action, Actions, Admission, Event};
use super::heartbeat::{Beat, Heartbeat};
use super::phase::{HintGate, Phase, ReadGate};
use super::rate::{Pass, Rate, RateRule};
use crate::Config;
use crate::auth::{AuthError, Claims, Verified};
use crate::error::End;
use crate::pull::Answered;
use crate::uptime::Moment;

const NOT_HELLO: &str = "the first frame must be a hello";

/// What the rules go by: made once a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) rate: RateRule,
    pub(crate) config: Config,
}

impl Rules {
    pub(crate) fn new(config: Config) -> Self {
        Self { rate: RateRule::new(&config), config }
    }
}

/// Which session, of whom, by which rules, at which moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'r> {
    pub(crate) session: SessionId,
    /// Whose it is, from `hello` on.
    pub(crate) identity: Option<&'r Identity>,
    pub(crate) rules: &'r Rules,
    pub(crate) now: Moment,
}

/// What waits for the `welcome`. Gone after it.
#[derive(Debug, Default)]
struct Parked {
    /// Whose it is, by the token that came with the upgrade.
    user: Option<UserId>,
    hello: Option<Hello>,
    frame: Option<ClientFrame>,
    goaway: Option<Goaway>,
}

/// One session's rules. A few words, for there are a million of them.
#[derive(Debug)]
pub(crate) struct State {
    phase: Phase,
    /// Calls that wait for their answer.
    calls: u16,
    /// When the phase began.
    since: Moment,
    /// When the last ping went out.
    pinged: Moment,
    rate: Rate,
    /// When its present token ends.
    expires: Timestamp,
    /// What that token grants; `None` is nothing.
    claims: Option<Arc<Claims>>,
    parked: Option<Box<Parked>>,
}

impl State {
    pub(crate) fn new(verified: Option<Verified>, now: Moment) -> Self {
        let (parked, expires, claims) = match verified {
            Some(Verified { user, expires, claims }) => {
                (Some(Box::new(Parked { user: Some(user), ..Parked::default() })), expires, claims)
            }
            None => (None, Timestamp::default(), None),
        };
        Self {
            phase: Phase::Hello,
            calls: 0,
            since: now,
            pinged: now,
            rate: Rate::default(),
            expires,
            claims,
            parked,
        }
    }

    /// What the present token grants.
    pub(crate) fn claims(&self) -> Option<&Arc<Claims>> {
        self.claims.as_ref()
    }

    /// The present token's own number of messages a throttle's period.
    pub(crate) fn throttle(&self) -> Option<NonZeroU32> {
        self.claims().and_then(|claims| claims.throttle)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// How long the phase has lasted.
    pub(crate) fn lasted(&self, now: Moment) -> Duration {
        now.since(self.since)
    }

    pub(crate) fn hints(&self) -> HintGate {
        self.phase.hints()
    }

    pub(crate) fn reads(&self, rules: &Rules) -> ReadGate {
        match self.phase {
            Phase::Hello => ReadGate::Open,
            Phase::Entering | Phase::Open if self.parks_frame() => ReadGate::Held,
            Phase::Entering => ReadGate::Open,
            Phase::Open if self.calls >= rules.config.calls_in_flight_max.get() => ReadGate::Held,
            Phase::Open => ReadGate::Open,
            Phase::Closing | Phase::Parting | Phase::Lingering => ReadGate::Drop,
            Phase::Closed => ReadGate::Shut,
        }
    }

    /// Whether a frame waited for the `welcome`, which is out.
    pub(crate) fn has_parked(&self) -> bool {
        self.phase == Phase::Open && self.parks_frame()
    }

    fn parks_frame(&self) -> bool {
        self.parked.as_ref().is_some_and(|parked| parked.frame.is_some())
    }

    /// Everything was written and our side of TCP has ended.
    pub(crate) fn on_writes_ended(&mut self) {
        if self.phase == Phase::Parting {
            self.phase = Phase::Closed;
        }
    }

    /// The frame that waited for the `welcome`, once it is out.
    pub(crate) fn take_parked(&mut self) -> Option<ClientFrame> {
        if self.phase != Phase::Open {
            return None;
        }
        self.parked.take()?.frame
    }

    /// When the sweep must come by next, at the latest.
    pub(crate) fn due(&self, heard: Moment, wall: Timestamp, at: &At<'_>) -> Moment {
        let rules = at.rules;
        let life = || {
            let beat = Heartbeat::of(at.session, &rules.config).due(heard, self.pinged);
            beat.min(at.now.plus(self.expires.since(wall)))
        };
        match self.phase {
            Phase::Hello => self.since.plus(rules.config.hello_timeout),
            Phase::Entering => life().min(self.since.plus(rules.config.welcome_timeout)),
            Phase::Open => life(),
            Phase::Closing | Phase::Parting | Phase::Lingering | Phase::Closed => {
                self.since.plus(rules.config.close_timeout)
            }
        }
    }

    /// What happens now, and what is done about it.
    pub(crate) fn on_event(&mut self, event: Event, at: &At<'_>) -> Actions {
        let mut out = Actions::new();
        let now = at.now;
        match event {
            Event::SocketEnded => self.end_at_once(End::SocketEnded, &mut out),
            Event::Panicked => self.end_at_once(End::Internal, &mut out),
            Event::CallDone { id, answered } => self.on_answer(id, answered, &mut out),
            Event::Tick { heard, wall } => self.on_tick(heard, wall, at, &mut out),
            _ if self.hints() == HintGate::Shut => self.on_event_while_closing(&event, now, &mut out),
            Event::Frame(frame) => self.on_frame(frame, at, &mut out),
            Event::Faulty { id, error } => self.on_faulty(id, error, at, &mut out),
            Event::NotProtocol(reason) => self.close(End::NotProtocol(reason.into()), now, &mut out),
            Event::Violation(violation) => self.close(End::Violation(violation), now, &mut out),
            Event::Ping | Event::Pong => match self.rate.pass(&at.rules.rate, now) {
                Pass::Serve if matches!(event, Event::Ping) => out.push(Action::Pong),
                // An error about a ping would be one more frame; the rate alone is the answer.
                Pass::Serve | Pass::Refuse(_) => {}
                Pass::Flood => self.close(End::Flooding, now, &mut out),
            },
            Event::ClientClose(code) => self.echo(code, now, &mut out),
            Event::Verified(outcome) => self.on_verified(outcome, at, &mut out),
            Event::Entered => self.on_entered(now, &mut out),
            Event::Lost if self.phase == Phase::Open => out.push(Action::Resync),
            // The client asks `topics.changes` after its welcome.
            Event::Lost => {}
            Event::Evicted => self.close(End::Evicted, now, &mut out),
            Event::Draining(goaway) => self.on_draining(goaway, &mut out),
            Event::Drained => self.close(End::Drained, now, &mut out),
            Event::SignalRefused(error) => out.push(Action::Refuse(None, error)),
            Event::Overrun => {}
        }
        out
    }

    fn on_event_while_closing(&mut self, event: &Event, now: Moment, out: &mut Actions) {
        match event {
            Event::ClientClose(_) if self.phase == Phase::Closing => {
                self.enter_phase(Phase::Parting, now);
                out.push(Action::EndWrites);
            }
            Event::Overrun | Event::Violation(_) if self.phase != Phase::Closed => {
                self.enter_phase(Phase::Closed, now);
                out.push(Action::Cut);
            }
            _ => {}
        }
    }

    fn on_frame(&mut self, frame: ClientFrame, at: &At<'_>, out: &mut Actions) {
        let now = at.now;
        match self.rate.pass(&at.rules.rate, now) {
            Pass::Serve => {}
            Pass::Refuse(wait) => return out.push(Action::Refuse(id_of(&frame), too_fast(wait))),
            Pass::Flood => return self.close(End::Flooding, now, out),
        }
        match (self.phase, frame) {
            (Phase::Hello, ClientFrame::Hello(hello)) => self.on_hello(hello, at, out),
            (Phase::Hello, _) => self.close(End::NotProtocol(NOT_HELLO.into()), now, out),
            (_, ClientFrame::Ping { id }) => out.push(Action::Send(ServerFrame::Pong { id })),
            (Phase::Entering, frame) => self.parked().frame = Some(frame),
            (_, frame) => self.on_open_frame(frame, out),
        }
    }

    /// A frame that was parked has passed the limit already.
    pub(crate) fn on_parked(&mut self, frame: ClientFrame) -> Actions {
        let mut out = Actions::new();
        if self.phase == Phase::Open {
            self.on_open_frame(frame, &mut out);
        }
        out
    }

    fn on_open_frame(&mut self, frame: ClientFrame, out: &mut Actions) {
        out.push(match frame {
            ClientFrame::Hello(_) => {
                Action::Refuse(None, ErrorBody::new(ErrorCode::Invalid, "hello: this session had its hello"))
            }
            ClientFrame::Token(token) => Action::Verify(token),
            ClientFrame::Subscribe { id, topics } => {
                self.calls += 1;
                Action::Subscribe { id, topics }
            }
            ClientFrame::Unsubscribe { id, topics } => {
                self.calls += 1;
                Action::Unsubscribe { id, topics }
            }
            ClientFrame::Signal { topic, data } => Action::Signal { topic, data },
            ClientFrame::Call { id, method, params } => {
                self.calls += 1;
                Action::Call { id, method, params }
            }
            ClientFrame::Ping { id } => Action::Send(ServerFrame::Pong { id }),
        });
    }

    fn on_faulty(&mut self, id: Option<CallId>, error: ErrorBody, at: &At<'_>, out: &mut Actions) {
        if self.phase == Phase::Hello {
            let reason = format!("{NOT_HELLO}: {}", error.message);
            return self.close(End::NotProtocol(reason.into()), at.now, out);
        }
        match self.rate.pass(&at.rules.rate, at.now) {
            Pass::Serve => out.push(Action::Refuse(id, error)),
            Pass::Refuse(wait) => out.push(Action::Refuse(id, too_fast(wait))),
            Pass::Flood => self.close(End::Flooding, at.now, out),
        }
    }

    fn on_hello(&mut self, mut hello: Hello, at: &At<'_>, out: &mut Actions) {
        match (hello.token.take(), self.user(at).cloned()) {
            (Some(token), _) => {
                self.parked().hello = Some(hello);
                out.push(Action::Verify(token));
            }
            (None, Some(user)) => self.admit(user, &hello, at.now, out),
            (None, None) => self.close(End::Unauthorized(AuthError::Missing), at.now, out),
        }
    }

    fn on_verified(&mut self, outcome: Result<Verified, AuthError>, at: &At<'_>, out: &mut Actions) {
        let now = at.now;
        let hello = self.parked.as_mut().and_then(|parked| parked.hello.take());
        let verified = match outcome {
            Ok(verified) => verified,
            Err(AuthError::Undecided) if hello.is_some() => return self.close(End::Undecided, now, out),
            Err(error) if hello.is_some() => return self.close(End::Unauthorized(error), now, out),
            // The old token still holds: a failed refresh is no reason to lose the socket before its end.
            Err(AuthError::Undecided) => return out.push(undecided_token()),
            Err(_) => return out.push(refuse_token("it does not hold")),
        };
        if self.user(at).is_some_and(|user| *user != verified.user) {
            return self.close(End::OtherUser, now, out);
        }
        let device = verified.claims.as_ref().and_then(|claims| claims.device.as_ref());
        let present = at.identity.and_then(|identity| identity.device.as_ref());
        if hello.is_none() && device.is_some() && device != present {
            return out.push(refuse_token("it is another device's"));
        }
        self.expires = verified.expires;
        self.claims = verified.claims;
        if let Some(hello) = hello {
            self.admit(verified.user, &hello, now, out);
        }
    }

    fn admit(&mut self, user: UserId, hello: &Hello, now: Moment, out: &mut Actions) {
        self.enter_phase(Phase::Entering, now);
        let hint_window = Duration::from_millis(hello.hint_window_ms.into());
        // A token that names a device is that device's, whatever its bearer says.
        let fixed = self.claims.as_ref().and_then(|claims| claims.device.clone());
        let device = fixed.or_else(|| hello.device.clone());
        out.push(Action::Admit(Admission { user, device, hint_window }));
    }

    fn on_entered(&mut self, now: Moment, out: &mut Actions) {
        if self.phase != Phase::Entering {
            return;
        }
        let waited = self.lasted(now);
        self.enter_phase(Phase::Open, now);
        out.push(Action::Welcome { waited });
        let Some(mut parked) = self.parked.take() else { return };
        if let Some(goaway) = parked.goaway.take() {
            out.push(Action::Send(ServerFrame::Goaway(goaway)));
        }
        // Only a frame is still waited for: an idle session keeps no room for what may have been.
        self.parked = parked.frame.is_some().then_some(parked);
    }

    fn on_draining(&mut self, goaway: Goaway, out: &mut Actions) {
        match self.phase {
            Phase::Open => out.push(Action::Send(ServerFrame::Goaway(goaway))),
            // `welcome` comes first: a client expects nothing before it.
            _ => self.parked().goaway = Some(goaway),
        }
    }

    fn on_answer(&mut self, id: CallId, answered: Answered, out: &mut Actions) {
        self.calls = self.calls.saturating_sub(1);
        if self.phase == Phase::Open {
            let Answered { outcome, news } = answered;
            out.push(Action::Send(ServerFrame::Reply { id, outcome }));
            out.extend(news.map(Action::Hint));
        }
    }

    fn on_tick(&mut self, heard: Moment, wall: Timestamp, at: &At<'_>, out: &mut Actions) {
        let (rules, now) = (at.rules, at.now);
        let lasted = self.lasted(now);
        match self.phase {
            Phase::Hello if lasted >= rules.config.hello_timeout => self.close(End::NoHello, now, out),
            Phase::Entering if lasted >= rules.config.welcome_timeout => {
                self.close(End::NotRegistered, now, out)
            }
            Phase::Entering | Phase::Open if wall >= self.expires => self.close(End::TokenExpired, now, out),
            Phase::Entering | Phase::Open => self.on_beat(heard, at, out),
            Phase::Closing | Phase::Parting | Phase::Lingering if lasted >= rules.config.close_timeout => {
                self.enter_phase(Phase::Closed, now);
                out.push(Action::Cut);
            }
            Phase::Hello | Phase::Closing | Phase::Parting | Phase::Lingering | Phase::Closed => {}
        }
    }

    fn on_beat(&mut self, heard: Moment, at: &At<'_>, out: &mut Actions) {
        let now = at.now;
        match Heartbeat::of(at.session, &at.rules.config).beat(heard, self.pinged, now) {
            // Its signs of life wait unread, by our own choice and for a bounded time.
            Beat::Dead if self.reads(at.rules) == ReadGate::Held => {}
            Beat::Dead => self.close(End::Silent, now, out),
            Beat::Ping => {
                self.pinged = now;
                out.push(Action::Ping);
            }
            Beat::Rest => {}
        }
    }

    fn close(&mut self, end: End, now: Moment, out: &mut Actions) {
        // After a violation nothing of the client's can be understood: no answer is waited for (RFC 6455, 7.1.7).
        let lingers = matches!(end, End::Violation(_) | End::Flooding);
        self.enter_phase(if lingers { Phase::Lingering } else { Phase::Closing }, now);
        out.push(Action::Leave(end.clone()));
        out.push(Action::Close(end));
        if lingers {
            out.push(Action::EndWrites);
        }
    }

    fn echo(&mut self, code: Option<u16>, now: Moment, out: &mut Actions) {
        self.enter_phase(Phase::Parting, now);
        out.push(Action::Leave(End::ClientClosed(code)));
        out.push(Action::EchoClose(code));
        out.push(Action::EndWrites);
    }

    fn end_at_once(&mut self, end: End, out: &mut Actions) {
        match self.phase {
            Phase::Closed => {}
            Phase::Closing | Phase::Parting | Phase::Lingering => out.push(Action::Cut),
            Phase::Hello | Phase::Entering | Phase::Open => {
                out.push(Action::Leave(end));
                out.push(Action::Cut);
            }
        }
        self.phase = Phase::Closed;
        self.parked = None;
    }

    fn enter_phase(&mut self, phase: Phase, now: Moment) {
        self.phase = phase;
        self.since = now;
        if phase.is_over() {
            self.parked = None;
        }
    }

    /// Whose it is, as far as a token has said so.
    fn user<'s>(&'s self, at: &At<'s>) -> Option<&'s UserId> {
        match at.identity {
            Some(identity) => Some(&identity.user),
            None => self.parked.as_ref()?.user.as_ref(),
        }
    }

    fn parked(&mut self) -> &mut Parked {
        self.parked.get_or_insert_default()
    }
}

/// What a reply to the frame would go by.
fn id_of(frame: &ClientFrame) -> Option<CallId> {
    match frame {
        ClientFrame::Call { id, .. }
        | ClientFrame::Subscribe { id, .. }
        | ClientFrame::Unsubscribe { id, .. } => Some(id.clone()),
        ClientFrame::Ping { id } => id.clone(),
        ClientFrame::Hello(_) | ClientFrame::Token(_) | ClientFrame::Signal { .. } => None,
    }
}

fn refuse_token(why: &str) -> Action {
    let message = format!("token: {why}; the session goes on until its present token ends");
    Action::Refuse(None, ErrorBody::new(ErrorCode::Unauthorized, message))
}

fn undecided_token() -> Action {
    Action::Refuse(None, AuthError::undecided())
}

fn too_fast(wait: Duration) -> ErrorBody {
    let wait_ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    ErrorBody::retry_after(ErrorCode::RateLimited, "too many frames: slow down", wait_ms)
}

#[cfg(test)]
mod tests;
