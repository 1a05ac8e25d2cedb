//! Reads a journal's bytes: where its whole batches end, and what comes after.
//!
//! The format is that of fjall 3 (`fjall/src/journal/entry.rs`), which is stable within the major version, all numbers
//! little-endian: a batch is a start (1, the number of items in 4 bytes, a sequence number in 8), its items, and an
//! end (3, XXH3-64 of the items' bytes in 8, `FJL` 3). An item is a write (2, kind, compression, keyspace in 8, the
//! lengths of key in 2, value in 4 and stored value in 4, key, stored value) or a clear (4, keyspace in 8). The file
//! is made longer than what it holds; the rest is zero.

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const WRITE: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Of a write, before its key.
const WRITE_HEAD: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;

/// What a journal is.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan {
    /// Whole batches, and nothing after them.
    Whole,
    /// Whole batches, and after them bytes that are none, and no whole batch anywhere further on.
    Torn {
        /// Where the last whole batch ends.
        whole_bytes: u64,
    },
    /// Bytes that are no batch, and a whole one after them.
    Damaged,
}

/// Reads a journal.
pub fn scan(journal: &[u8]) -> Scan {
    let mut rest = journal;
    while let Some(after) = batch(rest) {
        rest = after;
    }
    if rest.iter().all(|byte| *byte == 0) {
        return Scan::Whole;
    }
    let whole_bytes = u64::try_from(journal.len() - rest.len()).unwrap_or(u64::MAX);
    if any_batch(rest) { Scan::Damaged } else { Scan::Torn { whole_bytes } }
}

/// Whether a whole batch begins anywhere.
fn any_batch(mut bytes: &[u8]) -> bool {
    while let Some(at) = bytes.iter().position(|byte| *byte == START) {
        if batch(&bytes[at..]).is_some() {
            return true;
        }
        bytes = &bytes[at + 1..];
    }
    false
}

/// What follows the whole batch at the beginning; `None` where there is none.
fn batch(bytes: &[u8]) -> Option<&[u8]> {
    let ([START, count @ ..], rest) = bytes.split_first_chunk::<5>()? else { return None };
    let (_sequence_number, items) = rest.split_first_chunk::<8>()?;
    let mut rest = items;
    for _ in 0..u32::from_le_bytes(*count) {
        rest = item(rest)?;
    }
    let ([END, checksum @ ..], after) = rest.split_first_chunk::<9>()? else { return None };
    let after = after.strip_prefix(&MAGIC)?;
    let items = &items[..items.len() - rest.len()];
    (xxh3_64(items) == u64::from_le_bytes(*checksum)).then_some(after)
}

/// What follows the item at the beginning.
fn item(bytes: &[u8]) -> Option<&[u8]> {
    match *bytes.first()? {
        WRITE => {
            let (head, rest) = bytes.split_first_chunk::<WRITE_HEAD>()?;
            let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
            let key = usize::from(u16::from_le_bytes([*k0, *k1]));
            let stored = usize::try_from(u32::from_le_bytes([*v0, *v1, *v2, *v3])).ok()?;
            rest.get(key.checked_add(stored)?..)
        }
        CLEAR => bytes.get(9..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::DiskStore;
    use crate::store::{Batch, Event, Store};
    use doorbell_protocol::UserId;

    /// The journal of a real store, without the zeros at its end, and where its last batch begins.
    fn journal() -> (Vec<u8>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(dir.path(), crate::Config::default()).unwrap();
        for i in 0..3 {
            let shard = store.shards().all().next().unwrap();
            let position = store.view(shard).unwrap().position().next();
            // 5,000 bytes compress: the journal keeps large values compressed.
            let user = UserId::new(format!("user {i}")).unwrap();
            let events = vec![Event::Listed { user }; if i == 1 { 500 } else { 3 }];
            store.commit(shard, &Batch { position, events, ..Batch::default() }).unwrap();
        }
        drop(store);
        let mut bytes = std::fs::read(dir.path().join("log/0.jnl")).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes.truncate(end);
        let mut last = 0;
        let mut rest = &bytes[..];
        while let Some(after) = batch(rest) {
            last = bytes.len() - rest.len();
            rest = after;
        }
        assert!(rest.is_empty() && last > 200, "the journal is what this module takes it for");
        (bytes, last)
    }

    fn torn_at(last: usize) -> Scan {
        Scan::Torn { whole_bytes: last as u64 }
    }

    #[test]
    fn a_whole_journal_is_whole_with_and_without_its_zeros() {
        let (mut bytes, _) = journal();
        assert_eq!(scan(&bytes), Scan::Whole);
        bytes.extend([0; 100_000]);
        assert_eq!(scan(&bytes), Scan::Whole);
        assert_eq!(scan(&[]), Scan::Whole);
        assert_eq!(scan(&[0; 1_000]), Scan::Whole);
    }

    #[test]
    fn a_last_batch_that_is_cut_at_any_byte_is_a_torn_end() {
        let (bytes, last) = journal();
        for end in last + 1..bytes.len() {
            let mut cut = bytes[..end].to_vec();
            assert_eq!(scan(&cut), torn_at(last), "cut at {end} of {}", bytes.len());
            cut.resize(bytes.len() + 1_000, 0);
            assert_eq!(scan(&cut), torn_at(last), "zero from {end} of {}", bytes.len());
        }
        assert_eq!(scan(&bytes[..last]), Scan::Whole);
    }

    #[test]
    fn a_last_batch_with_a_hole_or_a_flipped_bit_is_a_torn_end() {
        let (bytes, last) = journal();
        // The sequence number is under no checksum: a flip there is not seen, by fjall neither.
        for at in (last..bytes.len()).filter(|at| !(last + 5..last + 13).contains(at)) {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(scan(&flipped), torn_at(last), "bit {bit} of byte {at} after {last}");
            }
        }
        let mut hole = bytes.clone();
        hole[last + 20..last + 40].fill(0);
        assert_eq!(scan(&hole), torn_at(last));
    }

    #[test]
    fn damage_before_a_whole_batch_is_damage() {
        let (bytes, last) = journal();
        for at in (0..last).step_by(7).filter(|at| bytes[*at] != 0) {
            let mut hit = bytes.clone();
            hit[at] = !hit[at];
            let found = scan(&hit);
            // A hit in a sequence number is not seen.
            assert!(matches!(found, Scan::Damaged | Scan::Whole), "{at}: {found:?}");
        }
        let mut hole = bytes.clone();
        hole[20..last].fill(0);
        assert_eq!(scan(&hole), Scan::Damaged);
    }

    #[test]
    fn lengths_that_lie_are_no_batch() {
        for length in [u32::MAX, 1 << 31, 1 << 20] {
            let mut bytes = vec![START, 1, 0, 0, 0];
            bytes.extend([0; 8]);
            bytes.extend([WRITE, 0, 0]);
            bytes.extend([0; 8]);
            bytes.extend([0xff, 0xff]);
            bytes.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
            assert_eq!(scan(&bytes), torn_at(0));
        }
        let endless = [&[START, 0xff, 0xff, 0xff, 0xff][..], &[CLEAR; 100]].concat();
        assert_eq!(scan(&endless), torn_at(0));
    }
}
