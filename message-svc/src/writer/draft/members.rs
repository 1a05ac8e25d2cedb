//! Who comes in, and who leaves.

use doorbell_protocol::{ConversationId, UserId};
use doorbell_rpc::sabotage;

use super::{Draft, admit, damaged};
use crate::conversation::{Head, Kind, Mark, Member, Membership};
use crate::refusal::Refusal;
use crate::store::Reseating;
use crate::writer::request::MembersRequest;

const PAIR_STAYS: &str = "a direct conversation keeps its two members: make a group instead";
const OWNER_ADDS: &str = "this conversation is closed: its owner alone adds members";
const OWNER_REMOVES: &str =
    "only the owner of a conversation removes others: leave out everybody but yourself";
/// What the throttle counts.
const COUNTED: &str = "changes of members";

impl Draft<'_> {
    /// Lets users in, each with a read mark at the head: what was said before they came is not unread.
    pub fn add(&mut self, request: MembersRequest) -> Result<u64, Refusal> {
        let MembersRequest { user, conversation, users, members_max } = request;
        self.membership(&user, &conversation)?.ok_or(Refusal::NoConversation)?;
        let about = self.conversation(&conversation)?;
        if about.kind == Kind::Direct {
            return Err(Refusal::Forbidden(PAIR_STAYS));
        }
        if about.closed && about.owner != user {
            return Err(Refusal::Forbidden(OWNER_ADDS));
        }
        let mut newcomers = Vec::new();
        for newcomer in users {
            let tie = self.tie(&newcomer, &conversation)?;
            if !tie.as_ref().is_some_and(Membership::is_current) {
                newcomers.push((newcomer, tie.unwrap_or_default()));
            }
        }
        let mut head = self.head(&conversation)?;
        if newcomers.is_empty() {
            return Ok(head.members);
        }
        let members = head.members + newcomers.len() as u64;
        if members > members_max {
            let message =
                format!("a conversation has at most {members_max} members: there are {}", head.members);
            return Err(Refusal::too_large(message));
        }
        admit(&self.throttles.conversations, &user.clone().into(), COUNTED)?;
        let position = self.batch.position;
        for (newcomer, before) in newcomers {
            let Membership { own, last_own, .. } = before;
            let mark = Mark { version: head.version, messages: head.messages, own };
            let member =
                Membership { joined: position, changed: position, mark, own, last_own, ..Default::default() };
            self.put_membership(&newcomer, &conversation, member);
            self.audience.insert((conversation.clone(), newcomer.clone()), Some(position));
            self.reseating(&conversation, &head).join([&newcomer]);
            self.listed.insert(newcomer);
        }
        head.members = members;
        head.members_at = position;
        self.put_head(&conversation, head);
        self.reseating(&conversation, &head).after = members;
        Ok(members)
    }

    /// Lets users go. What they sent stays, and is counted for them should they come back.
    pub fn remove(&mut self, request: MembersRequest) -> Result<u64, Refusal> {
        let MembersRequest { user, conversation, users, members_max: _ } = request;
        self.membership(&user, &conversation)?.ok_or(Refusal::NoConversation)?;
        let mut about = self.conversation(&conversation)?;
        if about.kind == Kind::Direct {
            return Err(Refusal::Forbidden(PAIR_STAYS));
        }
        let others = users.iter().any(|leaver| *leaver != user);
        if others && about.owner != user {
            return Err(Refusal::Forbidden(OWNER_REMOVES));
        }
        let mut leavers = Vec::new();
        for leaver in users {
            if let Some(member) = self.membership(&leaver, &conversation)? {
                leavers.push((leaver, member));
            }
        }
        let mut head = self.head(&conversation)?;
        if leavers.is_empty() {
            return Ok(head.members);
        }
        if others {
            admit(&self.throttles.conversations, &user.clone().into(), COUNTED)?;
        }
        if sabotage::is("keep-members") {
            return Ok(head.members);
        }
        let position = self.batch.position;
        let leaving = leavers.iter().map(|(leaver, _)| leaver);
        self.reseating(&conversation, &head).leave(leaving);
        head.members = head.members.checked_sub(leavers.len() as u64).ok_or(damaged("heads"))?;
        head.members_at = position;
        let owner_leaves = leavers.iter().any(|(leaver, _)| *leaver == about.owner);
        for (leaver, member) in leavers {
            let member = Membership { left: Some(position), changed: position, ..member };
            self.put_membership(&leaver, &conversation, member);
            self.audience.insert((conversation.clone(), leaver.clone()), None);
            self.listed.insert(leaver);
        }
        self.put_head(&conversation, head);
        if owner_leaves && let Some(heir) = self.longest_member(&conversation)? {
            let member = self.membership(&heir, &conversation)?.ok_or(damaged("memberships"))?;
            self.put_membership(&heir, &conversation, Membership { changed: position, ..member });
            self.listed.insert(heir.clone());
            about.owner = heir;
            self.conversations.insert(conversation.clone(), about);
        }
        self.reseating(&conversation, &head).after = head.members;
        Ok(head.members)
    }

    /// What this commit changes about a conversation's members; begun from what the head says now.
    fn reseating(&mut self, conversation: &ConversationId, head: &Head) -> &mut Reseating {
        let begun = || Reseating { before: head.members, after: head.members, ..Reseating::default() };
        self.reseated.entry(conversation.clone()).or_insert_with(begun)
    }

    /// Who has been in the conversation for the longest time; of several who came with one commit, the first by name.
    fn longest_member(&self, conversation: &ConversationId) -> Result<Option<UserId>, Refusal> {
        let mut members = self.view.members(conversation, None, usize::MAX)?;
        members.retain(|member| !self.audience.contains_key(&(conversation.clone(), member.user.clone())));
        let here = self.audience.iter().filter(|((id, _), _)| id == conversation);
        members.extend(
            here.filter_map(|((_, user), joined)| Some(Member { user: user.clone(), joined: (*joined)? })),
        );
        let longest = members.into_iter().min_by(|a, b| (a.joined, &a.user).cmp(&(b.joined, &b.user)));
        Ok(longest.map(|member| member.user))
    }
}
