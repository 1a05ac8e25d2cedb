//! What a server costs: CPU and memory of its process, and of the kernel. Of a process here `/proc` tells; of one elsewhere its
//! `/metrics` does.

use std::fs::read_to_string;
use std::time::Duration;

use anyhow::Context;
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::process::is_there;
use crate::scrape;
use crate::trust::Trust;

/// The metrics that every Doorbell shows of its process.
const CPU: &str = "process_cpu_seconds_total";
const RESIDENT: &str = "process_resident_memory_bytes";
/// The kernel counts buffers of sockets in pages.
const PAGE_BYTES: u64 = 4_096;

/// Where it is read.
#[derive(Clone, Debug)]
pub enum Meter {
    /// Processes of this machine, by their numbers; their sum.
    Processes(Vec<u32>),
    /// Pages of metrics, and whom to trust with `https`; their sum.
    Metrics(Vec<String>, Trust),
}

/// What a server has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU since it was started, user and system, in seconds. A page of metrics counts whole ones.
    pub cpu_seconds: f64,
    /// Memory that is resident.
    pub resident: u64,
    /// Memory that it wrote and shares with nobody; only of a process here.
    pub private: Option<u64>,
}

impl Usage {
    /// Both together.
    fn plus(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            resident: self.resident + other.resident,
            private: Some(self.private.unwrap_or(0) + other.private.unwrap_or(0)),
        }
    }
}

impl Meter {
    /// CPU up to now, in seconds; `None` where it would cost somebody something to ask. Nothing else is read.
    pub fn cpu_seconds(&self) -> Option<f64> {
        match self {
            Self::Processes(numbers) => numbers.iter().map(|number| cpu_seconds(*number)).sum(),
            Self::Metrics(..) => None,
        }
    }

    /// Which of its processes is not there any more.
    pub fn gone(&self) -> Option<u32> {
        match self {
            Self::Processes(numbers) => numbers.iter().copied().find(|number| !is_there(*number)),
            Self::Metrics(..) => None,
        }
    }

    /// What was used up to now; `None` where nobody tells.
    ///
    /// # Errors
    /// The process is gone, or a page does not answer.
    pub async fn read(&self) -> anyhow::Result<Option<Usage>> {
        match self {
            Self::Processes(numbers) => {
                let mut each = numbers.iter().map(|number| of_process(*number));
                each.try_fold(Usage::default(), |sum, one| Ok(sum.plus(one?))).map(Some)
            }
            Self::Metrics(pages, _) if pages.is_empty() => Ok(None),
            Self::Metrics(pages, trust) => {
                let mut sum = Usage::default();
                for page in pages {
                    let told = scrape::figures(page, trust, |name| [CPU, RESIDENT].contains(&name)).await?;
                    for (name, value) in told {
                        if name == CPU {
                            sum.cpu_seconds += value;
                        } else {
                            sum.resident += whole(value);
                        }
                    }
                }
                Ok(Some(sum))
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a machine's memory")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// CPU of a process here, user and system, of all its threads, in seconds; `None` where it is gone. Its clock counts nanoseconds
/// (`clock_getcpuclockid(3)`), `/proc` steps of 10 ms, in which 300 sessions are opened.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(process).ok()?)).ok()?;
    Some(Duration::from(clock.now().ok()?).as_secs_f64())
}

/// How long the first thread of a process here could have run and had no CPU, in seconds; `None` where the kernel does not tell.
pub fn waited_seconds(process: u32) -> Option<f64> {
    waited_of(&read_to_string(format!("/proc/{process}/schedstat")).ok()?)
}

/// Nanoseconds that it ran, that it waited, and how often it ran.
fn waited_of(schedstat: &str) -> Option<f64> {
    Some(schedstat.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1e9)
}

fn of_process(number: u32) -> anyhow::Result<Usage> {
    let path = format!("/proc/{number}/smaps_rollup");
    let gone = || format!("the server is gone: {path}");
    let rollup = read_to_string(&path).with_context(gone)?;
    Ok(Usage {
        cpu_seconds: cpu_seconds(number).with_context(gone)?,
        resident: kib_of(&rollup, "Rss:").context("/proc/PID/smaps_rollup has no Rss")?,
        // Clean pages are the program's own: they are private until somebody else runs it as well.
        private: Some(
            kib_of(&rollup, "Private_Dirty:").context("/proc/PID/smaps_rollup has no Private_Dirty")?,
        ),
    })
}

/// A line such as `Rss:   12 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

/// Memory that the kernel holds for the whole machine: its slabs, where sockets, files and epoll's entries lie, and the
/// pages in sockets' buffers.
///
/// # Errors
/// `/proc` does not tell.
pub fn kernel_bytes() -> anyhow::Result<u64> {
    let (memory, sockets) = (read_to_string("/proc/meminfo")?, read_to_string("/proc/net/sockstat")?);
    let slab = kib_of(&memory, "Slab:").context("/proc/meminfo has no Slab")?;
    Ok(slab + buffers_of(&sockets).context("/proc/net/sockstat has no TCP mem")?)
}

/// Memory that whatever is started may have, on the whole machine; `None` where the kernel does not tell.
pub fn available_bytes() -> Option<u64> {
    kib_of(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

fn buffers_of(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let pages: u64 = line.split_once(" mem ")?.1.split_whitespace().next()?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// What of this machine stands beside its figures.
pub fn machine(cores: usize) -> Vec<(&'static str, String)> {
    let line = |path: &str, name: &str| {
        let text = read_to_string(path).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        found.trim_start_matches([' ', '\t', ':']).trim().to_owned()
    };
    vec![
        ("cores", cores.to_string()),
        ("processor", line("/proc/cpuinfo", "model name")),
        ("memory", line("/proc/meminfo", "MemTotal:")),
        ("kernel", read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
        ("load before", read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_the_kernel_writes_it() {
        assert_eq!(waited_of("5000000000 1500000000 77\n"), Some(1.5));
        assert_eq!(kib_of("Rss:              12 kB\nPss: 1 kB\n", "Rss:"), Some(12_288));
        assert_eq!(kib_of("Rss: 12 kB\n", "Slab:"), None);
        let sockstat = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 5 mem 3\nUDP: inuse 0 mem 7\n";
        assert_eq!(buffers_of(sockstat), Some(12_288));
    }

    #[test]
    fn this_process_has_used_memory() {
        let usage = of_process(std::process::id()).unwrap();

        assert!(usage.resident >= usage.private.unwrap() && usage.private > Some(0), "{usage:?}");
        assert!(kernel_bytes().unwrap() > 0);
        assert!(available_bytes() > Some(0));
    }

    #[test]
    fn cpu_of_a_process_is_known_to_less_than_a_step_of_the_kernels_count_and_not_of_one_that_is_gone() {
        // Waited for, so its number is free.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        assert_eq!(cpu_seconds(gone.id()), None);

        // Other threads of this process may use some between two looks, but not always.
        let looks: Vec<_> = (0..1_000).map(|_| cpu_seconds(std::process::id()).unwrap()).collect();
        let steps = looks.windows(2).map(|two| two[1] - two[0]).filter(|step| *step > 0.0);
        assert!(steps.fold(1.0, f64::min) < 0.01, "{looks:?}");
    }
}
