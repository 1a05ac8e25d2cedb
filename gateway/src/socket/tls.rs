//! A socket in TLS, from the handshake on: what [`Records`] needs and makes, over a wire, without a task or a lock of its own.
//!
//! One type in all phases: the handshake, then HTTP (through tokio's traits), then a session (without waiting). So nothing is handed over
//! in between, and nothing can be lost there. What is read and written lies in a buffer of the thread's meanwhile.
//!
//! Map: `records` TLS without the wire.

mod records;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Wire;
use records::{CIPHER_BYTES_MAX, Client, Records};

pub(super) use records::RECORD_BYTES_MAX;

/// What may lie encrypted for a socket that takes nothing, in bytes, but for some 30 bytes a record and what rustls answers: the largest
/// record.
const HELD_BYTES_MAX: usize = RECORD_BYTES_MAX;

/// Reads of the socket, of a record at most, before others of the thread have theirs: records may be empty, and key updates cost a hash each.
const READS_MAX: usize = 4;

thread_local! {
    /// What this thread's sockets read into and encrypt into, one after the other.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A socket that speaks TLS.
///
/// What is encrypted cannot be taken back, and is not taken by the socket either until it is written. So for a session the last
/// byte of what lies encrypted is not said to be taken before all of it is written: whoever writes keeps that byte, hence knows
/// that the socket is blocked, and comes back with it. HTTP flushes what it wrote.
#[derive(Debug)]
pub struct Secured {
    wire: Wire,
    /// `None` once our side has ended.
    records: Option<Records>,
    /// The first byte of what a session writes next is encrypted already.
    owes_byte: bool,
}

/// Why there was no handshake.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The two did not agree. The client was sent an alert that says so, where it has one.
    #[error("the TLS handshake failed")]
    Refused(#[source] rustls::Error),
    /// The client went away.
    #[error("the client went away in the TLS handshake")]
    Lost(#[source] io::Error),
}

/// Whether all that lay encrypted is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    All,
    Part,
}

impl Secured {
    /// Does the handshake, for which the client may take any time.
    ///
    /// # Errors
    /// [`AcceptError`]; the wire is closed then.
    pub(crate) async fn accept(config: Arc<ServerConfig>, wire: Wire) -> Result<Box<Self>, AcceptError> {
        let records = Records::new(config).map_err(AcceptError::Refused)?;
        let mut secured = Box::new(Self { wire, records: Some(records), owes_byte: false });
        poll_fn(|cx| secured.poll_handshake(cx)).await?;
        Ok(secured)
    }

    /// The bare wire, on which nobody can go on.
    #[must_use]
    pub fn into_wire(self) -> Wire {
        self.wire
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.wire.peer()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AcceptError>> {
        loop {
            ready!(self.poll_push(cx)).map_err(AcceptError::Lost)?;
            match &self.records {
                Some(records) if records.is_handshaking() => {}
                _ => return Poll::Ready(Ok(())),
            }
            // What the client sends behind its handshake waits for who reads it.
            let client = ready!(self.poll_open(cx, &mut ReadBuf::new(&mut []))).map_err(AcceptError::Lost)?;
            if let Client::Broken(error) = client {
                // Best effort: a client that does not take the alert is cut all the same.
                let _ = self.push();
                return Poll::Ready(Err(AcceptError::Refused(error)));
            }
        }
    }

    /// Reads what the client wrote; nothing is its end, and an error where that comes without `close_notify`.
    ///
    /// *Cancel safety*: nothing that was read is lost.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = plain.filled().len();
        if plain.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..READS_MAX {
            // First what is decrypted already: the socket would not wake us for that.
            let Some(records) = &mut self.records else {
                return Pin::new(&mut self.wire).poll_read(cx, plain);
            };
            records.give_unread(plain);
            if plain.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
            match records.client() {
                Client::Speaks => {}
                Client::Ended => return Poll::Ready(Ok(())),
                Client::Broken(error) => return Poll::Ready(Err(invalid(error.clone()))),
            }
            ready!(self.poll_open(cx, plain))?;
            // What rustls itself has to say: an alert, or a key update's answer. Where the socket does not take it, it
            // goes out with the next write.
            let pushed = self.push();
            if plain.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
            pushed?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads the socket once, and opens what came.
    fn poll_open(&mut self, cx: &mut Context<'_>, plain: &mut ReadBuf<'_>) -> Poll<io::Result<Client>> {
        let Self { wire, records: Some(records), .. } = self else { return Poll::Ready(Err(ended())) };
        with_scratch(|scratch| {
            let mut came = ReadBuf::new(scratch);
            ready!(Pin::new(wire).poll_read(cx, &mut came))?;
            if came.filled().is_empty() {
                let cut_off = "the client ended without close_notify";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut_off)));
            }
            records.open(came.filled_mut(), plain);
            Poll::Ready(Ok(records.client().clone()))
        })
    }

    /// Encrypts a record's worth once all before it is written. It is on its way when all lies written: [`Self::poll_push`].
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_push(cx))?;
        let record = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
        self.seal(record)?;
        Poll::Ready(Ok(record.len()))
    }

    /// Takes what fits now. After an error or a part that was taken, the next call must go on where this one ended.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.records.is_none() {
            return Err(ended());
        }
        if self.push()? == Pushed::Part {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = usize::from(std::mem::take(&mut self.owes_byte));
        debug_assert!(taken <= bytes.len(), "who writes must go on where the last write ended");
        // More is encrypted only when all before it is written: what is held is bounded, whoever writes (GW-4).
        while taken < bytes.len() {
            let record = &bytes[taken..bytes.len().min(taken + HELD_BYTES_MAX)];
            taken += record.len();
            if self.seal(record)? == Pushed::Part {
                self.owes_byte = true;
                taken -= 1;
                break;
            }
        }
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Encrypts one record, and writes what fits now. Nothing else may lie encrypted.
    fn seal(&mut self, plain: &[u8]) -> io::Result<Pushed> {
        let Self { wire, records: Some(records), .. } = self else { return Err(ended()) };
        with_scratch(|scratch| {
            let sealed = records.seal(plain, scratch).map_err(invalid)?;
            let written = write(wire, &scratch[..sealed])?;
            records.hold(&scratch[written..sealed]);
            Ok(if written < sealed { Pushed::Part } else { Pushed::All })
        })
    }

    /// Waits until the socket takes more.
    pub(super) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_write_ready(cx)
    }

    /// Writes what fits now of what lies encrypted.
    fn push(&mut self) -> io::Result<Pushed> {
        let Self { wire, records: Some(records), .. } = self else { return Ok(Pushed::All) };
        let written = write(wire, records.outgoing())?;
        records.written(written);
        Ok(if records.outgoing().is_empty() { Pushed::All } else { Pushed::Part })
    }

    /// Writes all that lies encrypted.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.push()? == Pushed::Part {
            ready!(self.wire.poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our side of the connection, once all is written.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(records) = &mut self.records {
            records.end();
        }
        ready!(self.poll_push(cx))?;
        match ready!(Pin::new(&mut self.wire).poll_shutdown(cx)) {
            // The client was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            ended => Poll::Ready(ended),
        }
    }

    /// Ends our side of the connection at once; the client's may go on. What decrypts ends with it: what is read from now on is as
    /// it was sent.
    pub(super) fn end_writes(&mut self) {
        self.tell_end();
        self.records = None;
        self.wire.end_writes();
    }

    /// Tells the client that nothing was cut off. A socket that does not even take that is not waited for: a session that
    /// ends in order has said so in its own close frame.
    pub(super) fn tell_end(&mut self) {
        if let Some(records) = &mut self.records {
            records.end();
            let _ = self.push();
        }
    }
}

/// Writes what fits now.
fn write(wire: &mut Wire, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match wire.try_write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn with_scratch<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut scratch = SCRATCH.take();
    if scratch.is_empty() {
        scratch = vec![0; CIPHER_BYTES_MAX];
    }
    let done = work(&mut scratch);
    SCRATCH.set(scratch);
    done
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn ended() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

#[cfg(test)]
mod tests;
