//! What conversations are, in plain collections.

use std::collections::{BTreeMap, BTreeSet};

use doorbell_protocol::ErrorCode;

pub type User = &'static str;

#[derive(Clone, Debug)]
pub struct Entry {
    pub from: User,
    pub kind: &'static str,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Member {
    pub read: u64,
    /// The step by which the member came in.
    pub since: u64,
    pub muted: bool,
    pub label: Option<String>,
}

#[derive(Debug)]
pub struct Conversation {
    pub id: String,
    pub pair: bool,
    pub closed: bool,
    pub owner: User,
    pub title: Option<String>,
    pub members: BTreeMap<User, Member>,
    pub log: Vec<Entry>,
    /// When the last entry was made.
    pub changed: u64,
}

/// What the model says to a call.
pub type Said<T> = Result<T, ErrorCode>;

impl Conversation {
    pub fn new(id: String, owner: User, members: &BTreeSet<User>, step: u64, now: u64) -> Self {
        let member = Member { since: step, ..Member::default() };
        Self {
            id,
            pair: false,
            closed: false,
            owner,
            title: None,
            members: members.iter().map(|user| (*user, member.clone())).collect(),
            log: Vec::new(),
            changed: now,
        }
    }

    pub fn unread(&self, user: User) -> usize {
        let read = usize::try_from(self.members[user].read).unwrap();
        let counts = |entry: &&Entry| entry.kind == "message" && entry.from != user;
        self.log.iter().skip(read).filter(counts).count()
    }

    pub fn last_message(&self) -> Option<&Entry> {
        self.log.iter().rfind(|entry| entry.kind == "message")
    }

    fn member(&mut self, user: User) -> Said<&mut Member> {
        self.members.get_mut(user).ok_or(ErrorCode::NotFound)
    }

    pub fn append(&mut self, from: User, kind: &'static str, text: &str, now: u64) -> Said<u64> {
        self.member(from)?;
        self.log.push(Entry { from, kind, text: text.to_owned() });
        self.changed = now;
        Ok(self.log.len() as u64)
    }

    pub fn mark(&mut self, user: User, version: u64) -> Said<u64> {
        let head = self.log.len() as u64;
        let member = self.member(user)?;
        member.read = member.read.max(version.min(head));
        Ok(member.read)
    }

    pub fn add(&mut self, user: User, whom: &BTreeSet<User>, step: u64) -> Said<u64> {
        self.member(user)?;
        if self.pair || (self.closed && self.owner != user) {
            return Err(ErrorCode::Forbidden);
        }
        let newcomer = Member { read: self.log.len() as u64, since: step, ..Member::default() };
        for user in whom {
            self.members.entry(user).or_insert(newcomer.clone());
        }
        Ok(self.members.len() as u64)
    }

    pub fn remove(&mut self, user: User, whom: &BTreeSet<User>) -> Said<u64> {
        self.member(user)?;
        let others = whom.iter().any(|other| *other != user);
        if self.pair || (others && self.owner != user) {
            return Err(ErrorCode::Forbidden);
        }
        self.members.retain(|user, _| !whom.contains(user));
        if !self.members.contains_key(self.owner)
            && let Some((heir, _)) = self.members.iter().min_by_key(|(name, member)| (member.since, **name))
        {
            self.owner = heir;
        }
        Ok(self.members.len() as u64)
    }

    pub fn rename(&mut self, user: User, title: &str, now: u64) -> Said<()> {
        self.member(user)?;
        if self.pair || (self.closed && self.owner != user) {
            return Err(ErrorCode::Forbidden);
        }
        if self.title.as_deref() != Some(title) {
            self.title = Some(title.to_owned());
            self.append(user, "rename", title, now)?;
        }
        Ok(())
    }

    pub fn own(&mut self, user: User, label: &str, muted: bool) -> Said<()> {
        let member = self.member(user)?;
        member.label = Some(label.to_owned()).filter(|label| !label.is_empty());
        member.muted = muted;
        Ok(())
    }
}
