use std::io::Read;

use rustls::ClientConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::super::{HeldSocket, Socket};
use super::records::tests::ends;
use super::*;

/// Both ends of a connection whose handshake is done, over a pipe with so much room.
async fn pair(room: usize) -> (Socket, ClientConnection, DuplexStream) {
    let (tls, mut client) = ends(&rustls::version::TLS13);
    let (server, mut pipe) = duplex(room);
    let shaking = async {
        while client.is_handshaking() || client.wants_write() {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).unwrap();
            }
            pipe.write_all(&sent).await.unwrap();
            if client.is_handshaking() {
                hear(&mut client, &mut pipe).await;
            }
        }
    };
    let (accepted, ()) = tokio::join!(tls.accept(server.into()), shaking);
    (accepted.unwrap(), client, pipe)
}

/// Has the client read once.
async fn hear(client: &mut ClientConnection, pipe: &mut DuplexStream) -> Vec<u8> {
    let mut came = vec![0; 4_096];
    let read = pipe.read(&mut came).await.unwrap();
    let mut came = &came[..read];
    while !came.is_empty() {
        client.read_tls(&mut came).unwrap();
        client.process_new_packets().unwrap();
    }
    let mut heard = Vec::new();
    let _ = client.reader().read_to_end(&mut heard);
    heard
}

fn secured(held: &HeldSocket) -> &Secured {
    let HeldSocket::Tls(held) = held else { panic!("no TLS") };
    held.secured()
}

/// Writes as a session does: goes on where the last write ended.
async fn write_on(held: &mut HeldSocket, bytes: &[u8], written: &mut usize) {
    // Tokio's pipes take nothing from a task that has done much in its turn.
    tokio::task::yield_now().await;
    while *written < bytes.len() {
        match held.try_write(&bytes[*written..]) {
            Ok(taken) => *written += taken,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_socket_that_takes_little_gets_all_of_it_and_little_lies_encrypted_meanwhile() {
    let (socket, mut client, mut pipe) = pair(1_000).await;
    let mut held = socket.hold();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    let (mut written, mut heard) = (0, Vec::new());
    while heard.len() < bytes.len() {
        write_on(&mut held, &bytes, &mut written).await;
        let lies = secured(&held).records.as_ref().unwrap().outgoing().len();
        assert!(lies <= HELD_BYTES_MAX + 64, "{lies}");
        assert!(lies == 0 || written < bytes.len(), "who writes knows that something is not written");
        heard.extend(hear(&mut client, &mut pipe).await);
    }
    assert!(heard == bytes && written == bytes.len());
}

#[tokio::test]
async fn what_http_has_not_flushed_goes_out_before_what_the_session_writes() {
    let (mut socket, mut client, mut pipe) = pair(600).await;
    let first = vec![b'h'; 5_000];
    socket.write_all(&first).await.unwrap();
    let mut held = socket.hold();
    let (mut written, mut heard) = (0, Vec::new());
    while heard.len() < 5_007 {
        write_on(&mut held, b"session", &mut written).await;
        heard.extend(hear(&mut client, &mut pipe).await);
    }
    assert_eq!(heard, [&first[..], b"session"].concat());
}

#[tokio::test]
async fn what_http_has_not_read_is_read_by_the_session() {
    let (mut socket, mut client, mut pipe) = pair(100_000).await;
    std::io::Write::write_all(&mut client.writer(), b"GET and frames").unwrap();
    let mut sent = Vec::new();
    client.write_tls(&mut sent).unwrap();
    pipe.write_all(&sent).await.unwrap();
    let mut head = [0; 4];
    socket.read_exact(&mut head).await.unwrap();
    let mut held = socket.hold();
    let mut room = [0; 100];
    let mut frames = ReadBuf::new(&mut room);
    poll_fn(|cx| held.poll_read(cx, &mut frames)).await.unwrap();
    assert_eq!((&head, frames.filled()), (b"GET ", &b"and frames"[..]));
}

#[tokio::test]
async fn a_head_and_its_body_are_one_record() {
    let (mut socket, mut client, mut pipe) = pair(100_000).await;
    let slices = [io::IoSlice::new(b""), io::IoSlice::new(b"head "), io::IoSlice::new(b"body")];
    assert_eq!(socket.write_vectored(&slices).await.unwrap(), 9);
    socket.flush().await.unwrap();
    // One read of what is there, with nothing but the ticket before.
    let mut heard = hear(&mut client, &mut pipe).await;
    if heard.is_empty() {
        heard = hear(&mut client, &mut pipe).await;
    }
    assert_eq!(heard, b"head body");
}

#[tokio::test]
async fn an_end_without_notice_is_an_error_and_with_it_none() {
    for with_notice in [true, false] {
        let (mut socket, mut client, mut pipe) = pair(100_000).await;
        if with_notice {
            client.send_close_notify();
        }
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        pipe.write_all(&sent).await.unwrap();
        drop(pipe);
        let end = socket.read(&mut [0; 10]).await.map_err(|error| error.kind());
        assert_eq!(end, if with_notice { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof) });
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_handshake_is_lost_and_one_that_speaks_otherwise_refused() {
    let (tls, _) = ends(&rustls::version::TLS13);
    for (bytes, refused) in [(&[22, 3, 1, 2, 0][..], false), (&[22, 9, 9, 255, 255, 0, 0], true)] {
        let (server, mut client) = duplex(1_000);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let error = tls.accept(server.into()).await.unwrap_err();
        assert_eq!(matches!(error, AcceptError::Refused(_)), refused, "{error:?}");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.first(), refused.then_some(&21), "an alert, or nothing");
    }
}
