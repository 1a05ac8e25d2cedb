//! Which CPUs a process runs on. What a thread starts runs where the thread may, so a process is given its CPUs before it begins, and
//! counts those as the machine's.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::str::FromStr;

use anyhow::ensure;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Some CPUs, at least one: written as `0`, `0,2` or `1-3,6`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// Those on which this thread may run.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn of_this_thread() -> io::Result<Self> {
        let set = sched_getaffinity(None)?;
        Ok(Self((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()))
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether all of `asked`, which the flag `flag` named, are among these.
    ///
    /// # Errors
    /// One is not.
    pub fn check(&self, flag: &str, asked: &Self) -> anyhow::Result<()> {
        for cpu in &asked.0 {
            ensure!(
                self.0.contains(cpu),
                "{flag} {asked}: this process may not run on CPU {cpu}, only on {self}"
            );
        }
        Ok(())
    }

    /// Has this thread run on these alone, and whatever it starts from now on.
    ///
    /// # Errors
    /// It may not.
    pub fn take(&self) -> io::Result<()> {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|cpu| set.set(*cpu));
        Ok(sched_setaffinity(None, &set)?)
    }

    /// Does something on these alone, such as to start a process, which stays on them; this thread is back where it was then.
    ///
    /// # Errors
    /// It may not run there.
    pub fn on<T>(&self, what: impl FnOnce() -> T) -> io::Result<T> {
        let before = Self::of_this_thread()?;
        self.take()?;
        let done = what();
        before.take()?;
        Ok(done)
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write numbers of CPUs: 0, or 0,2, or 1-3,6".to_owned();
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last || last >= CpuSet::MAX_CPU {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

impl Display for Cpus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_cpus_one_by_one_and_in_ranges() {
        for (text, cpus) in [("0", "0"), ("2,0", "0,2"), ("1-3,6", "1,2,3,6"), ("1-2,2-3", "1,2,3")] {
            assert_eq!(text.parse::<Cpus>().unwrap().to_string(), cpus, "{text}");
        }
        for bad in ["", "a", "1,", "3-1", "-1", "0-", "0-1000000", "99999999999999999999"] {
            assert!(bad.parse::<Cpus>().unwrap_err().contains("1-3,6"), "{bad}");
        }
    }

    #[test]
    fn cpus_that_are_not_there_are_named() {
        let all: Cpus = "0-1".parse().unwrap();

        assert!(all.check("--server-cpus", &"1".parse().unwrap()).is_ok());
        let refused = all.check("--server-cpus", &"1-2".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(refused, "--server-cpus 1,2: this process may not run on CPU 2, only on 0,1");
    }

    #[test]
    fn what_is_started_on_some_cpus_stays_there_and_who_started_it_does_not() {
        let all = Cpus::of_this_thread().unwrap();
        let last = Cpus(all.0.last().copied().into_iter().collect());

        let child = last.on(|| std::process::Command::new("nproc").output()).unwrap().unwrap();

        assert_eq!(String::from_utf8(child.stdout).unwrap().trim(), "1");
        assert_eq!(Cpus::of_this_thread().unwrap(), all);
    }
}
