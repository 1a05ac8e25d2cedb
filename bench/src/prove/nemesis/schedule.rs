//! Which faults, when and for how long: drawn from the seed before the run.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Cluster, Cut, Process};

/// The seed of faults differs from that of users, so that a change of the one does not move the other.
pub(super) const SALT: u64 = 0x6e65_6d65_7369_7321;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Killed at the beginning, started at the end.
    Kill(Process),
    /// Stopped at the beginning, continued at the end.
    Stop(Process),
    /// Cut at the beginning, mended at the end.
    Cut(Cut),
    /// Asked to end at the beginning, which takes what it takes; started at the end.
    End(Process),
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Since the load began.
    pub at: Duration,
    /// From its beginning to its end.
    pub lasts: Duration,
    /// What.
    pub harm: Harm,
}

/// How dense faults are.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the beginning of one to that of the next, on average.
    pub every: Duration,
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
    /// Faults come for so long, then none for so long, and so on; `None`: all the time.
    pub bursts: Option<(Duration, Duration)>,
}

impl Pace {
    /// When a fault that was to begin then may begin, and when all faults around it must have ended.
    fn burst(self, at: Duration) -> (Duration, Duration) {
        let Some((burst, quiet)) = self.bursts else { return (at, Duration::MAX) };
        let round = burst + quiet;
        let rounds = u32::try_from(at.as_nanos() / round.as_nanos().max(1)).unwrap_or(u32::MAX);
        let begin = round.saturating_mul(rounds);
        if at + self.shortest < begin + burst {
            (at, begin + burst)
        } else {
            (begin + round, begin + round + burst)
        }
    }
}

/// All of them, in the order of their beginnings. Two may overlap where they harm different things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    pub faults: Vec<Fault>,
}

impl Schedule {
    /// Draws faults for a load of that length; the last ends before it.
    pub fn draw(seed: u64, length: Duration, pace: Pace, cluster: &dyn Cluster) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ SALT);
        let (processes, links) = (cluster.processes().len(), cluster.links().len());
        let mut free = vec![Duration::ZERO; processes + links];
        let mut faults = Vec::new();
        if free.is_empty() {
            return Self::default();
        }
        let mut at = pace.every.mul_f64(rng.random_range(0.3..0.8));
        loop {
            let (begins, ends) = pace.burst(at);
            at = begins;
            let lasts = rng.random_range(pace.shortest..=pace.longest).min(ends - at);
            // There are two connections for each process: one fault in three is a cut, and not two.
            let is_cut = processes == 0 || links > 0 && rng.random_ratio(1, 3);
            let kind = if is_cut { processes..free.len() } else { 0..processes };
            // Of what is whole; where everything is harmed already, the next one waits.
            let whole: Vec<usize> = kind.clone().filter(|place| free[*place] <= at).collect();
            let Some(place) = whole.get(rng.random_range(0..whole.len().max(1))).copied() else {
                at = free[kind].iter().copied().min().unwrap_or(at);
                continue;
            };
            if at + lasts >= length {
                return Self { faults };
            }
            let harm = match place.checked_sub(processes) {
                Some(link) => Harm::Cut(link),
                None => match rng.random_range(0..4) {
                    0 | 1 => Harm::Kill(place),
                    2 => Harm::Stop(place),
                    _ => Harm::End(place),
                },
            };
            faults.push(Fault { at, lasts, harm });
            // What was harmed gets a moment to come back, so that faults are told apart.
            free[place] = at + lasts + pace.shortest;
            at += pace.every.mul_f64(rng.random_range(0.4..1.6));
        }
    }
}

impl Harm {
    /// Which thing it harms: processes first, then connections.
    pub const fn place(self, processes: usize) -> usize {
        match self {
            Self::Kill(process) | Self::Stop(process) | Self::End(process) => process,
            Self::Cut(link) => processes + link,
        }
    }

    /// For people.
    pub fn described(self, cluster: &dyn Cluster) -> String {
        let of = |names: Vec<String>, place: usize| names.get(place).cloned().unwrap_or_default();
        match self {
            Self::Kill(process) => format!("kill {}", of(cluster.processes(), process)),
            Self::Stop(process) => format!("stop {}", of(cluster.processes(), process)),
            Self::Cut(link) => format!("cut {}", of(cluster.links(), link)),
            Self::End(process) => format!("end {}", of(cluster.processes(), process)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::prove::history::{Deed, Harmed};
    use crate::prove::nemesis::Fallen;
    use async_trait::async_trait;
    use std::path::PathBuf;

    /// Names alone: a schedule asks for nothing else.
    pub(in super::super) struct Names;

    #[async_trait]
    impl Cluster for Names {
        fn processes(&self) -> Vec<String> {
            vec!["a".to_owned(), "b".to_owned()]
        }
        fn links(&self) -> Vec<String> {
            vec!["a to b".to_owned()]
        }
        fn urls(&self) -> Vec<String> {
            Vec::new()
        }
        fn metrics_urls(&self) -> Vec<String> {
            Vec::new()
        }
        fn key_file(&self) -> PathBuf {
            PathBuf::new()
        }
        async fn fallen(&self) -> Vec<Fallen> {
            Vec::new()
        }
        async fn end(&self) -> Vec<Fallen> {
            Vec::new()
        }
        fn harmed(&self, _: Harm) -> Harmed {
            Harmed { deed: Deed::Kill, parts: Vec::new(), targets: Vec::new() }
        }
        async fn kill(&self, _: Process) -> anyhow::Result<()> {
            Ok(())
        }
        async fn leave(&self, _: Process) -> anyhow::Result<()> {
            Ok(())
        }
        async fn restart(&self, _: Process) -> anyhow::Result<()> {
            Ok(())
        }
        async fn stop(&self, _: Process) -> anyhow::Result<()> {
            Ok(())
        }
        async fn cont(&self, _: Process) -> anyhow::Result<()> {
            Ok(())
        }
    }

    const PACE: Pace = Pace {
        every: Duration::from_secs(2),
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(4),
        bursts: None,
    };
    const LENGTH: Duration = Duration::from_secs(120);

    #[test]
    fn the_same_seed_draws_the_same_faults_and_another_one_does_not() {
        let draw = |seed| Schedule::draw(seed, LENGTH, PACE, &Names);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn between_bursts_there_is_no_fault() {
        let (burst, quiet) = (Duration::from_secs(10), Duration::from_secs(20));
        let pace = Pace { bursts: Some((burst, quiet)), ..PACE };
        let faults = Schedule::draw(5, LENGTH, pace, &Names).faults;
        let rounds: std::collections::BTreeSet<u128> = faults
            .iter()
            .map(|fault| {
                let round = fault.at.as_nanos() / (burst + quiet).as_nanos();
                let begin = (burst + quiet) * u32::try_from(round).unwrap();
                assert!(fault.at >= begin && fault.at + fault.lasts <= begin + burst, "{fault:?}");
                round
            })
            .collect();
        assert_eq!(rounds.len(), 4, "each burst has faults");
    }

    #[test]
    fn faults_overlap_but_never_on_one_thing_and_all_end_within_the_load() {
        let faults = Schedule::draw(5, LENGTH, PACE, &Names).faults;
        assert!(faults.len() > 20, "{}", faults.len());
        let mut overlaps = 0;
        for (index, fault) in faults.iter().enumerate() {
            assert!(fault.at + fault.lasts < LENGTH);
            for later in faults[index + 1..].iter().filter(|later| later.at < fault.at + fault.lasts) {
                overlaps += 1;
                assert_ne!(fault.harm.place(2), later.harm.place(2));
            }
        }
        assert!(overlaps > 3, "{overlaps}");
        let each: [fn(&Harm) -> bool; 4] = [
            |harm| matches!(harm, Harm::Kill(_)),
            |harm| matches!(harm, Harm::Stop(_)),
            |harm| matches!(harm, Harm::Cut(_)),
            |harm| matches!(harm, Harm::End(_)),
        ];
        assert!(each.iter().all(|is| faults.iter().any(|fault| is(&fault.harm))), "{faults:?}");
    }
}
