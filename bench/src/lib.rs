//! What users run against their own Doorbell: `doorbell bench …`. `prove` makes a load, and faults where it may, writes down all that
//! clients see, and judges whether anything was lost. `connect`, `idle`, `fanout`, `hot`, `unicast`, `storm` and `mixed` measure what an installation can do and
//! what it costs, beside a bare loop that does the same.
//!
//! It owns the clients, the faults, the history, the judge, the figures and the reports. It is a client like any other: it knows the
//! protocol's frames and nothing of the services, and speaks to them through their own doors alone.
//!
//! Invariants:
//! - **BE-1** What happened and what it means are apart: a run writes a history, the judge reads it and does no I/O.
//! - **BE-2** A moment is stamped on the side that makes the rules weaker: what goes out, before; what came, after.
//! - **BE-3** A rule without anything to judge it by is "not judged", never "holds"; what should be there and is not breaks it.
//! - **BE-4** Everything drawn comes from the seed: the same seed gives the same users, conversations and faults.
//!
//! - **BE-5** A load counts from when it was due, not from when the tool got round to it; and what did not come is told, with exit code 1.
//! - **BE-6** The tool ends what it started, and nothing else; where the tool is killed, that ends as well.
//!
//! Map: `prove` the checker; `load` the measurements; `bar` how a run goes, `backoff` of clients; `cpus` of processes; `host` what the binary hands in, `tokens` of
//! users, `trust` in certificates, `process` a server that the tool starts, `leash` what it is started through, `scrape` a server's metrics, `report` what reports have in common, `spelling` of times and addresses, `words` for
//! people.

mod backoff;
mod bar;
mod cpus;
mod host;
mod leash;
mod load;
mod process;
mod prove;
mod rank;
mod report;
mod scrape;
mod spelling;
mod tokens;
mod trust;
mod words;

use clap::Subcommand;

pub use host::{Host, ReadKey};
pub use leash::LeashArgs;
pub use load::{BareArgs, ConnectArgs, FanoutArgs, HotArgs, IdleArgs, MixedArgs, StormArgs, UnicastArgs};
pub use prove::ProveArgs;
pub use tokens::Mint;

/// `doorbell bench`.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Make a load and faults, write down what clients see, and judge whether anything was lost
    #[command(long_about = prove::ABOUT, after_help = prove::AFTER_HELP)]
    Prove(Box<ProveArgs>),
    /// Measure how fast sessions come: accept rate, handshake, time to welcome
    #[command(after_help = load::AFTER_HELP)]
    Connect(Box<ConnectArgs>),
    /// Measure what sessions cost that do nothing: memory, kernel memory, CPU at rest
    #[command(after_help = load::AFTER_HELP)]
    Idle(Box<IdleArgs>),
    /// Measure one topic with many followers: lateness, CPU a hint
    #[command(after_help = load::AFTER_HELP)]
    Fanout(Box<FanoutArgs>),
    /// Measure one topic with many followers and many publishes: when all know the latest, CPU beside another rate
    #[command(after_help = load::AFTER_HELP)]
    Hot(Box<HotArgs>),
    /// Measure hints to users one by one, in random order: hints a second, lateness, CPU a hint
    #[command(after_help = load::AFTER_HELP)]
    Unicast(Box<UnicastArgs>),
    /// Measure all sessions lost at once: until all are back and current
    #[command(after_help = load::AFTER_HELP)]
    Storm(Box<StormArgs>),
    /// Measure hints to users one by one beside fan-outs, sessions that come and go, and some that read nothing: for soaking
    #[command(after_help = load::AFTER_HELP)]
    Mixed(Box<MixedArgs>),
    /// Hold sockets for the tool, which starts this itself.
    #[command(hide = true)]
    LoadWorker,
    /// Be the bare loop for the tool, which starts this itself.
    #[command(hide = true)]
    LoadBare(Box<BareArgs>),
    /// Become a program that ends with the tool, which starts this itself.
    #[command(hide = true)]
    Leash(Box<LeashArgs>),
}

/// Runs what was asked and answers the exit code.
///
/// # Errors
/// It could not be run.
pub fn run(what: &Bench, host: &Host) -> anyhow::Result<u8> {
    match what {
        Bench::Prove(args) => prove::prove(args, host),
        Bench::Connect(args) => load::measure(args.as_ref(), host),
        Bench::Idle(args) => load::measure(args.as_ref(), host),
        Bench::Fanout(args) => load::measure(args.as_ref(), host),
        Bench::Hot(args) => load::measure(args.as_ref(), host),
        Bench::Unicast(args) => load::measure(args.as_ref(), host),
        Bench::Storm(args) => load::measure(args.as_ref(), host),
        Bench::Mixed(args) => load::measure(args.as_ref(), host),
        Bench::LoadWorker => load::work(host),
        Bench::LoadBare(args) => load::be_bare_loop(args, host),
        Bench::Leash(args) => leash::run(args),
    }
}
