//! What is seen second by second: live, for who watches, as a timeline, for the report, and whether the server is still there. The processes with the sockets say what each
//! second had once it is over, a message a second each; CPU is read from `/proc` once a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::clock::{self, Moment};
use super::orders::Second;
use super::spread::Spread;
use super::timeline::{Sample, Timeline};
use super::tool::{Measured, Used};
use super::trial::Side;
use super::usage::{Meter, available_bytes};

const SECOND_US: u64 = 1_000_000;
/// Seconds that may still be told of by a process that is late with it; then they are over.
const LATE_SECONDS: usize = 4;
/// More than two days; what comes later is seen live alone.
const SAMPLES: usize = 200_000;

/// A handle: whoever has one sees the same.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Mutex<Seen>>);

/// What the last whole second had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The second itself.
    pub last: Sample,
    /// 99 of 100 of all so far were not longer: of hints that count, or of sessions where none do yet.
    pub p99_us: Option<u64>,
}

/// Nothing is seen until a side begins.
#[derive(Default)]
struct Seen {
    side: Option<Watched>,
    /// Memory that was available on the machine before anything of a side was started; nothing where that is not known.
    available: Option<u64>,
}

/// A server of the tool's own ended though nobody asked it to: there is nothing to measure any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ended by itself (process {number}), in the part {part:?}", who(*.side))]
pub struct Gone {
    side: Side,
    number: u32,
    part: String,
}

const fn who(side: Side) -> &'static str {
    match side {
        Side::Doorbell => "the server",
        Side::Bare => "the bare loop",
    }
}

/// One side.
struct Watched {
    side: Side,
    meter: Meter,
    /// Whether it is killed on purpose, and not there again.
    is_killed: bool,
    /// The least memory that was available on the machine since it began.
    available_least: Option<u64>,
    processes: Vec<u32>,
    /// The first second.
    first: u64,
    part: String,
    /// Sessions open, as each process said last.
    open: BTreeMap<usize, u64>,
    looked: Look,
    /// Those that are not over for everybody, the oldest first.
    gathering: VecDeque<Gathering>,
    samples: Vec<Sample>,
    so_far: Spread,
    counts: bool,
}

/// CPU up to a moment.
struct Look {
    /// The second in which it was.
    number: u64,
    server: Option<f64>,
    tool: Used,
}

struct Gathering {
    sample: Sample,
    welcome: Spread,
    late: Spread,
    late_ring: Spread,
}

impl Pulse {
    /// A server of the tool's own, or a bare loop, is about to be started: what the machine has less from now on is theirs and the tool's.
    pub fn starts(&self) {
        self.0.lock().available = available_bytes();
    }

    /// How much less memory was available on the machine than before all was started, at most; `None` where somebody else started it.
    pub fn machine_bytes(&self) -> Option<u64> {
        let mut seen = self.0.lock();
        let before = seen.available?;
        Some(before.saturating_sub(seen.side.as_mut()?.look_at_memory()?))
    }

    /// A side's sessions are about to be opened, by these processes.
    pub fn begin(&self, side: Side, meter: &Meter, processes: Vec<u32>) {
        let first = clock::now() / SECOND_US;
        let looked = Look { number: first, server: meter.cpu_seconds(), tool: Used::now(&processes) };
        self.0.lock().side = Some(Watched {
            side,
            meter: meter.clone(),
            is_killed: false,
            available_least: available_bytes(),
            processes,
            first,
            part: String::new(),
            open: BTreeMap::new(),
            looked,
            gathering: VecDeque::new(),
            samples: Vec::new(),
            so_far: Spread::coarse(),
            counts: false,
        });
    }

    /// From now on hints count.
    pub fn measure(&self) {
        if let Some(watched) = &mut self.0.lock().side {
            (watched.counts, watched.so_far) = (true, Spread::coarse());
        }
    }

    /// The server is about to be killed on purpose.
    pub fn kills(&self) {
        if let Some(watched) = &mut self.0.lock().side {
            watched.is_killed = true;
        }
    }

    /// The server was killed and started again: its CPU is that of other processes from now on.
    pub fn started_again(&self, meter: &Meter) {
        if let Some(watched) = &mut self.0.lock().side {
            (watched.meter, watched.is_killed) = (meter.clone(), false);
            watched.looked.server = None;
        }
    }

    /// What goes on.
    pub fn part(&self, part: &str) {
        if let Some(watched) = &mut self.0.lock().side
            && watched.part != part
        {
            part.clone_into(&mut watched.part);
        }
    }

    /// What a process saw in a second.
    pub fn second(&self, process: usize, second: &Second) {
        if let Some(watched) = &mut self.0.lock().side {
            watched.second(process, second);
        }
    }

    /// Looks at CPU where a second is over.
    ///
    /// # Errors
    /// The server is gone.
    pub fn look(&self) -> Result<(), Gone> {
        self.0.lock().side.as_mut().map_or(Ok(()), |watched| watched.look(clock::now()))
    }

    /// For who watches.
    pub fn live(&self) -> Live {
        let seen = self.0.lock();
        let Some(watched) = &seen.side else { return Live::default() };
        // The newest is not told of by everybody.
        let known = watched.gathering.len().checked_sub(2).and_then(|at| watched.gathering.get(at));
        let last = known.map(Gathering::sample).or_else(|| watched.samples.last().cloned());
        Live { last: last.unwrap_or_default(), p99_us: watched.so_far.quantile(0.99) }
    }

    /// Ends a side; `None` where none had begun.
    pub fn end(&self) -> Option<Timeline> {
        let watched = self.0.lock().side.take()?;
        let (side, mut seconds) = (watched.side, watched.samples);
        seconds.extend(watched.gathering.iter().map(Gathering::sample));
        Some(Timeline { side, seconds })
    }
}

impl Watched {
    /// What is gathered of a second; `None` of one that is over or was before the first.
    fn gathering(&mut self, number: u64) -> Option<&mut Gathering> {
        let at = number.checked_sub(self.first)?;
        let next = self.gathering.back().map_or(self.samples.len() as u64, |last| last.sample.at + 1);
        let full = SAMPLES as u64;
        for at in next..=at.min(full) {
            self.gathering.push_back(Gathering {
                sample: Sample { at, part: self.part.clone(), ..Sample::default() },
                welcome: Spread::coarse(),
                late: Spread::coarse(),
                late_ring: Spread::coarse(),
            });
            if self.gathering.len() > LATE_SECONDS {
                self.samples.extend(self.gathering.pop_front().map(|over| over.sample()));
            }
        }
        self.gathering.iter_mut().rev().find(|gathering| gathering.sample.at == at)
    }

    fn second(&mut self, process: usize, second: &Second) {
        self.open.insert(process, second.open);
        self.so_far.merge(if self.counts { &second.late } else { &second.welcome });
        let (open, part) = (self.open.values().sum(), self.part.clone());
        let Some(gathering) = self.gathering(second.number) else { return };
        let Gathering { sample, welcome, late, late_ring } = gathering;
        (sample.open, sample.part) = (open, part);
        sample.welcomed += second.welcomed;
        sample.hints += second.hints;
        sample.rings += second.rings;
        welcome.merge(&second.welcome);
        late.merge(&second.late);
        late_ring.merge(&second.late_ring);
    }

    /// The least that was available so far.
    fn look_at_memory(&mut self) -> Option<u64> {
        self.available_least = self.available_least.into_iter().chain(available_bytes()).min();
        self.available_least
    }

    /// CPU of the second that is over; of several, where nobody looked in between, it is that of the last.
    fn look(&mut self, now: Moment) -> Result<(), Gone> {
        let number = now / SECOND_US;
        if number <= self.looked.number {
            return Ok(());
        }
        self.look_at_cpu(number);
        self.look_at_memory();
        match self.meter.gone().filter(|_| !self.is_killed) {
            Some(number) => Err(Gone { side: self.side, number, part: self.part.clone() }),
            None => Ok(()),
        }
    }

    fn look_at_cpu(&mut self, number: u64) {
        let next = Look { number, server: self.meter.cpu_seconds(), tool: Used::now(&self.processes) };
        let before = std::mem::replace(&mut self.looked, next);
        let spent = self.looked.tool.since(&before.tool, Measured::Time);
        let server = self.looked.server.zip(before.server).map(|(now, before)| now - before);
        let Some(Gathering { sample, .. }) = self.gathering(number - 1) else { return };
        sample.server_cpu = server.filter(|_| spent.seconds > 0.0).map(|cpu| cpu * 100.0 / spent.seconds);
        (sample.tool_cpu, sample.tool_busiest_cpu) = (spent.percent(), spent.busiest_percent());
    }
}

impl Gathering {
    fn sample(&self) -> Sample {
        Sample {
            welcome_p99_us: self.welcome.quantile(0.99),
            late_p50_us: self.late.quantile(0.5),
            late_p99_us: self.late.quantile(0.99),
            late_ring_p50_us: self.late_ring.quantile(0.5),
            late_ring_p99_us: self.late_ring.quantile(0.99),
            ..self.sample.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::spread::Counts;

    fn begun() -> (Pulse, u64) {
        let pulse = Pulse::default();
        pulse.begin(Side::Bare, &Meter::Processes(vec![std::process::id()]), vec![std::process::id()]);
        let first = pulse.0.lock().side.as_ref().unwrap().first;
        (pulse, first)
    }

    fn second(number: u64, open: u64, late: &[(u64, u64)]) -> Second {
        let hints = late.iter().map(|(_, count)| count).sum();
        Second { number, open, hints, welcomed: open, late: Counts(late.to_vec()), ..Second::default() }
    }

    #[test]
    fn what_several_processes_saw_of_a_second_is_one_sample() {
        let (pulse, first) = begun();
        pulse.part("ringing");
        pulse.measure();

        pulse.second(0, &second(first, 3, &[(10, 99)]));
        pulse.second(0, &second(first + 1, 4, &[]));
        // This one is late with it; and of the next it says nothing yet.
        let rung =
            Second { rings: 2, late_ring: Counts(vec![(5, 1), (40, 1)]), ..second(first, 5, &[(70, 1)]) };
        pulse.second(1, &rung);

        let timeline = pulse.end().unwrap();
        assert_eq!((timeline.side, timeline.seconds.len()), (Side::Bare, 2));
        let Sample { at, part, open, hints, late_p50_us, late_p99_us, rings, .. } = &timeline.seconds[0];
        assert_eq!((*at, part.as_str(), *open, *hints), (0, "ringing", 9, 100));
        assert_eq!((*late_p50_us, *late_p99_us), (Some(10), Some(10)));
        let Sample { late_ring_p50_us, late_ring_p99_us, .. } = &timeline.seconds[0];
        assert_eq!((*rings, *late_ring_p50_us, *late_ring_p99_us), (2, Some(5), Some(40)));
        assert_eq!((timeline.seconds[1].open, timeline.seconds[1].late_p99_us), (4, None));
        assert_eq!(pulse.end(), None);
    }

    #[test]
    fn there_is_a_sample_of_every_second_and_none_of_one_before_the_first() {
        let (pulse, first) = begun();

        pulse.second(0, &second(first - 1, 1, &[]));
        pulse.second(0, &second(first + 9, 2, &[(5, 1)]));
        // Long over.
        pulse.second(1, &second(first + 1, 3, &[(5, 1)]));

        let seconds = pulse.end().unwrap().seconds;
        assert_eq!(seconds.iter().map(|sample| sample.at).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(seconds.iter().map(|sample| sample.hints).sum::<u64>(), 1);
    }

    #[test]
    fn cpu_is_that_of_a_second_and_what_is_live_is_known_of_all() {
        let (pulse, first) = begun();
        pulse.second(0, &second(first, 1, &[]));
        pulse.second(0, &second(first + 1, 2, &[]));

        let live = pulse.live();
        assert_eq!((live.last.at, live.last.open, live.p99_us), (0, 1, None));
        let look = |number: u64| {
            let mut seen = pulse.0.lock();
            seen.side.as_mut().unwrap().look(number * SECOND_US).unwrap();
        };
        look(first);
        look(first + 1);
        let seconds = pulse.end().unwrap().seconds;
        assert!(seconds[0].tool_cpu.is_some() && seconds[0].server_cpu.is_some(), "{seconds:?}");
        assert_eq!(seconds[1].tool_cpu, None);
    }

    #[test]
    fn memory_of_the_machine_is_the_most_that_was_missing_since_before_the_start() {
        let (pulse, _) = begun();
        assert_eq!(pulse.machine_bytes(), None, "somebody else started it");

        pulse.starts();
        pulse.0.lock().available = Some(1 << 60);
        pulse.0.lock().side.as_mut().unwrap().available_least = Some(1 << 20);
        assert_eq!(pulse.machine_bytes(), Some((1 << 60) - (1 << 20)));
        // What is available again takes nothing from it.
        let least = pulse.0.lock().side.as_ref().unwrap().available_least;
        assert_eq!(least, Some(1 << 20));
    }

    #[test]
    fn a_server_that_is_gone_is_told_once_a_second_is_over_unless_it_is_killed_on_purpose() {
        // Nobody has asked for its end: its number stays.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pulse, first) = begun();
        let own = Meter::Processes(vec![std::process::id()]);
        let look = |seconds: u64| {
            let mut seen = pulse.0.lock();
            seen.side.as_mut().unwrap().look((first + seconds) * SECOND_US)
        };
        pulse.part("ringing");
        assert_eq!(look(1), Ok(()));

        pulse.started_again(&Meter::Processes(vec![std::process::id(), child.id()]));
        while crate::process::is_there(child.id()) {
            std::thread::yield_now();
        }
        assert_eq!(look(1), Ok(()), "it was looked at in this second");
        let told = look(2).unwrap_err().to_string();
        assert_eq!(
            told,
            format!("the bare loop ended by itself (process {}), in the part \"ringing\"", child.id())
        );

        pulse.kills();
        assert_eq!(look(3), Ok(()));
        pulse.started_again(&own);
        assert_eq!(look(4), Ok(()));
        child.wait().unwrap();
    }
}
