//! One topic with 10,000 followers and 200 publishes a second: how late the followers are.
//!
//! `cargo bench -p doorbell-gateway --bench hot_topic`. The gateway has one thread, the clients another: plain sockets,
//! read in turn. Late is, for a client and a version, the time from its publish until the client has read that version
//! or a later one.

#[path = "crowd/crowd.rs"]
mod crowd;
#[allow(dead_code, clippy::unwrap_used, reason = "the doubles are the tests' own, and steered there")]
#[path = "../tests/sessions/neighbours.rs"]
mod neighbours;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use doorbell_rpc::GatewayApi;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crowd::{Crowd, files_max, runtime};
use neighbours::hint;

const TOPIC: &str = "conversation:01J9ZK5TQ8N3W2R7V6X4Y1B0CD";
const PUBLISHES: usize = 1_000;
const BETWEEN: Duration = Duration::from_millis(5);

/// The last version that the bytes of some frames name.
fn last_version(frames: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(frames);
    let (_, after) = text.rsplit_once(&format!("\"{TOPIC}\":"))?;
    after.split(|byte: char| !byte.is_ascii_digit()).next()?.parse().ok()
}

/// Reads until every client has the last version; answers how late each was with each version that it read.
fn read_all(crowd: &mut Crowd, published: &Mutex<Vec<Instant>>) -> Vec<Duration> {
    let mut seen = vec![0; crowd.clients.len()];
    let mut late = Vec::new();
    let mut scratch = [0; 16 * 1024];
    while seen.iter().any(|version| *version < PUBLISHES) {
        for (client, seen) in crowd.clients.iter_mut().zip(&mut seen) {
            let Ok(read) = client.read(&mut scratch) else { continue };
            let Some(version) = last_version(&scratch[..read]) else { continue };
            // The oldest version that it did not have before.
            late.push(published.lock()[*seen].elapsed());
            *seen = version;
        }
    }
    late.sort_unstable();
    late
}

fn main() {
    let followers = (files_max().saturating_sub(200) / 2).min(10_000);
    let runtime = runtime();
    let mut crowd = Crowd::new(&runtime);
    for number in 0..followers {
        crowd.members.join(&format!("user-{number}"), TOPIC, 0);
    }
    crowd.join(&runtime, (0..followers).map(|number| format!("user-{number}")));
    let published: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (gateway, times) = (Arc::clone(&crowd.gateway), Arc::clone(&published));
    let publishing = {
        let _entered = runtime.enter();
        TaskTracker::new().spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN);
            for version in 1..=PUBLISHES {
                ticks.tick().await;
                times.lock().push(Instant::now());
                gateway.publish(vec![hint(TOPIC, version as u64)]).await.expect("local");
            }
        })
    };
    let late = read_all(&mut crowd, &published);
    runtime.block_on(publishing).expect("it ends");
    let at = |share: usize| late[(late.len() - 1) * share / 100];
    println!(
        "{followers} followers, {PUBLISHES} publishes in {:?}: {} frames read; late p50 {:?}, p99 {:?}, most {:?}",
        BETWEEN * u32::try_from(PUBLISHES).expect("few"),
        late.len(),
        at(50),
        at(99),
        at(100)
    );
}
