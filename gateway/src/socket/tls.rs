//! What TLS adds to a session: a rustls connection that is driven over the session's non-blocking stream, without a task,
//! a waker or a lock of its own.

use std::io::{self, Read, Write};

use rustls::ServerConnection;
use tokio::io::ReadBuf;

use super::Wire;

/// What may lie encrypted for a socket that takes nothing, in bytes, but for some 30 bytes a record: the largest record.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// Reads of the socket, of 4 KiB or a record, before others of the thread have theirs: records may be empty.
const READS_MAX: usize = 16;

/// Behind the session's lock.
///
/// What is encrypted cannot be taken back, and is not taken by the socket either until it is written. So the last byte of
/// what lies encrypted is not said to be taken before all of it is written: whoever writes keeps that byte, hence knows
/// that the socket is blocked, and comes back with it.
#[derive(Debug)]
pub(super) struct Tls {
    connection: ServerConnection,
    /// The first byte of what is written next is encrypted already.
    owes_byte: bool,
}

/// Whether all that lay encrypted is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    All,
    Part,
}

impl Tls {
    pub(super) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(HELD_BYTES_MAX));
        Self { connection, owes_byte: false }
    }

    /// As [`super::HeldSocket::try_write`].
    pub(super) fn try_write(&mut self, wire: &mut Wire, bytes: &[u8]) -> io::Result<usize> {
        if self.push(wire)? == Pushed::Part {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = usize::from(std::mem::take(&mut self.owes_byte));
        debug_assert!(taken <= bytes.len(), "who writes must go on where the last write ended");
        // More is encrypted only when all before it is written: what is held is bounded, whoever writes (GW-4).
        while taken < bytes.len() {
            taken += self.connection.writer().write(&bytes[taken..])?;
            if self.push(wire)? == Pushed::Part {
                self.owes_byte = true;
                taken -= 1;
                break;
            }
        }
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Reads what the client wrote; nothing and `Ok` is its end, and an error where that comes without `close_notify`.
    /// `WouldBlock`: all that the socket had is read. `Interrupted`: there was nothing to give in much that was read.
    pub(super) fn try_read(&mut self, wire: &mut Wire, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        for _ in 0..READS_MAX {
            // First what is decrypted already: the socket would not wake us for that.
            match self.connection.reader().read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.connection.read_tls(&mut Incoming(wire))?;
            let processed = self.connection.process_new_packets();
            // What rustls itself has to say: an alert, or a key update's answer. Where the socket does not take it, it
            // goes out with the next write.
            let pushed = self.push(wire);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            pushed?;
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn push(&mut self, wire: &mut Wire) -> io::Result<Pushed> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Outgoing(wire)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Pushed::Part),
                Err(error) => return Err(error),
            }
        }
        Ok(Pushed::All)
    }

    /// Tells the client that nothing was cut off. A socket that does not even take that is not waited for: a session that
    /// ends in order has said so in its own close frame.
    pub(super) fn tell_end(&mut self, wire: &mut Wire) {
        self.connection.send_close_notify();
        let _ = self.push(wire);
    }
}

/// The socket as rustls reads it.
struct Incoming<'s>(&'s mut Wire);

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// The socket as rustls writes it.
struct Outgoing<'s>(&'s mut Wire);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
