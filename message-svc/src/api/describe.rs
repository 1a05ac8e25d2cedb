//! Each method in words, schemas and an example: what `GET /v1/openapi.json` says about calls.

use doorbell_protocol::{ConversationId, UserId};
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::method::{Method, SERVED};
use super::{params, reply};
use crate::conversation::direct_id;

/// All methods of this release.
#[derive(Debug)]
pub struct Description {
    /// In the order of the protocol's table.
    pub methods: Vec<MethodDescription>,
    /// What their schemas refer to, as `#/components/schemas/NAME`.
    pub schemas: Map<String, Value>,
}

/// One method.
#[derive(Debug)]
pub struct MethodDescription {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// What it takes.
    pub params: Schema,
    /// What it answers.
    pub result: Schema,
    /// Parameters that `ada` could send once she has sent `bob` a message; in a group, its id stands for one that
    /// was made before.
    pub example: Value,
}

/// Whom the examples are about.
const CALLER: &str = "ada";
const OTHER: &str = "bob";
/// What stands for the id of a group that the caller made.
const GROUP: &str = "a-group";

/// Describes what is served.
#[must_use]
pub fn describe() -> Description {
    let generator = |contract: Contract| {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = contract;
        });
        settings.into_generator()
    };
    let mut schemas =
        Schemas { taken: generator(Contract::Deserialize), given: generator(Contract::Serialize) };
    let methods = SERVED.iter().map(|(name, method)| schemas.describe(name, *method)).collect();
    let Schemas { mut taken, mut given } = schemas;
    let mut schemas = taken.take_definitions(false);
    // What both know are the words of the protocol, which look alike in both directions.
    schemas.append(&mut given.take_definitions(false));
    Description { methods, schemas }
}

struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    fn of<P: JsonSchema, R: JsonSchema>(
        &mut self,
        name: &'static str,
        about: &'static str,
        example: Value,
    ) -> MethodDescription {
        let (params, result) = (inline::<P>(&mut self.taken), inline::<R>(&mut self.given));
        MethodDescription { name, about, params, result, example }
    }

    fn describe(&mut self, name: &'static str, method: Method) -> MethodDescription {
        let pair = pair();
        match method {
            Method::Changes => self.of::<params::Changes, reply::Changes>(
                name,
                "Which topics have changed since a cursor, with their versions",
                json!({"limit": 100}),
            ),
            Method::Create => self.of::<params::CreateConversation, reply::Created>(
                name,
                "Makes a conversation; two members and no title make the pair's one",
                json!({"members": [OTHER], "title": "Lunch", "key": "lunch-1"}),
            ),
            Method::List => self.of::<params::List, reply::Conversations>(
                name,
                "The caller's conversations, most recent first",
                json!({"limit": 20}),
            ),
            Method::Get => self.of::<params::Get, reply::Conversation>(
                name,
                "One conversation, with a page of its members",
                json!({"conversation": pair}),
            ),
            Method::Update => self.of::<params::Update, reply::Conversation>(
                name,
                "Changes a conversation's title, and the caller's own label and mute",
                json!({"conversation": GROUP, "title": "Dinner", "muted": true}),
            ),
            Method::AddMembers => self.of::<params::Members, reply::Members>(
                name,
                "Adds members to a group; they may read all of its log",
                json!({"conversation": GROUP, "users": ["carol"]}),
            ),
            Method::RemoveMembers => self.of::<params::Members, reply::Members>(
                name,
                "Removes members from a group, which its owner may, or oneself, to leave",
                json!({"conversation": GROUP, "users": ["carol"]}),
            ),
            Method::MarkRead => self.of::<params::MarkRead, reply::Read>(
                name,
                "Notes how far the caller has read; the greatest version wins",
                json!({"conversation": pair, "version": 1}),
            ),
            Method::Send => self.of::<params::Send, reply::Sent>(
                name,
                "Sends a message to a conversation or to a user; it is answered when it is durable",
                json!({"to": OTHER, "key": "hello-1", "text": "Hello, Bob"}),
            ),
            Method::Edit => self.of::<params::Edit, reply::Sent>(
                name,
                "Gives a message another text: an entry of its own in the log",
                json!({"conversation": pair, "of": 1, "key": "hello-2", "text": "Hello, Robert"}),
            ),
            Method::Delete => self.of::<params::Delete, reply::Sent>(
                name,
                "Takes the content of a message and of its edits away; an entry of its own in the log says so",
                json!({"conversation": pair, "of": 1, "key": "hello-3"}),
            ),
            Method::Messages => self.of::<params::Messages, reply::Messages>(
                name,
                "Messages of a conversation in ascending order: after a version, before one, or the newest",
                json!({"conversation": pair, "after": 0, "limit": 50}),
            ),
            Method::SetStatus | Method::GetStatus => self.describe_status(name, method),
        }
    }

    fn describe_status(&mut self, name: &'static str, method: Method) -> MethodDescription {
        if method == Method::SetStatus {
            self.of::<params::SetStatus, reply::Status>(
                name,
                "Says how the caller wants to be seen",
                json!({"state": "busy", "text": "in a meeting"}),
            )
        } else {
            self.of::<params::GetStatus, reply::Statuses>(
                name,
                "Who is there, of those who share a conversation with the caller; others are left out",
                json!({"users": [OTHER]}),
            )
        }
    }
}

/// The type's own schema in place, so that parameters and results of one name do not meet.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// The conversation of the two, which has the same id everywhere.
fn pair() -> ConversationId {
    let user = |name| UserId::new(name).expect("a name of letters");
    direct_id(&user(CALLER), &user(OTHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_there() {
        let Description { methods, schemas } = describe();
        let mut named = Vec::new();
        for method in &methods {
            references(method.params.as_value(), &mut named);
            references(method.result.as_value(), &mut named);
        }
        schemas.values().for_each(|schema| references(schema, &mut named));

        assert!(named.len() > 10, "{named:?}");
        for name in named {
            let name = name.strip_prefix("#/components/schemas/").expect(name);
            assert!(schemas.contains_key(name), "{name}");
        }
    }

    fn references<'a>(value: &'a Value, named: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                named.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, named));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, named)),
            _ => {}
        }
    }

    #[test]
    fn the_limits_of_the_protocol_stand_in_the_schemas() {
        let described = describe();
        let send = described.methods.iter().find(|method| method.name == "messages.send").unwrap();
        let fields = &send.params.as_value()["properties"];
        assert_eq!(fields["text"]["maxLength"], 10_000, "{fields}");
        assert_eq!(fields["media"]["maxItems"], 10);
        assert_eq!(send.params.as_value()["required"], json!(["key"]));
    }
}
