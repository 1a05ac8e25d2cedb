//! What a client's bytes travel over: TCP, or memory.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

/// A connection's bytes. As large as a TCP stream alone.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// The memory of this process: for tests of more sessions than there may be files.
    Memory(Box<Memory>),
}

/// One end of a pipe in memory, which is read and written without waiting, as a socket is.
#[derive(Debug)]
pub struct Memory {
    stream: DuplexStream,
    /// Whom a read or a write wakes that would have waited.
    waker: Option<Waker>,
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<DuplexStream> for Wire {
    fn from(stream: DuplexStream) -> Self {
        Self::Memory(Box::new(Memory { stream, waker: None }))
    }
}

impl Wire {
    /// The other end's address; `None` where it has none.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Memory(_) => None,
        }
    }

    /// Writes what fits now; `WouldBlock` where nothing does.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Memory(memory) => memory.at_once(|stream, cx| stream.poll_write(cx, bytes)),
        }
    }

    /// Waits until a write may go on that would have waited.
    pub(super) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Memory(memory) => memory.poll_ready(cx),
        }
    }

    /// Ends our side; the other's may go on.
    pub(super) fn end_writes(&mut self) {
        match self {
            // It fails where the connection is gone already.
            Self::Tcp(stream) => drop(SockRef::from(&*stream).shutdown(Shutdown::Write)),
            Self::Memory(memory) => drop(memory.at_once(|stream, cx| stream.poll_shutdown(cx))),
        }
    }
}

impl Memory {
    fn at_once<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut DuplexStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        match poll(Pin::new(&mut self.stream), &mut Context::from_waker(waker)) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// After a read or a write that would have waited: if it wakes this task, that is all there is to wait for. If not,
    /// the next one does.
    fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Memory(memory) => Pin::new(&mut memory.stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Memory(memory) => Pin::new(&mut memory.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Memory(memory) => Pin::new(&mut memory.stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is under way at once.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(memory) => Pin::new(&mut memory.stream).poll_shutdown(cx),
        }
    }
}
