use doorbell_protocol::Version;
use doorbell_protocol::frames::{HintFrame, Token};
use doorbell_protocol::{DeviceId, Payload, TopicId};

use super::*;
use crate::ws::Violation;

const START: u64 = 1_000;

fn rules() -> Rules {
    Rules::new(Config::default())
}

fn verified(user: &str, expires_ms: u64) -> Verified {
    Verified { user: UserId::new(user).unwrap(), expires: Timestamp::from_millis(expires_ms), claims: None }
}

fn hello(token: Option<&str>) -> ClientFrame {
    ClientFrame::Hello(Hello { token: token.map(|t| Token(t.into())), ..Hello::default() })
}

fn call(id: u64) -> ClientFrame {
    let params = Payload::encode(doorbell_protocol::Encoding::Json, &serde_json::json!({}));
    ClientFrame::Call { id: CallId::Number(id), method: "topics.changes".into(), params }
}

/// A session's rules and the second it is.
struct Case {
    state: State,
    identity: Option<Identity>,
    rules: Rules,
    second: u64,
}

impl Case {
    fn new(with_upgrade: Option<Verified>) -> Self {
        let state = State::new(with_upgrade, Moment::from_secs(START));
        Self { state, identity: None, rules: rules(), second: START }
    }

    /// A session of ada's that has its welcome; its token ends a day later.
    fn open() -> Self {
        let mut case = Self::new(None);
        case.see(Event::Frame(hello(Some("t"))));
        case.see(Event::Verified(Ok(verified("ada", 86_400_000))));
        case.see(Event::Entered);
        case
    }

    fn see(&mut self, event: Event) -> Vec<Action> {
        let session = SessionId::from_bits(0);
        let at = At {
            session,
            identity: self.identity.as_ref(),
            rules: &self.rules,
            now: Moment::from_secs(self.second),
        };
        let actions = self.state.on_event(event, &at).into_vec();
        for action in &actions {
            if let Action::Admit(Admission { user, device, .. }) = action {
                self.identity = Some(Identity { user: user.clone(), device: device.clone() });
            }
        }
        actions
    }

    fn tick(&mut self, heard: u64, wall_ms: u64) -> Vec<Action> {
        self.see(Event::Tick { heard: Moment::from_secs(heard), wall: Timestamp::from_millis(wall_ms) })
    }
}

/// How the session ends by these actions, if it does.
fn end(actions: &[Action]) -> Option<&End> {
    actions.iter().find_map(|action| match action {
        Action::Close(end) => Some(end),
        _ => None,
    })
}

fn error_code(actions: &[Action]) -> Option<ErrorCode> {
    match actions {
        [Action::Refuse(_, error)] => Some(error.code),
        _ => None,
    }
}

fn admission() -> Action {
    let user = UserId::new("ada").unwrap();
    Action::Admit(Admission { user, device: None, hint_window: Duration::ZERO })
}

#[test]
fn a_token_in_hello_is_verified_then_the_session_enters_then_it_is_welcomed() {
    let mut case = Case::new(None);

    assert_eq!(case.see(Event::Frame(hello(Some("t")))), [Action::Verify(Token("t".into()))]);
    assert_eq!(case.see(Event::Verified(Ok(verified("ada", 9_000)))), [admission()]);
    assert_eq!(case.state.hints(), HintGate::Hold);
    case.second += 1;
    assert_eq!(case.see(Event::Entered), [Action::Welcome { waited: Duration::from_secs(1) }]);
    assert_eq!(case.state.hints(), HintGate::Open);
    assert_eq!(case.see(Event::Entered), [], "confirmed twice");
}

#[test]
fn a_token_with_the_upgrade_makes_that_of_hello_optional() {
    let mut case = Case::new(Some(verified("ada", 9_000)));
    assert_eq!(case.see(Event::Frame(hello(None))), [admission()]);

    let mut case = Case::new(Some(verified("ada", 9_000)));
    case.see(Event::Frame(hello(Some("t"))));
    let actions = case.see(Event::Verified(Ok(verified("bob", 9_000))));
    assert_eq!(end(&actions), Some(&End::OtherUser));
}

#[test]
fn whatever_is_no_good_hello_ends_a_new_session() {
    let refused =
        || Event::Faulty { id: None, error: ErrorBody::new(ErrorCode::Invalid, "token: must be text") };
    let cases = [
        (Event::Frame(hello(None)), "no token"),
        (Event::Frame(call(1)), NOT_HELLO),
        (Event::Frame(ClientFrame::Ping { id: None }), NOT_HELLO),
        (Event::Frame(ClientFrame::Token(Token("t".into()))), NOT_HELLO),
        (refused(), "the first frame must be a hello: token: must be text"),
        (Event::NotProtocol("no type"), "no type"),
    ];
    for (event, expected) in cases {
        let mut case = Case::new(None);
        let said = format!("{event:?}");
        let actions = case.see(event);
        assert_eq!(end(&actions).map(ToString::to_string).as_deref(), Some(expected), "{said}");
    }
    for error in [AuthError::Bad, AuthError::Expired] {
        let mut case = Case::new(None);
        case.see(Event::Frame(hello(Some("t"))));
        assert_eq!(end(&case.see(Event::Verified(Err(error)))), Some(&End::Unauthorized(error)));
    }
}

#[test]
fn hello_has_a_deadline_and_welcome_has_one() {
    let mut case = Case::new(None);
    case.second = START + 9;
    assert_eq!(case.tick(START, 0), []);
    case.second = START + 10;
    assert_eq!(end(&case.tick(START, 0)), Some(&End::NoHello));

    let mut case = Case::new(Some(verified("ada", 86_400_000)));
    case.see(Event::Frame(hello(None)));
    case.second = START + 60;
    assert_eq!(end(&case.tick(START + 59, 0)), Some(&End::NotRegistered));
}

#[test]
fn a_frame_that_comes_before_welcome_waits_for_it_and_holds_reading() {
    let mut case = Case::new(Some(verified("ada", 86_400_000)));
    case.see(Event::Frame(hello(None)));

    assert_eq!(case.see(Event::Frame(ClientFrame::Ping { id: None })).len(), 1, "a ping is answered");
    assert_eq!(case.see(Event::Frame(call(1))), []);
    assert_eq!(case.state.reads(&case.rules), ReadGate::Held);
    assert!(!case.state.has_parked());

    case.see(Event::Entered);
    assert_eq!(case.state.reads(&case.rules), ReadGate::Held, "it goes before what was sent after it");
    assert!(case.state.has_parked());
    let parked = case.state.take_parked().unwrap();
    assert!(matches!(case.state.on_parked(parked)[..], [Action::Call { .. }]));
    assert_eq!(case.state.take_parked(), None);
    assert_eq!(case.state.reads(&case.rules), ReadGate::Open);
}

#[test]
fn after_its_welcome_a_session_keeps_no_room_for_what_waited() {
    let mut case = Case::new(None);
    case.see(Event::Frame(hello(Some("a token"))));
    assert!(case.state.parked.is_some(), "the hello waits for its token's check");
    case.see(Event::Verified(Ok(verified("ada", 86_400_000))));
    case.see(Event::Entered);
    assert!(case.state.parked.is_none());
}

#[test]
fn a_second_hello_and_a_refused_signal_are_answered_and_the_socket_stays() {
    let mut case = Case::open();
    let id = || CallId::Number(1);
    let topic = TopicId::new("presence:bob").unwrap();
    let data = Payload::encode(doorbell_protocol::Encoding::Json, &serde_json::json!({}));

    let again = Event::Frame(hello(Some("t")));
    assert_eq!(error_code(&case.see(again)), Some(ErrorCode::Invalid));
    let signal = Event::Frame(ClientFrame::Signal { topic: topic.clone(), data: data.clone() });
    assert_eq!(case.see(signal), [Action::Signal { topic, data }]);
    let error = ErrorBody::new(ErrorCode::NotFound, "not yours");
    assert_eq!(case.see(Event::SignalRefused(error.clone())), [Action::Refuse(None, error)]);
    let error = ErrorBody::new(ErrorCode::UnknownType, "no such type");
    let faulty = Event::Faulty { id: Some(id()), error: error.clone() };
    assert_eq!(case.see(faulty), [Action::Refuse(Some(id()), error)]);
    assert!(matches!(end(&case.see(Event::NotProtocol("no type"))), Some(End::NotProtocol(_))));
}

#[test]
fn what_a_session_subscribes_to_is_in_flight_until_its_answer() {
    let mut case = Case::open();
    let (id, topic) = (CallId::Number(1), TopicId::new("presence:bob").unwrap());
    let topics = vec![(topic.clone(), Version::ZERO)];
    let asks = case.see(Event::Frame(ClientFrame::Subscribe { id: id.clone(), topics: topics.clone() }));
    assert_eq!(asks, [Action::Subscribe { id: id.clone(), topics: topics.clone() }]);
    let news = Box::new(HintFrame { topics, ..HintFrame::default() });
    let outcome = Ok(Payload::empty_object(doorbell_protocol::Encoding::Json));
    let answered = Answered { outcome: outcome.clone(), news: Some(news.clone()) };
    assert_eq!(
        case.see(Event::CallDone { id: id.clone(), answered }),
        [Action::Send(ServerFrame::Reply { id, outcome }), Action::Hint(news)],
        "the reply comes first"
    );
}

#[test]
fn a_fresh_token_moves_the_end_a_bad_one_does_not_and_anothers_closes() {
    let mut case = Case::open();
    case.see(Event::Frame(ClientFrame::Token(Token("t".into()))));
    assert_eq!(case.see(Event::Verified(Ok(verified("ada", 100_000_000)))), []);
    assert_eq!(case.tick(START, 86_400_000), [], "the first token's end");
    assert_eq!(error_code(&case.see(Event::Verified(Err(AuthError::Bad)))), Some(ErrorCode::Unauthorized));
    assert_eq!(end(&case.tick(START, 100_000_000)), Some(&End::TokenExpired));

    let mut case = Case::open();
    assert_eq!(end(&case.see(Event::Verified(Ok(verified("bob", 100_000_000))))), Some(&End::OtherUser));
}

#[test]
fn a_silent_socket_is_pinged_then_closed() {
    let mut case = Case::open();
    case.second = START + 25;
    assert_eq!(case.tick(START, 0), [Action::Ping]);
    case.second = START + 26;
    assert_eq!(case.tick(START, 0), []);
    case.second = START + 60;
    assert_eq!(end(&case.tick(START, 0)), Some(&End::Silent));
}

#[test]
fn with_all_its_calls_in_flight_it_is_not_read_and_not_judged_silent() {
    let mut case = Case::open();
    let max = u64::from(case.rules.config.calls_in_flight_max.get());
    for id in 0..max {
        assert_eq!(case.state.reads(&case.rules), ReadGate::Open);
        case.see(Event::Frame(call(id)));
    }
    assert_eq!(case.state.reads(&case.rules), ReadGate::Held);
    case.second = START + 100;
    assert_eq!(end(&case.tick(START, 0)), None);

    let outcome = Err(ErrorBody::new(ErrorCode::NotFound, "none"));
    let answered = case.see(Event::CallDone { id: CallId::Number(0), answered: Answered::from(outcome) });
    assert!(matches!(answered[..], [Action::Send(ServerFrame::Reply { .. })]));
    assert_eq!(case.state.reads(&case.rules), ReadGate::Open);
}

#[test]
fn a_flood_is_served_then_answered_then_closed() {
    let mut case = Case::open();
    let mut counts = [0; 3];
    for _ in 0..5_000 {
        let actions = case.see(Event::Frame(ClientFrame::Ping { id: Some(CallId::Number(1)) }));
        match &actions[..] {
            [Action::Send(ServerFrame::Pong { .. })] => counts[0] += 1,
            [Action::Refuse(Some(CallId::Number(1)), error)] => {
                assert_eq!(error.code, ErrorCode::RateLimited);
                assert!(error.retry_after_ms.is_some());
                counts[1] += 1;
            }
            [] => {}
            closing => {
                assert_eq!(end(closing), Some(&End::Flooding));
                counts[2] += 1;
            }
        }
    }
    assert!(counts[0] >= 20 && counts[1] > 0 && counts[2] == 1, "{counts:?}");
}

#[test]
fn floods_of_control_frames_close_too() {
    for event in [|| Event::Ping, || Event::Pong] {
        let mut case = Case::open();
        let flooded = (0..5_000).any(|_| end(&case.see(event())) == Some(&End::Flooding));
        assert!(flooded);
    }
}

#[test]
fn a_clients_close_is_echoed_and_tcp_ends() {
    let mut case = Case::open();
    let end = End::ClientClosed(Some(1000));
    assert_eq!(
        case.see(Event::ClientClose(Some(1000))),
        [Action::Leave(end), Action::EchoClose(Some(1000)), Action::EndWrites]
    );
    assert_eq!(case.see(Event::SocketEnded), [Action::Cut]);
    assert!(case.state.is_closed());
}

#[test]
fn after_our_close_only_the_clients_close_counts_until_the_deadline() {
    let mut case = Case::open();
    case.see(Event::Evicted);
    assert_eq!(case.state.reads(&case.rules), ReadGate::Drop);
    assert_eq!(case.see(Event::Frame(call(1))), []);
    assert_eq!(case.see(Event::Drained), []);
    assert_eq!(case.see(Event::ClientClose(Some(4409))), [Action::EndWrites]);

    let mut case = Case::open();
    case.see(Event::Evicted);
    case.second += 4;
    assert_eq!(case.tick(START, 0), []);
    case.second += 1;
    assert_eq!(case.tick(START, 0), [Action::Cut]);
    assert!(case.state.is_closed());
}

#[test]
fn after_a_violation_tcp_ends_with_the_close_frame() {
    let mut case = Case::open();
    let violation = Violation { code: doorbell_protocol::CloseCode::ProtocolError, reason: "no mask" };
    let actions = case.see(Event::Violation(violation));
    assert!(matches!(actions[..], [Action::Leave(_), Action::Close(_), Action::EndWrites]), "{actions:?}");
    assert_eq!(case.see(Event::Overrun), [Action::Cut]);
}

#[test]
fn goaway_waits_for_the_welcome() {
    let goaway = || Goaway { reason: "x".into(), reconnect_after_ms: 1, deadline_ms: 2, url: None };
    let mut case = Case::new(Some(verified("ada", 86_400_000)));
    assert_eq!(case.see(Event::Draining(goaway())), []);
    case.see(Event::Frame(hello(None)));
    let actions = case.see(Event::Entered);
    assert!(
        matches!(actions[..], [Action::Welcome { .. }, Action::Send(ServerFrame::Goaway(_))]),
        "{actions:?}"
    );
    assert!(matches!(case.see(Event::Draining(goaway()))[..], [Action::Send(ServerFrame::Goaway(_))]));
}

#[test]
fn lost_hints_mean_resync_but_before_the_welcome_nothing() {
    let mut case = Case::open();
    assert_eq!(case.see(Event::Lost), [Action::Resync]);
    let mut case = Case::new(Some(verified("ada", 86_400_000)));
    case.see(Event::Frame(hello(None)));
    assert_eq!(case.see(Event::Lost), []);
    assert!(matches!(case.see(Event::Entered)[..], [Action::Welcome { .. }]));
}

#[test]
fn the_sweep_is_asked_for_before_anything_can_be_due() {
    let mut case = Case::new(None);
    let due = |case: &Case, heard: u64, wall: u64| {
        let at = At {
            session: SessionId::from_bits(0),
            identity: case.identity.as_ref(),
            rules: &case.rules,
            now: Moment::from_secs(case.second),
        };
        case.state.due(Moment::from_secs(heard), Timestamp::from_millis(wall), &at).second()
    };
    assert_eq!(due(&case, START, 0), START + 10, "hello");
    case.see(Event::Frame(hello(Some("t"))));
    case.see(Event::Verified(Ok(verified("ada", 20_000))));
    case.see(Event::Entered);
    assert_eq!(due(&case, START, 0), START + 20, "the token");
    case.see(Event::Verified(Ok(verified("ada", 86_400_000))));
    assert_eq!(due(&case, START, 0), START + 25, "the heartbeat");
    case.see(Event::Evicted);
    assert_eq!(due(&case, START, 0), START + 5, "the close");
}

fn granting(json: &str) -> Verified {
    let claims = serde_json::from_str(json).unwrap();
    Verified { claims: Some(Arc::new(claims)), ..verified("ada", 86_400_000) }
}

#[test]
fn a_tokens_device_is_the_sessions_whatever_hello_names() {
    for named in [None, Some("tablet")] {
        let mut case = Case::new(Some(granting(r#"{"device":"phone"}"#)));
        let device = named.map(|name| DeviceId::new(name).unwrap());
        let hello = ClientFrame::Hello(Hello { device, ..Hello::default() });
        let [Action::Admit(admission)] = &case.see(Event::Frame(hello))[..] else { panic!("not admitted") };
        assert_eq!(admission.device.as_ref().map(DeviceId::as_str), Some("phone"));
    }
}

#[test]
fn a_fresh_token_brings_its_own_claims() {
    let mut case = Case::open();
    assert_eq!((case.state.throttle(), case.state.claims()), (None, None));

    assert_eq!(case.see(Event::Verified(Ok(granting(r#"{"throttle":50,"topics":["news:*"]}"#)))), []);
    assert_eq!(case.state.throttle().map(NonZeroU32::get), Some(50));
    let topic = TopicId::new("news:a").unwrap();
    assert!(case.state.claims().is_some_and(|claims| claims.topics.allows(&topic)));

    case.see(Event::Verified(Err(AuthError::Bad)));
    assert!(case.state.throttle().is_some(), "what does not hold changes nothing");
    case.see(Event::Verified(Ok(verified("ada", 86_400_000))));
    assert_eq!(case.state.claims(), None, "what the fresh token does not grant is gone");
}

#[test]
fn a_fresh_token_of_another_device_changes_nothing() {
    let mut case = Case::open();
    case.identity.as_mut().unwrap().device = Some(DeviceId::new("phone").unwrap());
    let tablet = granting(r#"{"device":"tablet","throttle":50}"#);
    assert_eq!(error_code(&case.see(Event::Verified(Ok(tablet)))), Some(ErrorCode::Unauthorized));
    assert_eq!(case.state.throttle(), None);
    assert_eq!(case.see(Event::Verified(Ok(granting(r#"{"device":"phone"}"#)))), []);
}
