//! A slow client: others do not notice, and it hears of the head. What it costs is measured in gateway/tests/memory.rs.

use std::time::Duration;

use anyhow::Context;
use doorbell_protocol::Encoding;
use doorbell_protocol::codec::encode_client;
use doorbell_protocol::frames::{Hello, Token};
use doorbell_protocol::{ClientFrame, ServerFrame};
use doorbell_tests::Doorbell;
use doorbell_tests::client::{DEADLINE, open, receive, send};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{direct, join, unthrottled};

const SENDS: u64 = 20_000;

#[tokio::test]
async fn a_client_that_reads_nothing_for_20_000_sends_holds_nobody_up_and_then_hears_of_the_head()
-> anyhow::Result<()> {
    let doorbell =
        Doorbell::start_with(unthrottled().with("DOORBELL_GATEWAY__FRAMES_PER_SECOND", "1000000")).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;
    let topic = format!("conversation:{conversation}");
    let mut awake = join(&doorbell, "bob").await?;
    let mut asleep = open(doorbell.address(), Encoding::Json).await?;
    let hello = Hello { token: Some(Token(doorbell.token("bob").await?)), ..Hello::default() };
    send(&mut asleep, Encoding::Json, &ClientFrame::Hello(hello)).await?;
    receive(&mut asleep, Encoding::Json, Instant::now() + DEADLINE).await?;

    for number in 0..SENDS {
        let params = json!({"conversation": conversation, "key": format!("k{number}"), "text": "x"});
        ada.start_call("messages.send", &params).await?;
        if number % 64 == 0 {
            ada.call("topics.changes", json!({"limit": 1})).await?;
        }
    }
    let head = SENDS + 1;

    awake.hinted(&topic, head).await?;
    let caught_up = async {
        loop {
            let frame = receive(&mut asleep, Encoding::Json, Instant::now() + DEADLINE).await?;
            let ServerFrame::Hint(hint) = frame else { continue };
            if hint.topics.iter().any(|(name, version)| name.as_str() == topic && version.get() == head) {
                return anyhow::Ok(());
            }
        }
    };
    timeout(DEADLINE * 2, caught_up).await.context("the sleeper never heard of the head")??;
    Ok(())
}

#[tokio::test]
async fn a_call_sent_in_many_small_pieces_is_answered() -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt;
    let doorbell = Doorbell::start().await?;
    let mut socket = open(doorbell.address(), Encoding::Json).await?;
    let mut bytes = Vec::new();
    encode_client(
        Encoding::Json,
        &ClientFrame::Hello(Hello { token: Some(Token(doorbell.token("ada").await?)), ..Hello::default() }),
        &mut bytes,
    );
    let mut frame = vec![0x81, 0xFE];
    frame.extend(u16::try_from(bytes.len())?.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(bytes);

    let tcp = socket.get_mut();
    for byte in frame {
        tcp.write_all(&[byte]).await?;
        tcp.flush().await?;
    }

    let first =
        timeout(Duration::from_secs(10), receive(&mut socket, Encoding::Json, Instant::now() + DEADLINE))
            .await??;
    assert!(matches!(first, ServerFrame::Welcome(_)));
    Ok(())
}
