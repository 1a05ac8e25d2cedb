//! What callers see of networks and processes that fail.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "support/double.rs"]
mod double;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/rig.rs"]
mod rig;

use std::time::Duration;

use doorbell_protocol::ErrorCode;
use doorbell_rpc::remote::{Config, Connection};
use doorbell_rpc::{Audiences as _, CallRequest, DeliverRequest, Error, GatewayApi as _, Messages as _};
use double::{Double, json, ring, user};
use proxy::{Mode, Proxy};
use rig::{Rig, config, connect, key};
use tokio::time::{Instant, interval, timeout};

const SOON: Duration = Duration::from_secs(2);

fn one(name: &str) -> Vec<DeliverRequest> {
    vec![ring(name)]
}

fn call(method: &str) -> CallRequest {
    CallRequest { caller: user("ada").into(), method: method.to_owned(), params: json("{}") }
}

/// Calls until a call works; it must within two seconds.
async fn works_again(connection: &Connection) {
    let mut beat = interval(Duration::from_millis(10));
    let works = async {
        while connection.deliver(one("ada")).await.is_err() {
            beat.tick().await;
        }
    };
    timeout(SOON, works).await.expect("calls work again within two seconds");
}

fn is_unreachable<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unreachable { gateway }) if gateway.as_str() == "gw-1")
}

/// N1, with resets.
#[tokio::test]
async fn a_process_that_is_killed_and_comes_back_is_called_again() {
    let double = Double::new();
    let mut rig = Rig::start(double.served("gw-1")).await;
    let connection = rig.connect();

    for round in 1..=3 {
        works_again(&connection).await;
        let open = async { timeout(SOON, connection.deliver(one("wait"))).await.expect("it ends at once") };
        let (open, address) = tokio::join!(open, async {
            double.begun(2 * round).await;
            rig.kill().await
        });
        assert!(is_unreachable(&open), "its call is not waited for: {open:?}");
        assert!(is_unreachable(&connection.deliver(one("ada")).await), "nobody is there");
        let refused = connection.call(call("messages.send")).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Unavailable, Some(1_000)));
        let refused = connection.large_topics(vec![user("ada")]).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { service: "message-svc", .. }), "{refused:?}");

        rig = Rig::start_at(address, double.served("gw-1"), &key("one"), &config()).await;
    }
    works_again(&connection).await;
}

/// N1, with a link that loses everything.
#[tokio::test]
async fn in_a_black_hole_calls_end_and_the_connection_is_replaced() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let proxy = Proxy::start(rig.address).await;
    let connection = connect(proxy.address, &key("one"), &config());
    connection.deliver(one("ada")).await.unwrap();

    proxy.set(Mode::Lose);
    let began = Instant::now();
    let impatient = timeout(Duration::from_millis(50), connection.deliver(one("ada"))).await;
    assert!(impatient.is_err(), "a caller's own deadline holds");
    let lost = connection.deliver(one("ada")).await;
    assert!(is_unreachable(&lost), "{lost:?}");
    assert!(began.elapsed() < SOON, "pings notice it long before the longest time for a call");
    rig.counted("doorbell_rpc_connections", "callee", 0.0).await;

    proxy.set(Mode::Pass);
    works_again(&connection).await;
    assert!(proxy.accepted() >= 2);
}

/// N2: what it may cost is a repeat by whoever called.
#[tokio::test]
async fn a_call_whose_answer_is_lost_is_not_made_again() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let proxy = Proxy::start(rig.address).await;
    let connection = connect(proxy.address, &key("one"), &config());
    connection.deliver(one("ada")).await.unwrap();
    double.asked();

    proxy.set(Mode::LoseAnswers);
    let lost = timeout(SOON, connection.deliver(one("bob"))).await.expect("it ends by the pings");
    assert!(is_unreachable(&lost));
    proxy.set(Mode::Pass);
    works_again(&connection).await;

    let bobs = double.asked().iter().filter(|asked| asked.contains("bob")).count();
    assert_eq!(bobs, 1, "it happened, once");
}

/// N3.
#[tokio::test]
async fn a_link_that_comes_and_goes_causes_no_storm() {
    let rig = Rig::start(Double::new().served("gw-1")).await;
    let proxy = Proxy::start(rig.address).await;
    // Each connection is made, and breaks with the first call.
    proxy.set(Mode::CutAfter(300));
    let connection = connect(proxy.address, &key("one"), &config());

    let mut beat = interval(Duration::from_millis(1));
    let calls = async {
        loop {
            assert!(connection.deliver(vec![ring("ada"); 10]).await.is_err());
            beat.tick().await;
        }
    };
    let _: Result<(), _> = timeout(SOON, calls).await;
    // Waits of 25 to 50 ms at first, then twice as long each time: 9 attempts fit.
    assert!((3..=10).contains(&proxy.accepted()), "{} attempts", proxy.accepted());

    proxy.set(Mode::Pass);
    works_again(&connection).await;
}

#[tokio::test]
async fn beyond_the_bound_calls_are_busy_at_once() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let few = Config { in_flight_max: 4.try_into().unwrap(), ..config() };
    let connection = connect(rig.address, &key("one"), &few);
    let open = || async { connection.deliver(one("wait")).await.unwrap() };
    let others = async {
        double.begun(4).await;
        let refused = connection.deliver(one("ada")).await.unwrap_err();
        assert!(matches!(refused, Error::Busy { gateway } if gateway.as_str() == "gw-1"));
        assert!(connection.large_topics(vec![user("ada")]).await.is_ok(), "another lane has its own bound");
        double.permits.add_permits(4);
    };
    tokio::join!(open(), open(), open(), open(), others);
    connection.deliver(one("ada")).await.unwrap();

    // Dropped calls make room as well.
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(1), connection.deliver(one("wait"))).await.is_err());
    }
    connection.deliver(one("ada")).await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_is_bounded_in_bytes() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let size = 64 << 10;
    let small = Config {
        message_bytes_max: size.try_into().unwrap(),
        in_flight_bytes_max: u32::try_from(size).unwrap().try_into().unwrap(),
        ..config()
    };
    let connection = connect(rig.address, &key("one"), &small);
    let most = || [one("wait"), vec![ring("somebody"); 800]].concat();
    let others = async {
        double.begun(1).await;
        assert!(matches!(connection.deliver(most()).await, Err(Error::Busy { .. })));
        double.permits.add_permits(1);
    };
    let (delivered, ()) = tokio::join!(connection.deliver(most()), others);
    assert_eq!(delivered.unwrap().len(), 801);
}

#[tokio::test]
async fn a_message_that_is_too_large_fails_alone() {
    let double = Double::new();
    let small = Config { message_bytes_max: (64 << 10).try_into().unwrap(), ..config() };
    let rig = Rig::start_at("127.0.0.1:0".parse().unwrap(), double.served("gw-1"), &key("one"), &small).await;
    let proxy = Proxy::start(rig.address).await;
    let connection = connect(proxy.address, &key("one"), &small);

    let refused = connection.deliver(vec![ring("ada"); 5_000]).await.unwrap_err();
    assert!(refused.to_string().contains("message_bytes_max is 65536"), "{refused}");
    let refused = connection.call(call("large")).await.unwrap_err();
    assert!(refused.message.contains("message_bytes_max is 65536"), "{refused:?}");
    connection.call(call("messages.send")).await.unwrap();
    assert_eq!(proxy.accepted(), 1, "the connection holds");
}

#[tokio::test]
async fn a_caller_of_another_size_loses_its_connection_and_nothing_else() {
    let double = Double::new();
    let small = Config { message_bytes_max: (64 << 10).try_into().unwrap(), ..config() };
    let rig = Rig::start_at("127.0.0.1:0".parse().unwrap(), double.served("gw-1"), &key("one"), &small).await;
    let (large, other) = (rig.connect(), rig.connect());

    assert!(is_unreachable(&large.deliver(vec![ring("ada"); 5_000]).await));
    other.deliver(one("ada")).await.unwrap();
    works_again(&large).await;
}

#[tokio::test]
async fn no_call_lasts_longer_than_any_may() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let hasty = Config {
        connect_timeout: Duration::from_millis(100),
        call_timeout_max: Duration::from_millis(100),
        ..config()
    };
    let connection = connect(rig.address, &key("one"), &hasty);

    assert!(is_unreachable(&connection.deliver(one("wait")).await));
    let refused = connection.call(call("wait")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    double.over(2).await;
    assert_eq!(rig.count("doorbell_rpc_in_flight_calls", "callee"), 0.0, "the callee gave up as well");
}

#[tokio::test]
async fn a_call_that_panics_fails_alone() {
    let rig = Rig::start(Double::new().served("gw-1")).await;
    let connection = rig.connect();

    let refused = connection.deliver(one("panic")).await.unwrap_err();
    assert!(refused.to_string().contains("panicked"), "{refused}");
    connection.deliver(one("ada")).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn at_a_stop_calls_under_way_end_and_none_begins() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let connection = rig.connect();
    let others = async {
        double.begun(1).await;
        tokio::join!(rig.end(), async {
            // No further connection is made, and on this one no call is taken.
            assert!(connection.call(call("messages.send")).await.is_err());
            assert!(is_unreachable(&connection.deliver(one("ada")).await));
            double.permits.add_permits(1);
        })
    };
    let (delivered, _) = tokio::join!(connection.deliver(one("wait")), others);
    assert_eq!(delivered.unwrap().len(), 1);
    assert_eq!(double.asked().len(), 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_calls_that_do_not_end() {
    let double = Double::new();
    let short = Config { drain_budget: Duration::from_millis(50), ..config() };
    let rig = Rig::start_at("127.0.0.1:0".parse().unwrap(), double.served("gw-1"), &key("one"), &short).await;
    let connection = rig.connect();
    let ends = async {
        double.begun(1).await;
        rig.end().await;
        double.over(1).await;
    };
    let (delivered, ()) = tokio::join!(connection.deliver(one("wait")), ends);
    assert!(is_unreachable(&delivered));
}

#[tokio::test]
async fn an_answer_for_fewer_users_than_asked_for_is_none() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let answered = rig.connect().large_topics(vec![user("ada"), user("forgotten")]).await;
    assert!(answered.unwrap_err().to_string().contains("1 answers to 2 questions"));
}

#[tokio::test]
async fn a_gateway_answers_for_itself_alone() {
    let double = Double::new();
    let rig = Rig::start(double.served("gw-2")).await;
    assert!(is_unreachable(&rig.connect().deliver(one("ada")).await), "another process took its address");
    assert_eq!(double.asked().len(), 0);

    let nothing = Rig::start(doorbell_rpc::remote::Served::default()).await;
    let connection = nothing.connect();
    assert!(is_unreachable(&connection.deliver(one("ada")).await));
    let refused = connection.large_topics(vec![user("ada")]).await.unwrap_err();
    assert_eq!(refused.to_string(), "message-svc is unavailable: there is none here");
    assert_eq!(connection.call(call("messages.send")).await.unwrap_err().code, ErrorCode::Unavailable);
}
