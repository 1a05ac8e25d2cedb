//! Ports of the loopback for processes that are at the same one after each restart.

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;

use anyhow::Context;

/// Below the ports that Linux gives to whoever asks for any (32768 and up), so that none of all these processes has it by chance before
/// it is taken, or while whoever has it is started again.
const PORTS: Range<u16> = 20_000..32_000;

/// A port for TCP that was free, and that no other run of this tool takes as long as this is kept.
pub struct Port {
    number: u16,
    /// The same port of UDP, which nobody else of us wants: a lock that the kernel lets go of with the process.
    _held: UdpSocket,
}

impl Port {
    /// One that nobody has now.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve() -> anyhow::Result<Self> {
        Self::reserve_from(rand::random_range(PORTS))
    }

    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The first one from there on.
    fn reserve_from(first: u16) -> anyhow::Result<Self> {
        let free = |number: u16| {
            let held = UdpSocket::bind(("127.0.0.1", number)).ok()?;
            TcpListener::bind(("127.0.0.1", number)).ok()?;
            Some(Self { number, _held: held })
        };
        (first..PORTS.end)
            .chain(PORTS.start..first)
            .find_map(free)
            .with_context(|| format!("no port of {} to {} is free", PORTS.start, PORTS.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_as_long_as_it_is_kept_and_none_that_somebody_listens_on() {
        let first = Port::reserve().unwrap();
        assert!(PORTS.contains(&first.number()));
        let second = Port::reserve_from(first.number()).unwrap();
        assert_ne!(first.number(), second.number());

        let number = second.number();
        let listening = TcpListener::bind(("127.0.0.1", number)).unwrap();
        drop(second);
        assert_ne!(Port::reserve_from(number).unwrap().number(), number);
        drop(listening);
        assert_eq!(Port::reserve_from(number).unwrap().number(), number);
    }

    #[test]
    fn after_the_last_port_comes_the_first() {
        let last = PORTS.end - 1;
        let (one, other) = (Port::reserve_from(last).unwrap(), Port::reserve_from(last).unwrap());
        assert!(
            other.number() < last && one.number() != other.number(),
            "{} {}",
            one.number(),
            other.number()
        );
    }
}
