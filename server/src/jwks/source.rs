//! One reading of a JWK Set, bounded in bytes and time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use doorbell_upstream::http::{Connections, Http};
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;

use crate::guarded::{self, Guard};

/// The largest set: 64 keys of 8192 bits with their certificates fit.
const SET_BYTES_MAX: usize = 256 * 1024;

/// Where the set is read.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A URL, and how it is asked. Redirects are not followed: the operator's URL is the one that is trusted.
    Url(Uri, Http),
}

impl Source {
    /// A URL, read over HTTP/1.1. For https the system's certificates count (or those of `SSL_CERT_FILE`).
    ///
    /// # Errors
    /// It is https, and the system has none.
    pub fn url(url: Uri, connect_timeout: Duration) -> Result<Self> {
        // A connection that is kept between two readings would be one more thing to break.
        let connections = Connections { connect_timeout, idle_timeout: Duration::ZERO, idle_max: 0 };
        let http = Http::new(&url, connections).context(
            "no certificates of authorities on this system: install ca-certificates, or set SSL_CERT_FILE",
        )?;
        Ok(Self::Url(url, http))
    }

    /// Reads the whole set: a URL within a time, a file for as long as the disk takes.
    ///
    /// *Cancel safety*: a dropped reading has no effect; that of a file goes on to its end, unheard.
    ///
    /// # Errors
    /// It cannot be read in time, or is too large.
    pub async fn read(&self, within: Duration) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                // Not within the time: a disk that hangs keeps this thread, and a second reading would take another.
                tokio::task::spawn_blocking(move || read_file(&path)).await?
            }
            Self::Url(url, http) => {
                let request = Request::get(url.clone())
                    .header(ACCEPT, "application/jwk-set+json, application/json")
                    .header(USER_AGENT, concat!("doorbell/", env!("CARGO_PKG_VERSION")))
                    .body(Full::new(Bytes::new()))?;
                let answer = http.send(request, within, SET_BYTES_MAX).await.context("its URL")?;
                if answer.status != StatusCode::OK {
                    bail!("its URL answers {}", answer.status);
                }
                Ok(answer.body.into())
            }
        }
    }
}

/// Reads a file whole.
///
/// # Errors
/// It cannot be read, or is larger than a set may be.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    guarded::read(path, Guard::Open, SET_BYTES_MAX as u64, "")
}
