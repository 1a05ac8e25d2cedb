//! One hint to 1, 1,000, 5,000 and 10,000 sessions of one user.
//!
//! `cargo bench -p doorbell-gateway --bench fanout`. The clients are plain sockets in this process; a loopback write
//! runs half of the client's receive path, so the figures are an upper bound of the gateway's own cost. 10,000
//! sessions need 20,000 files and some: where `ulimit -n` allows fewer, that size is left out, saying so.

#[path = "crowd/crowd.rs"]
mod crowd;
#[allow(dead_code, clippy::unwrap_used, reason = "the doubles are the tests' own, and steered there")]
#[path = "../tests/sessions/neighbours.rs"]
mod neighbours;

use std::hint::black_box;
use std::io::Read;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use doorbell_protocol::{DirtyMap, Hint, TopicId, UserId, Version};
use doorbell_rpc::{DeliverRequest, GatewayApi};
use tokio::time::Instant;

use crowd::{Crowd, files_max, runtime};

const SIZES: [usize; 4] = [1, 1_000, 5_000, 10_000];

fn batch(version: u64) -> Vec<DeliverRequest> {
    let mut dirty = DirtyMap::default();
    dirty.hint(Hint {
        topic: TopicId::new("conversation:01J9ZK5TQ8N3W2R7V6X4Y1B0CD").expect("a good topic"),
        version: Version::new(version).expect("small"),
    });
    vec![DeliverRequest { user: UserId::new("ada").expect("a good name"), dirty }]
}

impl Crowd {
    fn drain_clients(&mut self) {
        let mut scratch = [0; 16 * 1024];
        for client in &mut self.clients {
            while client.read(&mut scratch).is_ok_and(|read| read > 0) {}
        }
    }
}

fn fan_out(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("one hint to so many sessions");
    group.sample_size(20);
    for sessions in SIZES {
        if files_max() < sessions * 2 + 100 {
            println!("{sessions} sessions left out: `ulimit -n` allows {} files", files_max());
            continue;
        }
        let mut crowd = Crowd::new(&runtime);
        crowd.join(&runtime, (0..sessions).map(|_| "ada".to_owned()));
        let mut version = 0;
        group.throughput(Throughput::Elements(sessions as u64));
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    version += 1;
                    let batch = batch(version);
                    let start = Instant::now();
                    black_box(runtime.block_on(crowd.gateway.deliver(batch))).expect("local");
                    took += start.elapsed();
                    // Outside the measured time, and often enough that no socket fills up.
                    if version % 256 == 0 {
                        crowd.drain_clients();
                    }
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
