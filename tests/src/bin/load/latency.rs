//! Open loop: one send each 1/rate seconds whatever comes back, so that a stall is counted and not hidden. The timer
//! ticks in whole milliseconds, so a send is timed from its write, and how late the writes were is printed beside it.

use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_protocol::{Encoding, ServerFrame, TopicId};
use doorbell_tests::client::{DEADLINE, receive};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

use crate::pairs::{Pair, report, send_frame};

/// Runs and prints the time from a send's write to the hint at the other side.
pub async fn run(pairs: Vec<Pair>, rate: u64, measured: Duration) -> anyhow::Result<()> {
    let total = rate * measured.as_secs();
    let count = pairs.len() as u64;
    let mut tasks = JoinSet::new();
    let mut senders = Vec::new();
    let mut drains = JoinSet::new();
    for (index, pair) in pairs.into_iter().enumerate() {
        let Pair { sender, receiver, conversation, sent } = pair;
        let due = total / count + u64::from((index as u64) < total % count);
        let (times, due_times) = mpsc::channel(4096);
        let topic = TopicId::new(format!("conversation:{conversation}"))?;
        tasks.spawn(hear(receiver, topic, sent, sent + due, due_times));
        let (sink, mut stream) = sender.split();
        drains.spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
        senders.push((sink, conversation, sent, times));
    }
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut late = Vec::new();
    for number in 0..total {
        let due = ticks.tick().await;
        let now = Instant::now();
        late.push(u32::try_from(now.saturating_duration_since(due).as_micros())?);
        let (sink, conversation, sent, times) = &mut senders[usize::try_from(number % count)?];
        *sent += 1;
        times.send(now).await.context("the receiver is gone")?;
        sink.send(Message::Text(send_frame(conversation, *sent).into())).await?;
    }
    let mut all = Vec::new();
    while let Some(heard) = tasks.join_next().await {
        all.extend(heard??);
    }
    ensure!(all.len() as u64 == total, "{} of {total} sends were hinted", all.len());
    report("writes after their due moment", late);
    report(&format!("send to hint, {rate}/s over {count} pairs"), all);
    Ok(())
}

async fn hear(
    mut socket: doorbell_tests::client::Socket,
    topic: TopicId,
    mut seen: u64,
    last: u64,
    mut due_times: mpsc::Receiver<Instant>,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::new();
    while seen < last {
        let deadline = Instant::now() + DEADLINE * 10;
        let ServerFrame::Hint(hint) = receive(&mut socket, Encoding::Json, deadline).await? else { continue };
        let now = Instant::now();
        for (hinted, version) in hint.topics {
            while hinted == topic && seen < version.get() {
                let due = due_times.recv().await.context("a hint without a send")?;
                micros.push(u32::try_from(now.saturating_duration_since(due).as_micros())?);
                seen += 1;
            }
        }
    }
    Ok(micros)
}
