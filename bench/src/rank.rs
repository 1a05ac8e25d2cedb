//! Who runs first where there is more to do than cores.

use std::io;
use std::panic::resume_unwind;

use rustix::process::nice;
use tokio::runtime::Handle;

/// As high as `nice` is by default: on a core that both want, a process of ordinary rank has ten times the CPU of such a one.
const STEP: i32 = 10;

/// How a process stands to others on the same cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// Like any other.
    #[default]
    Ordinary,
    /// It gives way: to a Redis for which everybody waits and which has one thread, among dozens that do not wait for each other. In an installation
    /// Redis has a core of its own.
    Yielding,
}

impl Rank {
    /// Does something that starts a process, which then has this rank. This thread keeps its own.
    ///
    /// # Errors
    /// The kernel does not lower it.
    pub fn of<T: Send>(self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        match self {
            Self::Ordinary => Ok(what()),
            Self::Yielding => Self::apart(what),
        }
    }

    /// Has this process have it, and whatever it becomes.
    ///
    /// # Errors
    /// The kernel does not lower it.
    pub fn take(self) -> io::Result<()> {
        match self {
            Self::Ordinary => Ok(()),
            Self::Yielding => Ok(nice(STEP).map(drop)?),
        }
    }

    /// On a thread of its own: a rank that was lowered is not raised again without privileges, and is that of one thread.
    fn apart<T: Send>(what: impl FnOnce() -> T + Send) -> io::Result<T> {
        let runtime = Handle::try_current().ok();
        std::thread::scope(|scope| {
            let started = scope.spawn(|| {
                let _inside = runtime.as_ref().map(Handle::enter);
                Self::Yielding.take()?;
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
        assert_eq!(Rank::Yielding.of(niceness).unwrap(), (own + STEP).min(19));
        assert_eq!(Rank::Ordinary.of(niceness).unwrap(), own);
    }
}
