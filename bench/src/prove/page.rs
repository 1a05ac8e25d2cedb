//! Pages of a log as they come, and as they are written down.

use doorbell_protocol::Payload;
use serde::Deserialize;

use super::history::{Entry, Kind, fingerprint};
use super::names::Names;
use super::stage::Sabotage;

/// Stands for the code of a pull whose answer is no page.
pub const UNREADABLE: &str = "unreadable";

/// The answer of `messages.list`.
#[derive(Debug, Deserialize)]
struct Listed {
    messages: Vec<Message>,
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    version: u64,
    kind: String,
    of: Option<u64>,
    id: String,
    from: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    deleted: bool,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// In the order in which they came.
    pub entries: Vec<Entry>,
    /// There are others.
    pub more: bool,
}

/// Reads a page; `None` where it is none.
pub fn read(names: &Names, payload: &Payload, sabotage: Sabotage) -> Option<Page> {
    let Listed { messages, more } = payload.parse().ok()?;
    let mut entries: Vec<Entry> = messages.into_iter().map(|message| entry(names, message)).collect();
    if sabotage == Sabotage::SwapEntries && entries.len() > 1 {
        entries.swap(0, 1);
    }
    Some(Page { entries, more })
}

fn entry(names: &Names, message: Message) -> Entry {
    Entry {
        version: message.version,
        id: fingerprint(&message.id),
        user: names.number(&message.from),
        key: names.key_of(&message.text),
        text: fingerprint(&message.text),
        kind: match message.kind.as_str() {
            "message" => Kind::Message,
            "edit" => Kind::Edit,
            "delete" => Kind::Delete,
            _ => Kind::Other,
        },
        of: message.of,
        deleted: message.deleted,
    }
}
