//! Runs named tasks: the first that fails, or ends unasked, ends the process.

use std::collections::HashMap;
use std::future::Future;

use anyhow::{Context, Result, anyhow};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};

/// Owns the process's root tasks.
#[derive(Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Supervisor {
    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until a task ends that nobody asked to, and says why it did. For ever, where there is none.
    ///
    /// *Cancel safety*: no end is lost.
    pub async fn first_end(&mut self) -> anyhow::Error {
        match self.next_end().await {
            Some((name, Ok(()))) => anyhow!("{name} ended unasked"),
            Some((_, Err(error))) => error,
            None => std::future::pending().await,
        }
    }

    /// Waits for all tasks, which have been asked to end. Names those that failed or did not end in time, and ends
    /// these.
    pub async fn all_ended_by(&mut self, deadline: Instant) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        while let Ok(Some((_, ended))) = timeout_at(deadline, self.next_end()).await {
            wrong.extend(ended.err().map(|error| format!("{error:#}")));
        }
        if !self.tasks.is_empty() {
            wrong.extend(self.names.values().map(|name| format!("{name} did not end in time")));
            self.tasks.abort_all();
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    async fn next_end(&mut self) -> Option<(&'static str, Result<()>)> {
        let (id, ended) = match self.tasks.join_next_with_id().await? {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), Err(error.into())),
        };
        let name = self.names.remove(&id).expect("each task was named when it was spawned");
        Some((name, ended.with_context(|| format!("{name} failed"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::time::Duration;

    #[tokio::test]
    async fn a_task_that_fails_is_named_with_its_cause() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("steady", pending());
        supervisor.spawn("broken", async { Err(anyhow!("out of paper")) });

        assert_eq!(format!("{:#}", supervisor.first_end().await), "broken failed: out of paper");
    }

    #[tokio::test]
    async fn a_panic_and_an_unasked_end_are_failures_too() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("panics", async { panic!("told to") });
        assert!(format!("{:#}", supervisor.first_end().await).starts_with("panics failed: "));

        supervisor.spawn("leaves", async { Ok(()) });
        assert_eq!(supervisor.first_end().await.to_string(), "leaves ended unasked");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_in_time_is_named_and_ended() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("obedient", async { Ok(()) });
        supervisor.spawn("stubborn", pending());

        let wrong = supervisor.all_ended_by(Instant::now() + Duration::from_secs(1)).await;

        assert_eq!(wrong, Err(vec!["stubborn did not end in time".to_owned()]));
    }
}
