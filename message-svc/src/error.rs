//! Why the service cannot start, and why the store did not answer.

use std::num::NonZeroU16;
use std::path::PathBuf;

/// Why the store cannot be opened, or why the service ended without being asked to. For the operator: each says
/// what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the directory.
    #[error(
        "the data directory {} is in use by another process: stop that one, or give this one a directory of its own",
        .path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The store was created with another number of shards.
    #[error(
        "the store in {} was created with `shards` = {stored}, but the configuration says {configured}: the number \
         is fixed when a store is created, so set it back to {stored}",
        .path.display()
    )]
    Shards {
        /// The store.
        path: PathBuf,
        /// The number that it was created with.
        stored: NonZeroU16,
        /// The number in the configuration.
        configured: NonZeroU16,
    },
    /// Another release wrote the store.
    #[error(
        "the store in {} has format {stored}, and this release reads {known} and converts none: use the release that \
         wrote it, or move the directory away to start empty",
        .path.display()
    )]
    Format {
        /// The store.
        path: PathBuf,
        /// What it has.
        stored: u32,
        /// What this release reads.
        known: u32,
    },
    /// What is there is no store, or is damaged.
    #[error(
        "the store in {} cannot be read: {reason}; put a backup in its place, or move it away to start empty",
        .path.display()
    )]
    Unreadable {
        /// The store.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A part of the service could not be started.
    #[error("the message service cannot start: {reason}")]
    NotStarted {
        /// Why.
        reason: String,
    },
    /// A task or a writer thread panicked: a bug.
    #[error("a part of the message service panicked: {part}")]
    Panicked {
        /// Which one.
        part: &'static str,
    },
}

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
