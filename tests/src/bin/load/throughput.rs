//! Closed loop: a fixed number of sends under way, each acknowledged before its worker sends the next.
//!
//! A worker is a place in the loop with conversations of its own, which it goes through in turn. The run ends when
//! the last send is acknowledged and every session has heard of its conversation's last version.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use crate::pairs::{News, Pair, Pairs};
use crate::report;

/// After the last reply, hints must be there within this time.
const RUNG_DEADLINE: Duration = Duration::from_secs(15);

struct Worker {
    began: Instant,
    /// Which of its pairs it sent to.
    pair: usize,
}

/// Runs and prints acknowledged sends a second, and the time that each took; answers their number.
pub fn run(mut pairs: Pairs, in_flight: usize, measured: Duration) -> anyhow::Result<u64> {
    let count = pairs.all.len();
    ensure!(count >= in_flight, "--pairs must be at least --in-flight");
    let hints_before: u64 = pairs.all.iter().map(Pair::hints).sum();
    let start = Instant::now();
    let end = start + measured;
    let mut workers = Vec::with_capacity(in_flight);
    for pair in 0..in_flight {
        pairs.all[pair].send()?;
        workers.push(Worker { began: Instant::now(), pair });
    }
    let (mut micros, mut under_way, mut last_reply) = (Vec::new(), in_flight, start);
    while under_way > 0 {
        ensure!(last_reply.elapsed() < measured + RUNG_DEADLINE, "{under_way} sends are not answered");
        pairs.hear(RUNG_DEADLINE, |pairs, index, news| {
            let News::Replied = news else { return Ok(()) };
            let worker = &mut workers[index % in_flight];
            last_reply = Instant::now();
            micros.push(u32::try_from((last_reply - worker.began).as_micros())?);
            if last_reply >= end {
                under_way -= 1;
                return Ok(());
            }
            worker.pair += in_flight;
            if worker.pair >= count {
                worker.pair = index % in_flight;
            }
            worker.began = last_reply;
            pairs[worker.pair].send()
        })?;
    }
    while !pairs.all.iter().all(Pair::is_rung) {
        ensure!(last_reply.elapsed() < RUNG_DEADLINE, "not every session was rung");
        pairs.hear(RUNG_DEADLINE, |_, _, _| Ok(()))?;
    }
    let hints = pairs.all.iter().map(Pair::hints).sum::<u64>() - hints_before;
    let sends = u64::try_from(micros.len())?;
    #[expect(clippy::cast_precision_loss, reason = "a count of sends is far below 2^53")]
    let rate = sends as f64 / (last_reply - start).as_secs_f64();
    report::times(&format!("{rate:.0} durable sends/s with {in_flight} in flight, send to reply"), micros);
    println!("{hints} hints to {} sessions; every one heard of its conversation's last version", count * 2);
    Ok(sends)
}
