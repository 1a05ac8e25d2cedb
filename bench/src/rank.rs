//! Who runs first where there is more to do than cores.

use std::io;
use std::panic::resume_unwind;

use clap::ValueEnum;
use rustix::io::Errno;
use rustix::process::nice;
use tokio::runtime::Handle;

/// As much as there is: on a core that both want, a process of ordinary rank has some seventy times the CPU of such a one. With 10, of which it is ten
/// times, a Redis among 138 busy threads of 60 gateways had an eighth of a core, and 1,000,000 lost sessions did not come back
/// (`docs/performance.md`, "A million lost at once").
const LOWER: i32 = 19;
/// How far one goes before: others still have some of its core.
const HIGHER: i32 = -15;

/// How a process stands to others on the same cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Rank {
    /// Like any other.
    #[default]
    Ordinary,
    /// It gives way: to a Redis for which everybody waits and which has one thread, among dozens that do not wait for each other. In an installation
    /// Redis has a core of its own.
    Yielding,
    /// It goes before, where this process may have that (`CAP_SYS_NICE`): that Redis.
    First,
}

impl Rank {
    /// As it is said on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Yielding => "yielding",
            Self::First => "first",
        }
    }

    /// Does something that starts a process, which then has this rank. This thread keeps its own.
    ///
    /// # Errors
    /// The kernel does not lower it.
    pub fn of<T: Send>(self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        match self {
            Self::Ordinary => Ok(what()),
            Self::Yielding | Self::First => self.apart(what),
        }
    }

    /// Has this process have it, and whatever it becomes.
    ///
    /// # Errors
    /// The kernel does not lower it.
    pub fn take(self) -> io::Result<()> {
        match self {
            Self::Ordinary => Ok(()),
            Self::Yielding => Ok(nice(LOWER).map(drop)?),
            Self::First => match nice(HIGHER) {
                Ok(_) | Err(Errno::PERM | Errno::ACCESS) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// On a thread of its own: a rank that was lowered is not raised again without privileges, and is that of one thread.
    fn apart<T: Send>(self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        let runtime = Handle::try_current().ok();
        std::thread::scope(|scope| {
            let started = scope.spawn(|| {
                let _inside = runtime.as_ref().map(Handle::enter);
                self.take()?;
                Ok(what())
            });
            started.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_started_gives_way_and_who_started_it_does_not() {
        let niceness = || {
            let output = Command::new("nice").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<i32>().unwrap()
        };
        let own = niceness();

        // 19 is the most.
        assert_eq!(Rank::Yielding.of(niceness).unwrap(), (own + LOWER).min(19));
        assert_eq!(Rank::Ordinary.of(niceness).unwrap(), own);
        // Who may not go before stays where it is.
        assert!([own, (own + HIGHER).max(-20)].contains(&Rank::First.of(niceness).unwrap()));
        for rank in Rank::value_variants() {
            assert_eq!(Rank::from_str(rank.name(), false).as_ref(), Ok(rank));
        }
    }
}
