//! Whether a run shows anything, and what it was made of.

use super::evidence::Evidence;
use super::verdict::Counts;
use crate::prove::history::{Deed, Micros, Phase};

/// Why it shows nothing; empty where it does.
pub fn reasons(evidence: &Evidence) -> Vec<String> {
    let counts = counts(evidence);
    let mut reasons = Vec::new();
    let wanted = evidence.run.bounds.acked_min;
    if counts.acked < wanted {
        reasons.push(format!("{} sends were acknowledged: at least {wanted} are needed", counts.acked));
    }
    if !evidence.phases.contains_key(&Phase::Left) {
        reasons.push("the run did not come to its end".to_owned());
    }
    if evidence.run.nemesis {
        // Where every fault is known to leave clients their sockets, as one of Redis does, nobody comes back.
        let takes_sockets = evidence.faults.iter().any(|fault| {
            fault.harmed.as_ref().is_none_or(|harmed| harmed.deed == Deed::Kill && !harmed.targets.is_empty())
        });
        if counts.reconnects == 0 && (takes_sockets || evidence.faults.is_empty()) {
            reasons.push("no client had to come back, so no fault reached one".to_owned());
        }
        if counts.effective * 10 < counts.faults * 9 || counts.faults == 0 {
            reasons.push(format!(
                "{} of {} faults were seen to happen: at least 9 of 10 are needed",
                counts.effective, counts.faults
            ));
        }
    }
    reasons
}

/// What it was made of.
pub fn counts(evidence: &Evidence) -> Counts {
    let acked = evidence.sends.values().filter(|sending| !sending.acked.is_empty()).count();
    let unknown = |sending: &&super::evidence::Sending| sending.acked.is_empty() && sending.refused.is_none();
    let hints = evidence.sessions.values().flat_map(|session| session.hints.values()).map(Vec::len);
    Counts {
        acked: acked as u64,
        unknown: evidence.sends.values().filter(unknown).count() as u64,
        repeats: evidence.sends.values().map(|sending| sending.times - 1).sum(),
        sessions: evidence.sessions.len() as u64,
        sessions_peak: peak(evidence),
        reconnects: evidence.reconnects,
        hints: hints.sum::<usize>() as u64,
        pulls: evidence.pulls.len() as u64,
        faults: evidence.faults.len() as u64,
        effective: evidence.faults.iter().filter(|fault| fault.effective).count() as u64,
        length: evidence.end,
    }
}

fn peak(evidence: &Evidence) -> u64 {
    let mut moves: Vec<(Micros, i64)> = Vec::new();
    for session in evidence.sessions.values() {
        moves.push((session.opened, 1));
        moves.extend(session.closed.map(|at| (at, -1)));
    }
    moves.sort_unstable();
    let (mut open, mut peak) = (0_i64, 0_i64);
    for (_, step) in moves {
        open += step;
        peak = peak.max(open);
    }
    peak.unsigned_abs()
}
