//! What an operator can set about sessions. Every limit says where its number comes from.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Largest server frame, in bytes (docs/protocol.md, "Transport"): fixed, clients rely on it.
pub const SERVER_FRAME_BYTES_MAX: usize = 256 * 1024;

/// Least `message_bytes_max`: a token of the largest size, escaped, with the rest of a `hello`.
const MESSAGE_BYTES_MIN: usize = 16 * 1024;

/// Least `canary_interval`: what comes sooner would load the queue more than small installations do.
const CANARY_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Sessions: their limits and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest client message, its fragments together, in bytes. 10,000 characters fit even when each is escaped
    /// as twelve bytes.
    pub message_bytes_max: NonZeroUsize,
    /// Most fragments of one client message: an honest client sends one.
    pub message_fragments_max: NonZeroUsize,
    /// From the upgrade to `hello`.
    #[serde(with = "humantime_serde")]
    pub hello_timeout: Duration,
    /// How long `welcome` may wait for a registry that does not answer; then the client comes back with backoff.
    #[serde(with = "humantime_serde")]
    pub welcome_timeout: Duration,
    /// From our close frame, or the last byte of a client that left, to the end of TCP.
    #[serde(with = "humantime_serde")]
    pub close_timeout: Duration,
    /// A socket silent for that long gets a WebSocket ping; up to a fifth earlier, so that pings spread. Below the
    /// 30 to 60 s after which common proxies and mobile networks drop an idle connection.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// A session silent for that long is closed: 2.4 heartbeats, so that two pings may be lost.
    #[serde(with = "humantime_serde")]
    pub silence_max: Duration,
    /// Frames a second that a session may send for ever, control frames included. `welcome` tells it.
    pub frames_per_second: NonZeroU32,
    /// Frames that may come at once: a client that returns after a night pulls some hundred topics.
    pub frames_burst: NonZeroU32,
    /// Frames beyond the burst before the session is closed. What is beyond the rate is answered with
    /// `rate_limited`, and weighs a quarter of a served frame here.
    pub frames_grace: u32,
    /// Calls of one session that may wait for their answer; with so many, no further frame is read.
    pub calls_in_flight_max: NonZeroU16,
    /// From a call to its answer; then it gets `unavailable`.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// Bytes of answers that a session may leave unread; what comes beyond is answered with `unavailable` instead.
    /// Room for two of the largest frames.
    pub unsent_bytes_max: NonZeroUsize,
    /// Sessions of one user on this gateway; one more evicts one.
    pub sessions_per_user_max: NonZeroUsize,
    /// How often silence, expiry and deadlines are looked at.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
    /// How long enters and leaves gather into one call of the registry.
    #[serde(with = "humantime_serde")]
    pub enter_batch_delay: Duration,
    /// Users in one call of the registry.
    pub enter_batch_max: NonZeroUsize,
    /// One call of the registry, or of the hint queue for a canary.
    #[serde(with = "humantime_serde")]
    pub registry_timeout: Duration,
    /// How long the registry holds this gateway alive without a renewal. At least three renewals fit, so that one may
    /// be lost or late without registering everybody again.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// How often the leases are renewed, which is also how soon a registry that lost its memory is noticed.
    #[serde(with = "humantime_serde")]
    pub lease_renewal: Duration,
    /// How far `resync` spreads the pulls of a partition's sessions, so that they do not come all at once.
    #[serde(with = "humantime_serde")]
    pub resync_spread: Duration,
    /// Whether message-svc is told which users come and go, so that whoever may see them is hinted.
    pub presence: bool,
    /// How long a user whose last session here ended is there still: who is back by then is no news to anybody.
    #[serde(with = "humantime_serde")]
    pub presence_grace: Duration,
    /// Users of whom message-svc is to be told that they came or went, at most; it is told a thousand at a time. One
    /// more is dropped: who follows them finds out when it asks the next time.
    pub presence_waiting_max: NonZeroUsize,
    /// Topics that one session may follow by `subscribe`, beside its user's own. `welcome` tells it.
    pub subscriptions_max: NonZeroUsize,
    /// Calls about audiences that may be on their way to message-svc, each for up to 64 users: sessions that start all at
    /// once must not be a storm there.
    pub asks_in_flight_max: NonZeroUsize,
    /// One ask about an audience, or one telling of who came and went; then it is tried again.
    #[serde(with = "humantime_serde")]
    pub audience_timeout: Duration,
    /// How often message-svc is asked again whether what a session subscribed to may still be followed: no hint goes
    /// out later than that after a right was taken away.
    #[serde(with = "humantime_serde")]
    pub authorize_interval: Duration,
    /// How long a delivery waits until the users whose large topics changed follow them; then they are offered again.
    /// Well below the notifier's `deliver_deadline`.
    #[serde(with = "humantime_serde")]
    pub refollow_wait: Duration,
    /// How soon a user may signal again about the same topic; what comes earlier is answered with `rate_limited`. Zero
    /// turns this off.
    #[serde(with = "humantime_serde")]
    pub signal_interval: Duration,
    /// Signals on their way from sessions here at the same time at most, and as many again on their way to them; one
    /// more is dropped.
    pub signals_in_flight_max: NonZeroUsize,
    /// How long a signal may be on its way; then it is dropped. Nobody needs to know who was typing half a second ago.
    #[serde(with = "humantime_serde")]
    pub signal_timeout: Duration,
    /// With more local sessions than that a topic is large.
    pub fanout_followers_large: usize,
    /// A large topic is told to its followers once in that time at most; what comes meanwhile is merged.
    #[serde(with = "humantime_serde")]
    pub fanout_interval: Duration,
    /// Pulls a second that a change of one topic may cause here: `pull_after_ms` spreads them.
    pub topic_pulls_per_second: NonZeroU32,
    /// From that many local followers of a topic on, pulls are spread.
    pub topic_pulls_spread_from: usize,
    /// How often the stored versions are looked at for what the stream of publishes did not bring: the longest that a
    /// lost publish goes unnoticed.
    #[serde(with = "humantime_serde")]
    pub channel_look_interval: Duration,
    /// One call of the channel service, or of the stored versions.
    #[serde(with = "humantime_serde")]
    pub channel_timeout: Duration,
    /// How often this gateway rings its canaries, a user in each partition who is nobody, to see whether rings arrive. Zero
    /// turns them off.
    #[serde(with = "humantime_serde")]
    pub canary_interval: Duration,
    /// The share of the drain's budget over which clients are told to come back, in percent. The rest is for
    /// stragglers.
    pub drain_spread_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        const fn secs(secs: u64) -> Duration {
            Duration::from_secs(secs)
        }
        Self {
            message_bytes_max: NonZeroUsize::new(128 * 1024).expect("not zero"),
            message_fragments_max: NonZeroUsize::new(1024).expect("not zero"),
            hello_timeout: secs(10),
            welcome_timeout: secs(60),
            close_timeout: secs(5),
            heartbeat: secs(25),
            silence_max: secs(60),
            frames_per_second: NonZeroU32::new(50).expect("not zero"),
            frames_burst: NonZeroU32::new(200).expect("not zero"),
            frames_grace: 100,
            calls_in_flight_max: NonZeroU16::new(16).expect("not zero"),
            call_timeout: secs(10),
            unsent_bytes_max: NonZeroUsize::new(2 * SERVER_FRAME_BYTES_MAX).expect("not zero"),
            sessions_per_user_max: NonZeroUsize::new(16).expect("not zero"),
            sweep_interval: secs(1),
            enter_batch_delay: Duration::from_millis(2),
            enter_batch_max: NonZeroUsize::new(512).expect("not zero"),
            registry_timeout: secs(2),
            lease_ttl: secs(5),
            lease_renewal: secs(1),
            resync_spread: secs(3),
            presence: true,
            presence_grace: secs(5),
            // Some 100 bytes each.
            presence_waiting_max: NonZeroUsize::new(262_144).expect("not zero"),
            subscriptions_max: NonZeroUsize::new(1_000).expect("not zero"),
            asks_in_flight_max: NonZeroUsize::new(64).expect("not zero"),
            audience_timeout: secs(2),
            authorize_interval: secs(60),
            refollow_wait: Duration::from_millis(500),
            signal_interval: secs(2),
            signals_in_flight_max: NonZeroUsize::new(256).expect("not zero"),
            signal_timeout: Duration::from_millis(500),
            fanout_followers_large: 1_000,
            fanout_interval: Duration::from_millis(100),
            topic_pulls_per_second: NonZeroU32::new(2_000).expect("not zero"),
            topic_pulls_spread_from: 100,
            channel_look_interval: secs(2),
            channel_timeout: secs(2),
            canary_interval: secs(10),
            drain_spread_percent: 60,
        }
    }
}

/// Two keys that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gateway: `{key}` must be {relation} `{other}`")]
pub struct InvalidConfig {
    /// The key to change.
    pub key: &'static str,
    /// How it must stand to the other.
    pub relation: &'static str,
    /// The other key, or a bound.
    pub other: &'static str,
}

impl Config {
    /// How long a user lingers; not at all where nobody is told.
    pub(crate) const fn grace(&self) -> Duration {
        if self.presence { self.presence_grace } else { Duration::ZERO }
    }

    /// Checks how the keys stand to each other.
    ///
    /// # Errors
    /// The first relation that does not hold, with both keys.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let rules: [(bool, &str, &str, &str); 14] = [
            (self.silence_max >= self.heartbeat * 2, "silence_max", "at least twice", "heartbeat"),
            (self.heartbeat >= Duration::from_secs(1), "heartbeat", "at least", "1s"),
            (self.sweep_interval <= Duration::from_secs(1), "sweep_interval", "at most", "1s"),
            (!self.sweep_interval.is_zero(), "sweep_interval", "more than", "0s"),
            (!self.lease_renewal.is_zero(), "lease_renewal", "more than", "0s"),
            (self.lease_ttl >= self.lease_renewal * 3, "lease_ttl", "at least three times", "lease_renewal"),
            (self.registry_timeout < self.lease_ttl, "registry_timeout", "less than", "lease_ttl"),
            (self.hello_timeout <= self.silence_max, "hello_timeout", "at most", "silence_max"),
            (
                self.authorize_interval >= self.audience_timeout * 5,
                "authorize_interval",
                "at least five times",
                "audience_timeout",
            ),
            (!self.signal_timeout.is_zero(), "signal_timeout", "more than", "0s"),
            (!self.channel_look_interval.is_zero(), "channel_look_interval", "more than", "0s"),
            (self.message_bytes_max.get() >= MESSAGE_BYTES_MIN, "message_bytes_max", "at least", "16384"),
            (
                self.canary_interval.is_zero() || self.canary_interval >= CANARY_INTERVAL_MIN,
                "canary_interval",
                "0s, or at least",
                "100ms",
            ),
            (self.drain_spread_percent <= 90, "drain_spread_percent", "at most", "90"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, key, relation, other)) => Err(InvalidConfig { key, relation, other }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_their_own_relations() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_bad_relation_names_both_keys() {
        let config = Config { lease_ttl: Duration::from_secs(2), ..Config::default() };
        let said = config.validate().unwrap_err().to_string();
        assert!(said.contains("lease_ttl") && said.contains("lease_renewal"), "{said}");
    }

    #[test]
    fn unknown_keys_are_refused_and_times_are_words() {
        let config: Config = serde_json::from_str(r#"{"heartbeat": "10s"}"#).unwrap();
        assert_eq!(config.heartbeat, Duration::from_secs(10));
        assert!(serde_json::from_str::<Config>(r#"{"hartbeat": "10s"}"#).is_err());
    }
}
