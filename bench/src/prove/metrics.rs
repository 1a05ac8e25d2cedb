//! The metrics of a server that rules look at, by their names at `/metrics`.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// Users with news, by where they are in the queue.
pub const QUEUE: [&str; 3] = [
    "doorbell_backplane_users{state=\"ready\"}",
    "doorbell_backplane_users{state=\"claimed\"}",
    "doorbell_backplane_users{state=\"delayed\"}",
];
/// How long the oldest of them has waited.
pub const OLDEST: &str = "doorbell_backplane_oldest_news_seconds";
/// Maps given up.
pub const DEAD_LETTERS: &str = "doorbell_backplane_dead_letters_total";
/// What clients hold at a gateway, and must let go.
pub const HELD: [&str; 8] = [
    "doorbell_gateway_sockets",
    "doorbell_gateway_sessions",
    "doorbell_gateway_followers",
    "doorbell_gateway_followed_topics",
    "doorbell_gateway_slow_sockets",
    "doorbell_gateway_lingering_users",
    "doorbell_gateway_calls_in_flight",
    "doorbell_listener_connections",
];
/// Open files.
pub const FILES: &str = "process_open_fds";
/// Memory that the kernel counts.
pub const RESIDENT: &str = "process_resident_memory_bytes";
/// What of it is caches that have a limit.
pub const CACHES: [&str; 2] =
    ["doorbell_message_cache_bytes{of=\"members\"}", "doorbell_message_cache_bytes{of=\"pages\"}"];
/// When the process began: another value means another process.
pub const BEGUN: &str = "process_start_time_seconds";

/// The largest answer that is read.
const BYTES_MAX: usize = 4 << 20;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads what rules need from one address.
///
/// # Errors
/// Where there is no such page, or it has none of these figures.
pub async fn read(url: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let text = timeout(DEADLINE, get(url)).await.context("no answer in time")??;
    let values: Vec<(String, f64)> = text.lines().filter_map(figure).collect();
    ensure!(!values.is_empty(), "{url} shows no metric of a Doorbell");
    Ok(values)
}

/// How many users are in the queue, wherever they are in it.
pub fn queued(values: &[(String, f64)]) -> f64 {
    values.iter().filter(|(name, _)| QUEUE.contains(&name.as_str())).map(|(_, value)| value).sum()
}

/// The sum of what clients hold.
pub fn held(values: &[(String, f64)]) -> f64 {
    values.iter().filter(|(name, _)| HELD.contains(&name.as_str())).map(|(_, value)| value).sum()
}

fn figure(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    let wanted = QUEUE.contains(&name)
        || HELD.contains(&name)
        || CACHES.contains(&name)
        || [OLDEST, DEAD_LETTERS, FILES, RESIDENT, BEGUN].contains(&name);
    wanted.then(|| Some((name.to_owned(), value.parse().ok()?))).flatten()
}

async fn get(url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no address"))?;
    let https = HttpsConnectorBuilder::new().with_native_roots().context("the system's certificates")?;
    let connector = https.https_or_http().enable_http1().build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let answer =
        client.request(Request::get(uri).body(Full::default())?).await.with_context(|| url.to_owned())?;
    ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rules_need_is_kept() {
        let line = "doorbell_backplane_users{state=\"ready\"} 3";
        assert_eq!(figure(line), Some((QUEUE[0].to_owned(), 3.0)));
        for other in ["# HELP doorbell_gateway_sockets open", "doorbell_gateway_sockets_ever 3", "", "x"] {
            assert_eq!(figure(other), None, "{other}");
        }
    }
}
