//! A MessagePack map split into raw fields, without recursion: one counter of values still to come is enough to
//! skip any nesting. A header that declares more elements than bytes are left is refused at once.

use rmp::Marker;

use crate::codec::fields::{Field, Fields};

pub(super) fn split<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Result<(), &'static str> {
    const MALFORMED: &str = "the frame is malformed MessagePack";
    let head = Head::read(bytes).ok_or(MALFORMED)?;
    if head.kind != Kind::Map {
        return Err("the frame is no MessagePack map");
    }
    let mut rest = &bytes[head.bytes..];
    for _ in 0..head.children / 2 {
        let name = take(&mut rest).ok_or(MALFORMED)?;
        let value = take(&mut rest).ok_or(MALFORMED)?;
        if let Some(field) = text(name).and_then(Field::of) {
            fields.put(field, value);
        }
    }
    if !rest.is_empty() {
        return Err("something follows the frame's MessagePack map");
    }
    Ok(())
}

/// Whether `bytes` are one well-formed value and nothing else.
pub(crate) fn is_one_value(bytes: &[u8]) -> bool {
    skip(bytes) == Some(bytes.len())
}

/// Splits the first value off.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (value, after) = rest.split_at_checked(skip(rest)?)?;
    *rest = after;
    Some(value)
}

/// How many bytes the first value takes; `None` where it is malformed or not whole.
fn skip(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut to_come: u64 = 1;
    while to_come > 0 {
        let rest = bytes.get(at..)?;
        let head = Head::read(rest)?;
        if head.kind == Kind::Str {
            text(rest.get(..head.bytes)?)?;
        }
        at = at.checked_add(head.bytes).filter(|&end| end <= bytes.len())?;
        to_come = to_come - 1 + head.children;
        // Every value takes a byte at least.
        if to_come > (bytes.len() - at) as u64 {
            return None;
        }
    }
    Some(at)
}

/// The text of a whole str value.
fn text(value: &[u8]) -> Option<&str> {
    let head = Head::read(value).filter(|head| head.kind == Kind::Str)?;
    std::str::from_utf8(value.get(head.content..head.bytes)?).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Str,
    Map,
    Other,
}

/// What the first bytes of a value say about it.
struct Head {
    kind: Kind,
    /// Where the content begins.
    content: usize,
    /// Bytes of the value up to its children: header and content.
    bytes: usize,
    /// Values that follow and belong to this one; a map's names and values count apart.
    children: u64,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let marker = Marker::from_u8(*bytes.first()?);
        Some(match marker {
            Marker::Reserved => return None,
            Marker::Null | Marker::False | Marker::True => Self::scalar(0),
            Marker::FixPos(_) | Marker::FixNeg(_) => Self::scalar(0),
            Marker::U8 | Marker::I8 => Self::scalar(1),
            Marker::U16 | Marker::I16 => Self::scalar(2),
            Marker::U32 | Marker::I32 | Marker::F32 => Self::scalar(4),
            Marker::U64 | Marker::I64 | Marker::F64 => Self::scalar(8),
            Marker::FixStr(len) => Self::content(Kind::Str, 1, usize::from(len))?,
            Marker::Str8 => Self::content(Kind::Str, 2, length(bytes, 1)?)?,
            Marker::Str16 => Self::content(Kind::Str, 3, length(bytes, 2)?)?,
            Marker::Str32 => Self::content(Kind::Str, 5, length(bytes, 4)?)?,
            Marker::Bin8 => Self::content(Kind::Other, 2, length(bytes, 1)?)?,
            Marker::Bin16 => Self::content(Kind::Other, 3, length(bytes, 2)?)?,
            Marker::Bin32 => Self::content(Kind::Other, 5, length(bytes, 4)?)?,
            // An extension has one byte for its type before its content.
            Marker::FixExt1 => Self::scalar(2),
            Marker::FixExt2 => Self::scalar(3),
            Marker::FixExt4 => Self::scalar(5),
            Marker::FixExt8 => Self::scalar(9),
            Marker::FixExt16 => Self::scalar(17),
            Marker::Ext8 => Self::content(Kind::Other, 3, length(bytes, 1)?)?,
            Marker::Ext16 => Self::content(Kind::Other, 4, length(bytes, 2)?)?,
            Marker::Ext32 => Self::content(Kind::Other, 6, length(bytes, 4)?)?,
            Marker::FixArray(len) => Self::children(Kind::Other, 1, u64::from(len)),
            Marker::Array16 => Self::children(Kind::Other, 3, length(bytes, 2)? as u64),
            Marker::Array32 => Self::children(Kind::Other, 5, length(bytes, 4)? as u64),
            Marker::FixMap(len) => Self::children(Kind::Map, 1, 2 * u64::from(len)),
            Marker::Map16 => Self::children(Kind::Map, 3, 2 * length(bytes, 2)? as u64),
            Marker::Map32 => Self::children(Kind::Map, 5, 2 * length(bytes, 4)? as u64),
        })
    }

    const fn scalar(content_bytes: usize) -> Self {
        Self { kind: Kind::Other, content: 1, bytes: 1 + content_bytes, children: 0 }
    }

    fn content(kind: Kind, content: usize, content_bytes: usize) -> Option<Self> {
        Some(Self { kind, content, bytes: content.checked_add(content_bytes)?, children: 0 })
    }

    const fn children(kind: Kind, header_bytes: usize, children: u64) -> Self {
        Self { kind, content: header_bytes, bytes: header_bytes, children }
    }
}

/// The big-endian length after the marker.
fn length(bytes: &[u8], length_bytes: usize) -> Option<usize> {
    let digits = bytes.get(1..=length_bytes)?;
    Some(digits.iter().fold(0, |number, &digit| (number << 8) | usize::from(digit)))
}
