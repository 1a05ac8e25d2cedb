//! Names of a run's users, conversations and texts, and their numbers.

use std::collections::HashMap;

use doorbell_protocol::{TopicId, UserId};

/// Names and their numbers.
#[derive(Debug, Default)]
pub struct Names {
    /// What stands at the beginning of each text of this run.
    pub mark: String,
    users: Vec<UserId>,
    numbers: HashMap<String, u32>,
    conversations: Vec<String>,
    topics: HashMap<String, u32>,
}

impl Names {
    /// Users by number; their conversations are known later.
    pub fn new(mark: String, users: Vec<UserId>) -> Self {
        let numbers = (0..).zip(&users).map(|(number, user)| (user.as_str().to_owned(), number)).collect();
        Self { mark, users, numbers, ..Self::default() }
    }

    /// The next conversation's id.
    pub fn add_conversation(&mut self, id: String) {
        let number = u32::try_from(self.conversations.len()).unwrap_or(u32::MAX);
        self.topics.insert(format!("conversation:{id}"), number);
        self.conversations.push(id);
    }

    /// The number of a topic's conversation.
    pub fn topic(&self, topic: &str) -> Option<u32> {
        self.topics.get(topic).copied()
    }

    /// A conversation's id.
    pub fn conversation(&self, number: u32) -> &str {
        self.conversations.get(number as usize).map_or("", String::as_str)
    }

    /// Ids by number.
    pub fn conversations(&self) -> &[String] {
        &self.conversations
    }

    /// A user's name.
    pub fn user(&self, number: u32) -> &UserId {
        &self.users[number as usize]
    }

    /// A user's number.
    pub fn number(&self, user: &str) -> Option<u32> {
        self.numbers.get(user).copied()
    }

    /// Whether a topic is that user's inbox.
    pub fn is_inbox_of(&self, topic: &TopicId, user: u32) -> bool {
        topic.kind() == "inbox"
            && self.users.get(user as usize).is_some_and(|known| topic.key() == known.as_str())
    }

    /// The text of a key: the mark, the key, and some words.
    pub fn text(&self, key: u64, words: &str) -> String {
        format!("{}{key} {words}", self.mark)
    }

    /// The key that a text holds.
    pub fn key_of(&self, text: &str) -> Option<u64> {
        text.strip_prefix(&self.mark)?.split(' ').next()?.parse().ok()
    }
}
