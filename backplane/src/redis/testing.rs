//! For tests: a time that moves by hand, and a look at what is stored.

use doorbell_protocol::{Clock, DirtyMap, UserId};
use redis::Value;

use super::stored::read_untold;
use super::{ConnectError, Error, Redis};
use crate::conformance::{Place, UserView};

/// The first byte of what a claimed user has been told comes behind the state, since when, and the token.
const TOKEN: std::ops::Range<usize> = 16..32;

impl Redis {
    /// As [`Redis::connect`], by the time of `clock` instead of the server's.
    ///
    /// # Errors
    /// As [`Redis::connect`].
    pub async fn connect_by_clock(
        backplane: &crate::Config,
        config: &super::Config,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let redis = Self::connect(backplane, config).await?;
        Ok(Self { clock: Some(clock), scripts: super::script::scripts_by_hand(), ..redis })
    }

    /// The key of that name in a user's partition.
    #[must_use]
    pub fn key_of(&self, user: &UserId, name: &str) -> String {
        self.keys.key(self.partitions.of(user), name)
    }

    /// Sends a command as it is.
    ///
    /// # Errors
    /// Where Redis does not answer, or refuses.
    pub async fn ask(&self, words: &[&[u8]]) -> Result<Value, Error> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        Ok(self.link.ask(&command).await?)
    }

    /// Where a user stands in the queue.
    ///
    /// # Errors
    /// Where Redis does not answer.
    ///
    /// # Panics
    /// Where the state cannot be read.
    pub async fn user(&self, user: &UserId) -> Result<UserView, Error> {
        let key = self.key_of(user, "users");
        let Value::BulkString(state) = self.ask(&[b"HGET", key.as_bytes(), user.as_str().as_bytes()]).await?
        else {
            let nothing = DirtyMap::default();
            return Ok(UserView { place: Place::Idle, aside: nothing.clone(), fresh: nothing, expiries: 0 });
        };
        let read = |bytes: &[u8]| read_untold(bytes).expect("a map that can be read").1;
        let expiries = u32::from(state[1] - b'0');
        if state[0] != b'C' {
            let place = if state[0] == b'Q' { Place::Queued } else { Place::Delayed };
            return Ok(UserView { place, aside: DirtyMap::default(), fresh: read(&state[2..]), expiries });
        }
        let cut =
            TOKEN.end + state[TOKEN.end..].iter().position(|byte| *byte == b'\r').expect("a claimed state");
        let aside = read(&[&state[2..TOKEN.start], &state[TOKEN.end..cut]].concat());
        let fresh = Some(&state[cut + 1..]).filter(|fresh| !fresh.is_empty()).map(read).unwrap_or_default();
        Ok(UserView { place: Place::Claimed, aside, fresh, expiries })
    }
}
