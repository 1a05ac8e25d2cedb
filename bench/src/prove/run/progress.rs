//! How a run goes, for who watches it: one line that changes on a terminal, a line a second elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::prove::stage::Stage;

/// Writes until it is ended.
pub struct Terminal {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Terminal {
    /// Begins.
    pub fn begin(shared: &Arc<Stage>) -> Self {
        let (stop, shared) = (CancellationToken::new(), Arc::clone(shared));
        let mut task = JoinSet::new();
        let stopped = stop.clone();
        task.spawn(async move {
            let changing = std::io::stdout().is_terminal();
            let mut ticks = interval(Duration::from_secs(1));
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                let line = shared.progress.line(shared.phase_now(), shared.recorder.now());
                // Who closed the output does not want to be told.
                let _ = if changing {
                    write!(std::io::stdout(), "\r\x1b[2K{line}").and_then(|()| std::io::stdout().flush())
                } else {
                    writeln!(std::io::stdout(), "{line}")
                };
            }
            if changing {
                let _ = writeln!(std::io::stdout());
            }
        });
        Self { stop, task }
    }

    /// Writes no more.
    pub async fn end(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}
