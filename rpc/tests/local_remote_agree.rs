//! Each trait means the same in one process and between two: every test here runs on a service itself, and on a
//! connection to a process that serves it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "support/double.rs"]
mod double;
#[path = "support/rig.rs"]
mod rig;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorbell_protocol::{DirtyMap, ErrorCode, Generation, Raise, Version};
use doorbell_rpc::{
    Audiences, CallRequest, Caller, Channels, DeliverRequest, Error, GatewayApi, Messages, Missed, Move,
    Mutes, Presence, Signal, SignalRequest, Signals, Subscription, Way,
};
use double::{Double, gateway, hint, json, news, ring, topic, user};
use rig::Rig;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(2);

/// All that can be called, as one.
trait Services: GatewayApi + Channels + Messages + Audiences + Signals + Presence + Mutes {}
impl<T: GatewayApi + Channels + Messages + Audiences + Signals + Presence + Mutes> Services for T {}

/// Runs a test here, and over the network.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(Arc<Double>, Arc<dyn Services>) -> F) {
    let double = Double::new();
    test(Arc::clone(&double), double).await;

    let double = Double::new();
    let rig = Rig::start(double.served("gw-1")).await;
    let connection = rig.connect();
    test(double, Arc::new(connection)).await;
    rig.end().await;
}

fn call(user_name: &str, method: &str) -> CallRequest {
    let caller = Caller { user: user(user_name), throttle: NonZeroU32::new(7) };
    CallRequest { caller, method: method.to_owned(), params: json(r#"{"text": "hé"}"#) }
}

fn signal(from: &str) -> Signal {
    // A signal's value is of any kind.
    let data = doorbell_protocol::Payload::encode(doorbell_protocol::Encoding::MsgPack, &[1, 2]);
    Signal { topic: topic("small"), from: user(from), data }
}

/// How each of the three failures looks where it arrives.
fn is_same(error: &Error, name: &str) -> bool {
    let gw = gateway("gw-1");
    match error {
        Error::Busy { gateway } => name == "busy" && *gateway == gw,
        Error::Unreachable { gateway } => name == "unreachable" && *gateway == gw,
        Error::Unavailable { service, reason } => {
            name == "unavailable" && *service == "upstream" && reason == "it says so"
        }
    }
}

const FAILURES: [&str; 3] = ["busy", "unreachable", "unavailable"];

#[tokio::test]
async fn a_gateway_is_asked_and_answers() {
    on_both(|double, services| async move {
        let mut refollow = DirtyMap::default();
        refollow.mark_refollow();
        let mut resync = DirtyMap::default();
        resync.mark_resync();
        let batch = vec![
            ring("ada"),
            DeliverRequest { user: user("absent"), dirty: refollow },
            DeliverRequest { user: user("later"), dirty: resync },
            DeliverRequest { user: user("é 😀"), dirty: news(64) },
            DeliverRequest { user: doorbell_protocol::UserId::canary(&gateway("gw-1"), 7), dirty: news(1) },
        ];
        let expected = double.deliver(batch.clone()).await.unwrap();
        let asked = double.asked();
        assert_eq!(services.deliver(batch).await.unwrap(), expected);
        assert_eq!(double.asked(), asked);
        assert_eq!(services.deliver(Vec::new()).await.unwrap(), []);

        let hints = vec![hint("a", 0), hint("unfollowed", Version::MAX.get())];
        let expected = GatewayApi::publish(&*double, hints.clone()).await.unwrap();
        let asked = double.asked().pop();
        assert_eq!(GatewayApi::publish(&*services, hints).await.unwrap(), expected);
        assert_eq!(double.asked().pop(), asked);

        let request = SignalRequest { signal: signal("ada"), users: vec![user("bob"), user("eve")] };
        GatewayApi::signal(&*double, request.clone()).await.unwrap();
        let asked = double.asked();
        GatewayApi::signal(&*services, request).await.unwrap();
        assert_eq!(double.asked(), asked);

        for name in FAILURES {
            assert!(is_same(&services.deliver(vec![ring(name)]).await.unwrap_err(), name), "{name}");
            let error = GatewayApi::publish(&*services, vec![hint(name, 1)]).await.unwrap_err();
            assert!(is_same(&error, name), "{name}");
            let request = SignalRequest { signal: signal(name), users: Vec::new() };
            assert!(is_same(&GatewayApi::signal(&*services, request).await.unwrap_err(), name), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_channel_service_is_asked_and_answers() {
    on_both(|double, services| async move {
        let raises = vec![(topic("a"), Raise::To(Version::new(9).unwrap())), (topic("b"), Raise::Next)];
        let expected = Channels::publish(&*double, raises.clone()).await.unwrap();
        let asked = double.asked();
        assert_eq!(Channels::publish(&*services, raises).await.unwrap(), expected);
        assert_eq!(double.asked(), asked);

        let subscription = |name, followers| Subscription {
            topic: topic(name),
            generation: Generation(u64::MAX),
            followers,
            version: Version::new(3).unwrap(),
        };
        let said = vec![subscription("a", 0), subscription("b", u32::MAX)];
        let expected = double.subscribe(&gateway("gw-9"), said.clone()).await.unwrap();
        let asked = double.asked();
        assert_eq!(services.subscribe(&gateway("gw-9"), said).await.unwrap(), expected);
        assert_eq!(double.asked(), asked);
        assert_eq!(services.subscribe(&gateway("gw-9"), Vec::new()).await.unwrap(), expected);

        assert_eq!(services.followers(vec![topic("a"), topic("b")]).await.unwrap(), [1, 2]);
        for name in FAILURES {
            let error = Channels::publish(&*services, vec![(topic(name), Raise::Next)]).await.unwrap_err();
            assert!(is_same(&error, name), "{name}");
            let error = services.subscribe(&gateway("gw-9"), vec![subscription(name, 1)]).await.unwrap_err();
            assert!(is_same(&error, name), "{name}");
            assert!(is_same(&services.followers(vec![topic(name)]).await.unwrap_err(), name), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_service_is_asked_and_answers() {
    on_both(|double, services| async move {
        let request = call("ada", "messages.send");
        let expected = double.call(request.clone()).await.unwrap();
        let asked = double.asked();
        assert_eq!(services.call(request).await.unwrap(), expected);
        assert_eq!(double.asked(), asked);
        let common = CallRequest { caller: user("ada").into(), ..call("ada", "large") };
        assert_eq!(services.call(common.clone()).await, double.call(common).await);
        let asked = double.asked();
        assert_eq!(asked[0], asked[1]);

        let refused = services.call(call("ada", "details")).await.unwrap_err();
        assert_eq!(refused, double.call(call("ada", "details")).await.unwrap_err());
        assert!(refused.code == ErrorCode::Conflict && refused.details.is_some());
        let refused = services.call(call("ada", "unavailable")).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Unavailable, Some(250)));

        let large = services.large_topics(vec![user("ada"), user("bob")]).await.unwrap();
        assert_eq!(large, [[hint("large", 5), hint("of-ada", 0)], [hint("large", 5), hint("of-bob", 0)]]);
        let allowed = services.authorize(&user("ada"), vec![topic("a")]).await.unwrap();
        assert_eq!(allowed, [hint("a", Version::MAX.get())]);
        for name in FAILURES {
            assert!(is_same(&services.large_topics(vec![user(name)]).await.unwrap_err(), name), "{name}");
            assert!(is_same(&services.authorize(&user(name), Vec::new()).await.unwrap_err(), name), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn signals_moves_and_mutes_are_passed_on() {
    on_both(|double, services| async move {
        for name in ["ada", "dropped", "refused"] {
            let expected = Signals::signal(&*double, signal(name)).await.unwrap();
            let asked = double.asked();
            assert_eq!(Signals::signal(&*services, signal(name)).await.unwrap(), expected);
            assert_eq!(double.asked(), asked);
        }

        let moves =
            |name| vec![Move { user: user(name), way: Way::Came }, Move { user: user("b"), way: Way::Went }];
        double.moved(moves("a")).await.unwrap();
        let asked = double.asked();
        services.moved(moves("a")).await.unwrap();
        assert_eq!(double.asked(), asked);

        let missed = |name| [name, "b"].map(|name| Missed { user: user(name), news: news(3) }).to_vec();
        assert_eq!(services.unmuted(missed("a")).await.unwrap(), missed("a")[..1]);

        for name in FAILURES {
            assert!(is_same(&Signals::signal(&*services, signal(name)).await.unwrap_err(), name), "{name}");
            assert!(is_same(&services.moved(moves(name)).await.unwrap_err(), name), "{name}");
            assert!(is_same(&services.unmuted(missed(name)).await.unwrap_err(), name), "{name}");
        }
    })
    .await;
}

// On one thread, tasks that are only spawned in order would begin in order as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_take_effect_in_the_order_in_which_they_were_first_polled() {
    on_both(|double, services| async move {
        // Each is polled once, and none waits for the one before; every other one ends only later.
        let methods: Vec<String> =
            (0..200).map(|number| format!("{}{number}", ["wait", "go"][number % 2])).collect();
        let mut calls: Vec<_> = methods.iter().map(|method| services.call(call("ada", method))).collect();
        for call in &mut calls {
            _ = poll_once(call).await;
        }
        double.begun(200).await;
        let asked = double.asked();
        let in_order =
            asked.iter().zip(&methods).all(|(asked, method)| asked.contains(&format!("{method:?}")));
        assert!(in_order, "{asked:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_call_that_waits_holds_up_no_other() {
    on_both(|double, services| async move {
        let mut slow = services.deliver(vec![ring("wait")]);
        assert!(poll_once(&mut slow).await.is_pending());
        double.begun(1).await;

        for name in ["a", "b", "c"] {
            services.deliver(vec![ring(name)]).await.unwrap();
        }
        double.permits.add_permits(1);
        assert_eq!(slow.await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_call_is_dropped_at_the_service() {
    on_both(|double, services| async move {
        let mut dropped = services.call(call("ada", "wait"));
        assert!(poll_once(&mut dropped).await.is_pending());
        double.begun(1).await;
        drop(dropped);
        timeout(SOON, double.over(1)).await.expect("long before its time is over");

        let timely = timeout(Duration::from_millis(20), services.deliver(vec![ring("wait")]));
        assert!(timely.await.is_err());
        timeout(SOON, double.over(2)).await.expect("long before its time is over");
        assert!(services.deliver(vec![ring("ada")]).await.is_ok(), "others go on");
    })
    .await;
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}
