//! Faults that somebody wrote down, instead of drawn ones: `60s,kill,redis,60s`.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::schedule::{Fault, Harm, SALT, Schedule};
use super::{Cluster, Process};

/// One of `--fault`: when, what is done, to what, for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    at: Duration,
    deed: Deed,
    target: String,
    /// How many of those that `target` names; drawn from the seed.
    count: usize,
    lasts: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Kill,
    Stop,
    Cut,
    End,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let [at, deed, target, lasts] = parts[..] else {
            return Err(
                "write WHEN,kill|stop|cut|end,WHAT[/COUNT],HOW-LONG, as in 30s,kill,gateway/10,2s".to_owned()
            );
        };
        let time = |text: &str| {
            humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())
        };
        let deed = match deed {
            "kill" => Deed::Kill,
            "stop" => Deed::Stop,
            "cut" => Deed::Cut,
            "end" => Deed::End,
            other => return Err(format!("`{other}` is none of kill, stop, cut, end")),
        };
        let (target, count) = match target.split_once('/') {
            Some((target, count)) => (target, count.parse().map_err(|_| format!("`{count}` is no number"))?),
            None => (target, 1),
        };
        if target.is_empty() || count == 0 {
            return Err("what is harmed: a name or a role, and at least one of them".to_owned());
        }
        Ok(Self { at: time(at)?, deed, target: target.to_owned(), count, lasts: time(lasts)? })
    }
}

impl Schedule {
    /// Exactly these faults. Which of several with a role are meant is drawn from the seed.
    ///
    /// # Errors
    /// A fault names what is not there, or more of it than there are; or it does not end within the load.
    pub fn given(
        faults: &[Given],
        seed: u64,
        length: Duration,
        cluster: &dyn Cluster,
    ) -> anyhow::Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed ^ SALT);
        let mut drawn = Vec::new();
        for fault in faults {
            let end = fault.at + fault.lasts;
            ensure!(end < length, "--fault: {} at {:?} would end after the load", fault.target, fault.at);
            let names = if fault.deed == Deed::Cut { cluster.links() } else { cluster.processes() };
            let meant: Vec<Process> = (0..)
                .zip(&names)
                .filter(|(_, name)| is_meant(&fault.target, name))
                .map(|(place, _)| place)
                .collect();
            if meant.len() < fault.count {
                bail!(
                    "--fault: {} of `{}` are wanted; there are: {}",
                    fault.count,
                    fault.target,
                    names.join(", ")
                );
            }
            drawn.extend(meant.choose_multiple(&mut rng, fault.count).map(|&place| Fault {
                at: fault.at,
                lasts: fault.lasts,
                harm: match fault.deed {
                    Deed::Kill => Harm::Kill(place),
                    Deed::Stop => Harm::Stop(place),
                    Deed::Cut => Harm::Cut(place),
                    Deed::End => Harm::End(place),
                },
            }));
        }
        drawn.sort_by_key(|fault| fault.at);
        Ok(Self { faults: drawn })
    }
}

/// `gateway-3` is meant by its name, and by what stands before its number.
fn is_meant(target: &str, name: &str) -> bool {
    let numbered = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
    name == target || name.strip_prefix(target).is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::super::schedule::tests::Names;
    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    fn given(text: &str) -> anyhow::Result<Schedule> {
        Schedule::given(&[text.parse().map_err(anyhow::Error::msg)?], 5, LENGTH, &Names)
    }

    #[test]
    fn a_fault_is_what_is_written() {
        let fault =
            Fault { at: Duration::from_secs(10), lasts: Duration::from_millis(1_500), harm: Harm::Stop(1) };
        assert_eq!(given("10s, stop, b, 1500ms").unwrap().faults, [fault]);
        assert_eq!(given("10s,cut,a to b,1s").unwrap().faults[0].harm, Harm::Cut(0));
        assert_eq!(given("10s,end,b,1s").unwrap().faults[0].harm, Harm::End(1));
    }

    #[test]
    fn a_role_means_those_with_a_number_and_no_others() {
        assert!(is_meant("gateway", "gateway-12") && is_meant("gateway-12", "gateway-12"));
        assert!(!is_meant("gateway", "gateway-x") && !is_meant("gate", "gateway-1"));
        assert!(!is_meant("gateway-1", "gateway-12"));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (text, said) in [
            ("10s,kill,a", "WHEN,kill|stop|cut|end"),
            ("10s,burn,a,1s", "`burn`"),
            ("soon,kill,a,1s", "expected number"),
            ("10s,kill,a/0,1s", "at least one"),
            ("10s,kill,a/2,1s", "2 of `a`"),
            ("10s,kill,redis,1s", "there are: a, b"),
            ("59s,kill,a,2s", "after the load"),
        ] {
            let error = given(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
