//! An object split into its known fields, unread.

use std::borrow::Cow;

use crate::codec::raw::{Fault, Raw};
use crate::codec::{json, msgpack};
use crate::error::{DecodeError, ErrorBody, ErrorCode};
use crate::frames::CallId;
use crate::payload::Encoding;

macro_rules! fields {
    ($($field:ident = $name:literal,)+) => {
        /// The name of a field that some frame has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $($field,)+ }

        impl Field {
            const COUNT: usize = [$(Self::$field),+].len();

            /// `None` for a name that no frame has.
            pub(super) fn of(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$field),)+ _ => None }
            }

            /// The name on the wire.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)+ }
            }
        }
    };
}

fields! {
    Type = "type",
    Id = "id",
    Token = "token",
    Device = "device",
    Client = "client",
    HintWindowMs = "hint_window_ms",
    Topics = "topics",
    Topic = "topic",
    Method = "method",
    Params = "params",
    Data = "data",
    Session = "session",
    User = "user",
    ServerTimeMs = "server_time_ms",
    HeartbeatMs = "heartbeat_ms",
    Limits = "limits",
    PullAfterMs = "pull_after_ms",
    More = "more",
    Resync = "resync",
    Result = "result",
    Error = "error",
    From = "from",
    Reason = "reason",
    ReconnectAfterMs = "reconnect_after_ms",
    DeadlineMs = "deadline_ms",
    Url = "url",
    Code = "code",
    Message = "message",
    RetryAfterMs = "retry_after_ms",
    Details = "details",
}

/// What stands in an object under the names that frames know; other names left nothing here.
pub(super) struct Fields<'a> {
    encoding: Encoding,
    values: [Option<&'a [u8]>; Field::COUNT],
    /// A bit for each field that came twice. It counts only when a frame reads that field.
    repeated: u64,
}

impl<'a> Fields<'a> {
    /// Splits a whole frame.
    pub(super) fn split(encoding: Encoding, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self { encoding, values: [None; Field::COUNT], repeated: 0 };
        let split = match encoding {
            Encoding::Json => json::split(bytes, &mut fields),
            Encoding::MsgPack => msgpack::split(bytes, &mut fields),
        };
        split.map_err(DecodeError::NotProtocol)?;
        Ok(fields)
    }

    /// Keeps the raw value of a field.
    pub(super) fn put(&mut self, field: Field, value: &'a [u8]) {
        if self.values[field as usize].replace(value).is_some() {
            self.repeated |= 1 << field as u64;
        }
    }

    pub(super) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The frame's kind.
    pub(super) fn kind(&self) -> Result<Cow<'a, str>, DecodeError> {
        let Some(raw) = self.get(Field::Type) else {
            return Err(DecodeError::NotProtocol("the frame has no `type`"));
        };
        if self.is_repeated(Field::Type) {
            return Err(self.reject(ErrorBody::new(ErrorCode::Invalid, "`type` must stand only once")));
        }
        raw.text().map_err(|_| DecodeError::NotProtocol("the frame's `type` is no string"))
    }

    /// The answer to a fault: with the frame's id, where it has a usable one.
    pub(super) fn reject(&self, error: ErrorBody) -> DecodeError {
        let id = self.get(Field::Id).filter(|_| !self.is_repeated(Field::Id));
        DecodeError::Rejected { id: id.and_then(|raw| raw.call_id().ok()), error }
    }

    /// The answer to a `type` that this version does not know. The name is not repeated: it is input.
    pub(super) fn unknown_type(&self) -> DecodeError {
        self.reject(ErrorBody::new(ErrorCode::UnknownType, "`type` names no frame that this version knows"))
    }

    /// These fields as the content of one kind of frame.
    pub(super) const fn of(&self, frame: &'static str) -> FrameFields<'_, 'a> {
        FrameFields { fields: self, frame }
    }

    fn get(&self, field: Field) -> Option<Raw<'a>> {
        self.values[field as usize].map(|bytes| Raw::new(self.encoding, bytes))
    }

    const fn is_repeated(&self, field: Field) -> bool {
        self.repeated & (1 << field as u64) != 0
    }
}

/// Reads fields by name; its errors name the frame and the field.
pub(super) struct FrameFields<'f, 'a> {
    fields: &'f Fields<'a>,
    frame: &'static str,
}

impl<'a> FrameFields<'_, 'a> {
    /// A field that must be there.
    pub(super) fn required<T>(
        &self,
        field: Field,
        read: impl FnOnce(Raw<'a>) -> Result<T, Fault>,
    ) -> Result<T, DecodeError> {
        match self.raw(field)? {
            Some(raw) => read(raw).map_err(|fault| self.fault(field, fault)),
            None => Err(self.fault(field, Fault::rule("is missing"))),
        }
    }

    /// A field that may be absent or `null`.
    pub(super) fn optional<T>(
        &self,
        field: Field,
        read: impl FnOnce(Raw<'a>) -> Result<T, Fault>,
    ) -> Result<Option<T>, DecodeError> {
        match self.raw(field)?.filter(|raw| !raw.is_null()) {
            Some(raw) => read(raw).map(Some).map_err(|fault| self.fault(field, fault)),
            None => Ok(None),
        }
    }

    /// The `id` that the answer echoes.
    pub(super) fn id(&self) -> Result<CallId, DecodeError> {
        self.required(Field::Id, Raw::call_id)
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.fields.get(field).is_some()
    }

    /// A fault of one field.
    pub(super) fn fault(&self, field: Field, fault: Fault) -> DecodeError {
        let message = format!("{}: `{}` {}", self.frame, field.name(), fault.rule);
        self.fields.reject(ErrorBody::new(fault.code, message))
    }

    fn raw(&self, field: Field) -> Result<Option<Raw<'a>>, DecodeError> {
        if self.fields.is_repeated(field) {
            return Err(self.fault(field, Fault::rule("must stand only once")));
        }
        Ok(self.fields.get(field))
    }
}
