//! What the client wrote, read from behind the session's lock.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::Session;
use crate::socket::Transport;

/// What was read from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The client's frames.
    Frames,
    /// What nobody can read any more, as our side has ended: it is only counted.
    Sealed,
}

impl Session {
    /// Reads what the client wrote; nothing read is the client's end.
    ///
    /// *Cancel safety*: nothing that was read is lost.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Incoming>> {
        let mut core = self.core.lock();
        let incoming = match self.transport {
            Transport::Tls if core.writes_ended => Incoming::Sealed,
            Transport::Tls | Transport::Plain => Incoming::Frames,
        };
        let Some(socket) = &mut core.socket else { return Poll::Ready(Ok(incoming)) };
        ready!(socket.poll_read(cx, buffer)).inspect_err(|error| {
            tracing::debug!(session = %self.id, %error, "the socket broke");
        })?;
        Poll::Ready(Ok(incoming))
    }

    /// Whether the socket takes more; if not, the task is woken once it does.
    pub(crate) fn takes_more(&self, cx: &mut Context<'_>) -> bool {
        self.core.lock().socket.as_mut().is_some_and(|socket| socket.poll_write_ready(cx).is_ready())
    }

    /// The client's address; `None` once the socket has none.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.core.lock().socket.as_ref()?.peer()
    }
}
