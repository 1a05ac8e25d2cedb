//! The load tool for sends: how long from a send to its hint, and how many durable sends a second. How late the followers of a hot
//! topic are is for `doorbell bench fanout`.
//!
//! It starts a `doorbell` of its own on a free port of the loopback with a fresh data directory, opens the sessions,
//! runs for a bounded time, and prints a few lines of figures. It shares the machine with what it measures, so all
//! sessions live in one thread that costs little. `cargo run --release -p doorbell-tests --bin load -- --help`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use doorbell_tests::{Doorbell, Options, process};

#[path = "load/latency.rs"]
mod latency;
#[path = "load/pairs.rs"]
mod pairs;
#[path = "load/report.rs"]
mod report;
#[path = "load/session.rs"]
mod session;
#[path = "load/throughput.rs"]
mod throughput;

/// Measures a Doorbell of its own on the loopback.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// How long to measure, in seconds.
    #[arg(long, global = true, default_value_t = 10)]
    seconds: u64,
    /// Conversations of two; each user has one session.
    #[arg(long, global = true, default_value_t = 512)]
    pairs: usize,
    /// Where the data directory is made; the system's temporary folder by default.
    #[arg(long, global = true)]
    scratch: Option<PathBuf>,
    /// A setting of the server, as its environment variable: DOORBELL_GATEWAY__FANOUT_INTERVAL=125ms; may be repeated.
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum What {
    /// Sends at a fixed rate, and how long until the other side has the hint.
    Latency {
        /// Sends a second, over all pairs.
        #[arg(long, default_value_t = 1000)]
        rate: u64,
    },
    /// Sends as fast as acknowledgements allow.
    Throughput {
        /// Sends under way at any moment, over all pairs.
        #[arg(long, default_value_t = 64)]
        in_flight: usize,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let scratch = match cli.scratch {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let mut options = Options::default()
        .with("DOORBELL_MESSAGE__THROTTLE_MESSAGES", "1000000")
        .with("DOORBELL_MESSAGE__THROTTLE_PERIOD", "1s")
        .with("DOORBELL_LOG", "warn");
    for setting in &cli.set {
        let (name, value) =
            setting.split_once('=').with_context(|| format!("--set {setting}: NAME=VALUE"))?;
        options = options.with(name, value);
    }
    let doorbell = Doorbell::start_in(&scratch.path().join("data"), options).await?;
    // One thread, on purpose: nothing else runs here, so nothing is held up.
    let meter = Meter { doorbell: &doorbell, measured: Duration::from_secs(cli.seconds) };
    match cli.what {
        What::Latency { rate } => {
            let pairs = pairs::Pairs::open(&doorbell, cli.pairs).await?;
            meter.run(|measured| latency::run(pairs, rate, measured))
        }
        What::Throughput { in_flight } => {
            let pairs = pairs::Pairs::open(&doorbell, cli.pairs).await?;
            meter.run(|measured| throughput::run(pairs, in_flight, measured))
        }
    }
}

/// Runs what is measured, and prints what it cost.
struct Meter<'a> {
    doorbell: &'a Doorbell,
    measured: Duration,
}

impl Meter<'_> {
    fn run(&self, load: impl FnOnce(Duration) -> anyhow::Result<u64>) -> anyhow::Result<()> {
        let (server, tool) = (self.doorbell.cpu_seconds()?, process::own_cpu_seconds()?);
        let sends = load(self.measured);
        let (server, tool) = (self.doorbell.cpu_seconds()? - server, process::own_cpu_seconds()? - tool);
        if let Ok(sends) = sends {
            println!(
                "server: {}, {} MiB resident",
                report::each(server, sends),
                self.doorbell.resident_bytes()? >> 20
            );
            println!("this tool: {}", report::each(tool, sends));
        }
        sends.map(drop)
    }
}
