//! The Redis back-end as a hint queue.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::UserId;
use futures_util::future::join_all;
use redis::Cmd;

use super::calls::{PIECE, in_pieces, runs};
use super::reply::{Reply, bytes, unexpected};
use super::script::Script;
use super::stored::{read_entries, read_untold, write_stamp};
use super::{Error, Redis};
use crate::queue::{EXPIRIES_MAX, QueueDepth};
use crate::{
    Claim, ClaimToken, HintQueue, HintReport, News, Partition, Partitions, Settled, Settlement, UserHint,
};

#[async_trait]
impl HintQueue for Redis {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Error> {
        let mut parts: BTreeMap<Partition, Vec<UserHint>> = BTreeMap::new();
        for hint in hints {
            parts.entry(self.partitions.of(&hint.user)).or_default().push(hint);
        }
        let calls = parts.into_iter().map(|(partition, hints)| {
            in_pieces(hints, move |piece| {
                Box::pin(async move { Ok(vec![self.hint_piece(partition, piece).await?]) })
            })
        });
        let mut report = HintReport::default();
        let mut seen = HashSet::new();
        for part in join_all(calls).await {
            for piece in part? {
                report.queued += piece.queued;
                report.merged += piece.merged;
                report.offline.extend(piece.offline.into_iter().filter(|user| seen.insert(user.clone())));
            }
        }
        Ok(report)
    }

    /// As the trait says, and at most 250 users: where more are ready, this process's bell rings.
    async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Error> {
        let users_max = users_max.min(PIECE);
        let tokens: Vec<ClaimToken> = (0..users_max).map(|_| ClaimToken(rand::random())).collect();
        let script = &self.scripts.claim;
        let mut command = self.command(script, partition);
        command.arg(users_max).arg(millis(lease)).arg(self.dead_letters_max).arg(EXPIRIES_MAX);
        command.arg(in_a_row(tokens.iter()));
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let left = reply.number()?;
        let mut given_up = Reply::list(reply.value()?)?;
        while given_up.left() > 0 {
            let user = String::from_utf8_lossy(&given_up.bytes()?).into_owned();
            tracing::warn!(user, %partition, "claims ended with their worker too often: news given up for a resync");
        }
        if left > 0 {
            self.listener.bell().ring(partition);
        }
        self.read_claims(partition, tokens, reply).await
    }

    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error> {
        in_pieces(settlements, |piece| Box::pin(self.settle_piece(partition, piece, delay))).await
    }

    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Error> {
        let release = async |piece: Vec<(UserId, ClaimToken)>| {
            let script = &self.scripts.release;
            let mut command = self.ringing(script, partition);
            command.arg(millis(delay)).arg(piece.len()).arg(in_a_row(piece.iter().map(|(_, token)| token)));
            for (user, _) in &piece {
                command.arg(user.as_str());
            }
            self.call(script, partition, command).await
        };
        for piece in claims.chunks(PIECE) {
            release(piece.to_vec()).await?;
        }
        Ok(())
    }

    async fn bell(&self) -> Partition {
        self.listener.wait().await
    }

    async fn depth(&self) -> Result<QueueDepth, Error> {
        let script = &self.scripts.depth;
        let calls = self.partitions.all().map(async |partition| {
            let mut reply =
                Reply::list(self.call(script, partition, self.command(script, partition)).await?)?;
            Ok::<_, Error>(QueueDepth {
                ready: reply.number()?,
                claimed: reply.number()?,
                delayed: reply.number()?,
                expiries: reply.number()?,
                dead_letters: reply.number()?,
                oldest: Duration::from_millis(reply.number()?),
            })
        });
        let mut depth = QueueDepth::default();
        for part in join_all(calls).await {
            let part = part?;
            depth.ready += part.ready;
            depth.claimed += part.claimed;
            depth.delayed += part.delayed;
            depth.expiries += part.expiries;
            depth.dead_letters += part.dead_letters;
            depth.oldest = depth.oldest.max(part.oldest);
        }
        Ok(depth)
    }
}

impl Redis {
    /// The beginning of a call that may ring.
    fn ringing(&self, script: &Script, partition: Partition) -> Cmd {
        let mut command = self.command(script, partition);
        // In a Cluster, a ring that is not sharded would go to every server.
        command
            .arg(if self.link.is_cluster() { "SPUBLISH" } else { "PUBLISH" })
            .arg(self.keys.bell(partition));
        command
    }

    async fn hint_piece(&self, partition: Partition, hints: Vec<UserHint>) -> Result<HintReport, Error> {
        let script = &self.scripts.hint;
        let mut command = self.ringing(script, partition);
        command.arg(self.dead_letters_max);
        add_runs(&mut command, &hints);
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let mut report = HintReport { queued: reply.number()?, merged: reply.number()?, offline: Vec::new() };
        while reply.left() > 0 {
            let at = usize::try_from(reply.number()?).map_err(|_| unexpected())?;
            let hint = hints.get(at).ok_or_else(unexpected)?;
            report.offline.push(hint.user.clone());
        }
        Ok(report)
    }

    async fn read_claims(
        &self,
        partition: Partition,
        tokens: Vec<ClaimToken>,
        mut reply: Reply,
    ) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::with_capacity(reply.left() / 3);
        let (mut unreadable, mut no_entries) = (Vec::new(), Vec::new());
        for token in tokens.into_iter().take(reply.left() / 3) {
            let (name, untold, entries) = (reply.bytes()?, reply.bytes()?, reply.bytes()?);
            let user = std::str::from_utf8(&name).ok().and_then(|name| UserId::from_inside(name).ok());
            let (Some(user), Some((since, dirty))) = (&user, read_untold(&untold)) else {
                unreadable.push((user, name, token));
                continue;
            };
            let entries =
                read_entries(&entries).or_else(|| entries.is_empty().then(Vec::new)).unwrap_or_else(|| {
                    no_entries.push(user.as_str().to_owned());
                    Vec::new()
                });
            claims.push(Claim { user: user.clone(), token, dirty, entries, since });
        }
        if !no_entries.is_empty() {
            self.mend(partition, &no_entries).await?;
        }
        if !unreadable.is_empty() {
            self.bury(partition, unreadable).await?;
        }
        Ok(claims)
    }

    /// Gives claims up that cannot be read: their users are told resync.
    async fn bury(
        &self,
        partition: Partition,
        claims: Vec<(Option<UserId>, Vec<u8>, ClaimToken)>,
    ) -> Result<(), Error> {
        let script = &self.scripts.bury;
        tracing::error!(%partition, claims = claims.len(), "unreadable news went to the dead letters");
        let mut command = self.command(script, partition);
        command.arg(self.dead_letters_max);
        for (user, name, token) in claims {
            command.arg(if user.is_some() { "u" } else { "x" }).arg(name).arg(&token.0.to_be_bytes());
        }
        self.call(script, partition, command).await.map(|_| ())
    }

    async fn settle_piece(
        &self,
        partition: Partition,
        piece: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error> {
        let script = &self.scripts.settle;
        let mut command = self.ringing(script, partition);
        command.arg(millis(delay)).arg(piece.len()).arg(in_a_row(piece.iter().map(|one| &one.token)));
        for one in &piece {
            command.arg(one.user.as_str());
        }
        for (at, one) in (1..).zip(&piece) {
            for (gateway, stamp) in &one.absent {
                command.arg(at).arg("a").arg(gateway.as_str()).arg(write_stamp(*stamp));
            }
            for entry in &one.unreachable {
                command.arg(at).arg("u").arg(entry.gateway.as_str()).arg(write_stamp(entry.stamp));
            }
        }
        let answers = bytes(self.call(script, partition, command).await?)?;
        answers.into_iter().map(read_settled).collect()
    }
}

fn read_settled(answer: u8) -> Result<Settled, Error> {
    match answer {
        b'S' => Ok(Settled::Stale),
        b'D' => Ok(Settled::Delayed),
        b'0' => Ok(Settled::Acked { requeued: false, online: false }),
        b'1' => Ok(Settled::Acked { requeued: false, online: true }),
        b'2' => Ok(Settled::Acked { requeued: true, online: false }),
        b'3' => Ok(Settled::Acked { requeued: true, online: true }),
        _ => Err(unexpected()),
    }
}

/// Users with the same news after each other share one naming of it: a message to a hundred members names its topic
/// once.
fn add_runs(command: &mut Cmd, hints: &[UserHint]) {
    let runs = runs(hints, |hint| hint.news.clone());
    command.arg(runs.len());
    for (news, count) in runs {
        match news {
            News::Hint(hint) => command.arg(hint.topic.as_str()).arg(hint.version.get()),
            News::Refollow => command.arg("").arg(1),
            News::Resync => command.arg("").arg(2),
        };
        command.arg(count);
    }
    for hint in hints {
        command.arg(hint.user.as_str());
    }
}

fn in_a_row<'a>(tokens: impl Iterator<Item = &'a ClaimToken>) -> Vec<u8> {
    tokens.flat_map(|token| token.0.to_be_bytes()).collect()
}

/// A duration in whole ms, as scripts count.
pub(super) fn millis(duration: Duration) -> u64 {
    // Beyond what a script can add to the time without losing a digit: 3,000 years.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(99_999_999_999_999)
}
