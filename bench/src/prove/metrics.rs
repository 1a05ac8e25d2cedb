//! The metrics of a server that rules look at, by their names at `/metrics`.

use crate::scrape;
use crate::trust::Trust;

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

/// Reads what rules need from one address.
///
/// # Errors
/// Where there is no such page, or it has none of these figures.
pub async fn read(url: &str) -> anyhow::Result<Vec<(String, f64)>> {
    scrape::figures(url, &Trust::System, is_wanted).await
}

/// How many users are in the queue, wherever they are in it.
pub fn queued(values: &[(String, f64)]) -> f64 {
    values.iter().filter(|(name, _)| QUEUE.contains(&name.as_str())).map(|(_, value)| value).sum()
}

/// The sum of what clients hold.
pub fn held(values: &[(String, f64)]) -> f64 {
    values.iter().filter(|(name, _)| HELD.contains(&name.as_str())).map(|(_, value)| value).sum()
}

fn is_wanted(name: &str) -> bool {
    QUEUE.contains(&name)
        || HELD.contains(&name)
        || CACHES.contains(&name)
        || [OLDEST, DEAD_LETTERS, FILES, RESIDENT, BEGUN].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rules_need_is_kept() {
        assert!(is_wanted(QUEUE[0]) && is_wanted(RESIDENT));
        assert!(!is_wanted("doorbell_gateway_sockets_ever") && !is_wanted(""));
    }
}
