//! Closed loop: a fixed number of sends under way, each acknowledged before its worker sends the next.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use doorbell_protocol::codec::decode_server;
use doorbell_protocol::{CallId, Encoding, ServerFrame};
use doorbell_tests::client::Socket;
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::pairs::{Pair, report, send_frame};

/// Runs and prints acknowledged sends a second, and the time that each took.
pub async fn run(pairs: Vec<Pair>, in_flight: usize, measured: Duration) -> anyhow::Result<()> {
    ensure!(pairs.len() >= in_flight, "--pairs must be at least --in-flight");
    let mut shares: Vec<Vec<(Socket, String, u64)>> = (0..in_flight).map(|_| Vec::new()).collect();
    let mut listeners = JoinSet::new();
    for (index, pair) in pairs.into_iter().enumerate() {
        let Pair { sender, mut receiver, conversation, sent } = pair;
        shares[index % in_flight].push((sender, conversation, sent));
        listeners.spawn(async move { while let Some(Ok(_)) = receiver.next().await {} });
    }
    let start = Instant::now();
    let end = start + measured;
    let mut workers = JoinSet::new();
    for share in shares {
        workers.spawn(work(share, end));
    }
    let mut all = Vec::new();
    while let Some(done) = workers.join_next().await {
        all.extend(done??);
    }
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of sends is far below 2^53")]
    let rate = all.len() as f64 / seconds;
    report(&format!("{rate:.0} durable sends/s with {in_flight} in flight, send to reply"), all);
    Ok(())
}

async fn work(mut share: Vec<(Socket, String, u64)>, end: Instant) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::new();
    loop {
        for (socket, conversation, sent) in &mut share {
            let start = Instant::now();
            if start >= end {
                return Ok(micros);
            }
            *sent += 1;
            socket.send(Message::Text(send_frame(conversation, *sent).into())).await?;
            await_reply(socket, *sent).await?;
            micros.push(u32::try_from(start.elapsed().as_micros())?);
        }
    }
}

/// Reads until the reply to one send. Hints on the way are passed over by their first bytes, so that the measuring
/// side, on the same two cores, costs little.
async fn await_reply(socket: &mut Socket, number: u64) -> anyhow::Result<()> {
    loop {
        let message = socket.next().await.context("the socket ended")??;
        let Message::Text(text) = message else { continue };
        if text.starts_with(r#"{"type":"hint""#) {
            continue;
        }
        match decode_server(Encoding::Json, text.as_bytes()) {
            Ok(ServerFrame::Reply { id: CallId::Number(id), outcome: Ok(_) }) if id == number => {
                return Ok(());
            }
            other => bail!("send {number}: {other:?}"),
        }
    }
}
