//! What ends the notifier, and what is wrong with its configuration.

/// Why the notifier ended without being asked to. Failures of neighbours never end it: they are waited out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A task of the notifier panicked: a bug. What it held is offered again when its lease ends.
    #[error("a task of the notifier panicked")]
    Panicked(#[source] tokio::task::JoinError),
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

/// Why one call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Failed(#[from] doorbell_backplane::Error),
    #[error(transparent)]
    NotTold(#[from] doorbell_rpc::Error),
    #[error("no answer within its deadline")]
    Late,
}
