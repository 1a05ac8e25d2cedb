use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::load::orders::{Coding, Credentials, Place};

/// An engine with one session on its way, and the server's end of it, whose upgrade has been asked for.
fn begun() -> (Engine, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let job = Job {
        places: vec![Place { address, host: address.to_string() }],
        coding: Coding::Json,
        first: 0,
        sessions: 1,
        users: String::new(),
        credentials: Credentials::Nobody,
        topic: None,
        rings: Rings::Nobody,
        in_flight: 1,
        per_second: None,
        sources: Some(9),
    };
    let mut engine = Engine::new(job, vec!["secret".to_owned()]).unwrap();
    engine.begin(clock::now()).unwrap();
    let (mut server, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.9.0.1");
    server.set_nodelay(true).unwrap();
    turn(&mut engine);
    let mut request = vec![0; 4_096];
    let count = server.read(&mut request).unwrap();
    assert!(request[..count].starts_with(b"GET /v1/ws ") && request[..count].ends_with(b"\r\n\r\n"));
    (engine, server)
}

/// Waits until something is there, and takes it.
fn turn(engine: &mut Engine) {
    let mut events = Events::with_capacity(8);
    engine.poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
    let ready: Vec<usize> = events.iter().map(|event| event.token().0).collect();
    assert_eq!(ready, [0]);
    engine.ready(0);
}

fn accepted() -> Vec<u8> {
    let accept = outbound::ACCEPT;
    format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\r\n").into_bytes()
}

fn welcome() -> Vec<u8> {
    let text = serde_json::json!({
        "type": "welcome", "session": "0000000000000007", "user": "ada", "server_time_ms": 1, "heartbeat_ms": 1_500,
        "limits": {"frame_bytes": 1, "subscriptions": 1, "calls_per_second": 1},
    })
    .to_string();
    let length = u16::try_from(text.len()).unwrap();
    assert!(length > 125);
    [&[0x81, 126], &length.to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn a_server_that_writes_byte_by_byte_is_understood() {
    let (mut engine, mut server) = begun();
    let ping = [0x89, 2, b'h', b'i'];

    for byte in [&accepted(), &welcome(), &ping[..]].concat() {
        server.write_all(&[byte]).unwrap();
        turn(&mut engine);
    }

    let Tally { open, welcomed, failed, pings, .. } = engine.tally;
    assert_eq!((open, welcomed, failed, pings), (1, 1, 0, 1));
    assert_eq!(engine.heartbeat_ms, 1_500);
    assert!(engine.sockets[0].torn.is_none(), "nothing is kept between frames");
    let mut written = vec![0; 4_096];
    let count = server.read(&mut written).unwrap();
    assert!(written[..count].ends_with(&outbound::pong(b"hi")));
}

#[test]
fn all_that_comes_at_once_is_taken_and_an_illegal_frame_ends_the_session() {
    let (mut engine, mut server) = begun();

    server.write_all(&[&accepted(), &welcome(), &[0x81, 0x85][..]].concat()).unwrap();
    turn(&mut engine);

    let Tally { open, welcomed, ended, .. } = engine.tally;
    assert_eq!((open, welcomed, ended, engine.in_flight), (0, 1, 1, 0));
    let why: Vec<&String> = engine.failures.keys().collect();
    assert_eq!(why, ["an illegal frame: a masked frame from a server"]);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let (mut engine, _server) = begun();
    engine.give_up_late();
    assert_eq!((engine.in_flight, engine.tally.failed), (1, 0));

    // It was due long ago, which takes nothing from its time.
    engine.sockets[0].mark -= SESSION_DEADLINE_US;
    engine.give_up_late();
    assert_eq!((engine.in_flight, engine.tally.failed), (1, 0));

    engine.undecided[0].1 -= SESSION_DEADLINE_US;
    engine.give_up_late();

    assert_eq!((engine.in_flight, engine.tally.failed), (0, 1));
    assert!(engine.failures.keys().any(|why| why.contains("the upgrade is not answered")));
}
