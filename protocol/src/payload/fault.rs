//! A deserializer's error, told to the sender without the content.

use serde_path_to_error::{Path, Segment};

use crate::error::{ErrorBody, ErrorCode};

type Error = serde_path_to_error::Error<serde_json::Error>;

pub(super) fn explain(error: &Error) -> ErrorBody {
    let rule = rule(&error.inner().to_string());
    let message = match place(error.path()) {
        Some(place) => format!("`{place}`: {rule}"),
        None => rule,
    };
    ErrorBody::new(ErrorCode::Invalid, message)
}

/// The field, with its place in arrays: `media[2]`. The walk stops at a name that is no ordinary field's, because names
/// of a map are content.
fn place(path: &Path) -> Option<String> {
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } if is_ordinary(key) => {
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(key);
            }
            Segment::Seq { index } => place.push_str(&format!("[{index}]")),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    (!place.is_empty()).then_some(place)
}

fn is_ordinary(name: &str) -> bool {
    name.len() <= 32 && !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// serde's errors show what they found, which is content, before what they expected, which comes from the type.
fn rule(message: &str) -> String {
    let message = strip_position(message);
    for found in ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"] {
        if message.starts_with(found) {
            return match message.rsplit_once(", expected ") {
                Some((_, expected)) => format!("must be {}", in_words(expected)),
                None => "must be something else".to_owned(),
            };
        }
    }
    message.to_owned()
}

/// Rust's names for kinds, in those of JSON.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// Without serde_json's " at line 1 column 2": programs write JSON, and count fields, not columns.
fn strip_position(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((before, position))
            if position.bytes().all(|b| b.is_ascii_digit() || b" column".contains(&b)) =>
        {
            before
        }
        _ => message,
    }
}
