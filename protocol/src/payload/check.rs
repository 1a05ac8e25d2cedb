//! What a payload may hold: exactly what both encodings can.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::payload::{DEPTH_MAX, Encoding};

/// What may stand at the top of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    Object,
    Any,
}

const DEPTH: &str = "must not be nested deeper than 64";
const MALFORMED: &str = "must be one well-formed value, with numbers within a double's range";
const NAME: &str = "must have strings as names, none of which begins with `$serde_json::private::`";
const OBJECT: &str = "must be an object";
const PLAIN: &str = "must hold no binary and no extension values: send text, for example base64";
const FINITE: &str = "must hold no NaN and no infinite numbers";

/// Reads all of `bytes`, of which nothing is known, and keeps nothing.
///
/// # Errors
/// The rule that they break, as "must …".
pub(crate) fn check(encoding: Encoding, bytes: &[u8], top: Top) -> Result<(), &'static str> {
    // rmp_serde goes by declared lengths and takes no notice of what follows; serde_json checks both by itself.
    if encoding == Encoding::MsgPack && !crate::codec::is_one_value(bytes) {
        return Err(MALFORMED);
    }
    check_value(encoding, bytes, top)
}

/// Reads all of `bytes`, which in MessagePack are one whole value for sure.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_value(encoding: Encoding, bytes: &[u8], top: Top) -> Result<(), &'static str> {
    let flaw = Cell::new(MALFORMED);
    let node = Node { top, depth_left: DEPTH_MAX, flaw: &flaw };
    let sound = match encoding {
        Encoding::Json => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            node.deserialize(&mut json).and_then(|()| json.end()).is_ok()
        }
        Encoding::MsgPack => node.deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes)).is_ok(),
    };
    if sound { Ok(()) } else { Err(flaw.get()) }
}

/// One value and all below it. It recurses, [`DEPTH_MAX`] deep at most.
#[derive(Clone, Copy)]
struct Node<'f> {
    top: Top,
    depth_left: usize,
    flaw: &'f Cell<&'static str>,
}

impl Node<'_> {
    fn fail<T, E: Error>(self, flaw: &'static str) -> Result<T, E> {
        self.flaw.set(flaw);
        Err(E::custom(flaw))
    }

    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.top == Top::Object { self.fail(OBJECT) } else { Ok(()) }
    }

    fn child<E: Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { top: Top::Any, depth_left, flaw: self.flaw }),
            None => self.fail(DEPTH),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if number.is_finite() { self.scalar() } else { self.fail(FINITE) }
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<(), E> {
        self.fail(PLAIN)
    }

    /// rmp_serde shows an extension this way.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        self.fail(PLAIN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.scalar()?;
        let child = self.child()?;
        while seq.next_element_seed(child)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let child = self.child()?;
        while map.next_key_seed(Name(self.flaw))?.is_some() {
            map.next_value_seed(child)?;
        }
        Ok(())
    }
}

/// A map's key.
struct Name<'f>(&'f Cell<&'static str>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let flaw = self.0;
        let outer = flaw.replace(NAME);
        deserializer.deserialize_any(self)?;
        flaw.set(outer);
        Ok(())
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    /// serde_json reads an object with such a name as something else than an object: text inside it would be parsed
    /// once more, past the depth limit.
    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if name.starts_with("$serde_json::private::") { Err(E::custom(NAME)) } else { Ok(()) }
    }
}
