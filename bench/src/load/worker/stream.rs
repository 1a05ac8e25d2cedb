//! What a session's bytes go over: a socket, or TLS over one, which is driven here without waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::arrival;
use crate::load::clock::Moment;
use crate::load::orders::Place;
use crate::trust::Trust;

/// What may lie unsent of a session, in bytes, before the handshake is done and after: the largest record. A client writes far less at once.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// How connections to a place are secured.
#[derive(Clone, Debug)]
pub struct Security {
    /// Whom to trust, and what to speak.
    pub config: Arc<ClientConfig>,
    /// For which name the server's certificate must be.
    pub name: ServerName<'static>,
}

/// A connection. An enum and no trait object: a plain one is read and written as if there were no other.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<Tls>),
}

/// A connection in TLS.
pub struct Tls {
    socket: TcpStream,
    connection: ClientConnection,
    /// When came what was read of the socket last.
    came: Moment,
}

impl Security {
    /// Of each of these places; nothing where it is plain. All have the same settings: they are of one run.
    ///
    /// # Errors
    /// There is nobody to trust, or a place has a name that no certificate has.
    pub fn of(places: &[Place]) -> anyhow::Result<Vec<Option<Self>>> {
        let trust = places.iter().find_map(|place| place.trust.as_ref());
        let config = trust.map(Trust::measured).transpose()?;
        let of = |place: &Place| {
            let config = config.as_ref().filter(|_| place.trust.is_some());
            config.map(|config| Ok(Self { config: Arc::clone(config), name: place.name()? })).transpose()
        };
        places.iter().map(of).collect()
    }
}

impl Stream {
    /// Over a socket that may not be connected yet.
    ///
    /// # Errors
    /// There is no TLS with such settings.
    pub fn over(socket: TcpStream, security: Option<&Security>) -> io::Result<Self> {
        let Some(Security { config, name }) = security else { return Ok(Self::Plain(socket)) };
        let connection = ClientConnection::new(Arc::clone(config), name.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(HELD_BYTES_MAX));
        Ok(Self::Tls(Box::new(Tls { socket, connection, came: 0 })))
    }

    /// The socket beneath.
    pub const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// The same, for who asks whether it is ready.
    pub const fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &mut tls.socket,
        }
    }

    /// Goes on with the handshake, where there is one; answers when the last of it came, and nothing while it is not done. What is
    /// written next goes out with its end.
    ///
    /// # Errors
    /// The two do not agree, or the connection is over ([`ErrorKind::UnexpectedEof`] where the server ended it).
    pub fn secure(&mut self) -> io::Result<Option<Moment>> {
        let Self::Tls(tls) = self else { return Ok(Some(0)) };
        tls.push()?;
        while tls.connection.is_handshaking() {
            match tls.fill() {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if tls.connection.is_handshaking() {
                tls.push()?;
            }
        }
        Ok(Some(tls.came))
    }

    /// Reads what is there, and when it came; nothing is the end.
    ///
    /// # Errors
    /// Those of a read; [`ErrorKind::WouldBlock`] where nothing is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
        match self {
            Self::Plain(socket) => arrival::read(socket, buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Writes all of it at once.
    ///
    /// # Errors
    /// Also where the socket does not take all of it: a client writes so little that the server must have stopped reading.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => whole(socket.write(bytes)?, bytes.len()),
            Self::Tls(tls) => {
                whole(tls.connection.writer().write(bytes)?, bytes.len())?;
                tls.push()
            }
        }
    }

    /// Says that nothing follows, where that is said apart from the end. The server may be gone already.
    pub fn tell_end(&mut self) {
        if let Self::Tls(tls) = self {
            tls.connection.send_close_notify();
            let _ = tls.push();
        }
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
        loop {
            // First what is decrypted already: the socket does not wake anybody for that.
            match self.connection.reader().read(buffer) {
                Ok(count) => return Ok((count, self.came)),
                // An end without a word is one as well.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok((0, self.came)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.fill()?;
            self.push()?;
        }
    }

    /// Reads from the socket once and decrypts what is whole; answers how many bytes that were.
    fn fill(&mut self) -> io::Result<usize> {
        let Self { socket, connection, came } = self;
        let count = connection.read_tls(&mut Incoming { socket, came })?;
        if let Err(error) = connection.process_new_packets() {
            // An alert, which tells the server why.
            let _ = self.push();
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(count)
    }

    /// Writes what lies encrypted: as [`Stream::write`].
    fn push(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn whole(written: usize, wanted: usize) -> io::Result<()> {
    if written == wanted { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// The socket as rustls reads it, with a note of when it came.
struct Incoming<'s> {
    socket: &'s TcpStream,
    came: &'s mut Moment,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, came) = arrival::read(self.socket, buffer)?;
        *self.came = came;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
