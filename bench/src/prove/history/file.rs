//! Reads a history back.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, ensure};

use super::{Event, What};

/// All events of a file, in the order of their time.
///
/// A last line that was cut off by the end of the tool is left out; any other fault is an error.
///
/// # Errors
/// Where it cannot be read, holds what is no event, or does not begin with the run's set-up.
pub fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("the history {shown}"))?;
    let mut events = Vec::new();
    let mut fault = None;
    for (index, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("{shown}, line {}", index + 1))?;
        if let Some(error) = fault {
            return Err(error);
        }
        match serde_json::from_str::<Event>(&line) {
            Ok(event) => events.push(event),
            Err(error) => {
                fault =
                    Some(anyhow::Error::new(error).context(format!("{shown}, line {}: no event", index + 1)));
            }
        }
    }
    let whole = matches!(events.first(), Some(Event(_, What::Run(_))));
    ensure!(whole, "{shown} does not begin with a run: it is no history of `doorbell bench prove`");
    // Tasks write on their own, so lines of one moment may stand in another order than they happened.
    events.sort_by_key(|event| event.0);
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::history::{Phase, Run};

    fn written(lines: &[String]) -> anyhow::Result<Vec<Event>> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("history.jsonl");
        std::fs::write(&path, lines.join("\n"))?;
        read(&path)
    }

    #[test]
    fn a_history_survives_its_file_and_is_sorted_and_a_torn_last_line_is_left_out() {
        let run = Event(0, What::Run(Box::new(Run { seed: 7, ..Run::default() })));
        let events = [run, Event(9, What::Phase(Phase::Heal)), Event(5, What::Phase(Phase::Load))];
        let mut lines: Vec<String> =
            events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        lines.push("[12,{\"phase\":\"fin".to_owned());

        let read = written(&lines).unwrap();

        assert_eq!(read, [events[0].clone(), events[2].clone(), events[1].clone()]);
    }

    /// Fields that came later may be absent.
    #[test]
    fn a_history_of_before_is_read() {
        let run = r#"[0,{"run":{"seed":1,"build":"b","command":"c","started_ms":1,"targets":["t"],"users":[],"conversations":[],"bounds":{"settle":20000000,"revoke":5000000,"acked_min":1000},"nemesis":true}}]"#;
        let fault = r#"[5,{"fault_begin":{"fault":1,"what":"kill redis","spares_sends":true}}]"#;

        let read = written(&[run.to_owned(), fault.to_owned()]).unwrap();

        let What::Run(run) = &read[0].1 else { panic!("{read:?}") };
        assert_eq!((run.bounds.settle, run.bounds.settle_redis), (20_000_000, None));
        let what = "kill redis".to_owned();
        assert_eq!(read[1].1, What::FaultBegin { fault: 1, what, spares_sends: true, harmed: None });
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_place() {
        let run = serde_json::to_string(&Event(0, What::Run(Box::default()))).unwrap();
        let said = |lines: &[String]| format!("{:#}", written(lines).unwrap_err());
        assert!(said(&[run.clone(), "{}".to_owned(), run.clone()]).contains("line 2: no event"));
        assert!(said(&["[0,{\"phase\":\"load\"}]".to_owned()]).contains("does not begin with a run"));
        assert!(said(&[]).contains("does not begin with a run"));
    }
}
