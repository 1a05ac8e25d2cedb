//! What becomes of a message after it was sent: another text, or none at all.
//!
//! The log keeps every entry at its place. A message's row names its last edit, and each edit's row the one before it,
//! so that a delete finds everything that it has to take away, in the same commit.

use doorbell_protocol::{ConversationId, UserId, Version};

use super::{Draft, Words, admit, damaged};
use crate::conversation::{Content, Edits, Entry, EntryKind, Kind};
use crate::refusal::Refusal;
use crate::store::AnswerKey;
use crate::writer::request::{Amend, DeleteRequest, EditRequest, Sent};

/// Edits of one message at most: a delete rewrites all of them in one commit.
const EDITS_MAX: u32 = 1_000;

const NOT_YOURS: &str = "only its sender, or the owner of a group, changes or deletes a message";
const NO_MESSAGE: &str =
    "`of` must be the version of a message: other entries are neither changed nor deleted";
const NO_TEXT: &str = "a message without media needs `text`: to take it away, delete it";
const TOO_MANY: &str = "this message was edited 1000 times, and takes no more edits";

impl Draft<'_> {
    /// Gives a message another text; links and `meta` stay.
    pub fn edit(&mut self, request: EditRequest) -> Result<Sent, Refusal> {
        let EditRequest { what, text } = request;
        let key = match self.begin(&what)? {
            Begun::Repeated(sent) => return Ok(sent),
            Begun::Fresh(key) => key,
        };
        let Amend { caller, conversation, of, key: _, digest } = what;
        let user = &caller.user;
        let mut message = self.message(user, &conversation, of)?;
        if message.deleted.is_some() {
            return Err(Refusal::Deleted);
        }
        if text.is_empty() && message.content.media.is_empty() {
            return Err(Refusal::Unfit(NO_TEXT));
        }
        let count = message.edits.map_or(0, |edits| edits.count) + 1;
        if count > EDITS_MAX {
            return Err(Refusal::Unfit(TOO_MANY));
        }
        admit(&self.throttles.messages, &caller, "messages")?;
        let content = Content { text, ..Content::default() };
        let words = Words { kind: EntryKind::Edit, of: Some(of), edits: message.edits, content };
        let sent = self.log(user, &conversation, words)?;
        message.edits = Some(Edits { last: sent.version, count });
        self.put_entry(&conversation, message);
        self.keep(key, digest, &sent);
        Ok(sent)
    }

    /// Takes away the content of a message and of its edits. One that is deleted already stays so: the answer is that
    /// of the first time.
    pub fn delete(&mut self, request: DeleteRequest) -> Result<Sent, Refusal> {
        let DeleteRequest { what } = request;
        let key = match self.begin(&what)? {
            Begun::Repeated(sent) => return Ok(sent),
            Begun::Fresh(key) => key,
        };
        let Amend { caller, conversation, of, key: _, digest } = what;
        let user = &caller.user;
        let mut message = self.message(user, &conversation, of)?;
        admit(&self.throttles.messages, &caller, "messages")?;
        let sent = match message.deleted {
            Some(version) => {
                let Entry { id, sent_at, .. } = self.entry(&conversation, version)?.ok_or(damaged("log"))?;
                Sent { conversation, version, id, sent_at }
            }
            None => {
                let content = Content::default();
                let words = Words { kind: EntryKind::Delete, of: Some(of), edits: None, content };
                let sent = self.log(user, &conversation, words)?;
                let mut edits = message.edits;
                message.redact(sent.version);
                self.put_entry(&conversation, message);
                while let Some(Edits { last, .. }) = edits {
                    let mut edit = self.entry(&conversation, last)?.ok_or(damaged("log"))?;
                    edits = edit.edits;
                    edit.redact(sent.version);
                    self.put_entry(&conversation, edit);
                }
                sent
            }
        };
        self.keep(key, digest, &sent);
        Ok(sent)
    }

    /// Checks membership first, and the key next.
    fn begin(&mut self, what: &Amend) -> Result<Begun, Refusal> {
        let Amend { caller, conversation, of: _, key, digest } = what;
        self.membership(&caller.user, conversation)?.ok_or(Refusal::NoConversation)?;
        let (user, key) = (caller.user.clone(), key.clone());
        let key = AnswerKey::Log { user, conversation: conversation.clone(), key };
        Ok(match self.logged(&key, conversation, *digest)? {
            Some(sent) => Begun::Repeated(sent),
            None => Begun::Fresh(key),
        })
    }

    /// A message that the user may change.
    fn message(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
        version: Version,
    ) -> Result<Entry, Refusal> {
        let message = self.entry(conversation, version)?.ok_or(Refusal::NoMessage)?;
        if message.kind != EntryKind::Message {
            return Err(Refusal::Unfit(NO_MESSAGE));
        }
        if message.from != *user {
            let about = self.conversation(conversation)?;
            if about.kind == Kind::Direct || about.owner != *user {
                return Err(Refusal::Forbidden(NOT_YOURS));
            }
        }
        Ok(message)
    }

    /// An entry as it will be after what is decided so far.
    fn entry(&self, conversation: &ConversationId, version: Version) -> Result<Option<Entry>, Refusal> {
        if let Some(entry) = self.rewritten.get(&(conversation.clone(), version)) {
            return Ok(Some(entry.clone()));
        }
        if self.appended.contains(conversation)
            && let Some(at) = self.fresh(conversation, version)
        {
            return Ok(Some(self.batch.entries[at].1.clone()));
        }
        Ok(self.view.entry(conversation, version)?)
    }

    /// Writes an entry again, in its place. No row may stand in a commit twice.
    fn put_entry(&mut self, conversation: &ConversationId, entry: Entry) {
        match self.fresh(conversation, entry.version) {
            Some(at) => self.batch.entries[at].1 = entry,
            None => {
                self.rewritten.insert((conversation.clone(), entry.version), entry);
            }
        }
    }

    /// Where an entry stands that this very commit appends.
    fn fresh(&self, conversation: &ConversationId, version: Version) -> Option<usize> {
        self.batch.entries.iter().rposition(|(id, entry)| entry.version == version && id == conversation)
    }
}

/// Whether a key was used before.
enum Begun {
    Repeated(Sent),
    Fresh(AnswerKey),
}
