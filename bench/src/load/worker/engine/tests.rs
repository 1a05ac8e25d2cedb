use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::coming::{SESSION_DEADLINE_US, unconnected};
use super::*;
use crate::load::orders::{Churn, Losing, Loss, Place};
use crate::load::schedule::Schedule;
use crate::load::worker::socket::LEAVE;

fn job(address: std::net::SocketAddr) -> Job {
    let places = vec![Place::own(&address.to_string(), None).unwrap()];
    Job { sources: Some(9), ..Job::of_one(places) }
}

/// An engine with one session on its way, and the server's end of it, whose upgrade has been asked for.
fn begun() -> (Engine, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut engine = Engine::new(job(listener.local_addr().unwrap()), vec!["secret".to_owned()]).unwrap();
    engine.begin(clock::now());
    let server = asked(&mut engine, &listener);
    (engine, server)
}

/// The server's end of a connection whose upgrade has been asked for.
fn asked(engine: &mut Engine, listener: &TcpListener) -> TcpStream {
    let (mut server, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.1");
    server.set_nodelay(true).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    turn(engine);
    let mut request = vec![0; 4_096];
    let count = server.read(&mut request).unwrap();
    assert!(request[..count].starts_with(b"GET /v1/ws ") && request[..count].ends_with(b"\r\n\r\n"));
    server
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
    engine.sockets[0].due -= SESSION_DEADLINE_US;
    engine.give_up_late();
    assert_eq!((engine.in_flight, engine.tally.failed), (1, 0));

    engine.undecided[0].at -= SESSION_DEADLINE_US;
    engine.give_up_late();

    assert_eq!((engine.in_flight, engine.tally.failed), (0, 1));
    assert!(engine.failures.keys().any(|why| why.contains("the upgrade is not answered")));
}

#[test]
fn who_has_run_out_of_ports_or_files_is_told_what_to_do() {
    let to = "10.0.0.5:8080".parse().unwrap();
    let told = |errno: rustix::io::Errno, source| unconnected(&errno.into(), (source, to));

    let port = told(rustix::io::Errno::ADDRNOTAVAIL, Some(std::net::Ipv4Addr::new(127, 9, 0, 1)));
    assert!(port.starts_with("connect: no free port from 127.9.0.1 to 10.0.0.5:8080: "), "{port}");
    assert!(port.contains("--url") && port.contains("net.ipv4.ip_local_port_range"), "{port}");
    assert!(told(rustix::io::Errno::ADDRNOTAVAIL, None).contains("from this machine to"));
    assert!(told(rustix::io::Errno::MFILE, None).contains("--processes"));
    assert!(told(rustix::io::Errno::NFILE, None).contains("fs.file-max"));
    assert!(told(rustix::io::Errno::CONNREFUSED, None).starts_with("connect: Connection refused"));
}

fn text(payload: &[u8]) -> Vec<u8> {
    [&[0x81, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// The answer to `subscribe`, and a hint.
fn followed(version: Moment) -> Vec<u8> {
    let result = serde_json::json!({"topics": {"bench:1": version}});
    text(serde_json::json!({"type": "reply", "id": SUBSCRIBE, "result": result}).to_string().as_bytes())
}

fn hinted(version: Moment) -> Vec<u8> {
    text(&super::super::hearing::hint(Encoding::Json, &TopicId::new("bench:1").unwrap(), version, None))
}

/// Reads what a client says until it says that: how the frame begins, and a part of its text.
fn hears(server: &mut TcpStream, opcode: u8, part: &str) {
    let mut said = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let count = server.read(&mut buffer).unwrap();
        said.extend_from_slice(&buffer[..count]);
        while let [begin, length, rest @ ..] = said.as_slice()
            && let Some((frame, rest)) = rest.split_at_checked(4 + usize::from(length & 0x7f))
        {
            let (mask, masked) = frame.split_at(4);
            let text = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            if *begin == opcode && String::from_utf8(text).unwrap().contains(part) {
                return;
            }
            said = rest.to_vec();
        }
        assert!(count > 0, "it never says {part:?}");
    }
}

/// A follower that knows version 5 of the topic, and comes back where it is lost.
fn follower() -> (Engine, TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let job = Job {
        topic: Some("bench:1".to_owned()),
        audience: Audience::Followers,
        lost: Lost::Back,
        ..job(listener.local_addr().unwrap())
    };
    let mut engine = Engine::new(job, vec!["secret".to_owned()]).unwrap();
    engine.begin(clock::now());
    let mut server = asked(&mut engine, &listener);
    server.write_all(&[accepted(), welcome()].concat()).unwrap();
    turn(&mut engine);
    hears(&mut server, 0x81, "\"bench:1\":0");
    server.write_all(&[followed(3), hinted(5)].concat()).unwrap();
    turn(&mut engine);
    assert_eq!((engine.sockets[0].stage, engine.sockets[0].known), (Stage::Open, 5));
    (engine, listener, server)
}

/// Begins what is due until the session has a connection again; its wait is at most 250 ms.
fn come_back(engine: &mut Engine) {
    while engine.sockets[0].stage == Stage::Gone {
        engine.begin_more();
        std::thread::yield_now();
    }
}

#[test]
fn a_session_that_is_cut_comes_back_and_asks_for_what_follows_the_version_that_it_knows() {
    let (mut engine, listener, mut server) = follower();
    engine.returning.lose(Loss { at: clock::now(), how: Losing::Cut, version: 6 });

    engine.lose_due();

    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!((engine.tally.open, engine.tally.returns.lost, engine.in_flight), (0, 1, 0));
    come_back(&mut engine);
    let mut server = asked(&mut engine, &listener);
    server.write_all(&[accepted(), welcome()].concat()).unwrap();
    turn(&mut engine);
    hears(&mut server, 0x81, "\"bench:1\":5");
    // A hint that was on its way before the answer, which knows less.
    server.write_all(&[hinted(6), followed(5)].concat()).unwrap();
    turn(&mut engine);

    let Tally { open, welcomed, followed, failed, ended, returns, .. } = engine.tally;
    assert_eq!((open, welcomed, followed, failed, ended), (1, 1, 1, 0, 0));
    assert_eq!((returns.back, returns.current, returns.failures, returns.tries), (1, 1, 0, 1));
}

#[test]
fn who_may_not_follow_yet_asks_once_more_over_the_same_connection_and_that_is_a_failure() {
    let (mut engine, listener, _server) = follower();
    engine.returning.lose(Loss { at: clock::now(), how: Losing::Cut, version: 5 });
    engine.lose_due();
    come_back(&mut engine);
    let mut server = asked(&mut engine, &listener);
    server.write_all(&[accepted(), welcome()].concat()).unwrap();
    turn(&mut engine);
    hears(&mut server, 0x81, "\"bench:1\":5");

    let error = serde_json::json!({"code": "unavailable", "message": "not now", "retry_after_ms": 0});
    let later = serde_json::json!({"type": "reply", "id": SUBSCRIBE, "error": error}).to_string();
    server.write_all(&text(later.as_bytes())).unwrap();
    turn(&mut engine);
    engine.begin_more();

    hears(&mut server, 0x81, "\"bench:1\":5");
    server.write_all(&followed(5)).unwrap();
    turn(&mut engine);
    let returns = engine.tally.returns;
    assert_eq!((returns.current, returns.failures, returns.tries), (1, 1, 1));
    assert_eq!(engine.failures.keys().collect::<Vec<_>>(), ["subscribe: not now"]);
}

#[test]
fn a_session_that_leaves_in_turn_says_so_and_comes_back_and_one_that_is_mute_reads_nothing_meanwhile() {
    let (mut engine, listener, mut server) = follower();
    let schedule = Schedule { begin: clock::now(), count: 1, per_second: 1 };
    engine.soaking.begin(Churn { first: 0, sessions: 1, schedule });

    engine.soak();

    let mut said = Vec::new();
    server.read_to_end(&mut said).unwrap();
    assert_eq!((said.as_slice(), engine.tally.open), (&LEAVE[..], 0));
    come_back(&mut engine);
    let mut server = asked(&mut engine, &listener);
    server.write_all(&[accepted(), welcome(), followed(5)].concat()).unwrap();
    turn(&mut engine);
    assert_eq!((engine.tally.returns.current, engine.tally.returns.failures), (1, 0));

    engine.mute(0);
    engine.soak();
    // So that it is not taken for dead.
    hears(&mut server, 0x8a, "");
    server.write_all(&hinted(9)).unwrap();
    let mut events = Events::with_capacity(8);
    engine.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty() && engine.sockets[0].known == 5);
    engine.unmute();
    turn(&mut engine);
    assert_eq!(engine.sockets[0].known, 9);
}
