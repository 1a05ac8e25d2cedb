//! A server's `/metrics`, read over HTTP.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::trust::Trust;

/// The largest answer that is read.
const BYTES_MAX: usize = 4 << 20;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Every figure of a page of which `wanted` holds, by its name with its labels as they stand there; with `https`, whom to trust.
///
/// # Errors
/// Where there is no such page, or it has none of these figures.
pub async fn figures(
    url: &str,
    trust: &Trust,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<(String, f64)>> {
    let text = timeout(DEADLINE, get(url, trust)).await.context("no answer in time")??;
    let values: Vec<(String, f64)> =
        text.lines().filter_map(figure).filter(|(name, _)| wanted(name)).collect();
    ensure!(!values.is_empty(), "{url} shows no metric of a Doorbell");
    Ok(values)
}

fn figure(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    (!name.starts_with('#') && !name.is_empty()).then_some(())?;
    Some((name.to_owned(), value.parse().ok()?))
}

async fn get(url: &str, trust: &Trust) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no address"))?;
    let answer = if uri.scheme() == Some(&Scheme::HTTPS) {
        let config = trust.client(rustls::ALL_VERSIONS)?;
        ask(HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build(), uri)
            .await
    } else {
        ask(HttpConnector::new(), uri).await
    };
    let answer = answer.with_context(|| url.to_owned())?;
    ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

async fn ask<C>(connector: C, uri: Uri) -> anyhow::Result<Response<Incoming>>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    Ok(client.request(Request::get(uri).body(Full::default())?).await?)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;

    #[tokio::test]
    async fn a_page_without_tls_needs_nobody_to_trust() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                socket.read_line(&mut line).unwrap();
            }
            socket.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nx 3\n").unwrap();
        });

        let trust = Trust::File("no-such-file".into());
        assert_eq!(figures(&url, &trust, |_| true).await.unwrap(), [("x".to_owned(), 3.0)]);
        serving.join().unwrap();
    }

    #[test]
    fn a_figure_is_a_name_and_a_number() {
        let line = "doorbell_backplane_users{state=\"ready\"} 3";
        assert_eq!(figure(line), Some(("doorbell_backplane_users{state=\"ready\"}".to_owned(), 3.0)));
        for other in ["# HELP doorbell_gateway_sockets open", "# TYPE x 3", "", "x", " 3"] {
            assert_eq!(figure(other), None, "{other}");
        }
    }
}
