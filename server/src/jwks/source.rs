//! One reading of a JWK Set, bounded in bytes; the time is bounded by the caller.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The largest set: 64 keys of 8192 bits with their certificates fit.
const SET_BYTES_MAX: usize = 256 * 1024;

/// Where the set is read.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A URL. Redirects are not followed: the operator's URL is the one that is trusted.
    Url(Uri, Box<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>),
}

impl Source {
    /// A URL, read over HTTP/1.1. For https the system's certificates count (or those of `SSL_CERT_FILE`).
    ///
    /// # Errors
    /// The system has none.
    pub fn url(url: Uri) -> Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .context("no certificates of authorities on this system: install ca-certificates, or set SSL_CERT_FILE")?
            .https_or_http()
            .enable_http1()
            .build();
        // A connection that is kept between two readings would be one more thing to break.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self::Url(url, Box::new(client)))
    }

    /// Reads the whole set.
    ///
    /// *Cancel safety*: a dropped reading has no effect.
    pub async fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read_file(&path)).await?
            }
            Self::Url(url, client) => {
                let request = Request::get(url.clone())
                    .header(ACCEPT, "application/jwk-set+json, application/json")
                    .header(USER_AGENT, concat!("doorbell/", env!("CARGO_PKG_VERSION")))
                    .body(Empty::new())?;
                let answer = client.request(request).await.context("no answer from its URL")?;
                if answer.status() != StatusCode::OK {
                    bail!("its URL answers {}", answer.status());
                }
                let body = Limited::new(answer.into_body(), SET_BYTES_MAX).collect().await;
                let body = body.map_err(|error| anyhow::anyhow!("its URL's answer: {error}"))?;
                Ok(body.to_bytes().into())
            }
        }
    }
}

/// Reads a file whole.
///
/// # Errors
/// It cannot be read, or is larger than a set may be.
pub fn read_file(path: &std::path::Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let shown = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() > SET_BYTES_MAX {
        bail!("{shown} is larger than {SET_BYTES_MAX} bytes");
    }
    Ok(bytes)
}
