//! The TLS handshake of one connection, and what is said of those that fail.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::farewell::{self, Farewell};
use crate::socket::{AcceptError, Socket};
use crate::tls::Tls;

/// How often a line says that handshakes fail, for each kind of failure: whoever scans the port writes no log.
const SAID_INTERVAL: Duration = Duration::from_secs(60);

/// How a handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// TLS is spoken.
    Done,
    /// The client spoke something else, HTTP in plain as a rule.
    Plaintext,
    /// The two did not agree: versions, protocols, or the client does not trust the certificate.
    Failed,
    /// It was not done in time.
    Late,
    /// The client went away.
    Lost,
}

impl Outcome {
    pub(super) const ALL: [Self; 5] = [Self::Done, Self::Plaintext, Self::Failed, Self::Late, Self::Lost];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Plaintext => "plaintext",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

/// A handshake that did not end in TLS.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    peer: SocketAddr,
    /// Rustls' own words, which hold nothing that the client sent.
    error: Option<rustls::Error>,
}

/// Does the handshake within the deadline.
///
/// # Errors
/// [`Failure`]; the socket is closed then, and a client that speaks plain HTTP has read why.
pub(super) async fn secure(
    tls: &Tls,
    socket: TcpStream,
    peer: SocketAddr,
    deadline: Duration,
) -> Result<Socket, Failure> {
    let failure = |outcome| Failure { outcome, peer, error: None };
    match timeout(deadline, shake_hands(tls, socket)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(Refused::Plaintext(socket))) => {
            // Best effort: a client that does not read it is cut all the same.
            let _ = timeout(farewell::TIMEOUT, farewell::say(socket, Farewell::NeedsTls)).await;
            Err(failure(Outcome::Plaintext))
        }
        Ok(Err(Refused::Tls(error))) => Err(Failure { error: Some(error), ..failure(Outcome::Failed) }),
        Ok(Err(Refused::Lost)) => Err(failure(Outcome::Lost)),
        Err(_) => Err(failure(Outcome::Late)),
    }
}

enum Refused {
    Plaintext(TcpStream),
    Tls(rustls::Error),
    Lost,
}

async fn shake_hands(tls: &Tls, socket: TcpStream) -> Result<Socket, Refused> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(1..) if is_plaintext(first[0]) => Err(Refused::Plaintext(socket)),
        Ok(1..) => tls.accept(socket.into()).await.map_err(|error| match error {
            AcceptError::Refused(error) => Refused::Tls(error),
            AcceptError::Lost(_) => Refused::Lost,
        }),
        Ok(0) | Err(_) => Err(Refused::Lost),
    }
}

/// Whether a client's first byte begins an HTTP method. TLS begins with 22.
const fn is_plaintext(first: u8) -> bool {
    first.is_ascii_uppercase()
}

/// Says that handshakes fail: the first at once, and then how many there were. The rest is counted.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    plaintext: Quiet,
    failed: Quiet,
}

impl Complaints {
    pub(super) fn note(&mut self, failure: &Failure, now: Instant) {
        let Failure { outcome, peer, error } = failure;
        match outcome {
            Outcome::Plaintext => {
                if let Some(unsaid) = self.plaintext.break_silence(now) {
                    tracing::warn!(%peer, unsaid, "a client speaks no TLS: it needs https:// or wss://");
                }
            }
            Outcome::Failed => {
                if let Some(unsaid) = self.failed.break_silence(now) {
                    let error = error.as_ref().map(tracing::field::display);
                    tracing::warn!(%peer, error, unsaid, "a TLS handshake failed");
                }
            }
            Outcome::Done | Outcome::Late | Outcome::Lost => {
                tracing::debug!(%peer, outcome = outcome.label(), "no TLS handshake");
            }
        }
    }
}

/// When something was said last, and how often it was not since.
#[derive(Debug, Default)]
struct Quiet {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Quiet {
    /// How often it was not said since the last time, where it is time to say it again.
    fn break_silence(&mut self, now: Instant) -> Option<u64> {
        if self.said_at.is_some_and(|said_at| now.duration_since(said_at) < SAID_INTERVAL) {
            self.unsaid += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_rest_as_a_number() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        for (second, said) in [(0, Some(0)), (1, None), (59, None), (60, Some(2)), (61, None), (200, Some(1))]
        {
            assert_eq!(quiet.break_silence(start + Duration::from_secs(second)), said, "second {second}");
        }
    }

    #[test]
    fn a_client_hello_is_not_taken_for_a_method() {
        assert!(!is_plaintext(22));
        assert!(b"GPHOCD".iter().copied().all(is_plaintext));
    }
}
