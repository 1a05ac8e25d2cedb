use std::io::{Read, Write};

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::*;
use crate::tls::{Certificate, Tls};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Rustls' client with its own buffers, and the records of a server.
pub(in super::super) struct Pair {
    pub client: ClientConnection,
    pub server: Records,
    /// Read by the server.
    read: Vec<u8>,
}

/// A server's settings, and a client that trusts it.
pub(in super::super) fn ends(version: &'static SupportedProtocolVersion) -> (Tls, ClientConnection) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let shown = Certificate::parse(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
    let trusting =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(trusting), name).unwrap();
    client.set_buffer_limit(None);
    (Tls::new(shown.unwrap()).unwrap(), client)
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let (tls, client) = ends(version);
        Self { client, server: Records::new(Arc::clone(tls.config())).unwrap(), read: Vec::new() }
    }

    fn after_handshake(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        pair.settle(usize::MAX, usize::MAX);
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        pair
    }

    /// What the client has to send.
    fn sent(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sent).unwrap();
        }
        sent
    }

    /// Has the server read these bytes, with so much room for plaintext.
    fn open(&mut self, came: &[u8], room: usize) {
        let mut room = vec![0; room.clamp(1, 20_000)];
        let mut plain = ReadBuf::new(&mut room);
        self.server.open(&mut came.to_vec(), &mut plain);
        loop {
            self.read.extend_from_slice(plain.filled());
            plain.clear();
            self.server.give_unread(&mut plain);
            if plain.filled().is_empty() {
                return;
            }
        }
    }

    /// Brings to the other side what each has to say, in such pieces, until nobody has more.
    fn settle(&mut self, piece: usize, room: usize) {
        loop {
            let sent = self.sent();
            for piece in sent.chunks(piece) {
                self.open(piece, room);
            }
            let mut outgoing = self.server.outgoing();
            let length = outgoing.len();
            if sent.is_empty() && length == 0 {
                return;
            }
            while !outgoing.is_empty() {
                self.client.read_tls(&mut outgoing).unwrap();
                self.client.process_new_packets().unwrap();
            }
            self.server.written(length);
        }
    }

    fn write(&mut self, plain: &[u8]) {
        self.client.writer().write_all(plain).unwrap();
    }

    fn seal(&mut self, plain: &[u8]) {
        let mut room = Vec::new();
        let sealed = self.server.seal(plain, &mut room).unwrap();
        self.server.hold(&room[..sealed]);
    }

    /// What the client has read.
    fn heard(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let _ = self.client.reader().read_to_end(&mut heard);
        heard
    }

    fn holds(&self) -> usize {
        let Records { partial, unread, outgoing, .. } = &self.server;
        partial.capacity() + unread.capacity() + outgoing.capacity()
    }

    /// The kind of alert that is to be written in plain.
    fn alert(&self) -> Option<u8> {
        match self.server.outgoing() {
            [21, 3, _, 0, 2, 2, kind] => Some(*kind),
            _ => None,
        }
    }

    /// After an error: whatever is asked now, nothing happens.
    fn assert_broken(&mut self, more: &[u8]) {
        let (broken, outgoing) = (self.server.client().clone(), self.server.outgoing().len());
        assert!(matches!(broken, Client::Broken(_)), "{broken:?}");
        self.open(more, 1);
        self.server.end();
        assert!(self.server.seal(b"more", &mut Vec::new()).is_err());
        assert_eq!((self.server.client(), self.server.outgoing().len()), (&broken, outgoing));
    }
}

#[test]
fn a_connection_that_comes_byte_by_byte_is_understood_and_holds_nothing_afterwards() {
    for version in VERSIONS {
        let mut pair = Pair::new(version);
        pair.settle(1, usize::MAX);
        assert!(!pair.server.is_handshaking());
        pair.write(b"hello");
        pair.settle(1, usize::MAX);
        assert_eq!((&pair.read[..], pair.holds()), (&b"hello"[..], 0));
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_read() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    let hello = pair.sent();
    pair.open(&hello, usize::MAX);
    let flight = pair.server.outgoing().to_vec();
    pair.server.written(flight.len());
    pair.client.read_tls(&mut &flight[..]).unwrap();
    pair.client.process_new_packets().unwrap();
    pair.write(b"GET / HTTP/1.1\r\n");
    let finished = pair.sent();
    // The handshake has no room for it.
    pair.server.open(&mut finished.clone(), &mut ReadBuf::new(&mut []));
    assert!(!pair.server.is_handshaking());
    pair.open(&[], 3);
    assert_eq!(pair.read, b"GET / HTTP/1.1\r\n");
    pair.settle(usize::MAX, usize::MAX);
    assert_eq!(pair.holds(), 0);
}

#[test]
fn several_records_in_one_read_come_in_order_and_what_has_no_room_waits() {
    for version in VERSIONS {
        let mut pair = Pair::after_handshake(version);
        for word in ["one ", "two ", "three"] {
            pair.write(word.as_bytes());
        }
        let mut sent = pair.sent();
        let mut room = [0; 6];
        let mut plain = ReadBuf::new(&mut room);
        pair.server.open(&mut sent, &mut plain);
        assert_eq!(plain.filled(), b"one tw");
        pair.open(&[], 2);
        assert_eq!((&pair.read[..], pair.holds()), (&b"o three"[..], 0));
    }
}

#[test]
fn a_partial_record_is_kept_and_no_longer_than_it_is_partial() {
    for version in VERSIONS {
        let mut pair = Pair::after_handshake(version);
        pair.write(&[b'x'; RECORD_BYTES_MAX]);
        pair.write(b"y");
        let sent = pair.sent();
        let (first, rest) = sent.split_at(10_000);
        let (second, third) = rest.split_at(rest.len() - 1);
        pair.open(first, usize::MAX);
        assert_eq!((pair.read.len(), pair.holds()), (0, 10_000));
        pair.open(second, usize::MAX);
        assert_eq!(pair.read.len(), RECORD_BYTES_MAX);
        assert!((1..64).contains(&pair.holds()), "as large as the second is short: {}", pair.holds());
        pair.open(third, usize::MAX);
        assert_eq!((pair.read.len(), pair.holds()), (RECORD_BYTES_MAX + 1, 0));
    }
}

#[test]
fn fresh_keys_are_answered_with_what_is_written_next() {
    let mut pair = Pair::after_handshake(&rustls::version::TLS13);
    for round in 0..40_u8 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.write(&[round]);
        pair.settle(usize::MAX, usize::MAX);
        assert_eq!(pair.read.last(), Some(&round));
        pair.seal(&[round]);
        assert!(pair.server.outgoing().len() > 40, "a key update and a record");
        pair.settle(usize::MAX, usize::MAX);
        assert_eq!((pair.heard(), pair.holds()), (vec![round], 0));
    }
}

#[test]
fn both_ends_are_told_once_and_what_comes_later_does_not_count() {
    for version in VERSIONS {
        let mut pair = Pair::after_handshake(version);
        pair.write(b"last");
        pair.client.send_close_notify();
        let mut sent = pair.sent();
        sent.extend_from_slice(b"no record at all");
        pair.open(&sent, usize::MAX);
        assert_eq!((&pair.read[..], pair.server.client(), pair.holds()), (&b"last"[..], &Client::Ended, 0));

        pair.seal(b"bye");
        pair.server.end();
        let told = pair.server.outgoing().len();
        pair.server.end();
        assert_eq!(pair.server.outgoing().len(), told);
        pair.settle(usize::MAX, usize::MAX);
        let mut heard = Vec::new();
        pair.client.reader().read_to_end(&mut heard).expect("close_notify is the end");
        assert_eq!(heard, b"bye");
    }
}

#[test]
fn before_the_handshake_is_done_nothing_is_sealed_and_no_end_is_told() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    pair.server.end();
    assert!(pair.server.seal(b"early", &mut Vec::new()).is_err());
    let hello = pair.sent();
    pair.open(&hello[..40], usize::MAX);
    pair.server.end();
    assert!(pair.server.seal(b"early", &mut Vec::new()).is_err());
    pair.open(&hello[40..], usize::MAX);
    pair.settle(usize::MAX, usize::MAX);
    assert!(!pair.client.is_handshaking());
}

#[test]
fn whoever_seals_while_a_message_is_there_in_part_disturbs_nothing() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    let hello = pair.sent();
    let record =
        |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    let (head, tail) = hello[5..].split_at(20);
    pair.open(&record(head), usize::MAX);
    assert!(pair.server.seal(b"early", &mut Vec::new()).is_err());
    pair.open(&record(tail), usize::MAX);
    pair.settle(usize::MAX, usize::MAX);
    assert!(!pair.client.is_handshaking());
}

#[test]
fn what_is_no_tls_is_answered_by_an_alert_and_breaks_the_connection() {
    for (bytes, alert) in [
        (&[22, 9, 9, 255, 255, 0, 0][..], Some(50)),
        (b"GET / HTTP/1.1\r\n\r\n", Some(50)),
        // Two whole handshake messages in one record, the first of which is none to begin with.
        (&[22, 3, 1, 0, 8, 20, 0, 0, 0, 20, 0, 0, 0], Some(10)),
        // A client that does not trust the certificate.
        (&[21, 3, 3, 0, 2, 2, 48], None),
    ] {
        let mut pair = Pair::new(&rustls::version::TLS13);
        pair.open(bytes, usize::MAX);
        assert_eq!(pair.alert(), alert, "{bytes:?}: {:?}", pair.server.outgoing());
        pair.assert_broken(bytes);
    }
}

#[test]
fn what_was_read_before_an_error_counts() {
    for version in VERSIONS {
        let mut pair = Pair::after_handshake(version);
        pair.write(b"good");
        let mut sent = pair.sent();
        sent.extend_from_slice(&[23, 3, 3, 0, 30]);
        sent.extend_from_slice(&[7; 30]);
        pair.open(&sent, 1);
        assert_eq!(pair.read, b"good");
        assert_eq!(pair.server.client(), &Client::Broken(Error::DecryptError));
        assert!(!pair.server.outgoing().is_empty(), "the alert");
        pair.assert_broken(&sent);
    }
}

#[test]
fn a_handshake_without_end_ends() {
    // A hello of 65,535 bytes, in records of one byte each.
    let mut pair = Pair::new(&rustls::version::TLS13);
    let header = [1, 0, 0xff, 0xff];
    let mut most = 0;
    for sent in 0..20_000 {
        let byte = header.get(sent).copied().unwrap_or(0);
        pair.open(&[22, 3, 1, 0, 1, byte], usize::MAX);
        most = most.max(pair.holds());
        if pair.server.client() != &Client::Speaks {
            break;
        }
    }
    let too_large = Client::Broken(InvalidMessage::HandshakePayloadTooLarge.into());
    assert_eq!((pair.server.client(), pair.holds()), (&too_large, 0));
    // And a read.
    assert!((PARTIAL_BYTES_MAX / 2..=PARTIAL_BYTES_MAX + 6).contains(&most), "{most}");
    pair.assert_broken(&[22, 3, 1, 0, 1, 0]);
}

/// One move of a connection whose handshake is done.
#[derive(Clone, Debug)]
enum Move {
    ClientWrites(usize),
    ServerSeals(usize),
    FreshKeys,
    Settle { piece: usize, room: usize },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (1..40_000_usize).prop_map(Move::ClientWrites),
        3 => (1..200_usize).prop_map(Move::ClientWrites),
        4 => (1..=RECORD_BYTES_MAX).prop_map(Move::ServerSeals),
        1 => Just(Move::FreshKeys),
        4 => (1..25_000_usize, 1..20_000_usize).prop_map(|(piece, room)| Move::Settle { piece, room }),
    ];
    prop::collection::vec(one, 1..20)
}

/// Bytes that tell where they belong.
fn run(start: usize, length: usize) -> Vec<u8> {
    (start..start + length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_lost_however_it_is_cut(version in 0..2_usize, piece in 1..2_000_usize, moves in moves()) {
        let mut pair = Pair::new(VERSIONS[version]);
        pair.settle(piece, 1);
        let (mut written, mut sealed, mut heard) = (0, 0, Vec::new());
        for each in moves {
            match each {
                Move::ClientWrites(length) => {
                    pair.write(&run(written, length));
                    written += length;
                }
                Move::ServerSeals(length) => {
                    pair.seal(&run(sealed, length));
                    sealed += length;
                    // What rustls' client has room for.
                    pair.settle(usize::MAX, usize::MAX);
                    heard.extend(pair.heard());
                }
                // TLS 1.2 has none.
                Move::FreshKeys => drop(pair.client.refresh_traffic_keys()),
                Move::Settle { piece, room } => pair.settle(piece, room),
            }
        }
        pair.settle(usize::MAX, usize::MAX);
        heard.extend(pair.heard());
        prop_assert_eq!(pair.read.len(), written);
        prop_assert!(pair.read == run(0, written) && heard == run(0, sealed));
        prop_assert_eq!(pair.holds(), 0);
    }

    #[test]
    fn a_byte_that_was_changed_on_the_way_breaks_the_connection_and_nothing_else(
        version in 0..2_usize, place in any::<prop::sample::Index>(), flip in 1..=255_u8, piece in 1..500_usize,
    ) {
        let mut pair = Pair::after_handshake(VERSIONS[version]);
        for start in [0, 100, 200] {
            pair.write(&run(start, 100));
        }
        let mut sent = pair.sent();
        let place = place.index(sent.len());
        sent[place] ^= flip;
        for piece in sent.chunks(piece) {
            pair.open(piece, usize::MAX);
        }
        // A record's version counts for nothing.
        let version_of_record = matches!(place % (sent.len() / 3), 1 | 2);
        prop_assert!(pair.read.len() < 300 || version_of_record);
        prop_assert_eq!(&pair.read, &run(0, pair.read.len()));
        // A length that was made greater waits for more.
        if pair.server.client() != &Client::Speaks {
            pair.assert_broken(&sent);
        }
    }

    #[test]
    fn a_hello_that_was_changed_on_the_way_does_no_harm(
        version in 0..2_usize, place in any::<prop::sample::Index>(), flip in 1..=255_u8, piece in 1..500_usize,
    ) {
        let mut pair = Pair::new(VERSIONS[version]);
        let mut hello = pair.sent();
        let place = place.index(hello.len());
        hello[place] ^= flip;
        for piece in hello.chunks(piece) {
            pair.open(piece, usize::MAX);
        }
        prop_assert!(pair.server.is_handshaking() && pair.read.is_empty());
        if pair.server.client() != &Client::Speaks {
            pair.assert_broken(&hello);
        }
    }
}
