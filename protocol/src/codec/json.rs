//! A JSON object split into raw fields. serde_json skips values without recursion; no depth bothers it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::codec::fields::{Field, Fields};

pub(super) fn split<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Result<(), &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the frame is not UTF-8")?;
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_any(ObjectVisitor(fields)).map_err(|error| match error.classify() {
        Category::Data => "the frame is no JSON object",
        Category::Io | Category::Syntax | Category::Eof => "the frame is malformed JSON",
    })?;
    json.end().map_err(|_| "something follows the frame's JSON object")
}

struct ObjectVisitor<'f, 'a>(&'f mut Fields<'a>);

impl<'de> Visitor<'de> for ObjectVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            match name {
                Some(field) => self.0.put(field, map.next_value::<&'de RawValue>()?.get().as_bytes()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Field>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(Field::of(name))
    }
}
