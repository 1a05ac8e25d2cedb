use std::net::{TcpListener, TcpStream as Std};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;

/// A client that trusts a server's certificate, and that server.
fn both() -> (Stream, Std, ServerConnection) {
    let scratch = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = scratch.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let place = Place::own(&address.to_string(), Some(Trust::File(file))).unwrap();
    let security = Security::of(&[place]).unwrap().remove(0);
    let socket = Std::connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = Stream::over(TcpStream::from_std(socket), security.as_ref()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (stream, server, ServerConnection::new(Arc::new(config)).unwrap())
}

/// Has the server say what it has to say, byte by byte; answers what the client makes of the last, and of none before.
fn told<T>(
    connection: &mut ServerConnection,
    socket: &mut Std,
    mut each: impl FnMut() -> io::Result<Option<T>>,
) -> Option<T> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    let mut last = None;
    for byte in bytes {
        assert!(last.is_none(), "not all is said");
        socket.write_all(&[byte]).unwrap();
        last = each().unwrap();
    }
    last
}

/// Tries until something comes of it: the kernel may hand over a byte later than it was written.
fn until<T>(mut tried: impl FnMut() -> Option<T>) -> T {
    let end = crate::load::clock::now() + 10_000_000;
    loop {
        if let Some(done) = tried() {
            return done;
        }
        assert!(crate::load::clock::now() < end, "nothing comes for 10 s");
        std::thread::yield_now();
    }
}

#[test]
fn a_server_in_tls_that_writes_byte_by_byte_is_understood_and_its_end_is_one() {
    let (mut stream, mut socket, mut server) = both();
    let before = crate::load::clock::now();
    assert_eq!(stream.secure().unwrap(), None, "the server has said nothing yet");
    server.read_tls(&mut socket).unwrap();
    server.process_new_packets().unwrap();

    let secured = told(&mut server, &mut socket, || stream.secure());
    let secured = secured.unwrap_or_else(|| until(|| stream.secure().unwrap()));
    assert!(secured >= before);

    // With the first bytes goes the end of the handshake.
    stream.write(b"hello").unwrap();
    let mut heard = [0; 64];
    let count = loop {
        server.read_tls(&mut socket).unwrap();
        server.process_new_packets().unwrap();
        match server.reader().read(&mut heard) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => break outcome.unwrap(),
        }
    };
    assert_eq!((&heard[..count], server.is_handshaking()), (&b"hello"[..], false));
    server.writer().write_all(b"welcome").unwrap();
    server.send_close_notify();
    let mut text = Vec::new();
    let mut read = || match stream.read(&mut heard) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Ok((0, _)) => Ok(Some(())),
        outcome => outcome.map(|(count, _)| text.extend_from_slice(&heard[..count])).map(|()| None),
    };
    if told(&mut server, &mut socket, &mut read).is_none() {
        until(|| read().unwrap());
    }
    assert_eq!(text, b"welcome");
}

#[test]
fn an_end_in_the_handshake_is_no_pause() {
    let (mut stream, mut socket, mut server) = both();
    assert_eq!(stream.secure().unwrap(), None);
    // Or its end were a reset.
    server.read_tls(&mut socket).unwrap();
    drop(socket);

    let error = until(|| match stream.secure() {
        Ok(secured) => {
            assert_eq!(secured, None);
            None
        }
        Err(error) => Some(error),
    });

    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
