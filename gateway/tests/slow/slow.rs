//! A client that never reads, and another of the same user that does.

use doorbell_rpc::Delivered;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::Client;
use crate::rig::Rig;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Rings user `ada`, whose two sessions these are, and nobody else of this gateway's.
pub async fn costs_a_constant_and_delays_nobody<S>(rig: Rig, mut slow: Client<S>, mut quick: Client<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
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
