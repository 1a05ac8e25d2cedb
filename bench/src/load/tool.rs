//! What the tool itself uses: its processes with the sockets, one thread each, and the one that they belong to.

use super::clock::{self, Moment};
use super::usage::{cpu_seconds, waited_seconds};

/// A process with one thread that runs for more of the time than this, or waits for a CPU to run on, hardly waits for the server: it is what
/// limits.
const BUSY_PERCENT: f64 = 90.0;
/// A process that runs without a pause for a shorter time has had no time to be what limits.
const SHORTEST_SECONDS: f64 = 0.5;

/// What all of them had used at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    at: Moment,
    /// This process.
    own: f64,
    /// Those with the sockets, in their order; 0 of one that is gone. Beside it, how long each waited for a CPU.
    each: Vec<(f64, f64)>,
}

/// What they used from one moment to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// From the one to the other.
    pub seconds: f64,
    /// CPU of all of them.
    pub cpu_seconds: f64,
    /// CPU of the process with sockets that used most.
    pub busiest_seconds: f64,
    /// How long the process with sockets ran or waited for a CPU that did so for longest.
    pub longest_seconds: f64,
    /// How many there are with sockets.
    pub processes: usize,
    /// What was measured meanwhile.
    pub of: Measured,
}

/// What was measured while CPU was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measured {
    /// Nothing in particular.
    #[default]
    Time,
    /// Sessions, as they were opened.
    Sessions,
    /// Sessions that were lost, as they came back.
    Returns,
    /// Hints.
    Hints,
}

impl Used {
    /// Now; the numbers are those of the processes with sockets.
    pub fn now(processes: &[u32]) -> Self {
        let used = |process: u32| cpu_seconds(process).unwrap_or(0.0);
        let each = processes.iter().map(|process| (used(*process), waited_seconds(*process).unwrap_or(0.0)));
        let each = each.collect();
        Self { at: clock::now(), own: used(std::process::id()), each }
    }

    /// What was used from `before` to this moment, for what was measured meanwhile.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run, far below 2^53")]
    pub fn since(&self, before: &Self, of: Measured) -> Spent {
        let (mut sum, mut busiest, mut longest) = (0.0, 0.0_f64, 0.0_f64);
        for (now, before) in self.each.iter().zip(&before.each) {
            let (ran, waited) = ((now.0 - before.0).max(0.0), (now.1 - before.1).max(0.0));
            sum += ran;
            (busiest, longest) = (busiest.max(ran), longest.max(ran + waited));
        }
        Spent {
            seconds: self.at.saturating_sub(before.at) as f64 / 1e6,
            cpu_seconds: sum + self.own - before.own,
            busiest_seconds: busiest,
            longest_seconds: longest,
            processes: self.each.len(),
            of,
        }
    }
}

impl Spent {
    /// CPU of all of them, in hundredths of one core; `None` where there was no time.
    pub fn percent(&self) -> Option<f64> {
        self.share(self.cpu_seconds)
    }

    /// CPU of the process with sockets that used most, in hundredths of one core.
    pub fn busiest_percent(&self) -> Option<f64> {
        self.share(self.busiest_seconds)
    }

    fn share(&self, cpu_seconds: f64) -> Option<f64> {
        (self.seconds > 0.0).then(|| cpu_seconds * 100.0 / self.seconds)
    }

    /// What to know and to do where one of the processes with sockets was what limited.
    pub fn limit(&self) -> Option<String> {
        let busiest = self.busiest_percent().filter(|_| self.seconds >= SHORTEST_SECONDS)?;
        let longest = self.share(self.longest_seconds)?;
        if busiest > BUSY_PERCENT {
            let more = self.processes * 2;
            return Some(format!(
                "one of its processes with sockets used {busiest:.0} % of a core, and has one thread: take more of them \
                 (--processes {more}), where there are cores for them, or a machine of its own for the tool"
            ));
        }
        (longest > BUSY_PERCENT).then(|| {
            format!(
                "one of its processes with sockets ran or waited for a CPU for {longest:.0} % of the time: give it CPUs of its own \
                 (--tool-cpus) or a machine of its own, and see what else runs here"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_the_sum_and_the_busiest_is_told_apart() {
        let before = Used { at: 1_000_000, own: 1.0, each: vec![(5.0, 1.0), (0.0, 2.0), (7.0, 9.0)] };
        // The third is gone.
        let after = Used { at: 3_000_000, own: 1.5, each: vec![(5.5, 2.2), (1.0, 2.5), (0.0, 0.0)] };

        let spent = after.since(&before, Measured::Hints);

        assert_eq!((spent.seconds, spent.cpu_seconds, spent.busiest_seconds), (2.0, 2.0, 1.0));
        assert_eq!((spent.percent(), spent.busiest_percent()), (Some(100.0), Some(50.0)));
        assert!((spent.longest_seconds - 1.7).abs() < 1e-9, "{spent:?}");
        assert_eq!((spent.limit(), Spent::default().percent()), (None, None));
    }

    #[test]
    fn a_process_that_hardly_waits_is_the_limit_where_it_was_looked_at_for_long_enough() {
        let of = |busiest_seconds, longest_seconds, seconds| {
            let (cpu_seconds, processes, of) = (9.0, 3, Measured::Hints);
            Spent { seconds, cpu_seconds, busiest_seconds, longest_seconds, processes, of }.limit()
        };

        assert_eq!([of(0.89, 0.89, 1.0), of(0.4, 0.4, 0.4)], [const { None }; 2]);
        let limit = of(9.4, 9.8, 10.0).unwrap();
        assert!(limit.contains("used 94 % of a core") && limit.contains("--processes 6"), "{limit}");
        let limit = of(2.0, 9.3, 10.0).unwrap();
        assert!(limit.contains("waited for a CPU for 93 %") && limit.contains("--tool-cpus"), "{limit}");
    }

    #[test]
    fn this_process_uses_cpu() {
        let before = Used::now(&[]);
        let mut spent = Spent::default();
        while spent.cpu_seconds <= 0.0 {
            spent = Used::now(&[]).since(&before, Measured::Time);
        }
        assert!(spent.seconds > 0.0 && spent.busiest_seconds == 0.0, "{spent:?}");
    }
}
