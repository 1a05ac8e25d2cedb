//! Open loop: one send each 1/rate seconds whatever comes back, so that a stall is counted and not hidden. The poll
//! waits in whole milliseconds, so a send is timed from its write, and again from the moment when it was due.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use crate::pairs::{News, Pairs};
use crate::report;

/// Nothing may be heard of for longer.
const RUNG_DEADLINE: Duration = Duration::from_secs(15);

/// A send that the receiver has not heard of.
struct Unheard {
    version: u64,
    due: Instant,
    written: Instant,
}

/// Runs and prints the time from a send's write to the hint at the other side; answers the number of sends.
pub fn run(mut pairs: Pairs, rate: u64, measured: Duration) -> anyhow::Result<u64> {
    let total = rate * measured.as_secs();
    let apart = Duration::from_secs(1) / u32::try_from(rate)?;
    let count = pairs.all.len();
    let mut unheard: Vec<VecDeque<Unheard>> = (0..count).map(|_| VecDeque::new()).collect();
    let (mut from_write, mut from_due) = (Vec::new(), Vec::new());
    let (mut due, mut sends, mut last_heard) = (Instant::now(), 0, Instant::now());
    while u64::try_from(from_write.len())? < total {
        while sends < total && due <= Instant::now() {
            let index = usize::try_from(sends)? % count;
            let pair = &mut pairs.all[index];
            let written = Instant::now();
            pair.send()?;
            unheard[index].push_back(Unheard { version: pair.sent, due, written });
            sends += 1;
            due += apart;
        }
        ensure!(last_heard.elapsed() < RUNG_DEADLINE, "{} of {total} sends were hinted", from_write.len());
        let wait = if sends < total { due.saturating_duration_since(Instant::now()) } else { RUNG_DEADLINE };
        pairs.hear(wait, |_, index, news| {
            let News::Rung(reached) = news else { return Ok(()) };
            let now = Instant::now();
            while let Some(heard) = unheard[index].pop_front_if(|send| send.version <= reached) {
                from_write.push(u32::try_from((now - heard.written).as_micros())?);
                from_due.push(u32::try_from((now - heard.due).as_micros())?);
                last_heard = now;
            }
            Ok(())
        })?;
    }
    report::times(&format!("send to hint, {rate}/s over {count} pairs"), from_write);
    report::times("the same from the moment when the send was due", from_due);
    Ok(total)
}
