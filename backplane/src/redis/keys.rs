//! Names of keys: all of one partition under one hash tag, so that a script touches one slot.

use crate::{Partition, Partitions};

/// Slots of a Redis Cluster.
const SLOTS: usize = 16_384;

/// Partitions that a back-end may have at most: each is asked for its depth, its identity and its changes all the time.
pub(super) const PARTITIONS_MAX: usize = 1_024;

/// The names of an installation's keys: `prefix:partitions:{tag}:name`.
///
/// The number of partitions is part of them: an installation that changes it begins anew, and reads nothing that was
/// spread in another way.
#[derive(Debug)]
pub(super) struct Keys {
    /// By partition: what stands before the name.
    stems: Vec<String>,
}

impl Keys {
    /// The names under `prefix`, which holds no braces.
    pub(super) fn new(prefix: &str, partitions: Partitions) -> Self {
        let count = partitions.count();
        let stem = |partition: Partition| format!("{prefix}:{count}:{{{}}}:", tag(partition.index(), count));
        Self { stems: partitions.all().map(stem).collect() }
    }

    /// The key of that name.
    pub(super) fn key(&self, partition: Partition, name: &str) -> String {
        let stem = &self.stems[partition.index()];
        [stem, name].concat()
    }

    /// The channel on which a partition rings.
    pub(super) fn bell(&self, partition: Partition) -> String {
        self.key(partition, "bell")
    }
}

/// A partition's hash tag: its number and the smallest suffix that brings it into its own share of the slots. So
/// partitions are as even over the primaries as slots are, and neighbours share one.
fn tag(index: usize, count: usize) -> String {
    let in_share = |tag: &String| slot(tag.as_bytes()) * count / SLOTS == index;
    let tags = (0_u32..).map(|suffix| format!("{index}.{suffix}"));
    tags.into_iter().find(in_share).expect("one of endlessly many tags hashes into each share")
}

/// The slot of a hash tag: CRC16 (XMODEM), as the Redis Cluster specification has it.
fn slot(tag: &[u8]) -> usize {
    let byte = |crc: u16, byte: &u8| {
        let shift = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        (0..8).fold(crc ^ (u16::from(*byte) << 8), shift)
    };
    usize::from(tag.iter().fold(0, byte)) % SLOTS
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn a_slot_is_that_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12_182);
    }

    #[test]
    fn partitions_are_even_over_any_number_of_primaries() {
        for primaries in [2, 3, 4, 5, 8, 16] {
            let mut held = vec![0; primaries];
            for partition in 0..16 {
                held[slot(tag(partition, 16).as_bytes()) * primaries / SLOTS] += 1;
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert!(most - least <= 2, "{primaries} primaries hold {held:?}");
        }
    }

    #[test]
    fn all_keys_of_a_partition_share_its_tag_and_no_other_has_it() {
        let partitions = Partitions::new(NonZeroU16::new(16).unwrap());
        let keys = Keys::new("doorbell", partitions);
        let stems: std::collections::HashSet<String> = keys.stems.iter().cloned().collect();
        assert_eq!(stems.len(), 16);
        assert_eq!(keys.key(partitions.all().next().unwrap(), "ready"), "doorbell:16:{0.13}:ready");
    }

    #[test]
    fn the_most_partitions_have_tags() {
        let tags = (0..PARTITIONS_MAX).map(|index| tag(index, PARTITIONS_MAX));
        assert_eq!(tags.collect::<std::collections::HashSet<_>>().len(), PARTITIONS_MAX);
    }
}
