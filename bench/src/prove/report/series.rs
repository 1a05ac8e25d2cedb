//! What happened in each step of a run: the numbers behind the pictures.

use std::collections::BTreeMap;

use crate::prove::history::{Micros, Role};
use crate::prove::judge::evidence::Evidence;
use crate::prove::judge::latency;

/// Steps of a picture at most: some pixels each.
const STEPS_MAX: Micros = 360;

/// One value a step.
#[derive(Debug, Default)]
pub struct Series {
    /// A step's length.
    pub step: Micros,
    /// Sends acknowledged, a second.
    pub sends: Vec<f64>,
    /// Sends whose answer said nothing, a second.
    pub unsure: Vec<f64>,
    /// Hints' latency in milliseconds: the median, and the value that 99 of 100 do not pass.
    pub median: Vec<Option<f64>>,
    pub p99: Vec<Option<f64>>,
    /// Sessions open at the end of the step, hostile ones left out.
    pub sessions: Vec<f64>,
}

/// Cuts a run into steps of whole seconds or simple parts of one.
#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
pub fn of(evidence: &Evidence) -> Series {
    let step = [500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000]
        .into_iter()
        .find(|step| evidence.end / step <= STEPS_MAX)
        .unwrap_or(evidence.end / STEPS_MAX + 1);
    let steps = usize::try_from(evidence.end / step + 1).unwrap_or(1);
    let place = |at: Micros| usize::try_from(at / step).unwrap_or(usize::MAX).min(steps - 1);
    let each_second = 1e6 / step as f64;
    let mut series = Series { step, sends: vec![0.0; steps], unsure: vec![0.0; steps], ..Series::default() };
    for sending in evidence.sends.values() {
        if let Some((at, ..)) = sending.acked.first() {
            series.sends[place(*at)] += each_second;
        }
        if sending.unsure > 0 {
            series.unsure[place(sending.invoked)] += each_second;
        }
    }
    let mut took: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (sent, micros) in latency::each(evidence) {
        took.entry(place(sent)).or_default().push(micros);
    }
    (series.median, series.p99) = (vec![None; steps], vec![None; steps]);
    for (at, mut all) in took {
        all.sort_unstable();
        series.median[at] = Some(f64::from(all[all.len() / 2]) / 1e3);
        series.p99[at] = Some(f64::from(all[all.len() * 99 / 100]) / 1e3);
    }
    series.sessions = sessions(evidence, steps, &place);
    series
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred pixels")]
fn sessions(evidence: &Evidence, steps: usize, place: &impl Fn(Micros) -> usize) -> Vec<f64> {
    let mut moves = vec![0_i64; steps];
    for session in evidence.sessions.values().filter(|session| session.role != Role::Hostile) {
        moves[place(session.opened)] += 1;
        if let Some(closed) = session.closed {
            moves[place(closed)] -= 1;
        }
    }
    let mut open = 0;
    let open = moves.into_iter().map(|step| {
        open += step;
        open as f64
    });
    open.collect()
}
