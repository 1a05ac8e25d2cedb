//! What only somebody who knows the wire can send: fields and calls of later versions, and messages that break rules.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes};
use doorbell_protocol::{GatewayId, Hint, Raise, TopicId, UserId, Version};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper::service::service_fn;
use prometheus::Registry;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;
use tonic::{Request, Response, Status, Streaming};

use super::lane::{Answer, Call};
use super::wire::exchange_server::{Exchange, ExchangeServer};
use super::{Config, Connection, Metrics, Served, Server, Trust, link, wire};
use crate::{
    Audiences as _, ChannelLife, Channels, DeliverRequest, Delivered, Error, GatewayApi as _, NoChannels,
    Subscription,
};

/// A field that no version has, as one that a later version may add.
const UNKNOWN_FIELD: &[u8] = &[0xa2, 0x1f, 3, b'n', b'e', b'w'];

fn request(call: Call) -> wire::Request {
    wire::Request { number: 7, within_ms: 1_000, gateway: "gw-1".to_owned(), call: Some(call) }
}

fn ring() -> wire::Request {
    let news = wire::DirtyMap { resync: true, ..wire::DirtyMap::default() };
    let users = vec![wire::UserNews { user: "ada".to_owned(), news: Some(news) }];
    request(Call::Deliver(wire::Deliver { users }))
}

/// The message with a field more, at its top.
fn with_more(message: &impl Message) -> Bytes {
    let mut bytes = message.encode_to_vec();
    bytes.put_slice(UNKNOWN_FIELD);
    bytes.into()
}

#[test]
fn fields_of_a_later_version_are_skipped() {
    let request = ring();
    assert_eq!(wire::Request::decode(with_more(&request)).unwrap(), request);
    let answer = wire::Answer { number: 7, result: Some(Answer::Done(wire::Done {})) };
    assert_eq!(wire::Answer::decode(with_more(&answer)).unwrap(), answer);

    // Deeper down: a hint, in hints, in an answer, each with a field more.
    let hint = wire::Hint { topic: "post:1".to_owned(), version: 9 };
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let inner = with_more(&hint);
    let mut hints = vec![0x0a, length(&inner)];
    hints.put_slice(&inner);
    hints.put_slice(UNKNOWN_FIELD);
    let mut answer = vec![0x08, 7, 0x5a, length(&hints)];
    answer.put_slice(&hints);
    answer.put_slice(UNKNOWN_FIELD);
    let read = wire::Answer::decode(&*answer).unwrap();
    let expected = Answer::Hints(wire::Hints { hints: vec![hint] });
    assert_eq!(read, wire::Answer { number: 7, result: Some(expected) });
}

#[test]
fn fields_of_an_earlier_version_may_be_missing() {
    let bare = wire::Request::decode(&[0x08, 7][..]).unwrap();
    assert_eq!((bare.number, bare.call), (7, None));
}

/// Sends requests on one stream to a server, and reads as many answers.
async fn exchange(
    channels: impl Channels + 'static,
    requests: Vec<wire::Request>,
    registry: &Registry,
) -> HashMap<u64, Answer> {
    let metrics = Metrics::register(registry).unwrap();
    let (trust, config) = (Trust::default(), Config::default());
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), &trust, &config, &metrics).await.unwrap();
    let address = server.local_addr().to_string();
    let served = Served { channels: Some(Arc::new(channels)), ..Served::default() };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(server.run(served, CancellationToken::new()).await) });

    let link::Link { requests: sender, connection } =
        link::Link::open(&address, &trust, &config).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    let origin = http::Uri::from_static("http://test");
    let mut client =
        wire::exchange_client::ExchangeClient::with_origin(super::lane::Requests(sender), origin);
    let count = requests.len();
    let sent = stream::iter(requests).chain(stream::pending());
    let mut answers = client.exchange(sent).await.unwrap().into_inner();
    let mut read = HashMap::new();
    for _ in 0..count {
        let answer = answers.message().await.unwrap().unwrap();
        read.insert(answer.number, answer.result.unwrap());
    }
    read
}

#[tokio::test]
async fn requests_that_break_a_rule_are_refused_one_by_one() {
    let hint = |topic: &str, version| wire::Hint { topic: topic.to_owned(), version };
    let raise = |topic: &str, raise| wire::Raise { topic: topic.to_owned(), raise };
    let raises = |raises| Call::ChannelPublish(wire::ChannelPublish { raises });
    let subscribe = |gateway: &str| {
        Call::ChannelSubscribe(wire::ChannelSubscribe { gateway: gateway.to_owned(), ..Default::default() })
    };
    let far = 1 << 53;
    let bad = [
        (raises(vec![raise("no topic", None)]), "raises[0]: what to raise to is missing"),
        (
            raises(vec![raise("no topic", Some(wire::raise::Raise::To(1)))]),
            "raises[0]: topic must be kind:key",
        ),
        (
            raises(vec![raise("a:b", Some(wire::raise::Raise::To(far)))]),
            "raises[0]: a version is at most 2^53-1",
        ),
        (subscribe("gw 1"), "gateway may hold only letters"),
        (
            Call::ChannelFollowers(wire::ChannelFollowers { topics: vec![String::new()] }),
            "topics[0]: topic must not",
        ),
    ];
    let mut requests: Vec<_> = bad.iter().map(|(call, _)| request(call.clone())).collect();
    // Calls of later versions come without one; and a gateway's name may be none.
    requests.push(wire::Request { call: None, ..ring() });
    let publish = Call::Publish(wire::Publish { hints: vec![hint("a:b", 1)] });
    requests.push(wire::Request { gateway: "no gateway".to_owned(), ..request(publish) });
    // The last one is good, and answered as such.
    requests.push(request(raises(Vec::new())));
    for (number, request) in requests.iter_mut().enumerate() {
        request.number = number as u64;
    }
    let count = requests.len() as u64;
    let registry = Registry::new();
    let answers = exchange(NoChannels, requests, &registry).await;

    let reason = |number: u64| match &answers[&number] {
        Answer::Failure(failure) => failure.reason.clone(),
        other => panic!("{other:?}"),
    };
    for (number, (_, rule)) in bad.iter().enumerate() {
        let reason = reason(number as u64);
        assert!(reason.contains(rule), "{reason}");
    }
    assert_eq!(reason(count - 3), "this process does not know the call");
    assert!(reason(count - 2).contains("gateway may hold only"), "{}", reason(count - 2));
    assert_eq!(reason(count - 1), "there is none here");
    let counted = registry.gather();
    let counted = counted.iter().find(|family| family.name() == "doorbell_rpc_bad_requests_total").unwrap();
    assert_eq!(counted.get_metric()[0].get_counter().get_value(), (count - 1) as f64);
}

/// A channel service that never answers.
struct Silent;

#[tonic::async_trait]
impl Channels for Silent {
    async fn publish(&self, _: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        std::future::pending().await
    }

    async fn subscribe(&self, _: &GatewayId, _: Vec<Subscription>) -> Result<ChannelLife, Error> {
        std::future::pending().await
    }

    async fn followers(&self, _: Vec<TopicId>) -> Result<Vec<u64>, Error> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_callee_gives_up_when_the_caller_does() {
    let call = Call::ChannelFollowers(wire::ChannelFollowers::default());
    let hasty = wire::Request { within_ms: 20, ..request(call) };
    let answers = exchange(Silent, vec![hasty], &Registry::new()).await;
    let Answer::Failure(failure) = &answers[&7] else { panic!("{answers:?}") };
    assert_eq!(failure.reason, "no answer within 20ms");
}

/// A callee of another version, or with a bug: it answers every request with the same.
#[derive(Clone)]
struct Parrot(Option<Answer>);

#[tonic::async_trait]
impl Exchange for Parrot {
    type ExchangeStream = BoxStream<'static, Result<wire::Answer, Status>>;

    async fn exchange(
        &self,
        requests: Request<Streaming<wire::Request>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let result = self.0.clone();
        let answer = move |request: Result<wire::Request, Status>| {
            // An answer to a question that nobody asked comes first.
            let number = request.unwrap().number;
            let answer = |number| Ok(wire::Answer { number, result: result.clone() });
            stream::iter([answer(number + 1_000), answer(number)])
        };
        Ok(Response::new(requests.into_inner().flat_map(answer).boxed()))
    }
}

async fn listen(parrot: Parrot, listener: TcpListener) {
    let (trust, config) = (Trust::default(), Config::default());
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let bytes = link::accept(socket, &trust, &config).await.unwrap();
        let service = ExchangeServer::new(parrot.clone());
        let service = service_fn(move |request| service.clone().call(request));
        connections.spawn(link::http(&config).serve_connection(bytes, service));
    }
}

#[tokio::test]
async fn answers_that_break_a_rule_are_errors_that_say_so() {
    let absent = wire::user_outcome::Outcome::Absent(wire::Stamp::default());
    let outcomes = |outcomes: Vec<Option<_>>| {
        let users = outcomes.into_iter().map(|outcome| wire::UserOutcome { outcome }).collect();
        Some(Answer::Delivered(wire::Delivered { users }))
    };
    let failure = |kind, service: &str| {
        let (service, reason) = (service.to_owned(), "so".to_owned());
        Some(Answer::Failure(wire::Failure { kind, service, reason, ..wire::Failure::default() }))
    };
    for (answer, expected) in [
        (outcomes(vec![Some(absent)]), Ok(Delivered::Absent(doorbell_protocol::Stamp::default()))),
        (outcomes(vec![]), Err("0 answers to 1 questions")),
        (outcomes(vec![None]), Err("users[0]: a user's outcome is missing")),
        (Some(Answer::Done(wire::Done {})), Err("of another kind than the request")),
        (None, Err("of another kind than the request")),
        // A kind of failure, and a service, of a later version.
        (failure(99, "new-svc"), Err("gateway is unavailable: so")),
        (failure(wire::failure::Kind::Busy.into(), ""), Err("gateway must not be empty")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Parrot(answer), listener));
        let gateway = Some(GatewayId::new("gw-1").unwrap());
        let metrics = Metrics::unregistered();
        let connection =
            Connection::new(&address, gateway, &Trust::default(), &Config::default(), &metrics).unwrap();

        let user = UserId::new("ada").unwrap();
        let delivered = connection.deliver(vec![DeliverRequest { user, dirty: Default::default() }]).await;
        match (delivered, expected) {
            (Ok(delivered), Ok(expected)) => assert_eq!(delivered, [expected]),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (delivered, expected) => panic!("{delivered:?}, {expected:?}"),
        }
        assert!(connection.large_topics(vec![UserId::new("ada").unwrap()]).await.is_err());
    }
}

#[test]
fn an_address_is_a_host_and_a_port() {
    let new = |address: &str| {
        Connection::new(address, None, &Trust::default(), &Config::default(), &Metrics::unregistered())
    };
    for good in ["127.0.0.1:7071", "[::1]:7071", "gateway-0.internal:7071"] {
        assert!(new(good).is_ok(), "{good}");
    }
    for bad in ["", ":7071", "host", "host:", "host:port", "host:70000"] {
        assert!(matches!(new(bad), Err(super::Error::Address(_))), "{bad}");
    }
}

#[tokio::test]
async fn a_gateway_that_nobody_named_is_not_called() {
    let (trust, config) = (Trust::default(), Config::default());
    let connection = Connection::new("127.0.0.1:1", None, &trust, &config, &Metrics::unregistered()).unwrap();
    let topic = TopicId::new("post:1").unwrap();
    let hint = Hint { topic, version: Version::ZERO };
    let refused = crate::GatewayApi::publish(&connection, vec![hint]).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { service: "gateway", .. }), "{refused}");
}
