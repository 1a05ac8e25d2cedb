//! What the words of the protocol look like in JSON Schema: what `GET /v1/openapi.json` says about them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::{KEY_BYTES_MAX, PLAIN_ID_BYTES_MAX, TOPIC_ID_BYTES_MAX, USER_ID_BYTES_MAX};
use crate::{
    ConversationId, DeviceId, ErrorCode, IdempotencyKey, MessageId, Timestamp, TopicId, UserId, Version,
};

/// What schemas call a type, and how it looks.
macro_rules! looks_like {
    ($($name:ident: $schema:expr,)+) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+
    };
}

/// Text of a set of characters. Lengths are bytes in the protocol and characters in a schema: what is too long in
/// characters is too long in bytes, too.
fn text(about: &str, pattern: &str, bytes_max: usize) -> Schema {
    json_schema!({
        "type": "string", "description": about, "minLength": 1, "maxLength": bytes_max, "pattern": pattern,
    })
}

fn number(about: &str, max: u64) -> Schema {
    json_schema!({"type": "integer", "description": about, "minimum": 0, "maximum": max})
}

looks_like! {
    UserId: text("An identity: 1 to 128 bytes of printable UTF-8, not beginning with `doorbell:canary:`.", "^[^\\x00-\\x1f\\x7f]+$", USER_ID_BYTES_MAX),
    DeviceId: text("One of a user's installations, named by the client.", "^[^\\x00-\\x1f\\x7f]+$", USER_ID_BYTES_MAX),
    TopicId: text("A thing that changes, `kind:key`.", "^[a-z][a-z0-9-]*:.+$", TOPIC_ID_BYTES_MAX),
    ConversationId: text("A conversation, named by the server.", "^[A-Za-z0-9_-]+$", PLAIN_ID_BYTES_MAX),
    MessageId: text("A message, named by the server.", "^[A-Za-z0-9_-]+$", PLAIN_ID_BYTES_MAX),
    IdempotencyKey: text(
        "The caller's idempotency key: the same key with the same content gives the same answer.",
        "^[A-Za-z0-9_.:-]+$",
        KEY_BYTES_MAX
    ),
    Version: number("A topic's change counter; 0 means \"nothing yet\".", Version::MAX.get()),
    Timestamp: number("Milliseconds since 1970-01-01T00:00:00Z.", Version::MAX.get()),
    ErrorCode: json_schema!({
        "type": "string",
        "description": "What went wrong, for programs.",
        "enum": ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
    }),
}
