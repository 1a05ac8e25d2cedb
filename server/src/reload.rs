//! SIGHUP: files that hold keys are read again, while everything goes on. What has a fault stays as it was.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Reads one file again and puts in force what it holds.
type Read = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// What is read again.
pub struct Reload {
    hangups: Signal,
    metrics: Metrics,
    sources: Vec<(&'static str, Read)>,
}

impl Reload {
    /// Nothing yet; from now on SIGHUP no longer ends the process. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no room for a handler.
    pub fn listen(metrics: Metrics) -> Result<Self> {
        let hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
        Ok(Self { hangups, metrics, sources: Vec::new() })
    }

    /// Adds one file, by what it holds.
    pub fn add(&mut self, what: &'static str, read: impl Fn() -> Result<()> + Send + Sync + 'static) {
        self.sources.push((what, Arc::new(read)));
    }

    /// Reads all of them at each SIGHUP, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.hangups.recv()).await.is_some() {
            tracing::info!(sources = self.sources.len(), "SIGHUP: reading files again");
            for (what, read) in &self.sources {
                let read = Arc::clone(read);
                let outcome =
                    tokio::task::spawn_blocking(move || read()).await.map_err(anyhow::Error::from).flatten();
                self.metrics.read_again(outcome.is_ok());
                match outcome {
                    Ok(()) => tracing::info!(what, "read again"),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(
                            what,
                            error,
                            "a file could not be read again: what was in force stays"
                        );
                    }
                }
            }
        }
    }
}
