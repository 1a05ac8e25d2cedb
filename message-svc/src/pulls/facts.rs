//! Facts that never change, read once for all who ask at the same time, and kept within a bound.
//!
//! The first who asks for a key reads; who asks meanwhile waits for that. One who fails, or waits no longer, leaves the
//! reading to the next in line, who reads on his own account: nobody is answered with the failure of another, and no
//! failure is kept. What may be kept is up to the key: it names everything that the value depends on.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What an item takes besides what its value holds: key, map, list.
const ITEM_BYTES: u64 = 300;
/// What one part of the cache holds, each with a lock of its own: the largest value must fit into one.
const PART_BYTES: u64 = 8 << 20;
/// Parts at most.
const PARTS_MAX: u64 = 16;
/// The share for what was asked for again. What is pulled is new as a rule, so that the rest is large.
const HOT_SHARE: f64 = 0.75;

/// A value that knows what it holds.
pub trait Size {
    /// In bytes.
    fn bytes(&self) -> usize;
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of all items; 0 keeps nothing.
    pub bytes_max: u64,
    /// How many; 0 keeps nothing.
    pub items_max: u64,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was kept.
    Kept,
    /// Somebody else was reading it.
    Joined,
    /// It was read for this one.
    Read,
}

/// What is read once for all.
pub struct Facts<K, V> {
    cache: Cache<K, V, Weigher>,
    keeps: bool,
}

/// Weighs items by their bytes, and each with at least its part of the whole, which bounds their number.
#[derive(Clone)]
struct Weigher {
    least: u64,
}

impl<K, V: Size> Weighter<K, V> for Weigher {
    fn weight(&self, _: &K, value: &V) -> u64 {
        let bytes = u64::try_from(value.bytes()).unwrap_or(u64::MAX);
        bytes.saturating_add(ITEM_BYTES).max(self.least)
    }
}

impl<K: Clone + Eq + Hash, V: Clone + Size> Facts<K, V> {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let keeps = bounds.bytes_max > 0 && bounds.items_max > 0;
        let bounds = if keeps { bounds } else { Bounds { bytes_max: 0, items_max: 0 } };
        let parts = (bounds.bytes_max / PART_BYTES).clamp(1, PARTS_MAX);
        let estimate = bounds.items_max.min(bounds.bytes_max / ITEM_BYTES);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(count(parts))
            .hot_allocation(HOT_SHARE)
            .estimated_items_capacity(count(estimate))
            .weight_capacity(bounds.bytes_max)
            .build()
            .expect("both capacities are set");
        let weigher = Weigher { least: bounds.bytes_max.div_ceil(bounds.items_max.max(1)) };
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { cache: Cache::with_options(options, weigher, hasher, lifecycle), keeps }
    }

    /// What is kept under a key.
    pub fn kept(&self, key: &K) -> Option<V> {
        self.cache.get(key)
    }

    /// What is kept under a key, or is being read for it, or else what `read` brings.
    ///
    /// *Cancel safety*: dropped while it reads, it leaves the reading to the next who waits.
    ///
    /// # Errors
    /// As `read`, where it was this one who read.
    pub async fn get<E>(&self, key: &K, read: impl Future<Output = Result<V, E>>) -> Result<(V, Source), E> {
        if let Some(value) = self.kept(key) {
            return Ok((value, Source::Kept));
        }
        match self.cache.get_value_or_guard_async(key).await {
            Ok(value) => Ok((value, Source::Joined)),
            Err(place) => {
                let value = read.await?;
                // It fails only where somebody took the place away, and nobody does.
                drop(place.insert(value.clone()));
                Ok((value, Source::Read))
            }
        }
    }

    /// Whether anything is ever kept.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        self.keeps
    }

    /// Bytes that are kept, and items.
    #[must_use]
    pub fn size(&self) -> (u64, usize) {
        (self.cache.weight(), self.cache.len())
    }
}

#[cfg(test)]
mod tests;
