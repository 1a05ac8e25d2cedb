//! TLS as bytes and no I/O: what came in becomes plaintext, what goes out becomes records.
//!
//! At rest it holds nothing but rustls' connection, which is driven by its unbuffered API: with its own buffers it would keep 4 KiB of
//! what was read last for ever.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{Error, InvalidMessage, ServerConfig};
use tokio::io::ReadBuf;

/// The most plaintext that a record holds (RFC 8446, 5.1).
pub(in crate::socket) const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The largest record that comes in (RFC 5246, 6.2.3): room for one, and for any that goes out.
pub(super) const CIPHER_BYTES_MAX: usize = RECORD_BYTES_MAX + 2_048 + 5;

/// What may be kept of a record or a handshake message that is not whole. A message may come in several records; no client has one as
/// large as two of them.
const PARTIAL_BYTES_MAX: usize = 2 * CIPHER_BYTES_MAX;

/// One connection's TLS, the server's side.
pub(super) struct Records {
    connection: UnbufferedServerConnection,
    client: Client,
    /// What came in last, as far as it ends in the middle of a record or a handshake message. Rustls has begun with it: it stays as it is
    /// until more is behind it.
    partial: Vec<u8>,
    /// Plaintext that its reader had no room for.
    unread: Vec<u8>,
    /// Records that are to be written, and before anything that is sealed later.
    outgoing: Vec<u8>,
}

/// How the client's side of the connection stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Client {
    /// More may come.
    Speaks,
    /// It has said that nothing comes any more.
    Ended,
    /// What it sent is no TLS, or was not agreed on. Rustls must not be asked again what to do.
    Broken(Error),
}

impl Records {
    /// Before the handshake.
    ///
    /// # Errors
    /// Rustls does not take the settings.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            client: Client::Speaks,
            partial: Vec::new(),
            unread: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Takes what came in, and overwrites it; not to be called after [`Self::end`]. Its plaintext goes to `plain`; what that has no room for,
    /// [`Self::give_unread`] gives.
    /// What is to be answered is in [`Self::outgoing`] then, after an error as well: the alert. Nothing that comes after the client's end
    /// or an error counts.
    pub(super) fn open(&mut self, came: &mut [u8], plain: &mut ReadBuf<'_>) {
        if self.client != Client::Speaks {
            return;
        }
        let kept = if self.partial.is_empty() {
            self.open_all(came, plain).map(|used| came[used..].to_vec())
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.reserve_exact(came.len());
            partial.extend_from_slice(came);
            // Copied, so that what is kept is not as large as what was there before.
            self.open_all(&mut partial, plain)
                .map(|used| if used == 0 { partial } else { partial[used..].to_vec() })
        };
        match kept {
            Ok(kept) if kept.len() > PARTIAL_BYTES_MAX => {
                self.client = Client::Broken(InvalidMessage::HandshakePayloadTooLarge.into());
            }
            Ok(kept) => self.partial = kept,
            Err(error) => {
                self.answer();
                self.client = Client::Broken(error);
            }
        }
    }

    /// Goes through all records that are whole; tells how many bytes are done with.
    fn open_all(&mut self, came: &mut [u8], plain: &mut ReadBuf<'_>) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut came[used..]);
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let (fits, rest) =
                            record.payload.split_at(plain.remaining().min(record.payload.len()));
                        plain.put_slice(fits);
                        self.unread.reserve_exact(rest.len());
                        self.unread.extend_from_slice(rest);
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, &mut self.outgoing)?,
                // What was encoded is ours to transmit.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => {
                    self.client = Client::Ended;
                    return Ok(came.len());
                }
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => {
                    return Ok(used + discard);
                }
                // There is no early data here, and no end that `PeerClosed` did not tell.
                _ => return Err(UNEXPECTED),
            }
            used += discard;
        }
    }

    /// Gives what an earlier read had no room for.
    pub(super) fn give_unread(&mut self, plain: &mut ReadBuf<'_>) {
        let fits = plain.remaining().min(self.unread.len());
        plain.put_slice(&self.unread[..fits]);
        take_front(&mut self.unread, fits);
    }

    /// Puts plaintext, as much as a record holds at most, into the front of `room`, which grows where it must; gives how many bytes of it
    /// are to be written. It comes after what is [`Self::outgoing`].
    ///
    /// # Errors
    /// The handshake is not done, the client has broken off, or the keys are used up.
    pub(super) fn seal(&mut self, plain: &[u8], room: &mut Vec<u8>) -> Result<usize, Error> {
        debug_assert!(plain.len() <= RECORD_BYTES_MAX, "one record");
        if let Client::Broken(error) = &self.client {
            return Err(error.clone());
        }
        let ConnectionState::WriteTraffic(mut traffic) = self.at_rest()? else { return Err(UNEXPECTED) };
        loop {
            match traffic.encrypt(plain, room) {
                Ok(sealed) => return Ok(sealed),
                Err(EncryptError::InsufficientSize(needs)) => room.resize(needs.required_size, 0),
                Err(EncryptError::EncryptExhausted) => break,
            }
        }
        self.answer();
        Err(Error::EncryptError)
    }

    /// Says that nothing comes any more from here; once, and not before the handshake is done.
    pub(super) fn end(&mut self) {
        if self.is_handshaking() || matches!(self.client, Client::Broken(_)) {
            return;
        }
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.at_rest() {
            let mut room = Vec::new();
            let mut told = traffic.queue_close_notify(&mut room);
            if let Err(EncryptError::InsufficientSize(needs)) = told {
                room.resize(needs.required_size, 0);
                told = traffic.queue_close_notify(&mut room);
            }
            self.outgoing.extend_from_slice(&room[..told.unwrap_or(0)]);
        }
    }

    /// What rustls would do next, where nothing came and it has nothing to say: all that [`Self::open_all`] took from it.
    fn at_rest(&mut self) -> Result<ConnectionState<'_, '_, ServerConnectionData>, Error> {
        debug_assert!(!self.connection.wants_write(), "what rustls has to say was taken");
        // What it has begun with it wants to see again: without that it panics.
        self.connection.process_tls_records(&mut self.partial).state
    }

    /// What is to be written, before anything that is sealed from now on.
    pub(super) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// So many bytes of [`Self::outgoing`] are written.
    pub(super) fn written(&mut self, bytes: usize) {
        take_front(&mut self.outgoing, bytes);
    }

    /// What was sealed and could not be written.
    pub(super) fn hold(&mut self, sealed: &[u8]) {
        self.outgoing.extend_from_slice(sealed);
    }

    /// Takes what rustls itself has to say and nobody has asked for: an alert. It looks at nothing that came in, for that comes after.
    fn answer(&mut self) {
        while self.connection.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(data)) = self.connection.process_tls_records(&mut []).state
            else {
                return;
            };
            if encode(data, &mut self.outgoing).is_err() {
                return;
            }
        }
    }
}

/// A state that rustls has no reason for.
const UNEXPECTED: Error = Error::HandshakeNotComplete;

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let start = outgoing.len();
    let mut encoded = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(needs)) = encoded {
        outgoing.resize(start + needs.required_size, 0);
        encoded = data.encode(&mut outgoing[start..]);
    }
    encoded.map_err(|_| UNEXPECTED)?;
    Ok(())
}

/// Frees it where nothing is left.
fn take_front(bytes: &mut Vec<u8>, count: usize) {
    if count == bytes.len() {
        *bytes = Vec::new();
    } else {
        bytes.drain(..count);
    }
}

impl fmt::Debug for Records {
    /// Without what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("client", &self.client).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
