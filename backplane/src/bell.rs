//! The bell: which partitions may have users ready.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Partition;

/// Partitions that rang and that nobody has looked at yet, each once.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    /// Holds a permit for at most one waiter who is not there yet; whoever comes looks at `rung` first.
    waiters: Notify,
}

#[derive(Debug)]
struct Rung {
    order: VecDeque<Partition>,
    /// By partition: whether it stands in `order`.
    waiting: Vec<bool>,
}

impl Bell {
    pub(crate) fn new(partitions: usize) -> Self {
        let rung = Rung { order: VecDeque::with_capacity(partitions), waiting: vec![false; partitions] };
        Self { rung: Mutex::new(rung), waiters: Notify::new() }
    }

    /// Rings for a partition and wakes one waiter, unless it rang already and nobody has come yet.
    pub(crate) fn ring(&self, partition: Partition) {
        {
            let mut rung = self.rung.lock();
            if std::mem::replace(&mut rung.waiting[partition.index()], true) {
                return;
            }
            rung.order.push_back(partition);
        }
        self.waiters.notify_one();
    }

    /// Waits for a ring that nobody has answered. The longest unanswered is first.
    ///
    /// *Cancel safety*: a ring is taken only as this returns; a dropped waiter hands its wake-up on.
    pub(crate) async fn wait(&self) -> Partition {
        loop {
            let woken = self.waiters.notified();
            tokio::pin!(woken);
            // In line before looking: a ring between the look and the wait finds a waiter.
            woken.as_mut().enable();
            if let Some(partition) = self.answer() {
                return partition;
            }
            woken.await;
        }
    }

    fn answer(&self) -> Option<Partition> {
        let mut rung = self.rung.lock();
        let partition = rung.order.pop_front()?;
        rung.waiting[partition.index()] = false;
        Some(partition)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::Partitions;

    const PARTITIONS: u16 = 8;

    fn partitions() -> Vec<Partition> {
        Partitions::new(NonZeroU16::new(PARTITIONS).unwrap()).all().collect()
    }

    async fn silent(bell: &Bell) -> bool {
        timeout(Duration::from_secs(60), bell.wait()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_ring_before_the_wait_is_heard_once() {
        let bell = Bell::new(PARTITIONS.into());
        let all = partitions();
        for partition in [all[3], all[1], all[3]] {
            bell.ring(partition);
        }

        assert_eq!((bell.wait().await, bell.wait().await), (all[3], all[1]));
        assert!(silent(&bell).await);
        bell.ring(all[3]);
        assert_eq!(bell.wait().await, all[3]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_ring_wakes_one_waiter() {
        let bell = Arc::new(Bell::new(PARTITIONS.into()));
        let mut waiters = JoinSet::new();
        for _ in 0..3 {
            let bell = Arc::clone(&bell);
            waiters.spawn(async move { bell.wait().await });
        }
        tokio::task::yield_now().await;

        bell.ring(partitions()[0]);

        assert_eq!(waiters.join_next().await.unwrap().unwrap(), partitions()[0]);
        assert!(timeout(Duration::from_secs(60), waiters.join_next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_hands_its_ring_on() {
        let bell = Bell::new(PARTITIONS.into());
        let ring = partitions()[5];
        {
            let mut first = Box::pin(bell.wait());
            assert!(timeout(Duration::ZERO, &mut first).await.is_err());
            bell.ring(ring);
        }
        assert_eq!(bell.wait().await, ring);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_ring_is_lost_among_many_ringers_and_waiters() {
        let bell = Arc::new(Bell::new(PARTITIONS.into()));
        let mut tasks = JoinSet::new();
        let work = Arc::new(Mutex::new(vec![0_u32; PARTITIONS.into()]));
        for partition in partitions() {
            let (bell, work) = (Arc::clone(&bell), Arc::clone(&work));
            tasks.spawn(async move {
                for _ in 0..500 {
                    work.lock()[partition.index()] += 1;
                    bell.ring(partition);
                    tokio::task::yield_now().await;
                }
            });
        }
        let done = Arc::new(Mutex::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..3 {
            let (bell, work, done) = (Arc::clone(&bell), Arc::clone(&work), Arc::clone(&done));
            workers.spawn(async move {
                loop {
                    let partition = bell.wait().await;
                    let found = std::mem::take(&mut work.lock()[partition.index()]);
                    *done.lock() += found;
                }
            });
        }
        while let Some(ringer) = tasks.join_next().await {
            ringer.unwrap();
        }

        let all = timeout(Duration::from_secs(30), async {
            while *done.lock() < 500 * u32::from(PARTITIONS) {
                tokio::task::yield_now().await;
            }
        });
        all.await.expect("every piece of work is found by a ring");
    }
}
