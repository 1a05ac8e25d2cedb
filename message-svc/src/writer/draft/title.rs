//! What a conversation is called, and what a member sees beside it.

use super::{Draft, Words, admit};
use crate::conversation::{Content, EntryKind, Kind};
use crate::refusal::Refusal;
use crate::writer::request::UpdateRequest;

const PAIR_HAS_NONE: &str = "a direct conversation has no title: give it a `label`, which you alone see";
const OWNER_RENAMES: &str = "this conversation is closed: its owner alone changes the title";

impl Draft<'_> {
    /// Changes the title, which makes an entry in the log, and the member's own label and mute, which moves the
    /// member's list alone. What is so already changes nothing.
    pub fn update(&mut self, request: UpdateRequest) -> Result<(), Refusal> {
        let UpdateRequest { caller, conversation, title, label, muted } = request;
        let user = caller.user.clone();
        let mut member = self.membership(&user, &conversation)?.ok_or(Refusal::NoConversation)?;
        if let Some(title) = title {
            let mut about = self.conversation(&conversation)?;
            if about.kind == Kind::Direct {
                return Err(Refusal::Forbidden(PAIR_HAS_NONE));
            }
            if about.closed && about.owner != user {
                return Err(Refusal::Forbidden(OWNER_RENAMES));
            }
            if about.title.as_ref() != Some(&title) {
                admit(&self.throttles.messages, &caller, "messages")?;
                let content = Content { text: title.clone(), ..Content::default() };
                self.log(&user, &conversation, Words::new(EntryKind::Rename, content))?;
                about.title = Some(title);
                self.conversations.insert(conversation.clone(), about);
            }
        }
        let label = match label {
            Some(label) => Some(label).filter(|label| !label.is_empty()).map(Into::into),
            None => member.label.clone(),
        };
        let muted = muted.unwrap_or(member.muted);
        if (&label, muted) != (&member.label, member.muted) {
            member.label = label;
            member.muted = muted;
            member.changed = self.batch.position;
            self.put_membership(&user, &conversation, member);
            self.listed.insert(user);
        }
        Ok(())
    }
}
