//! What a batch costs between two processes: 100 users, over loopback, with the key's greeting and without TLS; one call
//! after the other, and 16 under way at a time.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doorbell_protocol::{DirtyMap, GatewayId, Hint, TopicId, UserId, Version};
use doorbell_rpc::remote::{Config, Connection, Metrics, PeerKey, Served, Server, Trust};
use doorbell_rpc::{DeliverRequest, Delivered, Error, GatewayApi, Heard, SignalRequest};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const USERS: usize = 100;
const AT_A_TIME: usize = 16;

/// A gateway that does nothing, at once: what is left is the way to it.
struct Idle;

#[async_trait]
impl GatewayApi for Idle {
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error> {
        Ok(vec![Delivered::Sessions(1); black_box(batch).len()])
    }

    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, Error> {
        Ok(vec![Heard::Followed; hints.len()])
    }

    async fn signal(&self, _: SignalRequest) -> Result<(), Error> {
        Ok(())
    }
}

fn batch() -> Vec<DeliverRequest> {
    let one = |number| {
        let mut dirty = DirtyMap::default();
        let topic =
            TopicId::new(format!("conversation:0198c0de-0000-7000-8000-{number:012}")).expect("a topic");
        dirty.hint(Hint { topic, version: Version::new(123_456).expect("a version") });
        DeliverRequest { user: UserId::new(format!("user-{number:08}")).expect("a user"), dirty }
    };
    (0..USERS).map(one).collect()
}

async fn connect(tasks: &mut JoinSet<()>) -> Connection {
    let key = PeerKey::new("0123456789abcdefghijklmnopqrstuvwxyz").expect("a key");
    let trust = Trust { key: Some(key), tls: None };
    let (config, metrics) = (Config::default(), Metrics::unregistered());
    let address = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(address, &trust, &config, &metrics).await.expect("it binds");
    let address = server.local_addr().to_string();
    let id = GatewayId::new("gw-1").expect("an id");
    let served = Served { gateway: Some((id.clone(), Arc::new(Idle))), ..Served::default() };
    tasks.spawn(async move { server.run(served, CancellationToken::new()).await.expect("it runs") });
    Connection::new(&address, Some(id), &trust, &config, &metrics).expect("an address")
}

fn deliver(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut tasks = JoinSet::new();
    let connection = runtime.block_on(connect(&mut tasks));
    let batch = batch();
    let mut group = criterion.benchmark_group("deliver 100 users");

    group.throughput(Throughput::Elements(1));
    group.bench_function("in the same process", |bencher| {
        bencher.iter(|| runtime.block_on(Idle.deliver(batch.clone())).expect("an answer"));
    });
    group.bench_function("one after the other", |bencher| {
        bencher.iter(|| runtime.block_on(connection.deliver(batch.clone())).expect("an answer"));
    });
    group.throughput(Throughput::Elements(AT_A_TIME as u64));
    group.bench_function("16 at a time", |bencher| {
        bencher.iter(|| {
            let calls = (0..AT_A_TIME).map(|_| connection.deliver(batch.clone()));
            runtime.block_on(join_all(calls)).into_iter().for_each(|answer| drop(answer.expect("an answer")));
        });
    });
    group.finish();
    runtime.block_on(tasks.shutdown());
}

criterion_group!(benches, deliver);
criterion_main!(benches);
