//! Reads somebody else's JWK Set again and again; what was read last counts while its source fails.
//!
//! Map: [`source`] one reading, within its limits; [`metrics`] what is counted.

pub mod metrics;
mod source;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use doorbell_gateway::auth::{KeySource, PublicKeys, TrustedKeys};
use doorbell_protocol::Clock;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::trust::Keys;
pub use metrics::Metrics;
use source::Source;

/// Tokens that name unknown keys make us ask that often at most, however many come.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(60);
/// A source that failed is asked again after that, or after `jwks_refresh` where that is shorter.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Whether the source that the configuration names can be used: a file is read, a URL is not asked.
///
/// # Errors
/// As [`Jwks::of`] and, for a file, [`Jwks::read_first`].
pub fn check(config: &Config) -> Result<()> {
    match source(config)? {
        Some(Source::File(path)) => {
            let set = source::read_file(&path).and_then(|set| Ok(PublicKeys::parse(&set)?));
            set.map(drop).context("`auth.jwks`")
        }
        Some(Source::Url(..)) | None => Ok(()),
    }
}

fn source(config: &Config) -> Result<Option<Source>> {
    Ok(match &config.auth.jwks {
        KeySource::Nowhere => None,
        KeySource::File(path) => Some(Source::File(path.clone())),
        KeySource::Url(url) => {
            Some(Source::url(url.clone(), config.auth.jwks_timeout).context("`auth.jwks`")?)
        }
    })
}

/// The task that reads.
pub struct Jwks {
    source: Source,
    trusted: Arc<TrustedKeys>,
    refresh: Duration,
    timeout: Duration,
    wall: Clock,
    metrics: Metrics,
    state: State,
}

/// What the log was told last: a line for each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unread,
    /// Read, with so many keys of use and others.
    Good(usize, usize),
    Failing,
}

impl Jwks {
    /// The reader that the configuration asks for; `None` where it names no source.
    ///
    /// # Errors
    /// The system has no certificates to check an https source with.
    pub fn of(config: &Config, keys: &Keys, metrics: Metrics) -> Result<Option<Self>> {
        let auth = &config.auth;
        let Some(source) = source(config)? else { return Ok(None) };
        Ok(Some(Self {
            source,
            trusted: Arc::clone(&keys.trusted),
            refresh: auth.jwks_refresh,
            timeout: auth.jwks_timeout,
            wall: clock::wall(),
            metrics,
            state: State::Unread,
        }))
    }

    /// Reads for the first time, before anybody is served.
    ///
    /// # Errors
    /// A file that cannot be used is a mistake of the configuration. A URL that does not answer is not: it may answer
    /// soon, and the tokens of other keys hold meanwhile.
    pub async fn read_first(&mut self) -> Result<()> {
        match (self.read().await, &self.source) {
            (Err(error), Source::File(_)) => Err(error.context("`auth.jwks`")),
            _ => Ok(()),
        }
    }

    /// Reads every `jwks_refresh`, and sooner for unknown keys, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut read_at = Instant::now();
        loop {
            let pause =
                if self.state == State::Failing { RETRY_INTERVAL.min(self.refresh) } else { self.refresh };
            let asked_for = async {
                self.trusted.unknown_kid().await;
                sleep_until(read_at + UNKNOWN_KID_INTERVAL).await;
            };
            // All are cancel safe; that an unknown key was named within the last minute may be forgotten for a reading
            // that is due anyway.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(read_at + pause) => {}
                () = asked_for => {}
            }
            read_at = Instant::now();
            if stop.run_until_cancelled(self.read()).await.is_none() {
                return;
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        let began = Instant::now();
        let read = self.source.read(self.timeout).await;
        match read.and_then(|set| Ok(PublicKeys::parse(&set)?)) {
            Ok(keys) => {
                self.metrics.read(keys.len(), (self.wall)());
                self.enter(State::Good(keys.len(), keys.left_out), None);
                self.trusted.replace_fetched(keys, began);
                Ok(())
            }
            Err(error) => {
                self.metrics.failed();
                self.enter(State::Failing, Some(&error));
                Err(error)
            }
        }
    }

    fn enter(&mut self, state: State, error: Option<&anyhow::Error>) {
        if std::mem::replace(&mut self.state, state) == state {
            return;
        }
        match state {
            State::Good(keys, left_out) => tracing::info!(keys, left_out, "the JWK Set is read"),
            State::Failing => {
                let error = error.map(|error| format!("{error:#}"));
                tracing::warn!(
                    error,
                    "the JWK Set cannot be read; the last one counts, and it is tried again"
                );
            }
            State::Unread => {}
        }
    }
}

#[cfg(test)]
mod tests;
