//! `doorbell bench prove`: whether a Doorbell loses anything.
//!
//! Map: [`args`] what was asked; [`run`] the parts of a run, with [`plan`] who is there, [`setup`] the conversations, and the
//! clients [`reader`], [`writer`], [`keeper`], [`hostile`], [`audit`], each a [`client`] with a [`link`]; [`nemesis`] faults;
//! [`history`] what happened; [`judge`] what it means; [`report`] how it is told; [`metrics`], [`page`], [`names`], [`progress`], [`stage`].

mod args;
mod audit;
mod client;
mod history;
mod hostile;
mod judge;
mod keeper;
mod link;
mod metrics;
mod names;
pub mod nemesis;
mod page;
mod plan;
mod progress;
mod reader;
mod report;
mod run;
mod setup;
mod stage;
mod writer;

use std::path::Path;

use anyhow::Context;

pub use args::ProveArgs;

use judge::evidence::Evidence;
use judge::verdict::Overall;

use crate::Host;

/// For `--help`.
pub(crate) const ABOUT: &str = "\
Make a load and faults, write down what clients see, and judge whether anything was lost.

Thousands of clients connect, send, follow hints, ask by the clock, break the protocol and ask for what is not theirs. \
With --local the tool starts a Doorbell of its own and kills, stops, ends and restarts it meanwhile. Then everything heals for \
T, fresh connections pull every log, and fifteen rules are judged: no acknowledged message lost, none twice, one order \
for all, nobody left behind, nobody told what is not theirs. docs/prove.md says what each rule means.";

/// For `--help`.
pub(crate) const AFTER_HELP: &str = "\
Examples:
  doorbell bench prove --local
      five minutes against a Doorbell of its own, with faults
  doorbell bench prove --local --sessions 200 --large-members 120 \\
      --rate 100 --duration 30s --fault-every 5s
      a small run, about a minute
  doorbell bench prove --url ws://127.0.0.1:8080 \\
      --key-file /var/lib/doorbell/key \\
      --metrics-url http://127.0.0.1:8080/metrics
      an installation: no faults but those that you make meanwhile
  doorbell bench prove --url wss://chat.example \\
      --token-command 'make-token {user}'
      one whose tokens somebody else makes
  doorbell bench prove --judge doorbell-prove-17/history.jsonl
      judge an old run again

Exit codes:
  0  nothing lost
  1  a rule is broken
  2  not judged: L1 to L4, H1 or H2 had nothing to judge by; or the run
     shows nothing: too few sends, no fault that took effect, nobody had
     to come back, or it could not be made at all";

/// Runs, judges and reports; answers the exit code: 0 nothing lost, 1 something is, 2 nothing was shown or not all judged.
///
/// # Errors
/// Where the run cannot begin, or not go on and nothing was broken until then. The exit code is 2 as well.
pub fn prove(args: &ProveArgs, host: &Host) -> anyhow::Result<u8> {
    let (history, folder, given_up) = match &args.judge {
        Some(history) => (history.clone(), history.parent().map(Path::to_owned).unwrap_or_default(), None),
        None => {
            let folder = args.folder(host);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let given_up = runtime.block_on(run::run(args, host, &folder))?;
            (folder.join(run::HISTORY), folder, given_up)
        }
    };
    let events = history::read(&history)?;
    let evidence = Evidence::gather(&events);
    let judgement = judge::judge(&evidence);
    let page = folder.join(run::REPORT);
    std::fs::write(&page, report::html(&evidence, &judgement))
        .with_context(|| format!("cannot write {}", page.display()))?;
    report::print(&evidence, &judgement, &history, &page)?;
    match given_up {
        // What broke a rule until then did so all the same.
        Some(why) if judgement.overall() == Overall::Lost => println!("{why:#}"),
        Some(why) => return Err(why),
        None => {}
    }
    Ok(judgement.overall().exit_code())
}
