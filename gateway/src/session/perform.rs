//! What each action does to a session. All of it happens under the session's lock, and none of it waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_protocol::frames::{HintFrame, Limits, Welcome};
use doorbell_protocol::{ErrorBody, ErrorCode, ServerFrame};
use doorbell_rpc::{CallRequest, Caller};

use super::event::{Action, Actions, Admission};
use super::outbox::Source;
use super::{Core, Errand, Errands, Identity, Session, Setting, UNSENT_BYTES_PAUSE};
use crate::error::End;
use crate::{close, ws};

/// When a client that left answers unread may ask again.
const NOT_READ_RETRY_MS: u64 = 1_000;

impl Session {
    pub(super) fn perform(
        &self,
        core: &mut Core,
        actions: Actions,
        ping: &[u8],
        setting: &Setting,
    ) -> Errands {
        let mut errands = Errands::new();
        for action in actions {
            match action {
                Action::Send(frame) => self.send(core, &frame, setting),
                Action::Refuse(id, error) => {
                    setting.metrics.frame_refused(error.code);
                    let frame = match id {
                        Some(id) => ServerFrame::Reply { id, outcome: Err(error) },
                        None => ServerFrame::Error(error),
                    };
                    self.send(core, &frame, setting);
                }
                Action::Pong => core.outbox().pong(ping),
                Action::Ping => ws::write_ping(&[], core.outbox().raw()),
                Action::Welcome { waited } => self.welcome(core, waited, setting),
                Action::Resync => {
                    let spread = setting.rules.config.resync_spread.as_millis();
                    let after = rand::random_range(0..=u32::try_from(spread).unwrap_or(u32::MAX));
                    let hint = HintFrame { resync: true, pull_after_ms: Some(after), ..HintFrame::default() };
                    if core.is_blocked() || core.hint_window_ms > 0 {
                        core.outbox().merge(&hint, Source::Queue);
                    } else {
                        // Apart from versions that wait: merged with those, it would lose its own wait.
                        core.outbox().send_hint(self.encoding, &hint);
                    }
                }
                Action::Verify(token) => errands.push(Errand::Verify(token)),
                Action::Admit(admission) => {
                    self.admit(core, admission);
                    errands.push(Errand::Admit);
                }
                Action::Call { id, method, params } => {
                    let request = CallRequest { caller: self.caller(core), method, params };
                    errands.push(Errand::Call { id, request });
                }
                Action::Subscribe { id, topics } => errands.push(Errand::Subscribe { id, topics }),
                Action::Unsubscribe { id, topics } => errands.push(Errand::Unsubscribe { id, topics }),
                Action::Signal { topic, data } => errands.push(Errand::Signal { topic, data }),
                Action::Hint(mut hint) => {
                    hint.topics.retain(|(topic, _)| core.follows(topic));
                    if !hint.topics.is_empty() {
                        core.outbox().merge(&hint, Source::Followed);
                    }
                }
                Action::Leave(end) => {
                    self.leave(core, &end, setting);
                    errands.push(Errand::Leave);
                }
                Action::Close(end) => {
                    let code = close::code(&end).map_or(1000, |code| code.number());
                    ws::write_close(code, &close::reason(&end), core.outbox().raw());
                }
                Action::EchoClose(code) => ws::write_close_echo(code, core.outbox().raw()),
                Action::EndWrites => core.ends_writes = true,
                Action::Cut => {
                    core.outbox = None;
                    core.socket = None;
                    core.note_slow(&setting.metrics);
                }
            }
        }
        errands
    }

    fn send(&self, core: &mut Core, frame: &ServerFrame, setting: &Setting) {
        match frame {
            ServerFrame::Goaway(_) => self.told_goaway.store(true, Ordering::Relaxed),
            ServerFrame::Reply { id, outcome: Ok(_) } if !self.has_room(core, setting) => {
                let id = id.clone();
                return self.send(core, &ServerFrame::Reply { id, outcome: Err(not_read()) }, setting);
            }
            _ => {}
        }
        setting.metrics.frame_written();
        core.outbox().send(self.encoding, frame);
    }

    /// Whether a result may still be owed: what the client leaves unread is bounded in bytes, too (GW-4).
    fn has_room(&self, core: &mut Core, setting: &Setting) -> bool {
        if core.unsent_bytes() >= UNSENT_BYTES_PAUSE {
            // Several results of one turn go out one by one. A break is found by the turn's own flush.
            let _ = self.flush(core, setting);
        }
        core.unsent_bytes() <= setting.rules.config.unsent_bytes_max.get()
    }

    fn caller(&self, core: &Core) -> Caller {
        let identity = self.identity.get().expect("a session is admitted before it may call");
        Caller { user: identity.user.clone(), throttle: core.state.throttle() }
    }

    fn admit(&self, core: &mut Core, admission: Admission) {
        core.hint_window_ms = u16::try_from(admission.hint_window.as_millis()).unwrap_or(u16::MAX);
        let identity = Identity { user: admission.user, device: admission.device };
        self.identity.set(identity).expect("a session is admitted once: its phase moves on");
    }

    fn welcome(&self, core: &mut Core, waited: Duration, setting: &Setting) {
        let identity = self.identity.get().expect("a session is admitted before it is welcomed");
        let config = &setting.rules.config;
        core.welcomed = true;
        setting.metrics.session_welcomed(waited);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let welcome = Welcome {
            session: self.id,
            user: identity.user.clone(),
            device: identity.device.clone(),
            server_time_ms: (setting.clock)(),
            heartbeat_ms: u32::try_from(config.heartbeat.as_millis()).unwrap_or(u32::MAX),
            limits: Limits {
                frame_bytes: small(config.message_bytes_max.get()),
                subscriptions: small(config.subscriptions_max.get()),
                calls_per_second: config.frames_per_second.get(),
            },
        };
        self.send(core, &ServerFrame::Welcome(welcome), setting);
    }

    fn leave(&self, core: &mut Core, end: &End, setting: &Setting) {
        if std::mem::take(&mut core.welcomed) {
            setting.metrics.session_left();
        }
        setting.metrics.session_ended(end);
        if let Some(outbox) = &mut core.outbox {
            outbox.forget_hints();
        }
        tracing::debug!(session = %self.id, code = %close::label(end), reason = %end, "session ends");
    }
}

fn not_read() -> ErrorBody {
    let message = "the answers before this one wait unread: read them, then ask again";
    ErrorBody::retry_after(ErrorCode::Unavailable, message, NOT_READ_RETRY_MS)
}
