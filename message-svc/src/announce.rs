//! Tells the hint queue what was committed: everything, at least once, in the order of commit.
//!
//! The store's commits are the queue: the announcer takes those after its cursor. What was committed a moment ago is
//! still in memory ([`crate::writer::recent`]); what a crash, a failure or a backlog left is read from the store. Only
//! when all hints of some commits are with the hint queue does the cursor move past them; a crash before that
//! announces them again, which merges (MS-4).
//!
//! A conversation's change rings its members, or is published where they are many ([`crate::reach`]). A change of
//! somebody's list raises that user's inbox in the home shard first, durably, and then rings the user: repeated after a
//! crash, the inbox moves once more, which costs a pull.

mod offline;
pub mod plan;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{HintQueue, News, UserHint};
use doorbell_protocol::{ConversationId, Hint, Raise, TopicId, UserId, Version};
use doorbell_rpc::{Channels, OfflineHook};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::plan::{Plan, Refollow};
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
/// The first wait after a failure; it doubles up to `announce_retry_max`.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// Announces one shard's commits.
pub struct Announcer {
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
    /// Whom it rings, as far as it remembers.
    pub reaches: Reaches,
}

/// What one step reads.
struct Read {
    commits: Vec<Commit>,
    /// Everything up to here is among them, or forgotten.
    through: Position,
}

impl Announcer {
    /// Announces until `stop`, and then until nothing is left; `abort` ends it at once.
    pub async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let mut progress = self.own().progress();
        loop {
            let committed = *progress.borrow_and_update();
            let announced = self.own().announced();
            self.note_lag();
            if announced < committed {
                if abort.run_until_cancelled(self.step(announced)).await.is_none() {
                    return;
                }
                continue;
            }
            // First what moved: a stop lets nothing lie that is committed already.
            tokio::select! {
                biased;
                moved = progress.changed() => if moved.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    fn note_lag(&self) {
        let committed = self.own().progress().borrow().0;
        let lag = committed.saturating_sub(self.own().announced().0);
        self.metrics.announce_lag(&self.shard.to_string(), lag);
    }

    fn own(&self) -> &WriterHandle {
        &self.writers[self.shard.index()]
    }

    /// Announces the commits after the cursor, and moves it past them.
    ///
    /// *Cancel safety*: the cursor has not moved; the same hints come again.
    async fn step(&mut self, announced: Position) {
        let read = match self.own().take_recent(announced) {
            Some(commits) => {
                Read { through: commits.last().map_or(announced, |last| last.position), commits }
            }
            None => self.read(announced).await,
        };
        let plan = Plan::of(read.commits, self.config.small_audience_max);
        for changed in plan.reseated.iter().chain(&plan.created) {
            self.reaches.forget(changed);
        }
        let conversations: Vec<ConversationId> = plan.conversations().into_iter().cloned().collect();
        let mut listed = plan.listed.clone();
        for some in conversations.chunks(reach::CONVERSATIONS_MAX) {
            self.learn(some).await;
            self.publish(&plan, some).await;
            self.ring_members(&plan, some).await;
            for made in some.iter().filter(|id| plan.created.contains(*id)) {
                if self.reaches.is_large(made) {
                    listed.extend(self.begin_large(made).await);
                } else {
                    listed.extend(self.reaches.members(made).iter().cloned());
                }
            }
        }
        for (conversation, refollow) in &plan.refollows {
            self.mark_refollows(conversation, refollow).await;
        }
        self.ring_inboxes(&listed).await;
        self.own().set_announced(read.through);
    }

    /// Reads the commits after the cursor from the store.
    async fn read(&self, announced: Position) -> Read {
        let commits_max = self.config.announce_commits_max.get();
        let shard = self.shard;
        let reader = &self.reader;
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
        let (shard, small_audience_max) = (self.shard, self.config.small_audience_max);
        let reader = &self.reader;
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

    /// Publishes what large conversations have come to.
    async fn publish(&self, plan: &Plan, conversations: &[ConversationId]) {
        let raise = |conversation: &ConversationId| {
            let version = *plan.appended.get(conversation)?;
            Some((TopicId::conversation(conversation), Raise::To(version)))
        };
        let large = conversations.iter().filter(|id| self.reaches.is_large(id));
        let raises: Vec<(TopicId, Raise)> = large.filter_map(raise).collect();
        if raises.is_empty() {
            return;
        }
        self.persist("publish", || self.channels.publish(raises.clone())).await;
        self.metrics.published(raises.len());
    }

    /// A conversation that was large from its start: its members begin to follow it. Answers them.
    async fn begin_large(&self, conversation: &ConversationId) -> BTreeSet<UserId> {
        let refollow = Refollow { crossed: true, ..Refollow::default() };
        self.mark_refollows(conversation, &refollow).await
    }

    /// Has users ask again for their large topics; answers the members among them.
    async fn mark_refollows(&self, conversation: &ConversationId, refollow: &Refollow) -> BTreeSet<UserId> {
        let (shard, reader) = (self.shard, &self.reader);
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
        for home in self.shards.all() {
            let here: Vec<UserId> =
                users.iter().filter(|user| self.shards.of_user(user) == home).cloned().collect();
            for some in here.chunks(INBOXES_MAX) {
                let writer = &self.writers[home.index()];
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
        let report = self.persist("hint", || self.queue.hint(hints.clone())).await;
        self.metrics.hinted(report.queued, report.merged, report.offline.len());
        if let Some(hook) = self.offline.as_ref().filter(|_| !report.offline.is_empty()) {
            hook.missed(offline::missed(hints, report.offline));
        }
    }

    /// Tries until it succeeds: sends go on meanwhile, and what is not announced waits in the store.
    async fn persist<T, E, F>(&self, what: &'static str, mut attempt: impl FnMut() -> F) -> T
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut wait = RETRY_MIN;
        let mut tries = 0_u64;
        loop {
            match attempt().await {
                Ok(done) => {
                    if tries > 0 {
                        info!(shard = %self.shard, what, tries, "announcing goes on");
                    }
                    return done;
                }
                Err(error) if tries == 0 => {
                    warn!(shard = %self.shard, what, %error, "announcing fails, and is tried until it succeeds");
                }
                Err(_) => {}
            }
            tries += 1;
            self.metrics.announce_retried();
            // What is committed meanwhile waits, too.
            self.note_lag();
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.config.announce_retry_max);
        }
    }
}
