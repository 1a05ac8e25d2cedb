//! What is wrong with the way to other processes, or with the door for them.

use std::net::SocketAddr;

/// Two keys of the configuration that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {rule}", names(.keys))]
pub struct BadRelation {
    /// The keys, relative to the section; twice the same where only one is at fault.
    pub keys: [&'static str; 2],
    /// What must hold.
    pub rule: &'static str,
}

fn names(keys: &[&'static str; 2]) -> String {
    match keys {
        [one, other] if one == other => format!("`{one}`"),
        [one, other] => format!("`{one}` and `{other}`"),
    }
}

/// Why calls cannot be served, or made, at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anybody could call: a forged call rings anybody's sockets.
    #[error(
        "calls between processes on {0}, which is no loopback address, need a key that all processes share, or \
         certificates on both sides"
    )]
    Unguarded(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen for calls between processes on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A peer's address is none.
    #[error("`{0}` is no address of a process: it must be `host:port`")]
    Address(String),
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] BadRelation),
    /// A task panicked: a bug.
    #[error("a task that serves calls panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

/// What is wrong with a shared key. It never repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Too easy to try out.
    #[error("the shared key has {0} bytes; it needs at least 32, for example of `openssl rand -base64 48`")]
    Short(usize),
    /// Long, but guessable.
    #[error(
        "the shared key has only {0} different bytes; take one made at random, as `openssl rand -base64 48` does"
    )]
    Plain(usize),
    /// Something else was read.
    #[error("the shared key has {0} bytes; 4096 at most")]
    Long(usize),
}

/// What is wrong with the certificates for calls between processes.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// A file's text holds none of what it should.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The name of the peers is none.
    #[error("`{0}` is no name that a certificate can carry")]
    Name(String),
    /// They do not go together.
    #[error("the certificates for calls between processes do not go together: {0}")]
    Unusable(String),
}

/// Why a connection was not made, or was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("no connection within {0:?}")]
    Late(std::time::Duration),
    #[error("the other side speaks another protocol, or another version of it")]
    Foreign,
    #[error("the other side has no shared key, and one is set here")]
    NoKey,
    #[error("the other side has a shared key, and none is set here")]
    KeyWanted,
    #[error("the other side has another shared key")]
    WrongKey,
}

impl Refusal {
    /// All of [`Self::label`].
    pub(crate) const LABELS: [&str; 6] = ["broken", "late", "foreign", "no_key", "key_wanted", "wrong_key"];

    /// For the metric.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Io(_) => "broken",
            Self::Late(_) => "late",
            Self::Foreign => "foreign",
            Self::NoKey => "no_key",
            Self::KeyWanted => "key_wanted",
            Self::WrongKey => "wrong_key",
        }
    }
}
