//! Calling scripts: one partition at a time in pieces, many partitions at the same time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::failure::Failure;
use super::script::Script;
use super::{Error, Redis};
use crate::Partition;

/// Users, topics or entries in one script at most: at some microseconds each, it runs for a millisecond or two.
pub(super) const PIECE: usize = 250;

/// One piece of a call under way.
pub(super) type Piece<'a, R> = Pin<Box<dyn Future<Output = Result<R, Error>> + Send + 'a>>;

impl Redis {
    /// The beginning of a call: the script and its keys. What is added are its arguments.
    pub(super) fn command(&self, script: &Script, partition: Partition) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.hash()).arg(script.keys.len());
        for name in &script.keys {
            command.arg(self.keys.key(partition, name));
        }
        command
    }

    /// Runs a script. What it cannot read is taken out, and it runs once more.
    pub(super) async fn call(
        &self,
        script: &Script,
        partition: Partition,
        #[cfg_attr(not(feature = "testing"), expect(unused_mut, reason = "a test's time is added"))]
        mut command: Cmd,
    ) -> Result<Value, Error> {
        #[cfg(feature = "testing")]
        self.add_time(&mut command);
        match self.link.call(script, &command).await {
            Err(Failure::Unreadable(said)) => {
                tracing::error!(%partition, script = script.name, said, "a script met what it cannot read");
                if self.mend(partition, &[]).await? == 0 {
                    return Err(Failure::Unreadable(said).into());
                }
                Ok(self.link.call(script, &command).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Takes out keys of a wrong type and these users' entries, where they cannot be read; answers how many.
    pub(super) async fn mend(&self, partition: Partition, users: &[String]) -> Result<i64, Error> {
        let script = &self.scripts.mend;
        let mut command = self.command(script, partition);
        command.arg(marker()).arg(self.dead_letters_max).arg(users);
        #[cfg(feature = "testing")]
        self.add_time(&mut command);
        let Value::Int(mended) = self.link.call(script, &command).await? else {
            return Err(super::reply::unexpected());
        };
        if mended > 0 {
            tracing::error!(%partition, mended, "unreadable keys or entries went to the dead letters: all register again");
        }
        Ok(mended)
    }

    /// Sends items to their partitions, in the order given within each, and puts the answers into the order asked.
    pub(super) async fn spread<'a, T, R: Clone>(
        &self,
        items: Vec<T>,
        of: impl Fn(&T) -> Partition,
        call: impl Fn(Partition, Vec<T>) -> Piece<'a, Vec<R>>,
    ) -> Result<Vec<R>, Error> {
        let total = items.len();
        let mut parts: BTreeMap<Partition, (Vec<usize>, Vec<T>)> = BTreeMap::new();
        for (at, item) in items.into_iter().enumerate() {
            let (places, items) = parts.entry(of(&item)).or_default();
            places.push(at);
            items.push(item);
        }
        let calls = parts.into_iter().map(|(partition, (places, items))| {
            let call = &call;
            async move { Ok::<_, Error>((places, in_pieces(items, |piece| call(partition, piece)).await?)) }
        });
        let mut answers: Vec<Option<R>> = vec![None; total];
        for part in join_all(calls).await {
            let (places, part) = part?;
            if places.len() != part.len() {
                return Err(super::reply::unexpected());
            }
            for (at, answer) in places.into_iter().zip(part) {
                answers[at] = Some(answer);
            }
        }
        answers.into_iter().collect::<Option<_>>().ok_or_else(super::reply::unexpected)
    }

    #[cfg(feature = "testing")]
    fn add_time(&self, command: &mut Cmd) {
        if let Some(clock) = &self.clock {
            command.arg(clock().as_millis());
        }
    }
}

/// One piece after the other.
pub(super) async fn in_pieces<'a, T, R>(
    mut items: Vec<T>,
    call: impl Fn(Vec<T>) -> Piece<'a, Vec<R>>,
) -> Result<Vec<R>, Error> {
    let mut answers = Vec::with_capacity(items.len());
    while !items.is_empty() {
        let rest = items.split_off(items.len().min(PIECE));
        answers.extend(call(std::mem::replace(&mut items, rest)).await?);
    }
    Ok(answers)
}

/// A new marker for a partition's store.
pub(super) fn marker() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Lengths of runs of equal items.
pub(super) fn runs<T, K: PartialEq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<(K, usize)> {
    let mut runs: Vec<(K, usize)> = Vec::new();
    for item in items {
        let own = key(item);
        match runs.last_mut() {
            Some((last, count)) if *last == own => *count += 1,
            _ => runs.push((own, 1)),
        }
    }
    runs
}
