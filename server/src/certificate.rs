//! The files of the certificate: read at the start, at SIGHUP, and where they change. What has a fault stays as it was.
//!
//! Map: [`metrics`] what is counted.

pub mod metrics;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use doorbell_gateway::tls::{Certificate, InvalidCertificate, Standing, Tls};
use doorbell_protocol::{Clock, Timestamp};
use humantime_serde::re::humantime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock;
use crate::config;
use crate::guarded::{self, Guard};
pub use metrics::Metrics;

/// The largest file: a chain is some kilobytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Reads the files that the configuration names.
///
/// # Errors
/// One is not there, others could read the key, or the two are no certificate with its key. It names the file.
pub fn read(config: &config::Tls) -> Result<Certificate> {
    parse(config, &Texts::read(config)?)
}

/// The files' contents.
struct Texts {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    fn read(config: &config::Tls) -> Result<Self> {
        let chain = guarded::read(&config.certificate_file, Guard::Open, FILE_BYTES_MAX, "");
        let chain = chain.context("`tls.certificate_file`")?;
        let key = guarded::read(&config.key_file, Guard::Secret, FILE_BYTES_MAX, "pretend to be this server");
        let key = key.context("`tls.key_file`")?;
        Ok(Self { chain, key })
    }

    /// Two that differ have, as good as surely, another.
    fn fingerprint(&self) -> (u64, u64) {
        (xxh3_64(&self.chain), xxh3_64(&self.key))
    }
}

fn parse(config: &config::Tls, texts: &Texts) -> Result<Certificate> {
    Certificate::parse(&texts.chain, &texts.key).map_err(|invalid| {
        let (key, path) = match invalid {
            InvalidCertificate::Chain => ("certificate_file", &config.certificate_file),
            InvalidCertificate::Key | InvalidCertificate::Mismatch => ("key_file", &config.key_file),
        };
        anyhow::Error::new(invalid).context(format!("`tls.{key}`: {} is not usable", path.display()))
    })
}

/// What is to be said of a certificate's times, with what to do; `None` where all is well.
pub fn complaint(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let ends = date(certificate.expires());
    Some(match certificate.standing(now) {
        Standing::Good => return None,
        Standing::Early => format!(
            "it does not hold before {}, and clients refuse it: look at this host's clock, or wait",
            date(certificate.begins())
        ),
        Standing::Soon => format!("it ends at {ends}: renew it"),
        Standing::Expired => format!("it ended at {ends}, and clients refuse it: renew it"),
    })
}

fn date(moment: Timestamp) -> String {
    let since = Duration::from_millis(moment.as_millis());
    // No date that a file can hold is beyond what this can show but by intent.
    UNIX_EPOCH.checked_add(since).map_or_else(
        || "the end of time".to_owned(),
        |moment| humantime::format_rfc3339_seconds(moment).to_string(),
    )
}

/// Keeps the listener's certificate as the files are.
pub struct CertificateFiles {
    config: config::Tls,
    tls: Tls,
    wall: Clock,
    metrics: Metrics,
    last: Mutex<Last>,
}

/// What was found last.
struct Last {
    /// `None`: they could not be read.
    fingerprint: Option<(u64, u64)>,
    /// What the log was told: a line for each change.
    standing: Standing,
}

impl CertificateFiles {
    /// Reads them for the first time; `None` where no TLS is asked for.
    ///
    /// # Errors
    /// As [`read`].
    pub fn of(config: &config::Tls, metrics: Metrics) -> Result<Option<Arc<Self>>> {
        if !config.is_on() {
            return Ok(None);
        }
        let texts = Texts::read(config)?;
        let certificate = parse(config, &texts)?;
        metrics.read(certificate.expires());
        let last = Last { fingerprint: Some(texts.fingerprint()), standing: Standing::Good };
        let tls = Tls::new(certificate).context("the system gives no random bytes")?;
        let files =
            Self { config: config.clone(), tls, wall: clock::wall(), metrics, last: Mutex::new(last) };
        files.judge();
        Ok(Some(Arc::new(files)))
    }

    /// What the listener shows.
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Reads them again, and shows what they hold.
    ///
    /// # Errors
    /// As [`read`]; the certificate in force stays.
    pub fn read_again(&self) -> Result<()> {
        let texts = Texts::read(&self.config);
        self.last().fingerprint = texts.as_ref().ok().map(Texts::fingerprint);
        self.put_in_force(texts)
    }

    /// Looks at them every `reread_interval`, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(self.config.reread_interval)).await.is_some() {
            let files = Arc::clone(&self);
            // A panic is in the log already, and the next look tries again.
            let _ = tokio::task::spawn_blocking(move || files.look()).await;
        }
    }

    /// Reads them where they are not as they were. The pair may be met half replaced: the next look finds it whole.
    fn look(&self) {
        let texts = Texts::read(&self.config);
        let fingerprint = texts.as_ref().ok().map(Texts::fingerprint);
        if std::mem::replace(&mut self.last().fingerprint, fingerprint) != fingerprint {
            match self.put_in_force(texts) {
                Ok(()) => tracing::info!(
                    path = %self.config.certificate_file.display(), expires = date(self.tls.shown().expires()),
                    "the certificate has changed: new handshakes show it"
                ),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the certificate's files cannot be used: the one in force stays");
                }
            }
        }
        self.judge();
    }

    fn put_in_force(&self, texts: Result<Texts>) -> Result<()> {
        match texts.and_then(|texts| parse(&self.config, &texts)) {
            Ok(certificate) => {
                self.metrics.read(certificate.expires());
                self.tls.replace(certificate);
                Ok(())
            }
            Err(error) => {
                self.metrics.failed();
                Err(error)
            }
        }
    }

    /// Says when the certificate's times have come to matter.
    fn judge(&self) {
        let (certificate, now) = (self.tls.shown(), (self.wall)());
        let standing = certificate.standing(now);
        if std::mem::replace(&mut self.last().standing, standing) == standing {
            return;
        }
        let why = complaint(&certificate, now);
        let path = self.config.certificate_file.display();
        match standing {
            Standing::Good => tracing::info!(%path, "the certificate holds"),
            Standing::Soon => tracing::warn!(%path, why, "the certificate ends soon"),
            Standing::Early | Standing::Expired => {
                tracing::error!(%path, why, "the certificate does not hold now");
            }
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
