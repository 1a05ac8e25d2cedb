//! A process that holds sockets: `doorbell bench load-worker`, started by the tool, told what to do by lines on its standard
//! input, telling what it saw by lines on its standard output. It ends with whoever started it.
//!
//! Map: [`engine`] the loop; [`socket`] one session, [`stream`] what its bytes go over; [`arrival`] when its bytes came; [`answer`] how it begins and ends, [`hearing`] what a message says; [`lateness`] how late it is, [`returning`]
//! how it comes back; [`seconds`] all of it second by second.

mod answer;
mod arrival;
mod engine;
pub mod hearing;
mod lateness;
mod returning;
mod seconds;
mod socket;
mod stream;

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::Context;

use super::orders::{Audience, Credentials, Job, Order, Report};
use crate::Host;
use crate::tokens::Tokens;
use engine::Engine;

/// Orders that wait; the tool gives few.
const ORDERS_MAX: usize = 16;

/// Runs until it is told to leave, or nobody tells it anything any more.
///
/// # Errors
/// The job is none, or tokens cannot be made.
pub fn run(host: &Host) -> anyhow::Result<()> {
    (host.files)();
    let worked = work(host);
    if let Err(error) = &worked {
        // Who started it may be gone.
        let _ = say(&Report::Broken(format!("{error:#}")));
    }
    worked
}

fn work(host: &Host) -> anyhow::Result<()> {
    let mut first = String::new();
    std::io::stdin().lock().read_line(&mut first)?;
    let job: Job = serde_json::from_str(&first).context("this is started by `doorbell bench` alone")?;
    let tokens = tokens(&job, host)?;
    let engine = Engine::new(job, tokens)?;
    let (waker, (give, orders)) = (engine.waker()?, sync_channel(ORDERS_MAX));
    let reader = std::thread::Builder::new().name("orders".to_owned());
    // It ends with its last line, or with the process.
    reader.spawn(move || read_orders(&give, &waker))?;
    say(&Report::Ready)?;
    engine.run(&orders)
}

fn read_orders(give: &SyncSender<Order>, waker: &mio::Waker) {
    for line in std::io::stdin().lock().lines() {
        let Some(order) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
        if give.send(order).is_err() || order == Order::Leave {
            break;
        }
        let _ = waker.wake();
    }
    let _ = give.try_send(Order::Leave);
    let _ = waker.wake();
}

/// All users' tokens, before anything is measured.
fn tokens(job: &Job, host: &Host) -> anyhow::Result<Vec<String>> {
    let users =
        (job.first..job.first + u64::from(job.sessions)).map(|number| format!("{}{number}", job.users));
    match &job.credentials {
        // Who is rung by name has to say its name, where nobody makes it say a token.
        Credentials::Nobody if job.audience == Audience::Users => Ok(users.collect()),
        Credentials::Nobody => Ok(Vec::new()),
        Credentials::Key(file) => by_key(file, job, users, host),
        Credentials::Command(line) => {
            let tokens = Tokens::command(line.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut made = Vec::with_capacity(job.sessions as usize);
                for user in users {
                    made.push(tokens.of(&user).await?);
                }
                Ok(made)
            })
        }
    }
}

fn by_key(
    file: &Path,
    job: &Job,
    users: impl Iterator<Item = String>,
    host: &Host,
) -> anyhow::Result<Vec<String>> {
    let follows = matches!(job.audience, Audience::Followers | Audience::Both);
    let topics: Vec<String> = job.topic.clone().filter(|_| follows).into_iter().collect();
    let mint = (host.mint)(file, &topics)?;
    users.map(|user| mint.token(&user)).collect()
}

/// One line for whoever started it.
fn say(report: &Report) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}
