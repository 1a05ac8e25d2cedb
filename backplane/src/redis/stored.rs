//! What is written in Redis, read: `lua/prelude.lua` says how it is written.

use doorbell_protocol::{DirtyMap, Epoch, GatewayId, Generation, Hint, Stamp, Timestamp, TopicId, Version};

use crate::Entry;

/// Digits of a time in ms.
const TIME: usize = 14;
/// Digits of a stamp: epoch and generation.
const STAMP: usize = 32;

/// A stamp as it is stored: as text it compares like the stamp.
pub(super) fn write_stamp(stamp: Stamp) -> String {
    format!("{:016x}{:016x}", stamp.epoch.0, stamp.generation.0)
}

/// An epoch as it is stored.
pub(super) fn write_epoch(epoch: Epoch) -> String {
    format!("{:016x}", epoch.0)
}

/// A stamp, if it is one.
pub(super) fn read_stamp(bytes: &[u8]) -> Option<Stamp> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() == STAMP)?;
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    Some(Stamp { epoch: Epoch(number(text.get(..16)?)?), generation: Generation(number(text.get(16..)?)?) })
}

/// A user's entries, if they can be read.
pub(super) fn read_entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('\t');
    if !parts.next()?.is_empty() || text.is_empty() {
        return None;
    }
    let read = |part: &str| {
        let (gateway, stamp) = part.split_once('\n')?;
        Some(Entry { gateway: GatewayId::new(gateway).ok()?, stamp: read_stamp(stamp.as_bytes())? })
    };
    parts.map(read).collect()
}

/// When the oldest news of a map came in, and the map, if they can be read.
pub(super) fn read_untold(bytes: &[u8]) -> Option<(Timestamp, DirtyMap)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let since = text.get(..TIME)?.parse().ok()?;
    let map = text.get(TIME..)?;
    let marks: u8 = map.get(..1)?.parse().ok().filter(|marks| *marks <= 3)?;
    let mut dirty = DirtyMap::default();
    if marks & 1 != 0 {
        dirty.mark_refollow();
    }
    if marks & 2 != 0 {
        dirty.mark_resync();
    }
    let mut lines = map.get(1..)?.split('\n');
    if !lines.next()?.is_empty() {
        return None;
    }
    for line in lines {
        let (topic, version) = line.split_once('\t')?;
        let (topic, version) = (TopicId::new(topic).ok()?, Version::new(version.parse().ok()?)?);
        dirty.hint(Hint { topic, version });
    }
    Some((Timestamp::from_millis(since), dirty)).filter(|(_, dirty)| !dirty.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_compare_as_text() {
        let stamp = |epoch, generation| Stamp { epoch: Epoch(epoch), generation: Generation(generation) };
        let stamps = [stamp(0, 9), stamp(1, 2), stamp(1, 10), stamp(10, 0), stamp(u64::MAX, u64::MAX)];
        let written = stamps.map(write_stamp);
        assert!(written.is_sorted());
        assert_eq!(written.map(|text| read_stamp(text.as_bytes()).unwrap()), stamps);
    }

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let (since, dirty) = read_untold(b"017672256000013\n").map_or_else(
            || read_untold("017672256000011\nt:1\t5\ninbox:\u{e9}\t9007199254740991".as_bytes()).unwrap(),
            |_| panic!("a line without a topic was read"),
        );
        assert_eq!(since, Timestamp::from_millis(1_767_225_600_001));
        assert!(dirty.refollow() && !dirty.resync());
        assert_eq!(dirty.topics().len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_no_map() {
        let bad: [&[u8]; 9] = [
            b"",
            b"01767225600001",
            b"017672256000010",
            b"017672256000017",
            b"0176722560000x2",
            b"017672256000010\nt:1",
            b"017672256000010\nt:1\tx",
            b"017672256000010\nt:1\t9007199254740992",
            b"017672256000010\n\xff:1\t1",
        ];
        for bytes in bad {
            assert_eq!(read_untold(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn entries_that_cannot_be_read_are_no_entries() {
        let good = "\tg1\n00000000000000010000000000000002\tg2\n00000000000000030000000000000004";
        assert_eq!(read_entries(good.as_bytes()).map(|entries| entries.len()), Some(2));
        for bad in ["", "x", "\tg1", "\tg1\n01", "\t\n00000000000000010000000000000002"] {
            assert_eq!(read_entries(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
