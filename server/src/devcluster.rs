//! `doorbell dev-cluster`: a whole installation as processes on this machine, for trying things out: Redis, gateways,
//! notifiers, channel services, message services. What dies is started again after a while, Redis aside.

mod plan;
mod process;
mod redis;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::keyfile;
use crate::signals::Signals;
use plan::Plan;
use process::{News, Process};
use redis::OwnRedis;

/// `doorbell dev-cluster`.
#[derive(Debug, Args)]
pub struct DevClusterArgs {
    /// How many gateways
    #[arg(long, value_name = "N", default_value_t = 2)]
    gateways: u16,
    /// How many notifiers
    #[arg(long, value_name = "N", default_value_t = 2)]
    notifiers: u16,
    /// How many channel services
    #[arg(long, value_name = "N", default_value_t = 2)]
    channels: u16,
    /// How many message services: one has the store open, the others stand by
    #[arg(long, value_name = "N", default_value_t = 1)]
    messages: u16,
    /// The port of the first gateway, the others follow it; 0 asks for free ones
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// A Redis that is there already [default: starts `redis-server` on a free port, without persistence]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Where keys, messages and logs are kept
    #[arg(long, value_name = "DIR", default_value = "./doorbell-dev-cluster")]
    dir: PathBuf,
    /// How long after its end a process is started again; `never` leaves it ended
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = restart_after)]
    restart_after: RestartAfter,
    /// One JSON object a line on standard output for each process that is ready or has ended, for programs
    #[arg(long)]
    json: bool,
}

/// When what ended is started again.
#[derive(Clone, Copy, Debug)]
struct RestartAfter(Option<Duration>);

/// One line for programs.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
enum Line<'a> {
    Ready {
        name: &'a str,
        pid: u32,
        address: &'a str,
    },
    Ended {
        name: &'a str,
        how: &'a str,
    },
    /// All were ready once.
    Complete {
        dir: &'a Path,
        redis: &'a str,
    },
}

/// Runs until it is asked to end.
///
/// # Errors
/// Something could not be started.
pub fn run(args: DevClusterArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(live(args))
}

async fn live(args: DevClusterArgs) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    std::fs::create_dir_all(args.dir.join("logs"))
        .with_context(|| format!("cannot make {}", args.dir.display()))?;
    let dir = args.dir.canonicalize()?;
    keyfile::read_or_make(&dir.join("key"))?;
    let own_redis = match &args.redis {
        Some(_) => None,
        None => Some(OwnRedis::start(&dir).await?),
    };
    let redis = match (&args.redis, &own_redis) {
        (Some(given), _) => given.clone(),
        (None, Some(own)) => own.url(),
        (None, None) => unreachable!("one of them is there"),
    };
    let plan = Plan {
        gateways: args.gateways,
        notifiers: args.notifiers,
        channels: args.channels,
        messages: args.messages,
    };
    let planned = plan.processes(args.port, &redis, &dir)?;
    let shown =
        Shown { json: args.json, dir, redis, names: planned.iter().map(|one| one.name.clone()).collect() };
    shown.begin();
    let stop = CancellationToken::new();
    let (news, mut heard) = tokio::sync::mpsc::channel(64);
    let mut running = JoinSet::new();
    for one in planned {
        let process = Process::new(one, args.restart_after.0, news.clone());
        running.spawn(process.run(stop.clone()));
    }
    drop(news);
    let mut ready = std::collections::HashSet::new();
    let outcome = loop {
        tokio::select! {
            Some(one) = heard.recv() => {
                shown.tell(&one);
                if let News::Ready { name, .. } = &one
                    && ready.insert(name.clone())
                    && ready.len() == shown.names.len()
                {
                    shown.complete();
                }
            }
            _ = signals.next() => break Ok(()),
            Some(ended) = running.join_next() => {
                if let Err(error) = ended.context("a task of dev-cluster").flatten() {
                    break Err(error);
                }
            }
        }
    };
    stop.cancel();
    // Nobody reads any more: who has something to tell is not to wait.
    drop(heard);
    while running.join_next().await.is_some() {}
    if let Some(redis) = own_redis {
        redis.stop().await;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What is said on standard output.
struct Shown {
    json: bool,
    dir: PathBuf,
    redis: String,
    names: Vec<String>,
}

impl Shown {
    fn begin(&self) {
        if !self.json {
            say(&format!(
                "{} processes; keys, messages and logs are in {}",
                self.names.len(),
                self.dir.display()
            ));
        }
    }

    fn tell(&self, news: &News) {
        match news {
            News::Ready { name, pid, address } if self.json => {
                line(&Line::Ready { name, pid: *pid, address })
            }
            News::Ended { name, how } if self.json => line(&Line::Ended { name, how }),
            News::Ready { name, pid, address } => say(&format!("{name:<12} ready   pid {pid:<8} {address}")),
            News::Ended { name, how } => say(&format!("{name:<12} ended   {how}")),
        }
    }

    fn complete(&self) {
        if self.json {
            return line(&Line::Complete { dir: &self.dir, redis: &self.redis });
        }
        say(&format!(
            "\nAll is there. Open a gateway's address in two browser windows, and then:\n  \
             kill -9 PID                           any of them; clients are current again within seconds\n  \
             curl ADDRESS/metrics                  what each one counts\n  \
             redis-cli -u {}    what they share\n\
             Ctrl-C ends all of it.",
            self.redis
        ));
    }
}

/// Nobody may be reading it; the processes run all the same.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn line(line: &Line<'_>) {
    say(&serde_json::to_string(line).expect("text always encodes"));
}

fn restart_after(text: &str) -> Result<RestartAfter, String> {
    if text == "never" {
        return Ok(RestartAfter(None));
    }
    let time = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    Ok(RestartAfter(Some(time)))
}
