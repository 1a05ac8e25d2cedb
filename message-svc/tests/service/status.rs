//! `status.set` and `status.get`, and what gateways say of who comes and goes (MS-16).

use std::time::Duration;

use doorbell_backplane::{Enter, Entered, Entry, HintQueue as _, Registry as _};
use doorbell_message_svc::Config;
use doorbell_protocol::{Encoding, ErrorCode, GatewayId, Generation, Stamp, TopicId, UserId};
use doorbell_rpc::{Audiences as _, Move, Presence as _, Way};
use serde_json::{Value, json};

use crate::support::{House, config};

const MINUTE: Duration = Duration::from_secs(60);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Gives a user a session; what it answers takes it away.
async fn enter(house: &House, name: &str) -> Enter {
    let (registry, gateway) = (house.bells.registry(), GatewayId::new("gw").unwrap());
    let home = registry.partitions().of(&user(name));
    let lease = registry.take_lease(&gateway, home, MINUTE * 600).await.unwrap();
    let stamp = Stamp { epoch: lease.epoch, generation: Generation(1) };
    let enter = Enter { user: user(name), entry: Entry { gateway, stamp } };
    assert_eq!(registry.enter(vec![enter.clone()]).await.unwrap(), [Entered::Registered]);
    enter
}

async fn leave(house: &House, enter: Enter) {
    house.bells.registry().leave(vec![enter]).await.unwrap();
}

async fn moved(house: &House, name: &str, way: Way) {
    house.service().moved(vec![Move { user: user(name), way }]).await.unwrap();
}

fn published(house: &House, name: &str) -> u64 {
    house.published.topics().get(&format!("presence:{name}")).copied().unwrap_or_default()
}

async fn set(house: &House, name: &str, state: &str) -> Value {
    house.ok(name, "status.set", json!({"state": state})).await
}

/// How one sees the other; `Null` where not at all.
async fn seen(house: &House, by: &str, name: &str) -> Value {
    let all = house.ok(by, "status.get", json!({"users": [name]})).await;
    all[name].clone()
}

fn now(house: &House) -> u64 {
    house.hands.clock()().as_millis()
}

#[tokio::test]
async fn auto_follows_the_sockets_and_says_when_somebody_was_seen_last() {
    let house = House::new();
    house.send_to("ada", "bob", "x").await;
    assert_eq!(seen(&house, "ada", "bob").await, json!({"state": "offline"}), "nobody knows since when");

    let entered = enter(&house, "bob").await;
    moved(&house, "bob", Way::Came).await;
    house.hands.advance(MINUTE);
    assert_eq!(seen(&house, "ada", "bob").await, json!({"state": "online", "last_seen_ms": now(&house)}));

    leave(&house, entered).await;
    moved(&house, "bob", Way::Went).await;
    let went = now(&house);
    house.hands.advance(MINUTE);
    assert_eq!(seen(&house, "ada", "bob").await, json!({"state": "offline", "last_seen_ms": went}));

    house.ok("bob", "topics.changes", json!({})).await;
    let called = now(&house);
    house.hands.advance(MINUTE);
    assert_eq!(
        seen(&house, "ada", "bob").await,
        json!({"state": "offline", "last_seen_ms": called}),
        "a call counts as seen, and makes nobody online"
    );
}

#[tokio::test]
async fn a_status_by_hand_stands_whatever_the_sockets_say_and_survives_a_restart() {
    let house = House::new();
    house.send_to("ada", "bob", "x").await;
    let set = house.ok("bob", "status.set", json!({"state": "busy", "text": "in a <b>meeting</b>"})).await;
    assert_eq!(set, json!({"state": "busy", "text": "in a <b>meeting</b>", "last_seen_ms": now(&house)}));

    let house = house.reopen().await;
    house.hands.advance(MINUTE);
    let seen_by_ada = seen(&house, "ada", "bob").await;
    assert_eq!(
        seen_by_ada,
        json!({"state": "busy", "text": "in a <b>meeting</b>"}),
        "seen is in memory alone"
    );
    for state in ["online", "away", "auto"] {
        house.ok("bob", "status.set", json!({"state": state, "text": ""})).await;
        assert_eq!(seen(&house, "bob", "bob").await["state"], state, "one's own is as it was set");
        let shown = seen(&house, "ada", "bob").await;
        assert_eq!(shown["state"], if state == "auto" { "offline" } else { state });
        assert_eq!(shown["text"], Value::Null);
    }
}

#[tokio::test]
async fn a_new_status_moves_the_presence_once_and_the_same_one_does_not() {
    let mut house = House::new();
    house.run();
    set(&house, "bob", "away").await;
    house.published.reached("presence:bob", 1).await;
    set(&house, "bob", "away").await;
    set(&house, "bob", "busy").await;
    house.published.reached("presence:bob", 2).await;
    house.stop().await;
    assert_eq!(published(&house, "bob"), 2);
}

#[tokio::test]
async fn a_status_whose_announcement_failed_is_announced_after_a_restart() {
    let mut house = House::new();
    set(&house, "bob", "away").await;
    house.published.fail(2);
    house.run();
    house.published.reached("presence:bob", 1).await;

    let mut house = House::new();
    set(&house, "bob", "away").await;
    house.close();
    house.open();
    assert_eq!(published(&house, "bob"), 0);
    house.run();
    house.published.reached("presence:bob", 1).await;
}

#[tokio::test]
async fn nothing_that_an_invisible_user_does_can_be_seen() {
    let mut house = House::new();
    house.run();
    house.send_to("ada", "bob", "x").await;
    moved(&house, "bob", Way::Came).await;
    let entered = enter(&house, "bob").await;
    set(&house, "bob", "invisible").await;
    house.published.reached("presence:bob", 2).await;
    let hidden = json!({"state": "offline", "last_seen_ms": now(&house)});
    assert_eq!(seen(&house, "ada", "bob").await, hidden);
    assert_eq!(seen(&house, "bob", "bob").await["state"], "invisible");

    house.hands.advance(MINUTE);
    house.ok("bob", "topics.changes", json!({})).await;
    leave(&house, entered).await;
    moved(&house, "bob", Way::Went).await;
    enter(&house, "bob").await;
    moved(&house, "bob", Way::Came).await;
    set(&house, "bob", "invisible").await;
    assert_eq!(seen(&house, "ada", "bob").await, hidden);
    assert_eq!(published(&house, "bob"), 2);

    house.ok("bob", "status.set", json!({"state": "invisible", "text": "gone fishing"})).await;
    house.published.reached("presence:bob", 3).await;
    let shown = seen(&house, "ada", "bob").await;
    assert_eq!((&shown["text"], &shown["last_seen_ms"]), (&json!("gone fishing"), &hidden["last_seen_ms"]));

    set(&house, "bob", "auto").await;
    house.published.reached("presence:bob", 4).await;
    assert_eq!(seen(&house, "ada", "bob").await, json!({"state": "online", "last_seen_ms": now(&house)}));
}

#[tokio::test]
async fn statuses_set_one_after_the_other_stand_in_that_order_whatever_the_registry_does() {
    let house = House::new();
    let call = |method: &'static str, params: Value| house.ok("bob", method, params);
    house.bells.directory.hold();
    let mut hide = Box::pin(call("status.set", json!({"state": "invisible"})));
    let mut show = Box::pin(call("status.set", json!({"state": "away"})));
    let mut hide_again = Box::pin(call("status.set", json!({"state": "invisible", "text": "gone"})));
    let mut ask = Box::pin(call("status.get", json!({"users": ["bob"]})));
    for call in [&mut hide, &mut show, &mut hide_again, &mut ask] {
        assert!(futures_util::poll!(call).is_pending());
    }

    house.bells.directory.let_go();
    let (hidden, shown, hidden_again, asked) = tokio::join!(hide, show, hide_again, ask);

    let states = [&hidden["state"], &shown["state"], &hidden_again["state"]];
    assert_eq!(states, ["invisible", "away", "invisible"]);
    assert_eq!((&asked["bob"]["state"], &asked["bob"]["text"]), (&json!("invisible"), &json!("gone")));
}

#[tokio::test(start_paused = true)]
async fn a_move_ends_before_whoever_tells_it_gives_up_whoever_is_silent() {
    let house = House::new();
    house.bells.directory.hold();
    let began = tokio::time::Instant::now();
    moved(&house, "bob", Way::Went).await;
    assert_eq!(published(&house, "bob"), 1, "without the registry, a hint too many costs a pull");

    house.published.hold();
    let moves = vec![Move { user: user("bob"), way: Way::Went }];
    assert!(house.service().moved(moves).await.is_err(), "it is told again");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn whoever_hides_while_away_was_not_seen_by_hiding() {
    let house = House::new();
    house.send_to("ada", "bob", "x").await;
    house.ok("bob", "topics.changes", json!({})).await;
    let before = now(&house);
    house.hands.advance(MINUTE);

    set(&house, "bob", "invisible").await;

    assert_eq!(seen(&house, "ada", "bob").await, json!({"state": "offline", "last_seen_ms": before}));
}

#[tokio::test]
async fn who_went_from_one_gateway_and_is_there_by_another_is_no_news() {
    let house = House::new();
    enter(&house, "bob").await;
    moved(&house, "bob", Way::Went).await;
    assert_eq!(published(&house, "bob"), 0);
    moved(&house, "bob", Way::Came).await;
    assert_eq!(published(&house, "bob"), 1, "who comes is told: the registry may have said otherwise before");
}

#[tokio::test]
async fn only_whoever_shares_a_conversation_is_seen_and_may_be_followed() {
    let house = House::new();
    house.send_to("ada", "bob", "x").await;
    let group = house.group("ada", &["carol", "dan"]).await;
    let may = async |by: &str, of: &str| {
        let topic = TopicId::new(format!("presence:{of}")).unwrap();
        let allowed = house.service().authorize(&user(by), vec![topic]).await.unwrap();
        let listed = seen(&house, by, of).await != Value::Null;
        assert_eq!(listed, allowed.len() == 1, "both doors agree about {by} and {of}");
        listed
    };
    for (by, of, expected) in [
        ("ada", "ada", true),
        ("ada", "bob", true),
        ("bob", "ada", true),
        ("carol", "dan", true),
        ("bob", "carol", false),
        ("zoe", "ada", false),
        ("ada", "nobody", false),
    ] {
        assert_eq!(may(by, of).await, expected, "{by} sees {of}");
    }
    house.ok("carol", "members.remove", json!({"conversation": group, "users": ["carol"]})).await;
    assert!(!may("carol", "dan").await && !may("dan", "carol").await && !may("ada", "carol").await);
    // With more conversations than are looked up one by one.
    for number in 0..40 {
        house.group("ada", &[&format!("user-{number}")]).await;
    }
    assert!(may("ada", "user-39").await && may("user-39", "ada").await && may("ada", "dan").await);
    assert!(!may("ada", "carol").await && !may("user-38", "user-39").await);
}

#[tokio::test]
async fn several_are_asked_for_at_once_and_strangers_are_left_out() {
    let house = House::new();
    house.group("ada", &["bob", "carol"]).await;
    enter(&house, "carol").await;
    let asked = json!({"users": ["carol", "zoe", "bob", "carol", "ada"]});

    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let all = house.call_in(encoding, "ada", "status.get", &asked).await.unwrap();
        let states: Vec<_> =
            all.as_object().unwrap().iter().map(|(name, one)| (name.as_str(), &one["state"])).collect();
        assert_eq!(
            states,
            [("ada", &json!("auto")), ("bob", &json!("offline")), ("carol", &json!("online"))]
        );
    }
    assert_eq!(house.ok("ada", "status.get", json!({"users": []})).await, json!({}));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_its_name() {
    let house = House::with(Config { throttle_conversations: 2, ..config() });
    let refused = async |method: &str, params: Value| {
        let error = house.call("ada", method, params).await.unwrap_err();
        (error.code, error.message)
    };
    let names: Vec<String> = (0..101).map(|number| format!("u{number}")).collect();
    let cases = [
        ("status.set", json!({}), ErrorCode::Invalid, "state"),
        ("status.set", json!({"state": "asleep"}), ErrorCode::Invalid, "`busy`"),
        ("status.set", json!({"state": 1}), ErrorCode::Invalid, "state"),
        ("status.set", json!({"state": "auto", "text": "x\u{7}"}), ErrorCode::Invalid, "`text`"),
        ("status.set", json!({"state": "auto", "text": "é".repeat(201)}), ErrorCode::TooLarge, "200"),
        ("status.get", json!({}), ErrorCode::Invalid, "users"),
        ("status.get", json!({"users": [""]}), ErrorCode::Invalid, "users[0]"),
        ("status.get", json!({"users": names}), ErrorCode::TooLarge, "100"),
    ];
    for (method, params, code, says) in cases {
        let (refused, message) = refused(method, params.clone()).await;
        assert!(refused == code && message.contains(says), "{method}: {params}: {refused:?} {message}");
        assert!(!message.contains("asleep"), "{message}");
    }
    house.ok("ada", "status.set", json!({"state": "auto", "text": "é".repeat(200)})).await;
    set(&house, "ada", "busy").await;
    set(&house, "ada", "busy").await;
    assert_eq!(refused("status.set", json!({"state": "away"})).await.0, ErrorCode::RateLimited);
}
