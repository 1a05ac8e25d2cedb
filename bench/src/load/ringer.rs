//! A back end that rings users over several connections at once, many users with each call.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::clock::{self, Moment};
use super::fleet::{Fleet, Interrupted};
use super::laps::Laps;
use super::orders::Place;
use super::publisher::{BACK_END, Publisher};
use super::schedule::Schedule;
use super::spread::Spread;
use super::target::Target;
use super::trial::Trial;

/// The longest step of a wait: so soon is an end noticed.
const STEP: Duration = Duration::from_millis(100);

/// Its connections, and whom it rings.
pub struct Ringer {
    callers: Vec<Publisher>,
    /// What users' names begin with.
    users: String,
    laps: Laps,
    /// Users of one call at most.
    batch: u64,
}

/// Makes a call: for these rings, the first of which was due then, with that version.
type Call<'a> = dyn FnMut(Range<u64>, Moment, Moment) -> anyhow::Result<()> + 'a;

/// How it goes about it.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Connections at once.
    pub connections: NonZeroU32,
    /// Users of one call at most.
    pub batch: NonZeroU32,
}

/// What became of the calls.
#[derive(Default)]
pub struct Calls {
    /// From when the first ring of a call was due to its answer.
    pub answered: Spread,
    /// From when the first ring of a call was due to when it was written.
    pub behind: Spread,
    /// When the last answer was there.
    pub answered_at: Moment,
    /// Calls that were answered.
    pub calls: u64,
    /// Rings of calls that were refused or failed.
    pub refused: u64,
    /// What the last of those was told.
    pub why: Option<String>,
}

impl Ringer {
    /// Connects to a server, to ring the users of this round of a topic.
    ///
    /// # Errors
    /// Nobody listens there, it takes longer than `--deadline`, there is no key, or the tool was asked to end.
    pub async fn of(
        trial: &mut Trial<'_>,
        (fleet, target): (&mut Fleet, &Target),
        (topic, laps): (Option<String>, Laps),
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let (key, topic) = target.api_key.clone().zip(topic).context("a back end needs an API key")?;
        let connections = usize::try_from(manner.connections.get()).unwrap_or(usize::MAX);
        let each: Vec<Vec<Place>> =
            target.call_at().cycle().take(connections).map(<[Place]>::to_vec).collect();
        let (users, batch) = (trial.users(), manner.batch.get().into());
        let connecting = move |stop: &CancellationToken| {
            let callers = each.iter().map(|places| Publisher::connect(places, &key, &topic, stop));
            Ok(Self { callers: callers.collect::<anyhow::Result<_>>()?, users, laps, batch })
        };
        fleet.within((BACK_END, trial.asked.size.deadline), connecting, &mut trial.line).await?
    }

    /// Connections after the first ones.
    pub fn reconnects(&self) -> u64 {
        self.callers.iter().map(|caller| caller.reconnects()).sum()
    }

    /// Rings by a schedule, whatever comes back: a connection that is free takes all that is due. The version of a call is the moment at
    /// which its last ring was due.
    ///
    /// # Errors
    /// The tool was asked to end.
    pub fn follow(&mut self, schedule: Schedule, stop: &CancellationToken) -> anyhow::Result<Calls> {
        let (next, batch) = (Mutex::new(0), self.batch);
        self.all(stop, |stop, ring| {
            loop {
                let (first, end) = {
                    let mut next = next.lock();
                    // Who holds it waits for what is due; the others have nothing to do meanwhile.
                    let due = due(schedule, *next, stop)?;
                    let first = *next;
                    *next = due.min(first + batch);
                    (first, *next)
                };
                if first == end {
                    return Ok(());
                }
                ring(first..end, schedule.due(first), schedule.due(end - 1))?;
            }
        })
    }

    /// Rings each user once, as fast as calls are answered; the version of a call is the moment of its making.
    ///
    /// # Errors
    /// As [`Ringer::follow`].
    pub fn lap(&mut self, lap: u64, users: u64, stop: &CancellationToken) -> anyhow::Result<Calls> {
        let (next, end, batch) = (AtomicU64::new(lap * users), (lap + 1) * users, self.batch);
        self.all(stop, |stop, ring| {
            loop {
                ensure!(!stop.is_cancelled(), Interrupted);
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= end {
                    return Ok(());
                }
                let now = clock::now();
                ring(first..end.min(first + batch), now, now)?;
            }
        })
    }

    /// Has each connection do it, on a thread of its own; who does it is handed what makes a call. Where one fails, all leave off.
    fn all(
        &mut self,
        stop: &CancellationToken,
        work: impl Fn(&CancellationToken, &mut Call<'_>) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<Calls> {
        let (users, laps, work, stop) = (&self.users, self.laps, &work, &stop.child_token());
        let each = thread::scope(|scope| {
            let callers = self.callers.iter_mut().map(|caller| {
                scope.spawn(move || {
                    let mut calls = Calls::default();
                    let worked = work(stop, &mut |rings, due, version| {
                        let count = rings.end - rings.start;
                        calls.behind.record(clock::now().saturating_sub(due));
                        let sessions = rings.map(|number| laps.user(number));
                        let answer = caller.ring(version, sessions, |session| format!("{users}{session}"));
                        calls.take(answer, due, count)
                    });
                    worked.map(|()| calls).inspect_err(|_| stop.cancel())
                })
            });
            let callers: Vec<_> = callers.collect();
            let mut each: Vec<anyhow::Result<Calls>> =
                callers.into_iter().map(|caller| caller.join().expect("it does not panic")).collect();
            // Who was told to leave off does not know why.
            each.sort_by_key(|one| one.as_ref().is_err_and(|error| error.is::<Interrupted>()));
            each
        });
        each.into_iter().try_fold(Calls::default(), |all, one| Ok(all.plus(one?)))
    }
}

/// Waits until more than `known` rings are due, or all have been; answers how many are.
fn due(schedule: Schedule, known: u64, stop: &CancellationToken) -> anyhow::Result<u64> {
    loop {
        ensure!(!stop.is_cancelled(), Interrupted);
        let now = clock::now();
        let due = schedule.due_by(now);
        if due > known || known == schedule.count {
            return Ok(due);
        }
        let left = Duration::from_micros(schedule.due(known).saturating_sub(now));
        thread::park_timeout(left.min(STEP));
    }
}

impl Calls {
    /// One call more. One that is refused or fails is counted: the schedule goes on, with the next connection.
    fn take(&mut self, answer: anyhow::Result<()>, due: Moment, rings: u64) -> anyhow::Result<()> {
        match answer {
            Ok(()) => {
                self.calls += 1;
                self.answered_at = clock::now();
                self.answered.record(self.answered_at.saturating_sub(due));
            }
            Err(error) => {
                ensure!(!error.is::<Interrupted>(), error);
                self.refused += rings;
                self.why = Some(format!("{error:#}"));
            }
        }
        Ok(())
    }

    /// Both together.
    pub fn plus(mut self, other: Self) -> Self {
        self.answered.merge(&other.answered.counts());
        self.behind.merge(&other.behind.counts());
        Self {
            answered_at: self.answered_at.max(other.answered_at),
            calls: self.calls + other.calls,
            refused: self.refused + other.refused,
            why: self.why.or(other.why),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_fails_is_counted_with_why_and_one_that_is_to_end_ends() {
        let mut calls = Calls::default();

        calls.take(Err(anyhow::anyhow!("no answer to a publish")), 0, 7).unwrap();
        assert_eq!(
            (calls.calls, calls.refused, calls.why.as_deref()),
            (0, 7, Some("no answer to a publish"))
        );
        assert!(calls.take(Err(Interrupted.into()), 0, 7).unwrap_err().is::<Interrupted>());
        calls.take(Ok(()), 0, 7).unwrap();
        assert_eq!((calls.calls, calls.refused), (1, 7));
    }
}
