//! Tells the hint queue what was committed: everything, at least once, in the order of commit.
//!
//! The store's commits are the queue: the announcer takes those after its cursor. What was committed a moment ago is
//! still in memory ([`crate::writer::recent`]); what a crash, a failure or a backlog left is read from the store. Only
//! when all hints of some commits are with the hint queue does the cursor move past them; a crash before that
//! announces them again, which merges (MS-4).
//!
//! A conversation's change rings its members, or is published where they are many ([`crate::reach`], [`publisher`]). A change of
//! somebody's list raises that user's inbox in the home shard first, durably, and then rings the user: repeated after a
//! crash, the inbox moves once more, which costs a pull. A new status moves its user's presence, by the same rule.

mod identity;
mod offline;
mod persist;
pub mod plan;
mod publisher;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use doorbell_backplane::{HintQueue, News, UserHint};
use doorbell_protocol::{ConversationId, Hint, TopicId, UserId, Version};
use doorbell_rpc::{Channels, OfflineHook, failpoint, sabotage};
use tokio_util::sync::CancellationToken;

pub use self::identity::IdentityWatch;
use self::persist::Persistence;
use self::plan::{Plan, Refollow};
use self::publisher::{Handover, Publisher};
use crate::conversation::Position;
use crate::reach::{self, Reaches};
use crate::reader::Reader;
use crate::refusal::Refusal;
use crate::shard::{Shard, Shards};
use crate::store::Commit;
use crate::writer::WriterHandle;
use crate::writer::request::Request;
use crate::{Config, Metrics};

/// Hints of one call to the queue at most.
const HINTS_MAX: usize = 4_096;
/// Inboxes of one request to a writer at most: each is a row of its commit.
const INBOXES_MAX: usize = 1_000;
/// What an announcer is made of.
pub struct Parts {
    /// Whose commits.
    pub shard: Shard,
    /// How users are spread.
    pub shards: Shards,
    /// All shards' writers: this one's cursor, and every one's inboxes.
    pub writers: Arc<[WriterHandle]>,
    /// Reads the commits.
    pub reader: Reader,
    /// Where hints go.
    pub queue: Arc<dyn HintQueue>,
    /// Where changes of large conversations go.
    pub channels: Arc<dyn Channels>,
    /// Who hears of members without a session; `None` where nobody does.
    pub offline: Option<Arc<dyn OfflineHook>>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// How it works.
    pub config: Arc<Config>,
}

/// Announces one shard's commits.
pub struct Announcer {
    parts: Parts,
    /// Whom it rings, as far as it remembers.
    reaches: Reaches,
    /// Up to here everything was rung before the cursor went back.
    again: Position,
    /// What is rung now was rung before: whoever had no session then has been passed on.
    repeats: bool,
}

/// What one step reads.
struct Read {
    commits: Vec<Commit>,
    /// Everything up to here is among them, or forgotten.
    through: Position,
}

impl Announcer {
    /// An announcer that has not begun.
    pub fn new(parts: Parts) -> Self {
        Self { parts, reaches: Reaches::default(), again: Position::default(), repeats: false }
    }

    /// Announces until `stop`, and then until nothing is left; `abort` ends it at once.
    pub async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let handover = Arc::new(Handover::default());
        let publisher = Publisher {
            handover: Arc::clone(&handover),
            channels: Arc::clone(&self.parts.channels),
            persistence: self.persistence(),
        };
        let steps = async {
            self.steps(&handover, stop).await;
            handover.end();
        };
        abort.run_until_cancelled(async { tokio::join!(steps, publisher.run()) }).await;
    }

    async fn steps(&mut self, handover: &Handover, stop: CancellationToken) {
        let mut progress = self.own().progress();
        let mut turns = self.own().turns();
        // What is announced before it is known to whom could be lost with a store that nobody misses.
        if turns.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut rung = self.own().announced();
        if sabotage::is("forget-unannounced") {
            rung.position = *progress.borrow();
        }
        self.again = self.own().announced_before();
        loop {
            let committed = *progress.borrow_and_update();
            if *turns.borrow_and_update() != Some(rung.turn) {
                self.again = self.again.max(rung.position);
                rung = self.own().announced();
                self.again = self.again.max(self.own().announced_before());
            }
            self.persistence().note_lag();
            if rung.position < committed {
                rung.position = self.step(rung.position, handover).await;
                handover.step_ended(rung);
                continue;
            }
            // First what moved: a stop lets nothing lie that is committed already.
            tokio::select! {
                biased;
                moved = progress.changed() => if moved.is_err() { return },
                moved = turns.changed() => if moved.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    fn persistence(&self) -> Persistence {
        Persistence {
            shard: self.parts.shard,
            writer: self.own().clone(),
            metrics: Arc::clone(&self.parts.metrics),
            retry_max: self.parts.config.announce_retry_max,
        }
    }

    fn own(&self) -> &WriterHandle {
        &self.parts.writers[self.parts.shard.index()]
    }

    /// Announces the commits after a position; answers how far they went.
    ///
    /// *Cancel safety*: the cursor has not moved; the same hints come again.
    async fn step(&mut self, rung: Position, handover: &Handover) -> Position {
        let mut read = match self.own().take_recent(rung) {
            Some(commits) => Read { through: commits.last().map_or(rung, |last| last.position), commits },
            None => self.read(rung).await,
        };
        if rung < self.again && self.again < read.through {
            // What is announced again and what is news go apart.
            read.commits.retain(|commit| commit.position <= self.again);
            read.through = self.again;
        }
        self.repeats = rung < self.again;
        let plan = Plan::of(read.commits, self.parts.config.small_audience_max);
        for changed in plan.reseated.iter().chain(&plan.created) {
            self.reaches.forget(changed);
        }
        // Before anything is published: who has left should have stopped following by then.
        for (conversation, refollow) in &plan.refollows {
            self.mark_refollows(conversation, refollow).await;
        }
        let conversations: Vec<ConversationId> = plan.conversations().into_iter().cloned().collect();
        let mut listed = plan.listed.clone();
        for some in conversations.chunks(reach::CONVERSATIONS_MAX) {
            self.learn(some).await;
            handover.publish(self.raises(&plan, some));
            self.ring_members(&plan, some).await;
            for made in some.iter().filter(|id| plan.created.contains(*id)) {
                if self.reaches.is_large(made) {
                    listed.extend(self.begin_large(made).await);
                } else {
                    listed.extend(self.reaches.members(made).iter().cloned());
                }
            }
        }
        self.ring_inboxes(&listed).await;
        handover.publish_statuses(&plan.statuses);
        read.through
    }

    /// Reads the commits after the cursor from the store.
    async fn read(&self, announced: Position) -> Read {
        let commits_max = self.parts.config.announce_commits_max.get();
        let shard = self.parts.shard;
        let reader = &self.parts.reader;
        let read = self.persist("read commits", move || {
            reader.read(move |store| {
                let view = store.view(shard)?;
                let commits = view.commits(announced, commits_max)?;
                let all = commits.len() < commits_max;
                let end = commits.last().map_or(view.position(), |commit| commit.position);
                Ok(Read { through: if all { view.position() } else { end }, commits })
            })
        });
        read.await
    }

    /// Looks up who is in some conversations, where that is not known.
    async fn learn(&mut self, conversations: &[ConversationId]) {
        let unknown = self.reaches.unknown(conversations);
        if unknown.is_empty() {
            return;
        }
        let (shard, small_audience_max) = (self.parts.shard, self.parts.config.small_audience_max);
        let reader = &self.parts.reader;
        let learned = self.persist("read members", move || {
            let unknown = unknown.clone();
            reader.read(move |store| {
                let view = store.view(shard)?;
                let reach = |id: ConversationId| Ok((reach::look_up(&*view, &id, small_audience_max)?, id));
                unknown.into_iter().map(reach).collect::<Result<Vec<_>, Refusal>>()
            })
        });
        for (reach, conversation) in learned.await {
            self.reaches.keep(conversation, reach);
        }
    }

    /// What large conversations have come to.
    fn raises(&self, plan: &Plan, conversations: &[ConversationId]) -> Vec<(TopicId, Version)> {
        let raise = |conversation: &ConversationId| {
            Some((TopicId::conversation(conversation), *plan.appended.get(conversation)?))
        };
        conversations.iter().filter(|id| self.reaches.is_large(id)).filter_map(raise).collect()
    }

    /// A conversation that was large from its start: its members begin to follow it. Answers them.
    async fn begin_large(&self, conversation: &ConversationId) -> BTreeSet<UserId> {
        let refollow = Refollow { crossed: true, ..Refollow::default() };
        self.mark_refollows(conversation, &refollow).await
    }

    /// Has users ask again for their large topics; answers the members among them.
    async fn mark_refollows(&self, conversation: &ConversationId, refollow: &Refollow) -> BTreeSet<UserId> {
        let (shard, reader) = (self.parts.shard, &self.parts.reader);
        let read = self.persist("read members", || {
            let (conversation, refollow) = (conversation.clone(), refollow.clone());
            reader.read(move |store| Ok(reach::marks(&*store.view(shard)?, &conversation, &refollow)?))
        });
        let marks = read.await;
        let mark = |user: &UserId| UserHint { user: user.clone(), news: News::Refollow };
        let head = Hint { topic: TopicId::conversation(conversation), version: marks.head };
        let told = marks.head > Version::ZERO;
        let mut hints = Vec::new();
        for user in &marks.members {
            hints.push(mark(user));
            if told {
                hints.push(UserHint { user: user.clone(), news: News::Hint(head.clone()) });
            }
            if hints.len() >= HINTS_MAX {
                self.hint(std::mem::take(&mut hints)).await;
            }
        }
        hints.extend(marks.others.iter().map(mark));
        self.hint(hints).await;
        marks.members
    }

    /// Rings every member of some conversations that have new entries.
    async fn ring_members(&self, plan: &Plan, conversations: &[ConversationId]) {
        let mut hints = Vec::new();
        for conversation in conversations {
            let Some(version) = plan.appended.get(conversation) else { continue };
            let hint = Hint { topic: TopicId::conversation(conversation), version: *version };
            for user in self.reaches.members(conversation) {
                hints.push(UserHint { user: user.clone(), news: News::Hint(hint.clone()) });
                if hints.len() == HINTS_MAX {
                    self.hint(std::mem::take(&mut hints)).await;
                }
            }
        }
        self.hint(hints).await;
    }

    async fn ring_inboxes(&self, users: &BTreeSet<UserId>) {
        for home in self.parts.shards.all() {
            let here: Vec<UserId> =
                users.iter().filter(|user| self.parts.shards.of_user(user) == home).cloned().collect();
            for some in here.chunks(INBOXES_MAX) {
                let writer = &self.parts.writers[home.index()];
                let raise = || writer.ask(|reply| Request::Raise(some.to_vec(), reply));
                let raised = self.persist("raise inboxes", raise).await;
                let news = |(user, version)| {
                    let topic = TopicId::inbox(&user);
                    UserHint { user, news: News::Hint(Hint { topic, version }) }
                };
                self.hint(raised.into_iter().map(news).collect()).await;
            }
        }
    }

    async fn hint(&self, hints: Vec<UserHint>) {
        if hints.is_empty() {
            return;
        }
        let report = self.persist("hint", || self.parts.queue.hint(hints.clone())).await;
        failpoint::pass("message.announced");
        self.parts.metrics.hinted(report.queued, report.merged, report.offline.len());
        let hook = self.parts.offline.as_ref().filter(|_| !self.repeats && !report.offline.is_empty());
        if let Some(hook) = hook {
            hook.missed(offline::missed(hints, report.offline));
        }
    }

    async fn persist<T, E, F>(&self, what: &'static str, attempt: impl FnMut() -> F) -> T
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        self.persistence().persist(what, attempt).await
    }
}
