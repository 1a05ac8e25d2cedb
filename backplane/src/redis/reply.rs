//! Reading what scripts answer.

use redis::Value;

use crate::Error;

/// The parts of an answer, one after the other.
pub(super) struct Reply(std::vec::IntoIter<Value>);

/// An answer of another shape than the script's.
pub(super) fn unexpected() -> Error {
    Error::Unavailable { reason: "redis answered something else than the script does".to_owned() }
}

impl Reply {
    /// The parts of a list.
    pub(super) fn list(value: Value) -> Result<Self, Error> {
        match value {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            Value::Nil => Ok(Self(Vec::new().into_iter())),
            _ => Err(unexpected()),
        }
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn value(&mut self) -> Result<Value, Error> {
        self.0.next().ok_or_else(unexpected)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        bytes(self.value()?)
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?).map_err(|_| unexpected())
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        match self.value()? {
            Value::Int(number) => u64::try_from(number).map_err(|_| unexpected()),
            other => {
                let text = bytes(other)?;
                std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(unexpected)
            }
        }
    }
}

/// One piece of text.
pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Error> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        _ => Err(unexpected()),
    }
}
