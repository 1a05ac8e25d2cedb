//! Input that nobody meant well: any bytes, tokens in any order, and good frames with edits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// Pieces of JSON, often with the names that frames know.
pub fn json_like() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "1.5",
        "\"type\":",
        "\"id\":",
        "\"params\":",
        "\"topics\":",
        "\"call\"",
        "\"ping\"",
        "\"hint\"",
        "\"a:b\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "{\"type\":\"call\",\"id\":1,\"method\":\"m\",\"params\":",
        "{\"type\":\"reply\",\"id\":1,\"result\":",
        "{\"type\":\"subscribe\",\"id\":1,\"topics\":",
        "{\"$serde_json::private::RawValue\":\"1\"}",
        "é",
    ];
    vec(select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// Headers and values of MessagePack, whole or not.
pub fn msgpack_like() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"\x80",
        b"\x81",
        b"\x82",
        b"\x83",
        b"\x84",
        b"\x90",
        b"\x91",
        b"\x92",
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\x01",
        b"\xff",
        b"\xc4\x01a",
        b"\xd4\x05a",
        b"\xc7\x01\x05a",
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\xcf\0\x20\0\0\0\0\0\0",
        b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1a",
        b"\xa1\xff",
        b"\xd9\x01b",
        b"\xda\0\x01c",
        b"\xdb\0\0\0\x01d",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\0\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xde\0\x02",
        b"\xdf\0\0\0\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\xa4type",
        b"\xa4ping",
        b"\xa4call",
        b"\xa5reply",
        b"\xa2id",
        b"\xa6method",
        b"\xa6params",
        b"\xa6result",
        b"\xa6topics",
        b"\xa3a:b",
        b"\x84\xa4type\xa4call\xa2id\x01\xa6method\xa1m\xa6params",
    ];
    vec(select(PIECES), 0..16).prop_map(|pieces| pieces.concat())
}

/// One change to some bytes.
#[derive(Clone, Debug)]
pub enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

impl Edit {
    /// Applies `edits` in their order.
    pub fn all(edits: &[Self], mut bytes: Vec<u8>) -> Vec<u8> {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(len)] = *byte,
            Self::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::Cut(at) => bytes.truncate(at.index(len)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    // Bytes that mean something in either encoding come more often.
    let byte =
        || prop_oneof![any::<u8>(), select(b"{}[]\":,\\ 0-\x80\x90\xa0\xc0\xc4\xd9\xdc\xdf\xff".as_slice())];
    let edit = prop_oneof![
        4 => (at(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (at(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ];
    vec(edit, 1..5)
}
