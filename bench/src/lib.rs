//! What users run against their own Doorbell: `doorbell bench …`. One thing so far, `prove`: it makes a load, and faults where it
//! may, writes down all that clients see, and judges whether anything was lost.
//!
//! It owns the clients, the faults, the history, the judge and the report. It is a client like any other: it knows the
//! protocol's frames and nothing of the services, and speaks to them through their own doors alone.
//!
//! Invariants:
//! - **BE-1** What happened and what it means are apart: a run writes a history, the judge reads it and does no I/O.
//! - **BE-2** A moment is stamped on the side that makes the rules weaker: what goes out, before; what came, after.
//! - **BE-3** A rule without anything to judge it by is "not judged", never "holds"; what should be there and is not breaks it.
//! - **BE-4** Everything drawn comes from the seed: the same seed gives the same users, conversations and faults.
//!
//! Map: `prove` the checker.

mod prove;

use clap::Subcommand;

pub use prove::{Host, Mint, ProveArgs};

/// `doorbell bench`.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Make a load and faults, write down what clients see, and judge whether anything was lost
    #[command(long_about = prove::ABOUT, after_help = prove::AFTER_HELP)]
    Prove(Box<ProveArgs>),
}

/// Runs what was asked and answers the exit code.
///
/// # Errors
/// It could not be run.
pub fn run(what: &Bench, host: &Host) -> anyhow::Result<u8> {
    match what {
        Bench::Prove(args) => prove::prove(args, host),
    }
}
