//! One object written to either encoding, field by field.

use serde::Serialize;

use crate::frames::CallId;
use crate::ids::TopicId;
use crate::payload::{Encoding, Payload};
use crate::version::Version;

/// An object that is being written. MessagePack wants the number of fields first, JSON the end.
#[must_use = "an object must be closed"]
pub(super) struct Object<'o> {
    encoding: Encoding,
    out: &'o mut Vec<u8>,
    left: usize,
    first: bool,
}

impl<'o> Object<'o> {
    /// Begins an object of exactly that many fields.
    pub(super) fn open(encoding: Encoding, out: &'o mut Vec<u8>, fields: usize) -> Self {
        match encoding {
            Encoding::Json => out.push(b'{'),
            Encoding::MsgPack => {
                let len = u32::try_from(fields).expect("an object has fewer than 2^32 fields");
                rmp::encode::write_map_len(out, len).expect(VEC);
            }
        }
        Self { encoding, out, left: fields, first: true }
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        write(self.encoding, self.out, text);
        self
    }

    pub(super) fn text_if(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    pub(super) fn number(mut self, name: &str, number: u64) -> Self {
        self.name(name);
        write(self.encoding, self.out, &number);
        self
    }

    pub(super) fn number_if(self, name: &str, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self,
        }
    }

    /// A mark: written as `true` where set, and left out otherwise.
    pub(super) fn mark(mut self, name: &str, set: bool) -> Self {
        if set {
            self.name(name);
            write(self.encoding, self.out, &true);
        }
        self
    }

    pub(super) fn id(self, id: &CallId) -> Self {
        match id {
            CallId::Number(number) => self.number("id", *number),
            CallId::Text(text) => self.text("id", text),
        }
    }

    pub(super) fn id_if(self, id: Option<&CallId>) -> Self {
        match id {
            Some(id) => self.id(id),
            None => self,
        }
    }

    /// Splices the payload's bytes; only one in the other encoding is rewritten.
    pub(super) fn payload(mut self, name: &str, payload: &Payload) -> Self {
        self.name(name);
        if payload.encoding() == self.encoding {
            self.out.extend_from_slice(payload.bytes());
        } else {
            self.out.extend_from_slice(payload.to(self.encoding).bytes());
        }
        self
    }

    pub(super) fn versions(mut self, name: &str, versions: &[(TopicId, Version)]) -> Self {
        self.name(name);
        let mut object = Object::open(self.encoding, self.out, versions.len());
        for (topic, version) in versions {
            object = object.number(topic.as_str(), version.get());
        }
        object.close();
        self
    }

    /// Anything that serde writes.
    pub(super) fn value<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.name(name);
        write(self.encoding, self.out, value);
        self
    }

    pub(super) fn close(self) {
        debug_assert_eq!(self.left, 0, "the number of fields was announced wrongly");
        if self.encoding == Encoding::Json {
            self.out.push(b'}');
        }
    }

    fn name(&mut self, name: &str) {
        debug_assert!(self.left > 0, "more fields than announced");
        self.left = self.left.saturating_sub(1);
        if self.encoding == Encoding::Json && !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write(self.encoding, self.out, name);
        if self.encoding == Encoding::Json {
            self.out.push(b':');
        }
    }
}

const VEC: &str = "a Vec takes all bytes";

fn write<T: Serialize + ?Sized>(encoding: Encoding, out: &mut Vec<u8>, value: &T) {
    match encoding {
        Encoding::Json => serde_json::to_writer(out, value).expect(VEC),
        Encoding::MsgPack => rmp_serde::encode::write_named(out, value).expect(VEC),
    }
}
