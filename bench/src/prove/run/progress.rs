//! How a run goes, for who watches it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::bar::Bar;
use crate::prove::stage::Stage;

/// How often it is looked at; what is shown may be less often.
const LOOK: Duration = Duration::from_millis(200);

/// Shows it until it is ended.
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
            let (mut bar, mut ticks) = (Bar::new(), interval(LOOK));
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                bar.show(|| shared.progress.shown(shared.phase_now(), shared.recorder.now()));
            }
            bar.end();
        });
        Self { stop, task }
    }

    /// Shows no more.
    pub async fn end(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}
