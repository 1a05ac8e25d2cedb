//! What the client wrote, read from its task's half of the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::Session;
use crate::socket::{Transport, Writer};

/// What was read from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The client's frames.
    Frames,
    /// What nobody can read any more, as our side has ended.
    Sealed,
}

impl Session {
    /// Reads what the client wrote, from its task's half of the socket; nothing read is the client's end.
    ///
    /// *Cancel safety*: nothing that was read is lost.
    pub(crate) fn poll_read(
        &self,
        socket: &mut OwnedReadHalf,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Incoming>> {
        if self.transport == Transport::Tls {
            return self.poll_read_tls(socket, cx, buffer);
        }
        ready!(Pin::new(socket).poll_read(cx, buffer))?;
        Poll::Ready(Ok(Incoming::Frames))
    }

    fn poll_read_tls(
        &self,
        socket: &mut OwnedReadHalf,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Incoming>> {
        loop {
            let read = match &mut self.core.lock().writer {
                Some(Writer::Tls(tls)) => tls.try_read(socket, buffer),
                // Our side has ended, and what decrypts with it: what still comes is only counted.
                Some(Writer::Plain(_)) | None => {
                    ready!(Pin::new(&mut *socket).poll_read(cx, buffer))?;
                    return Poll::Ready(Ok(Incoming::Sealed));
                }
            };
            match read {
                Ok(()) => return Poll::Ready(Ok(Incoming::Frames)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => {
                    tracing::debug!(session = %self.id, %error, "TLS ended");
                    return Poll::Ready(Err(error));
                }
            }
            ready!(socket.as_ref().poll_read_ready(cx))?;
        }
    }
}
