//! What a process of the tool's own is started through: `doorbell bench leash`, which takes its rank, has the kernel kill it where the tool
//! dies, and becomes the program. Both must be done by the process itself, because neither can be done to another one; and nothing can
//! be done between its start and its program without `unsafe`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::rank::Rank;

/// `doorbell bench leash`.
#[derive(Clone, Debug, Args)]
pub struct LeashArgs {
    /// The number of who started it.
    #[arg(long)]
    parent: i32,
    /// How it stands to others on the same cores.
    #[arg(long)]
    rank: Rank,
    /// What it becomes.
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Its words on a command line, up to the program, which ends with this process and has that rank.
pub fn words(rank: Rank) -> Vec<String> {
    let parent = std::process::id().to_string();
    ["bench", "leash", "--parent", &parent, "--rank", rank.name(), "--"].map(str::to_owned).to_vec()
}

/// Becomes the program.
///
/// # Errors
/// It cannot be had, or who started it is gone.
pub fn run(args: &LeashArgs) -> anyhow::Result<u8> {
    let (program, rest) = args.program.split_first().context("there is no program")?;
    args.rank.take()?;
    // It stays with the process when that becomes the program.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // After it: who died before it was set, kills nobody.
    ensure!(
        getppid().map(Pid::as_raw_nonzero).is_some_and(|pid| pid.get() == args.parent),
        "who started it is gone"
    );
    let error = Command::new(program).args(rest).exec();
    Err(anyhow!(error).context(format!("starting {}", Path::new(program).display())))
}
