//! `doorbell bench connect`, `idle`, `fanout`, `hot`, `unicast`, `storm`, `mixed`: what an installation can do, and what a session and a hint cost.
//!
//! The tool starts processes of itself that hold the sockets (one thread, one epoll loop, one read buffer each), has them connect,
//! follow and read, and adds up what they saw. What is measured is a Doorbell that it starts, or one that is there; and, in the same
//! run, a bare epoll loop that does the same with the same bytes: what this machine can do at all.
//!
//! Map. What was asked, and what comes out:
//! - [`args`] what was asked;
//! - [`measurement`] what all measurements have in common, and how their rounds run;
//! - [`trial`] what they have at hand;
//! - [`findings`] of a round, [`rounds`] of all, [`outcome`] with what was asked, [`output`] a file of it;
//! - [`report`] the page to look at, [`timeline`] what there was second by second.
//!
//! Each of them:
//! - [`connect`] and [`idle`];
//! - [`fanout`] and [`hot`], both on a [`topic`];
//! - [`unicast`], [`storm`], [`mixed`];
//! - [`phase`] what ringing comes to.
//!
//! What is measured:
//! - [`target`] a server of the tool's own, or one that is there; [`place`] where it is, [`certificate`] what it shows in TLS;
//! - [`bare`] the bare loop;
//! - [`usage`] what it costs, [`metrics`] what it says of itself.
//!
//! Who holds the sockets:
//! - [`fleet`] the processes, [`worker`] one of them, [`orders`] what both say to each other;
//! - [`frame`] what comes, [`outbound`] what goes;
//! - [`tool`] what the tool itself uses.
//!
//! Who rings:
//! - [`publisher`] a back end, over its [`pipe`], [`ringer`] one with many connections;
//! - [`schedule`] when, [`laps`] whom;
//! - [`clock`] moments, [`spread`] distributions of times.
//!
//! How it goes:
//! - [`mod@line`] what is shown, [`live`] its figures;
//! - [`pulse`] what is seen second by second.

mod args;
mod bare;
mod certificate;
mod clock;
mod connect;
mod fanout;
mod findings;
mod fleet;
mod frame;
mod hot;
mod idle;
mod laps;
mod line;
mod live;
mod measurement;
mod metrics;
mod mixed;
mod orders;
mod outbound;
mod outcome;
mod output;
mod phase;
mod pipe;
mod place;
mod publisher;
mod pulse;
mod report;
mod ringer;
mod rounds;
mod schedule;
mod spread;
mod storm;
mod target;
mod timeline;
mod tool;
mod topic;
mod trial;
mod unicast;
mod usage;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use args::{ConnectArgs, FanoutArgs, HotArgs, IdleArgs, MixedArgs, StormArgs, UnicastArgs};
pub use bare::BareArgs;

use crate::Host;
use crate::cpus::Cpus;
use args::Pinned;
use fleet::Interrupted;
use measurement::Measurement;
use outcome::Outcome;
use output::Output;
use trial::{Machine, Trial};

/// For `--help`.
pub(crate) const AFTER_HELP: &str = "\
Examples:
  doorbell bench connect
      10,000 sessions with a Doorbell of its own on the loopback
  doorbell bench idle --sessions 15000 --duration 2m
      what they cost while nothing happens
  doorbell bench fanout --rate 50 --duration 30s \\
      --html fanout.html --json fanout.json
      one topic, 10,000 followers, 50 publishes a second; a page with plots
  doorbell bench hot --rate 1000 --against 50 --within 250ms
      one topic with more publishes than can be told one by one
  doorbell bench unicast --rate 20000 --server-cpus 0 --tool-cpus 1 --rounds 5
      10,000 users rung one by one, one core for the server, medians of five
  doorbell bench storm --sessions 15000 --within 20s
      all sockets lost at once: until all are back and current
  doorbell bench mixed --duration 10m --churn-rate 20 --slow 1
      users rung one by one, alone and beside fan-outs without a pause
  doorbell bench idle --gateways 1 --tls
      what they cost in TLS, in a process that is a gateway alone
  doorbell bench connect --sessions 50000 --connect-rate 2000 \\
      --url ws://10.0.0.5:8080 --url ws://10.0.0.6:8080 \\
      --key-file /var/lib/doorbell/key \\
      --metrics-url http://10.0.0.5:8080/metrics
      an installation; the tool takes as many processes as it needs
  doorbell bench connect --url wss://bell.example --ca authority.pem \\
      --token-command 'make-token {user}'
      one in TLS, whose certificate an authority of your own has signed

Standard output gets the result, standard error how it goes: on a terminal
a bar with live figures. docs/bench.md says what each figure means and how
it is measured, and what --json and --html write.

Exit codes:
  0    measured, and every session and hint was there
  1    measured, and some were not: the result says which
  2    not measured
  130  interrupted";

/// How long what still runs when the tool has its answer may take to end: a publish without an answer.
const END_DEADLINE: Duration = Duration::from_secs(1);
/// What a shell says of who was interrupted.
const INTERRUPTED: u8 = 130;

/// Measures and tells; answers the exit code.
///
/// # Errors
/// It cannot be measured.
pub fn measure(what: &impl Measurement, host: &Host) -> anyhow::Result<u8> {
    // First, so that nothing is measured for a file that cannot be written.
    let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
    let (json, page) = (open(&what.asked().json)?, open(&what.asked().html)?);
    let machine = machine(&what.asked().cpus)?;
    // One thread: whoever is measured has the others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(until_stopped(what, host, machine));
    runtime.shutdown_timeout(END_DEADLINE);
    let outcome = match outcome {
        Err(error) if error.is::<Interrupted>() => {
            let _ = writeln!(std::io::stderr(), "interrupted: everything that was started is ended");
            return Ok(INTERRUPTED);
        }
        outcome => outcome?,
    };
    told(&outcome, json, page)?;
    Ok(u8::from(!outcome.findings.wrong.is_empty()))
}

/// Writes files, and the table to standard output: each of them whatever becomes of the others.
///
/// # Errors
/// All that could not be written.
fn told(outcome: &Outcome, json: Option<Output>, page: Option<Output>) -> anyhow::Result<()> {
    let json = json.map(|output| output.write(&serde_json::to_vec_pretty(outcome)?));
    let page = page.map(|output| output.write(report::html(outcome).as_bytes()));
    // Files first: who reads standard output may have seen enough of it.
    let mut table = outcome.table();
    let mut failed = Vec::new();
    for (number, written) in json.into_iter().chain(page).enumerate() {
        let apart = if number == 0 { "\n" } else { "" };
        match written {
            Ok(path) => table.push_str(&format!("{apart}written to {}\n", path.display())),
            Err(error) => failed.push(error),
        }
    }
    let printed = std::io::stdout().lock().write_all(table.as_bytes());
    failed.extend(printed.context("cannot write to standard output").err());
    let failed: Vec<String> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(failed.is_empty(), failed.join("\n"));
    Ok(())
}

/// Looks at the machine before anything runs on it, and has the tool and what it starts run where it was told.
fn machine(asked: &Pinned) -> anyhow::Result<Machine> {
    let all = Cpus::of_this_thread().context("which CPUs there are")?;
    let figures = usage::machine(all.count());
    for (flag, cpus) in [("--server-cpus", &asked.server_cpus), ("--tool-cpus", &asked.tool_cpus)] {
        cpus.as_ref().map_or(Ok(()), |cpus| all.check(flag, cpus))?;
    }
    let mut servers = asked.server_cpus.clone();
    if let Some(cpus) = &asked.tool_cpus {
        cpus.take().with_context(|| format!("--tool-cpus {cpus}"))?;
        servers = servers.or(Some(all));
    }
    Ok(Machine { figures, servers })
}

/// Measures; where somebody asks the tool to end, it ends what it started and says so. Asked once more, it waits for no end in order:
/// its children are killed.
async fn until_stopped(what: &impl Measurement, host: &Host, machine: Machine) -> anyhow::Result<Outcome> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let trial = Trial::new(what, host, &stop, machine);
    let mut measuring = std::pin::pin!(measurement::run(what, trial));
    loop {
        tokio::select! {
            outcome = &mut measuring => return outcome,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_cancelled() {
            return Err(Interrupted.into());
        }
        stop.cancel();
    }
}

/// A process that holds sockets.
///
/// # Errors
/// It was started by hand, or cannot make its tokens.
pub fn work(host: &Host) -> anyhow::Result<u8> {
    worker::run(host).map(|()| 0)
}

/// The bare loop.
///
/// # Errors
/// It cannot listen.
pub fn be_bare_loop(args: &BareArgs, host: &Host) -> anyhow::Result<u8> {
    bare::run(args, host).map(|()| 0)
}
