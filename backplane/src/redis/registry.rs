//! The Redis back-end as a session registry.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{Epoch, GatewayId, UserId};
use futures_util::future::join_all;
use redis::Value;

use super::calls::{PIECE, marker, runs};
use super::queue::millis;
use super::reply::{Reply, bytes, unexpected};
use super::stored::{read_entries, read_stamp, write_epoch, write_stamp};
use super::{Error, Redis};
use crate::{Enter, Entered, Entry, Lease, LeaseRenewal, Partition, PartitionIdentity, Registry};

/// Entries in one answer for the sweep, which asks again until nothing is left.
const LAPSED_MAX: usize = 500;

#[async_trait]
impl Registry for Redis {
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let script = &self.scripts.take_lease;
        let mut command = self.command(script, partition);
        command.arg(gateway.as_str()).arg(millis(ttl)).arg(marker());
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        Ok(Lease { epoch: Epoch(reply.number()?), identity: PartitionIdentity(reply.text()?) })
    }

    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error> {
        let script = &self.scripts.renew_leases;
        let renew = |partition, piece: Vec<(Partition, Epoch)>| {
            let mut command = self.command(script, partition);
            command.arg(gateway.as_str()).arg(millis(ttl)).arg(marker());
            for (_, epoch) in piece {
                command.arg(write_epoch(epoch));
            }
            let call = self.call(script, partition, command);
            let read = async {
                let mut reply = Reply::list(call.await?)?;
                let identity = PartitionIdentity(reply.text()?);
                let renewal = |answer: u8| match answer {
                    b'1' => LeaseRenewal::Renewed(identity.clone()),
                    _ => LeaseRenewal::Lapsed,
                };
                Ok(reply.bytes()?.into_iter().map(renewal).collect())
            };
            Box::pin(read) as super::calls::Piece<'_, Vec<LeaseRenewal>>
        };
        self.spread(leases, |(partition, _)| *partition, renew).await
    }

    async fn end_leases(&self, gateway: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        let script = &self.scripts.end_leases;
        let mut parts: BTreeMap<Partition, Vec<Epoch>> = BTreeMap::new();
        for (partition, epoch) in leases {
            parts.entry(partition).or_default().push(epoch);
        }
        let calls = parts.into_iter().map(|(partition, epochs)| {
            let mut command = self.command(script, partition);
            command.arg(gateway.as_str());
            for epoch in epochs {
                command.arg(write_epoch(epoch));
            }
            self.call(script, partition, command)
        });
        join_all(calls).await.into_iter().try_for_each(|done| done.map(|_| ()))
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        let of = |enter: &Enter| self.partitions.of(&enter.user);
        self.spread(enters, of, |partition, piece| Box::pin(self.enter_piece(partition, piece))).await
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error> {
        let of = |leave: &Enter| self.partitions.of(&leave.user);
        self.spread(leaves, of, |partition, piece| Box::pin(self.leave_piece(partition, piece)))
            .await
            .map(|_| ())
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        let of = |user: &UserId| self.partitions.of(user);
        self.spread(users, of, |partition, piece| Box::pin(self.look_up_piece(partition, piece))).await
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        let of = |user: &UserId| self.partitions.of(user);
        self.spread(users, of, |partition, piece| Box::pin(self.online_piece(partition, piece))).await
    }

    /// As the trait says, and at most 500 entries.
    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error> {
        let script = &self.scripts.lapsed;
        let mut command = self.command(script, partition);
        command.arg(entries_max.min(LAPSED_MAX));
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let mut lapsed = Vec::with_capacity(reply.left() / 3);
        while reply.left() > 0 {
            let (user, gateway, stamp) = (reply.bytes()?, reply.bytes()?, reply.bytes()?);
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(ToOwned::to_owned).ok();
            let user = text(&user).and_then(|name| UserId::from_inside(name).ok());
            let gateway = text(&gateway).and_then(|name| GatewayId::new(name).ok());
            // What is none of these was written by somebody else; it concerns nobody.
            if let (Some(user), Some(gateway), Some(stamp)) = (user, gateway, read_stamp(&stamp)) {
                lapsed.push(Enter { user, entry: Entry { gateway, stamp } });
            }
        }
        Ok(lapsed)
    }
}

impl Redis {
    async fn enter_piece(&self, partition: Partition, piece: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        let script = &self.scripts.enter;
        let mut command = self.command(script, partition);
        let runs = runs(&piece, |enter| (enter.entry.gateway.clone(), enter.entry.stamp.epoch));
        command.arg(runs.len());
        for ((gateway, epoch), count) in runs {
            command.arg(gateway.as_str()).arg(write_epoch(epoch)).arg(count);
        }
        let generations: String =
            piece.iter().map(|enter| format!("{:016x}", enter.entry.stamp.generation.0)).collect();
        command.arg(generations);
        for enter in &piece {
            command.arg(enter.user.as_str());
        }
        let answers = bytes(self.call(script, partition, command).await?)?;
        let entered = |answer| if answer == b'1' { Entered::Registered } else { Entered::LeaseLapsed };
        Ok(answers.into_iter().map(entered).collect())
    }

    async fn leave_piece(&self, partition: Partition, piece: Vec<Enter>) -> Result<Vec<()>, Error> {
        let script = &self.scripts.leave;
        let mut command = self.command(script, partition);
        for Enter { user, entry } in &piece {
            command.arg(user.as_str()).arg(entry.gateway.as_str()).arg(write_stamp(entry.stamp));
        }
        self.call(script, partition, command).await?;
        Ok(vec![(); piece.len()])
    }

    async fn look_up_piece(
        &self,
        partition: Partition,
        piece: Vec<UserId>,
    ) -> Result<Vec<Vec<Entry>>, Error> {
        let script = &self.scripts.look_up;
        let mut command = self.command(script, partition);
        for user in &piece {
            command.arg(user.as_str());
        }
        let mut reply = Reply::list(self.call(script, partition, command).await?)?;
        let (mut found, mut unreadable) = (Vec::with_capacity(piece.len()), Vec::new());
        for user in &piece {
            let entries = match reply.value()? {
                Value::Nil => Vec::new(),
                stored => read_entries(&bytes(stored)?).unwrap_or_else(|| {
                    unreadable.push(user.as_str().to_owned());
                    Vec::new()
                }),
            };
            found.push(entries);
        }
        if !unreadable.is_empty() {
            self.mend(partition, &unreadable).await?;
        }
        Ok(found)
    }

    async fn online_piece(&self, partition: Partition, piece: Vec<UserId>) -> Result<Vec<bool>, Error> {
        let script = &self.scripts.online;
        let mut command = self.command(script, partition);
        command.arg(piece.len());
        for user in &piece {
            command.arg(user.as_str());
        }
        let answers = bytes(self.call(script, partition, command).await?)?;
        if answers.len() != piece.len() {
            return Err(unexpected());
        }
        Ok(answers.into_iter().map(|answer| answer == b'1').collect())
    }
}

const _: () = assert!(PIECE < 1_000, "a script unpacks a piece onto Lua's stack, which holds some thousands");
