//! Readers: hint-driven ones prove the hints, polling ones are the control.

mod state;

use std::time::Duration;

use doorbell_protocol::Payload;
use doorbell_protocol::frames::{Goaway, HintFrame};
use rand::Rng;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use tokio::time::{Instant, sleep_until};

use super::client::Client;
use super::history::{Phase, Role, What};
use super::link::{Came, Ended, Link, REPLY_DEADLINE, wait_of};
use super::page;
use super::stage::Sabotage;
use state::{Call, State};

/// How often a polling reader asks.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Largest page asked for.
const PAGE: u32 = 500;
/// Of a hundred pulls that found something, how many set a read mark.
const MARKS_OF_100: u32 = 5;
/// Of a hundred pulls after a hint, how many ask up to the hinted version only, so that kept pages are judged as well.
const CLOSED_OF_100: u32 = 25;

/// The answer of `topics.changes`.
#[derive(Debug, Deserialize)]
struct Changes {
    topics: HashMap<String, u64>,
    #[serde(default)]
    gone: Vec<String>,
    cursor: String,
    more: bool,
    #[serde(default)]
    reset: bool,
}

/// One reader.
pub struct Reader {
    client: Client,
    state: State,
    next_pull: u32,
    reported: bool,
}

/// What the loop does next.
enum Step {
    /// Open another session first, then leave this one.
    Move,
    Over,
}

impl Reader {
    /// One that has not connected yet.
    pub fn new(client: Client) -> Self {
        Self { client, state: State::default(), next_pull: 1, reported: false }
    }

    /// Until all clients leave.
    pub async fn run(mut self) {
        let mut link = None;
        loop {
            let Some(mut open) = (match link.take() {
                Some(open) => Some(open),
                None => self.client.enter().await,
            }) else {
                return;
            };
            self.state.begin(Instant::now());
            match self.serve(&mut open).await {
                Ok(Step::Move) => match self.client.move_from(open).await {
                    Some(new) => link = Some(new),
                    None => return,
                },
                Ok(Step::Over) => return open.leave().await,
                Err(_) => {}
            }
        }
    }

    async fn serve(&mut self, link: &mut Link) -> Result<Step, Ended> {
        let mut phase = self.client.shared.phase.clone();
        loop {
            self.start_calls(link).await?;
            let now = Instant::now();
            let wake = self.state.wake(now, REPLY_DEADLINE);
            tokio::select! {
                came = link.next() => match came? {
                    Came::Hint(hint) => self.hinted(&hint),
                    Came::Reply(id, outcome) => self.replied(link, id, outcome).await,
                    Came::Goaway(Goaway { reconnect_after_ms, .. }) => self.state.move_in(now, reconnect_after_ms),
                    Came::Other => {}
                },
                () = sleep_until(wake) => match self.state.woken(Instant::now(), REPLY_DEADLINE) {
                    state::Due::Nothing => {}
                    // A call without any answer: the socket is no good, whatever it looks like.
                    state::Due::Move | state::Due::Silent => return Ok(Step::Move),
                },
                _ = phase.changed() => {}
            }
            let phase_now = *phase.borrow_and_update();
            if phase_now == Phase::Left {
                return Ok(Step::Over);
            }
            if phase_now >= Phase::Final && !self.reported {
                self.report().await;
            }
        }
    }

    /// Writes down what it knows.
    async fn report(&mut self) {
        self.reported = true;
        if self.client.role == Role::Hinted {
            let (client, user) = (self.client.number, self.client.user);
            for (conversation, version) in self.state.known() {
                self.client.shared.recorder.record(What::Knows { client, user, conversation, version }).await;
            }
        }
        self.client.shared.progress.reported();
    }

    fn hinted(&mut self, hint: &HintFrame) {
        if self.client.role != Role::Hinted {
            return;
        }
        let names = &self.client.shared.names;
        if hint.resync || hint.more {
            self.state.ask();
        }
        let due = Instant::now() + Duration::from_millis(hint.pull_after_ms.unwrap_or(0).into());
        for (topic, version) in &hint.topics {
            match names.topic(topic.as_str()) {
                Some(conversation) => self.state.want(conversation, version.get(), due),
                None if names.is_inbox_of(topic, self.client.user) => self.state.inbox(version.get()),
                None => {}
            }
        }
    }

    async fn start_calls(&mut self, link: &mut Link) -> Result<(), Ended> {
        let now = Instant::now();
        if self.state.may_ask(now) {
            let session = link.session();
            self.client.shared.recorder.record(What::Ask { session }).await;
            let params = match self.state.cursor() {
                Some(cursor) => json!({"cursor": cursor}),
                None => json!({}),
            };
            let id = link.call("topics.changes", &params).await?;
            self.state.called(id, Call::Changes, now);
        }
        while let Some((conversation, after, hinted)) = self.state.next_pull(now) {
            let (session, pull) = (link.session(), self.next_pull);
            self.next_pull += 1;
            let closed = self.client.rng.random_ratio(CLOSED_OF_100, 100);
            let to = hinted.filter(|to| closed && *to > after);
            self.client.shared.recorder.record(What::Pull { session, pull, conversation, after, to }).await;
            let name = self.client.shared.names.conversation(conversation);
            let mut params = json!({"conversation": name, "after": after, "limit": PAGE});
            if let Some(to) = to {
                params["to"] = to.into();
            }
            let id = link.call("messages.list", &params).await?;
            self.state.called(id, Call::Pull { conversation, pull, after }, now);
        }
        Ok(())
    }

    async fn replied(
        &mut self,
        link: &mut Link,
        id: u64,
        outcome: Result<Payload, doorbell_protocol::ErrorBody>,
    ) {
        let Some(call) = self.state.answered(id) else { return };
        let now = Instant::now();
        match (call, outcome) {
            (Call::Changes, Ok(payload)) => match payload.parse::<Changes>() {
                Ok(changes) => {
                    self.told(link.session(), &changes).await;
                    self.changed(changes, now);
                }
                Err(_) => self.state.again_in(now, Duration::from_secs(1)),
            },
            (Call::Changes, Err(error)) => {
                self.state.again_in(now, wait_of(&error).unwrap_or(Duration::from_secs(1)));
            }
            (Call::Pull { conversation, pull, after }, Ok(payload)) => {
                let session = link.session();
                let Some(page) = page::read(&self.client.shared.names, &payload, self.sabotage()) else {
                    let code = page::UNREADABLE.to_owned();
                    self.client.shared.recorder.record(What::PullRefused { session, pull, code }).await;
                    self.state.pull_failed(conversation, now + Duration::from_secs(1));
                    return;
                };
                let last = page.entries.iter().map(|entry| entry.version).max().unwrap_or(after);
                let more = page.more;
                let what = What::Pulled { session, pull, entries: page.entries, more };
                self.client.shared.recorder.record(what).await;
                self.state.pulled(conversation, last, more, now);
                self.mark(link, conversation, last, last > after).await;
            }
            (Call::Pull { conversation, pull, .. }, Err(error)) => {
                let (session, code) = (link.session(), error.code.as_str().to_owned());
                self.client.shared.recorder.record(What::PullRefused { session, pull, code }).await;
                match wait_of(&error) {
                    Some(wait) => self.state.pull_failed(conversation, now + wait),
                    None => self.state.forget(conversation),
                }
            }
            (Call::Mark { conversation, version, asked }, Ok(payload)) => {
                #[derive(Deserialize)]
                struct Read {
                    read: u64,
                }
                if let Ok(Read { read }) = payload.parse() {
                    let user = self.client.user;
                    let what = What::Marked { user, conversation, version, read, asked };
                    self.client.shared.recorder.record(what).await;
                }
            }
            (Call::Mark { .. }, Err(_)) => {}
        }
    }

    /// Writes down what `topics.changes` names. Of polling readers nobody asks it.
    async fn told(&self, session: u32, changes: &Changes) {
        if self.client.role != Role::Hinted {
            return;
        }
        let shared = &self.client.shared;
        let topics =
            changes.topics.iter().filter_map(|(topic, version)| Some((shared.names.topic(topic)?, *version)));
        shared.recorder.record(What::Asked { session, topics: topics.collect() }).await;
    }

    fn changed(&mut self, changes: Changes, now: Instant) {
        let names = &self.client.shared.names;
        if changes.reset {
            self.state.reset();
        }
        for (topic, version) in &changes.topics {
            if let Some(conversation) = names.topic(topic) {
                self.state.want(conversation, *version, now);
            }
        }
        for topic in &changes.gone {
            if let Some(conversation) = names.topic(topic) {
                self.state.forget(conversation);
            }
        }
        let again = (self.client.role == Role::Polling).then_some(POLL_EVERY);
        let again = again.map(|every| every.mul_f64(self.client.rng.random_range(0.5..1.5)));
        self.state.asked(changes.cursor, changes.more, again.map(|wait| now + wait));
    }

    /// Now and then what was read is marked as read, one mark at a time so that their order is known.
    async fn mark(&mut self, link: &mut Link, conversation: u32, version: u64, found: bool) {
        let shared = &self.client.shared;
        let wanted = found && shared.phase_now() == Phase::Load && self.client.role == Role::Hinted;
        if !wanted || self.state.marking() || !self.client.rng.random_ratio(MARKS_OF_100, 100) {
            return;
        }
        let params = json!({"conversation": shared.names.conversation(conversation), "version": version});
        let asked = shared.recorder.now();
        // Where the socket ends the loop finds out.
        if let Ok(id) = link.call("conversations.mark_read", &params).await {
            self.state.called(id, Call::Mark { conversation, version, asked }, Instant::now());
        }
    }

    /// The fault of the tool's own is that of polling readers, whose pages are long.
    fn sabotage(&self) -> Sabotage {
        if self.client.role == Role::Polling { self.client.shared.sabotage } else { Sabotage::None }
    }
}
