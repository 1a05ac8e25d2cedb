//! Writes a history while it happens.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Event, Micros, What};

/// Events that may wait for the disk. Beyond it, who records waits: a history with holes would prove nothing.
const WAITING_MAX: usize = 65_536;

/// Stamps events and hands them to the file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    begun: Instant,
    events: mpsc::Sender<Event>,
}

impl Recorder {
    /// Now, as events are stamped.
    #[must_use]
    pub fn now(&self) -> Micros {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Records what happens at this moment; answers the moment.
    ///
    /// *Cancel safety*: a dropped call may not have recorded it.
    pub async fn record(&self, what: What) -> Micros {
        let at = self.now();
        self.record_at(at, what).await;
        at
    }

    /// Records what happened at an earlier moment.
    pub async fn record_at(&self, at: Micros, what: What) {
        // The file's task ends early only where the disk failed, and says so when it is waited for.
        let _ = self.events.send(Event(at, what)).await;
    }
}

/// Makes the file and the task that writes it; the task ends when the last recorder is gone.
///
/// # Errors
/// Where the file cannot be made.
pub fn recorder(path: &Path) -> anyhow::Result<(Recorder, JoinHandle<anyhow::Result<()>>)> {
    let file = File::create(path).with_context(|| format!("cannot write the history {}", path.display()))?;
    let (events, waiting) = mpsc::channel(WAITING_MAX);
    let written = tokio::task::spawn_blocking(move || write(file, waiting));
    Ok((Recorder { begun: Instant::now(), events }, written))
}

fn write(file: File, mut waiting: mpsc::Receiver<Event>) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    while let Some(event) = waiting.blocking_recv() {
        serde_json::to_writer(&mut file, &event).context("writing the history")?;
        file.write_all(b"\n").context("writing the history")?;
    }
    file.flush().context("writing the history")
}
