//! What conversations are, in plain collections.

use std::collections::{BTreeMap, BTreeSet};

use doorbell_protocol::ErrorCode;

pub type User = &'static str;

#[derive(Clone, Debug)]
pub struct Entry {
    pub from: User,
    pub kind: &'static str,
    pub text: String,
    pub of: Option<u64>,
    pub deleted: bool,
}

impl Entry {
    pub fn shown(&self) -> &str {
        if self.deleted { "" } else { &self.text }
    }
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

    fn member(&mut self, user: User) -> Said<&mut Member> {
        self.members.get_mut(user).ok_or(ErrorCode::NotFound)
    }

    pub fn append(&mut self, from: User, kind: &'static str, text: &str, now: u64) -> Said<u64> {
        self.member(from)?;
        let (text, of, deleted) = (text.to_owned(), None, false);
        self.log.push(Entry { from, kind, text, of, deleted });
        self.changed = now;
        Ok(self.log.len() as u64)
    }

    /// A message that the user may change, by its version.
    fn message(&mut self, user: User, of: u64) -> Said<&mut Entry> {
        self.member(user)?;
        let owner = (!self.pair).then_some(self.owner);
        let at = usize::try_from(of).unwrap().checked_sub(1).ok_or(ErrorCode::NotFound)?;
        let entry = self.log.get_mut(at).ok_or(ErrorCode::NotFound)?;
        match entry.kind {
            "message" if entry.from == user || Some(user) == owner => Ok(entry),
            "message" => Err(ErrorCode::Forbidden),
            _ => Err(ErrorCode::Invalid),
        }
    }

    pub fn edit(&mut self, user: User, of: u64, text: &str, now: u64) -> Said<u64> {
        if self.message(user, of)?.deleted {
            return Err(ErrorCode::Conflict);
        }
        let version = self.append(user, "edit", text, now)?;
        self.log.last_mut().unwrap().of = Some(of);
        Ok(version)
    }

    pub fn delete(&mut self, user: User, of: u64, now: u64) -> Said<u64> {
        if self.message(user, of)?.deleted {
            let first = self.log.iter().position(|entry| entry.kind == "delete" && entry.of == Some(of));
            return Ok(first.unwrap() as u64 + 1);
        }
        self.message(user, of)?.deleted = true;
        for edit in self.log.iter_mut().filter(|entry| entry.kind == "edit" && entry.of == Some(of)) {
            edit.deleted = true;
        }
        let version = self.append(user, "delete", "", now)?;
        self.log.last_mut().unwrap().of = Some(of);
        Ok(version)
    }

    /// What the last message says by now.
    pub fn last_text(&self) -> Option<String> {
        let at = self.log.iter().rposition(|entry| entry.kind == "message")?;
        let of = Some(at as u64 + 1);
        let edit = self.log.iter().rfind(|entry| entry.kind == "edit" && entry.of == of);
        Some(edit.unwrap_or(&self.log[at]).shown().to_owned())
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
