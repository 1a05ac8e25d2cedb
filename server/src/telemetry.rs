//! Logs to standard error, and metrics as text.

use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result};
use prometheus::Registry;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

/// Lines that wait for a reader of standard error; beyond that, lines are dropped and counted.
const LOG_LINES_MAX: usize = 16_384;

/// Keeps the log's writer alive; dropped last, it writes out what waits.
pub struct Logs {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

impl Logs {
    /// Starts logging as configured. A reader that does not read never holds up a caller.
    ///
    /// # Errors
    /// Where logging was started before.
    pub fn start(config: &Config) -> Result<Self> {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LOG_LINES_MAX)
            .thread_name("log")
            .finish(stderr());
        let logs = Self { _writer: guard, dropped: writer.error_counter() };
        let filter = filter(&config.log)?;
        let registry = tracing_subscriber::registry().with(filter);
        let human = match config.log_format {
            LogFormat::Auto => stderr().is_terminal(),
            LogFormat::Human => true,
            LogFormat::Json => false,
        };
        if human {
            registry.with(fmt::layer().with_ansi(stderr().is_terminal()).with_writer(writer)).try_init()
        } else {
            registry.with(json(writer)).try_init()
        }
        .context("logging was started before")?;
        Ok(logs)
    }

    /// Lines that were dropped since the start.
    pub const fn dropped(&self) -> &ErrorCounter {
        &self.dropped
    }
}

/// What is logged. The storage engine tells each of its steps as news; unless it is asked for by name, its warnings
/// are enough.
fn filter(log: &str) -> Result<Targets> {
    let asked: Targets = log.parse().context("`log` was checked with the configuration")?;
    let quiet = |filter: Targets, target: &str| {
        if log.contains(target) { filter } else { filter.with_target(target, LevelFilter::WARN) }
    };
    Ok(["fjall", "lsm_tree"].into_iter().fold(asked, quiet))
}

fn json<S>(writer: NonBlocking) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().json().flatten_event(true).with_writer(writer)
}

/// All families of a registry, as Prometheus reads them.
pub fn prometheus_text(registry: &Registry) -> String {
    let mut text = String::new();
    let encoded = prometheus::TextEncoder::new().encode_utf8(&registry.gather(), &mut text);
    encoded.expect("writing to a string does not fail, and registered families are whole");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_storage_engine_is_heard_when_it_is_asked_for() {
        let told = |log: &str, target: &str| filter(log).unwrap().would_enable(target, &Level::INFO);
        assert!(told("info", "doorbell_gateway::drain"));
        assert!(!told("info", "lsm_tree::tree::ingest"));
        assert!(!told("debug", "fjall::db"));
        assert!(told("info,fjall=debug", "fjall::db"));
        assert!(!told("warn", "doorbell_gateway::drain"));
    }
}
