//! What a session holds: one stream in one piece, behind the session's lock.
//!
//! Two halves would be an allocation and two pointers more for each of a million sessions, and would let one be read while
//! the other is written, which no session needs: it reads for microseconds, and seldom.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::Transport;
use super::tls::Tls;

/// A session's socket. Dropped, it closes the connection.
#[derive(Debug)]
pub(crate) struct HeldSocket {
    stream: TcpStream,
    /// `None` in plain, and once our side has ended.
    tls: Option<Box<Tls>>,
}

impl HeldSocket {
    pub(super) const fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }

    pub(super) fn tls(stream: TcpStream, connection: ServerConnection) -> Self {
        Self { stream, tls: Some(Box::new(Tls::new(connection))) }
    }

    pub(crate) const fn transport(&self) -> Transport {
        if self.tls.is_some() { Transport::Tls } else { Transport::Plain }
    }

    /// The client's address; `None` once the socket has none.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    /// Takes what fits now. After an error or a part that was taken, the next call must go on where this one ended.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_write(bytes),
            Some(tls) => tls.try_write(&self.stream, bytes),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(cx)
    }

    /// Reads what the client sent; nothing is its end.
    ///
    /// *Cancel safety*: nothing that was read is lost.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(tls) = &mut self.tls else {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        };
        loop {
            match tls.try_read(&self.stream, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                read => return Poll::Ready(read),
            }
            ready!(self.stream.poll_read_ready(cx))?;
        }
    }

    /// Ends our side of the connection; the client's may go on. What decrypts ends with it: what is read from now on is as
    /// it was sent.
    pub(crate) fn end_writes(&mut self) {
        self.tell_end();
        self.tls = None;
        // It fails where the connection is gone already.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// Tells a client that speaks TLS that nothing was cut off.
    fn tell_end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.tell_end(&self.stream);
        }
    }
}

impl Drop for HeldSocket {
    fn drop(&mut self) {
        self.tell_end();
    }
}
