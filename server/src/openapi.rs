//! `GET /v1/openapi.json`: the HTTP side in OpenAPI 3.1, made from the types that serve it.

use std::sync::LazyLock;

use bytes::Bytes;
use doorbell_gateway::http::hints::HINTS_PATH;
use doorbell_gateway::http::{CALL_PATH, status_of};
use doorbell_message_svc::{Description, MethodDescription, describe};
use doorbell_protocol::backends::{HintsReply, HintsRequest};
use doorbell_protocol::{ErrorBody, ErrorCode};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::site::Behind;

/// Where it is.
pub const PATH: &str = "/v1/openapi.json";

/// The document; made when it is first asked for.
pub fn document(behind: Behind) -> Bytes {
    static MESSAGE_SERVICE: LazyLock<Bytes> = LazyLock::new(|| written(Behind::MessageService));
    static UPSTREAM: LazyLock<Bytes> = LazyLock::new(|| written(Behind::Upstream));
    match behind {
        Behind::MessageService => MESSAGE_SERVICE.clone(),
        Behind::Upstream => UPSTREAM.clone(),
    }
}

fn written(behind: Behind) -> Bytes {
    serde_json::to_vec(&build(behind)).expect("values always encode").into()
}

fn build(behind: Behind) -> Value {
    let Description { methods, mut schemas } = describe();
    schemas.append(&mut errors());
    schemas.append(&mut hint_words());
    let mut paths: Map<String, Value> = match behind {
        Behind::MessageService => {
            methods.iter().map(|method| (format!("{CALL_PATH}{}", method.name), call(method))).collect()
        }
        Behind::Upstream => Map::from_iter([(format!("{CALL_PATH}{{method}}"), any_call())]),
    };
    paths.append(&mut operators());
    paths.append(&mut doors());
    paths.insert(HINTS_PATH.to_owned(), hints());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorbell",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The HTTP side of Doorbell. Clients hold a WebSocket at `/v1/ws` and make the same calls there; \
                            here they are for what holds none. docs/protocol.md tells the whole.",
        },
        "tags": [
            {"name": "calls", "description": "Pull and act: the methods of docs/protocol.md"},
            {"name": "sockets", "description": "Where clients are rung"},
            {"name": "back ends", "description": "What other back ends say; docs/http-api.md tells the whole"},
            {"name": "operators", "description": "Health and metrics; keep them to yourself in the proxy"},
        ],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A user's token; `doorbell token USER` makes one",
                },
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "dbk_…",
                    "description": "Another back end's key; `doorbell api-key NAME` makes one",
                },
            },
            "parameters": {"DoorbellUser": {
                "name": "Doorbell-User",
                "in": "header",
                "description": "As whom an API key acts, one of its `act_as`: UTF-8, percent-encoded where it is no \
                                visible ASCII, and `%` itself. Needed with an API key, forbidden with a token",
                "schema": {"type": "string", "minLength": 1},
                "example": "Zo%C3%AB",
            }},
            "schemas": schemas,
            "responses": refusals(),
        },
    })
}

fn call(method: &MethodDescription) -> Value {
    let mut responses = json!({"200": answer("What the method answers", method.result.as_value())});
    for (status, _) in statuses() {
        responses[status.to_string()] = json!({"$ref": format!("#/components/responses/{status}")});
    }
    json!({"post": {
        "operationId": method.name,
        "summary": method.about,
        "tags": ["calls"],
        "security": [{"token": []}, {"apiKey": []}],
        "parameters": [{"$ref": "#/components/parameters/DoorbellUser"}],
        "requestBody": {
            "description": "No body means `{}`.",
            "content": {"application/json": {"schema": method.params, "example": method.example}},
        },
        "responses": responses,
    }})
}

/// A method of an upstream, of which nothing is known here.
fn any_call() -> Value {
    let object = json!({"type": "object"});
    let method = MethodDescription {
        name: "call",
        about: "A method of the back end behind this server",
        params: object.clone().try_into().expect("an object is a schema"),
        result: object.try_into().expect("an object is a schema"),
        example: json!({}),
    };
    let mut item = call(&method);
    item["parameters"] = json!([{
        "name": "method",
        "in": "path",
        "required": true,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
    }]);
    item
}

/// One answer in JSON.
fn answer(about: &str, schema: &Value) -> Value {
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}

/// The error object, and what it is made of.
fn errors() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.for_serialize().into_generator();
    let body = ErrorBody::json_schema(&mut generator);
    let mut schemas = generator.take_definitions(false);
    schemas.insert("ErrorBody".to_owned(), body.to_value());
    schemas.insert(
        "Error".to_owned(),
        json!({
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"$ref": "#/components/schemas/ErrorBody"}},
        }),
    );
    schemas
}

/// Each status of an error with its codes, in ascending order.
fn statuses() -> Vec<(u16, Vec<&'static str>)> {
    let mut statuses: Vec<(u16, Vec<&'static str>)> = Vec::new();
    for code in ErrorCode::ALL {
        let status = status_of(*code).as_u16();
        match statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, codes)) => codes.push(code.as_str()),
            None => statuses.push((status, vec![code.as_str()])),
        }
    }
    statuses.sort_unstable();
    statuses
}

fn refusals() -> Map<String, Value> {
    let refusal = |(status, codes): (u16, Vec<&str>)| {
        let about = format!("An error object with the code `{}`", codes.join("` or `"));
        let mut refusal = answer(&about, &json!({"$ref": "#/components/schemas/Error"}));
        if matches!(status, 429 | 503) {
            refusal["headers"] = json!({"Retry-After": {
                "description": "Whole seconds, where `retry_after_ms` is there",
                "schema": {"type": "integer", "minimum": 1},
            }});
        }
        (status.to_string(), refusal)
    };
    statuses().into_iter().map(refusal).collect()
}

fn hint_words() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.for_deserialize().into_generator();
    generator.subschema_for::<HintsRequest>();
    generator.subschema_for::<HintsReply>();
    generator.take_definitions(false)
}

/// `POST /v1/hints`.
fn hints() -> Value {
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let mut responses =
        json!({"200": answer("What became of each hint, in its order", &schema("HintsReply"))});
    for status in [400, 401, 403, 413, 429, 501, 503] {
        responses[status.to_string()] = json!({"$ref": format!("#/components/responses/{status}")});
    }
    json!({"post": {
        "operationId": "hints",
        "summary": "Rings users, or the followers of a topic",
        "tags": ["back ends"],
        "security": [{"apiKey": []}],
        "requestBody": {
            "required": true,
            "content": {"application/json": {
                "schema": schema("HintsRequest"),
                "example": {"hints": [{"topic": "order:17", "version": 3, "users": ["ada", "bob"]}]},
            }},
        },
        "responses": responses,
    }})
}

/// What operators and their machines ask, without a token.
fn operators() -> Map<String, Value> {
    let get = |id: &str, about: &str, responses: Value| {
        json!({"get": {
            "operationId": id, "summary": about, "tags": ["operators"], "security": [], "responses": responses,
        }})
    };
    let text =
        |media: &str| json!({"description": "As asked", "content": {media: {"schema": {"type": "string"}}}});
    let ready = json!({
        "type": "object",
        "required": ["ready", "reasons"],
        "properties": {"ready": {"type": "boolean"}, "reasons": {"type": "array", "items": {"type": "string"}}},
    });
    let live = json!({"type": "object", "required": ["live"], "properties": {"live": {"const": true}}});
    let document = answer("The document", &json!({"type": "object", "required": ["openapi", "paths"]}));
    [
        ("/healthz", get("healthz", "Whether the process lives", json!({"200": answer("It lives", &live)}))),
        (
            "/readyz",
            get(
                "readyz",
                "Whether new clients should come here",
                json!({"200": answer("They should", &ready), "503": answer("They should not, with the reasons", &ready)}),
            ),
        ),
        ("/metrics", get("metrics", "Everything counted, for Prometheus", json!({"200": text("text/plain")}))),
        (PATH, get("openapi", "This document", json!({"200": document}))),
    ]
    .map(|(path, item)| (path.to_owned(), item))
    .into_iter()
    .collect()
}

/// The socket, and tokens for names.
fn doors() -> Map<String, Value> {
    let refused = |about: &str| answer(about, &json!({"$ref": "#/components/schemas/Error"}));
    let user = json!({"$ref": "#/components/schemas/UserId"});
    let asked = json!({
        "type": "object", "required": ["user"], "properties": {"user": user}, "additionalProperties": false,
    });
    let given = json!({
        "type": "object",
        "required": ["user", "token", "expires_at_ms"],
        "properties": {
            "user": user,
            "token": {"type": "string"},
            "expires_at_ms": {"$ref": "#/components/schemas/Timestamp"},
        },
    });
    let ws = json!({"get": {
        "operationId": "ws",
        "summary": "Opens a socket; sub-protocols `doorbell.v1.json` and `doorbell.v1.msgpack`",
        "tags": ["sockets"],
        "security": [{}, {"token": []}],
        "responses": {
            "101": {"description": "A WebSocket; `hello` comes first"},
            "400": refused("A faulty upgrade"),
            "401": refused("A token came with it that does not hold"),
            "403": refused("A page that may not open sockets here"),
            "426": refused("No upgrade, or another version than 13"),
            "503": refused("Not now; see `Retry-After`"),
        },
    }});
    let token = json!({"post": {
        "operationId": "demo.token",
        "summary": "A token for a name, where `demo` allows it",
        "tags": ["sockets"],
        "security": [],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": asked, "example": {"user": "ada"}}},
        },
        "responses": {
            "200": answer("A token", &given),
            "400": refused("No name"),
            "403": refused("Not from this machine"),
            "404": refused("There is no demo"),
        },
    }});
    Map::from_iter([("/v1/ws".to_owned(), ws), ("/v1/demo/token".to_owned(), token)])
}
