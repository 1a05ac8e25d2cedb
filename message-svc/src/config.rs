//! The section `[message]`.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::BadRelation;

/// How the message service stores, limits and announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Parts of the store, each with a writer of its own. Fixed when the store is created.
    pub shards: NonZeroU16,
    /// Members of one conversation at most.
    pub members_max: NonZeroUsize,
    /// Members of a conversation who are rung one by one at most; the changes of a larger one are published once to the
    /// gateways that have followers of it. After a change of this, sessions follow by it from their next start on.
    pub small_audience_max: u64,
    /// Messages that a user may send in a row; one more comes back with each `throttle_period` divided by this.
    /// 0 turns the throttle off.
    pub throttle_messages: u32,
    /// How long it takes until a user who has used up `throttle_messages` may send as many again.
    #[serde(with = "humantime_serde")]
    pub throttle_period: Duration,
    /// Conversations that a user may create in a row, calls that add or remove members, and changes of the status; one
    /// more comes back with
    /// each `throttle_conversations_period` divided by this. 0 turns this throttle off.
    pub throttle_conversations: u32,
    /// How long it takes until a user who has used up `throttle_conversations` may do as much again.
    #[serde(with = "humantime_serde")]
    pub throttle_conversations_period: Duration,
    /// Users whom a throttle knows at a time at most; beyond that, new ones are told to come back.
    pub throttle_users_max: NonZeroUsize,
    /// Users of whom is known when they were seen last, at most, in memory; beyond it, those seen longest ago are
    /// forgotten.
    pub seen_users_max: NonZeroUsize,
    /// Writes that wait for one writer at most; beyond that, a write is answered `unavailable` at once.
    pub write_queue_max: NonZeroUsize,
    /// Writes that one commit takes at most.
    pub commit_writes_max: NonZeroUsize,
    /// Reads that run at the same time at most; further ones wait.
    pub reads_max: NonZeroU32,
    /// Reads that wait at most; beyond that, a call that reads is answered `unavailable` at once.
    pub reads_waiting_max: usize,
    /// Signals on their way through here at the same time at most; one more is dropped.
    pub signals_in_flight_max: NonZeroU32,
    /// How long a signal may take here, the answers of gateways included; what is late is dropped. Below the gateway's
    /// `signal_timeout`.
    #[serde(with = "humantime_serde")]
    pub signal_deadline: Duration,
    /// Commits that one step of the announcement takes at most.
    pub announce_commits_max: NonZeroUsize,
    /// The longest wait between two attempts to announce while the backplane is unavailable.
    #[serde(with = "humantime_serde")]
    pub announce_retry_max: Duration,
    /// How often what has been announced is noted on disk; after a crash, at most that much is announced again.
    #[serde(with = "humantime_serde")]
    pub announce_note_interval: Duration,
    /// How far the announcement goes back when the backplane is another one than before: restarted, lost or replaced.
    /// Everything that it took in this time, up to when it was last seen, is announced again. A primary that is cut off
    /// must refuse writes within it.
    #[serde(with = "humantime_serde")]
    pub reannounce_window: Duration,
    /// How long announced commits are kept, so that they can be announced again after the backplane lost them.
    #[serde(with = "humantime_serde")]
    pub commits_kept_for: Duration,
    /// How long the shutdown waits for what is committed to be announced; the rest follows after the next start.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Free space that stays untouched on the disk, so that what was accepted can always be written out. On a small
    /// disk, an eighth of its size is kept instead.
    pub disk_reserve_bytes: u64,
    /// How long to wait between two attempts to open the store again after a write failed.
    #[serde(with = "humantime_serde")]
    pub recover_interval: Duration,
    /// How long one commit may take before the service counts as unsound: a disk, or the store's background, hangs.
    #[serde(with = "humantime_serde")]
    pub commit_stall_after: Duration,
    /// Memory for pages of `messages.list` that may be asked for again, as they were answered. A page of more than
    /// 256 KiB does not exist; below 1 MiB, large ones are not kept. 0 keeps none: then only pulls at the same moment
    /// share one.
    pub page_cache_bytes: u64,
    /// Pages that are kept at most. 0 keeps none.
    pub page_cache_pages_max: u64,
    /// Memory for who is a member of the conversations that were pulled from last; one of 10,000 members takes up to
    /// 1.6 MiB. 0 keeps none: then each pull looks its caller up in the store.
    pub member_cache_bytes: u64,
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Memory for what is not yet in tables, for each kind of record.
    pub memtable_bytes: u64,
    /// Journals on disk at most, at least 64 MiB; with more, a start after a crash takes longer.
    pub journal_bytes_max: u64,
}

/// The smallest value that the store takes for `journal_bytes_max`.
const JOURNAL_BYTES_MIN: u64 = 64 << 20;

impl Default for Config {
    fn default() -> Self {
        const fn count(number: usize) -> NonZeroUsize {
            NonZeroUsize::new(number).expect("the default is not zero")
        }
        Self {
            // One writer makes the largest batches, and so the fewest fsyncs: docs/performance.md.
            shards: const { NonZeroU16::new(1).expect("the default is not zero") },
            members_max: count(10_000),
            // Ringing one user through the queue costs some 10 µs over all its steps: a hundred cost a millisecond.
            small_audience_max: 100,
            throttle_messages: 10,
            throttle_period: Duration::from_secs(10),
            // Nobody makes groups by hand faster than one in two seconds, for a minute.
            throttle_conversations: 30,
            throttle_conversations_period: Duration::from_secs(60),
            throttle_users_max: count(1_000_000),
            // Some 100 bytes each.
            seen_users_max: count(1_000_000),
            write_queue_max: count(4_096),
            commit_writes_max: count(512),
            reads_max: const { NonZeroU32::new(8).expect("the default is not zero") },
            // At 50 µs a read and 8 at a time, the last in line waits some 25 ms; from a cold disk, a second.
            reads_waiting_max: 4_096,
            signals_in_flight_max: const { NonZeroU32::new(256).expect("the default is not zero") },
            signal_deadline: Duration::from_millis(250),
            announce_commits_max: count(256),
            announce_retry_max: Duration::from_secs(2),
            announce_note_interval: Duration::from_millis(200),
            reannounce_window: Duration::from_secs(60),
            // Twice the `reannounce_window`: a start for which no note says where that begins goes back to the oldest
            // that is kept.
            commits_kept_for: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(2),
            disk_reserve_bytes: 64 << 20,
            recover_interval: Duration::from_secs(1),
            commit_stall_after: Duration::from_secs(30),
            page_cache_bytes: 32 << 20,
            page_cache_pages_max: 65_536,
            member_cache_bytes: 32 << 20,
            cache_bytes: 64 << 20,
            memtable_bytes: 16 << 20,
            journal_bytes_max: 128 << 20,
        }
    }
}

impl Config {
    /// Checks what must hold between two keys, and that no interval is zero.
    ///
    /// # Errors
    /// [`BadRelation`] names the keys and the rule.
    pub fn validate(&self) -> Result<(), BadRelation> {
        let require = |holds: bool, keys, rule| if holds { Ok(()) } else { Err(BadRelation { keys, rule }) };
        for (key, value) in [
            ("throttle_period", self.throttle_period),
            ("throttle_conversations_period", self.throttle_conversations_period),
            ("signal_deadline", self.signal_deadline),
            ("announce_retry_max", self.announce_retry_max),
            ("announce_note_interval", self.announce_note_interval),
            ("reannounce_window", self.reannounce_window),
            ("recover_interval", self.recover_interval),
            ("commit_stall_after", self.commit_stall_after),
        ] {
            require(!value.is_zero(), [key, key], "must be longer than zero")?;
        }
        require(
            self.members_max.get() >= 2,
            ["members_max", "members_max"],
            "must be at least 2, or no two people can talk",
        )?;
        require(
            self.commit_writes_max <= self.write_queue_max,
            ["commit_writes_max", "write_queue_max"],
            "one commit must not take more than can wait",
        )?;
        require(
            self.announce_note_interval <= self.commits_kept_for,
            ["announce_note_interval", "commits_kept_for"],
            "commits must be kept until it is noted that they are announced",
        )?;
        require(
            self.reannounce_window <= self.commits_kept_for,
            ["reannounce_window", "commits_kept_for"],
            "what is to be announced again must be kept",
        )?;
        let journal = ["journal_bytes_max", "journal_bytes_max"];
        require(self.journal_bytes_max >= JOURNAL_BYTES_MIN, journal, "must be at least 67108864 (64 MiB)")?;
        require(
            self.memtable_bytes >= 1 << 20 && self.memtable_bytes <= self.journal_bytes_max,
            ["memtable_bytes", "journal_bytes_max"],
            "must be at least 1048576 (1 MiB) and fit into the journals",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_together() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn every_relation_is_checked_and_names_its_keys() {
        let default = Config::default;
        let number = |n| NonZeroUsize::new(n).unwrap();
        for (bad, keys) in [
            (Config { throttle_period: Duration::ZERO, ..default() }, "`throttle_period`"),
            (
                Config { commit_writes_max: number(5_000), ..default() },
                "`commit_writes_max` and `write_queue_max`",
            ),
            (
                Config { commits_kept_for: Duration::ZERO, ..default() },
                "`announce_note_interval` and `commits_kept_for`",
            ),
            (
                Config { reannounce_window: Duration::from_secs(121), ..default() },
                "`reannounce_window` and `commits_kept_for`",
            ),
            (Config { journal_bytes_max: 1, ..default() }, "`journal_bytes_max`"),
            (Config { memtable_bytes: 1, ..default() }, "`memtable_bytes` and `journal_bytes_max`"),
        ] {
            let message = bad.validate().unwrap_err().to_string();
            assert!(message.starts_with(keys), "{message}");
        }
    }
}
