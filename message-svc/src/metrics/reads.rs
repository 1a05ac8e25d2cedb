//! What reads of the store count, and what pulls keep in memory.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{put, signed};

/// For whom the store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFor {
    /// A call: a pull, or another method that reads.
    Call,
    /// The announcer.
    Announce,
    /// A signal.
    Signal,
    /// A writer, to decide.
    Write,
    /// A gateway, which asks who may follow what.
    Audience,
}

impl ReadFor {
    const ALL: [Self; 5] = [Self::Call, Self::Announce, Self::Signal, Self::Write, Self::Audience];

    const fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Announce => "announce",
            Self::Signal => "signal",
            Self::Write => "write",
            Self::Audience => "audience",
        }
    }
}

/// Where the answer to a pull came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Its page was read from the store for it.
    Read,
    /// An equal pull's page was being read.
    Joined,
    /// The page was kept from an equal pull before.
    Kept,
    /// There is nothing where it asked.
    Nothing,
}

impl Pulled {
    const ALL: [Self; 4] = [Self::Read, Self::Joined, Self::Kept, Self::Nothing];

    const fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Joined => "joined",
            Self::Kept => "kept",
            Self::Nothing => "nothing",
        }
    }
}

/// What pulls keep in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// Pages of logs, as they were answered.
    Pages,
    /// Lists of members.
    Members,
}

impl Cached {
    const fn label(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Members => "members",
        }
    }
}

/// The counters of reads.
pub struct Reads {
    look_ups: [IntCounter; 5],
    waiting: IntGauge,
    waiting_capacity: IntGauge,
    refusals: IntCounter,
    pulls: [IntCounter; 4],
    cache_bytes: IntGaugeVec,
    cache_capacity: IntGaugeVec,
    cache_items: IntGaugeVec,
}

impl Reads {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of the same name is registered already.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name, help, label: &str| put(registry, IntCounterVec::new(Opts::new(name, help), &[label]));
        let gauge = |name, help| put(registry, IntGauge::new(name, help));
        let gauges = |name, help| put(registry, IntGaugeVec::new(Opts::new(name, help), &["of"]));
        let look_ups = counters(
            "doorbell_message_store_reads_total",
            "Look-ups in the store's tables, of a row or of a range each, by whom they were for: heads, members, entries; what is answered from memory is none",
            "reader",
        )?;
        let pulls = counters(
            "doorbell_message_pulls_total",
            "`messages.list` answered, by where its page came from: `read` for it, an equal one `joined` in being read or `kept` from before, or `nothing` there",
            "source",
        )?;
        Ok(Self {
            look_ups: ReadFor::ALL.map(|reader| look_ups.with_label_values(&[reader.label()])),
            waiting: gauge("doorbell_message_reads_waiting", "Reads of calls that wait for their turn")?,
            waiting_capacity: gauge(
                "doorbell_message_reads_waiting_capacity",
                "Reads of calls that may wait at most",
            )?,
            refusals: put(
                registry,
                IntCounter::new(
                    "doorbell_message_read_refusals_total",
                    "Reads of calls refused: too many wait already",
                ),
            )?,
            pulls: Pulled::ALL.map(|source| pulls.with_label_values(&[source.label()])),
            cache_bytes: gauges(
                "doorbell_message_cache_bytes",
                "What is kept in memory for pulls: pages as they were answered, and who is a member",
            )?,
            cache_capacity: gauges(
                "doorbell_message_cache_capacity_bytes",
                "How much may be kept in memory for pulls",
            )?,
            cache_items: gauges(
                "doorbell_message_cache_items",
                "Pages, and lists of members, that are kept in memory for pulls",
            )?,
        })
    }

    /// One look-up in the store.
    pub fn looked_up(&self, reader: ReadFor) {
        self.look_ups[reader as usize].inc();
    }

    /// So many reads wait for their turn.
    pub fn waiting(&self, reads: usize) {
        self.waiting.set(signed(reads));
    }

    /// How many reads wait, and how many were refused.
    #[cfg(test)]
    pub fn line(&self) -> (i64, u64) {
        (self.waiting.get(), self.refusals.get())
    }

    /// So many may.
    pub fn waiting_capacity(&self, reads: usize) {
        self.waiting_capacity.set(signed(reads));
    }

    /// A read found too many waiting.
    pub fn refused(&self) {
        self.refusals.inc();
    }

    /// A pull is answered.
    pub fn pulled(&self, source: Pulled) {
        self.pulls[source as usize].inc();
    }

    /// So much is kept for pulls.
    pub fn cached(&self, of: Cached, bytes: u64, items: usize) {
        self.cache_bytes.with_label_values(&[of.label()]).set(signed(bytes));
        self.cache_items.with_label_values(&[of.label()]).set(signed(items));
    }

    /// So much may be, from now on; nothing is yet.
    pub fn cache_capacity(&self, of: Cached, bytes_max: u64) {
        self.cache_capacity.with_label_values(&[of.label()]).set(signed(bytes_max));
        self.cached(of, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_and_sources_index_their_own_label() {
        for (index, reader) in ReadFor::ALL.into_iter().enumerate() {
            assert_eq!(reader as usize, index, "{reader:?}");
        }
        for (index, source) in Pulled::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, index, "{source:?}");
        }
    }
}
