//! A slow client costs a constant. Alone in its process, for it measures the memory of that process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the parts are shared with the tests in `sessions`")]

#[path = "sessions/client.rs"]
mod client;
#[path = "sessions/doubles.rs"]
mod doubles;
#[path = "sessions/neighbours.rs"]
mod neighbours;
#[path = "sessions/rig.rs"]
mod rig;

use doorbell_rpc::Delivered;

use crate::rig::Rig;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_client_that_never_reads_costs_a_constant_and_delays_nobody() {
    let rig = Rig::new();
    let mut slow = rig.session("ada").await;
    let mut quick = rig.session("ada").await;
    let hints = 100_000;

    let mut before = 0;
    for version in 1..=hints {
        assert_eq!(
            rig.ring("ada", &format!("conversation:c{}", version % 8), version).await,
            Delivered::Sessions(2)
        );
        if version % 100 == 0 {
            // The quick one has each hint, merged or not, while the slow one has read nothing.
            loop {
                let hint = quick.hint().await;
                if hint.topics.iter().any(|(_, reached)| reached.get() == version) {
                    break;
                }
            }
        }
        if version == hints / 2 {
            assert_eq!(rig.metric("doorbell_gateway_slow_sockets"), 1.0, "its socket is full");
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 1024 * 1024, "{grown} bytes for {} hints", hints / 2);

    let mut latest = std::collections::BTreeMap::new();
    while latest.values().min() != Some(&(hints - 7)) {
        for (topic, version) in slow.hint().await.topics {
            let version = version.get();
            assert!(latest.insert(topic, version).is_none_or(|earlier| earlier < version));
        }
    }
    assert_eq!(latest.len(), 8);
    rig.until("its socket is free", || rig.metric("doorbell_gateway_slow_sockets") == 0.0).await;
    rig.stop().await;
}
