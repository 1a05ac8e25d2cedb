use super::*;
use crate::load::frame;
use crate::load::outbound::message;

fn tells(encoding: Coding) -> Tells {
    Tells { encoding, topic: Some("bench:1".to_owned()), pull_after_ms: None, interval_ms: 0, users: false }
}

#[test]
fn it_says_what_clients_of_the_tool_understand() {
    for encoding in [Coding::Json, Coding::Msgpack] {
        let bare = Bare::new(&Tells { pull_after_ms: Some(9), ..tells(encoding) }).unwrap();
        for bytes in [&bare.welcome, &bare.followed] {
            assert_eq!(frame::first(bytes).unwrap().unwrap().1, bytes.len());
        }
    }
}

/// A loop with one follower, and the follower.
fn followed() -> (Bare, std::net::TcpStream) {
    let address = "127.0.0.1:0".parse().unwrap();
    let (mut bare, listener) = (Bare::new(&tells(Coding::Json)).unwrap(), listen(address).unwrap());
    let follower = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    while bare.sockets.is_empty() {
        bare.accept(|| listener.accept()).unwrap();
    }
    bare.sockets[0].as_mut().unwrap().1 = Stage::Following;
    (bare, follower)
}

#[test]
fn a_full_socket_is_told_the_last_version_when_it_has_room() {
    let (mut bare, mut follower) = followed();
    let stream = &mut bare.sockets[0].as_mut().unwrap().0;
    assert!(stream.nodelay().unwrap());
    while stream.write(&[b'x'; 4_096]).is_ok() {}

    bare.publish(7);
    assert_eq!(bare.owed.keys().collect::<Vec<_>>(), [&0]);
    let (mut read, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
    while !bare.owed.is_empty() {
        let count = follower.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..count]);
        bare.pay();
    }

    assert_eq!(bare.cut, 0);
    bare.sockets[0] = None;
    follower.read_to_end(&mut read).unwrap();
    assert!(read.ends_with(&bare.last) && bare.last.len() > 10);
}

#[test]
fn what_is_published_within_an_interval_is_told_by_one_hint() {
    let (mut bare, mut follower) = followed();
    bare.interval_us = 3_600_000_000;

    for version in [5, 7, 6] {
        bare.publish(version);
    }
    // The first at once; the others wait, and an hour is longer than it ever waits.
    assert_eq!((bare.waiting, bare.wait()), (Some(7), LOOK));
    bare.next = clock::now();
    assert!(bare.wait() < LOOK);
    bare.fan_out();

    assert_eq!(bare.waiting, None);
    bare.sockets[0] = None;
    let mut read = Vec::new();
    follower.read_to_end(&mut read).unwrap();
    let topic = TopicId::new("bench:1").unwrap();
    let told = [5, 7].map(|version| framed(Encoding::Json, &hint(Encoding::Json, &topic, version, None)));
    assert_eq!(read, told.concat());
}

#[test]
fn a_socket_that_takes_a_part_of_a_hint_is_cut_and_counted() {
    let (mut bare, _follower) = followed();
    // More than the kernel holds for a socket.
    let hint = vec![b'x'; 64 << 20];

    bare.write(0, &hint);

    assert_eq!((bare.cut, bare.owed.len()), (1, 0));
    assert!(bare.sockets[0].is_none());
}

#[test]
fn who_comes_while_there_are_no_files_is_taken_when_there_are() {
    let address = "127.0.0.1:0".parse().unwrap();
    let (mut bare, listener) = (Bare::new(&tells(Coding::Json)).unwrap(), listen(address).unwrap());
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();

    for none in [Errno::MFILE, Errno::NFILE] {
        bare.accept(|| Err(none.into())).unwrap();
        assert_eq!((bare.comes, bare.wait(), bare.sockets.len()), (true, RETRY, 0));
    }
    while bare.sockets.is_empty() {
        bare.accept(|| listener.accept()).unwrap();
    }

    assert_eq!((bare.comes, bare.wait()), (false, LOOK));
    assert!(bare.accept(|| Err(Errno::INVAL.into())).is_err());
}

#[test]
fn users_are_rung_by_their_names_however_a_request_comes() {
    for encoding in [Coding::Json, Coding::Msgpack] {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut bare = Bare::new(&Tells { users: true, ..tells(encoding) }).unwrap();
        let listener = listen(address).unwrap();
        let connect = || std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut streams = [connect(), connect(), connect()];
        while bare.sockets.len() < 3 {
            bare.accept(|| listener.accept()).unwrap();
        }
        let encoding = Encoding::from(encoding);
        for (index, name) in ["ada", "bob"].into_iter().enumerate() {
            bare.sockets[index].as_mut().unwrap().1 = Stage::Upgraded;
            let token = Some(doorbell_protocol::frames::Token(name.to_owned()));
            let hello = ClientFrame::Hello(doorbell_protocol::frames::Hello { token, ..Default::default() });
            streams[index].write_all(&message(encoding, &hello)).unwrap();
            turn(&mut bare, |bare| bare.users.as_ref().unwrap().contains_key(name));
        }
        // Longer than one buffer, and in two parts.
        let many = vec!["nobody"; BUFFER_BYTES / 8].join("\",\"");
        let body = format!(r#"{{"hints":[{{"topic":"bench:1","version":5,"users":["{many}","bob"]}}]}}"#);
        let request = format!("POST /v1/hints HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (first, second) = request.split_at(request.len() / 2);
        streams[2].write_all(first.as_bytes()).unwrap();
        turn(&mut bare, |bare| bare.calls.contains_key(&2));
        streams[2].write_all(second.as_bytes()).unwrap();
        let mut answer = [0; 15];
        turn(&mut bare, |bare| bare.calls.get(&2).is_some_and(Vec::is_empty));
        streams[2].read_exact(&mut answer).unwrap();

        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        bare.sockets.iter_mut().for_each(|socket| *socket = None);
        let mut read = [Vec::new(), Vec::new()];
        for (stream, read) in streams.iter_mut().zip(&mut read) {
            stream.read_to_end(read).unwrap();
        }
        let hint = framed(encoding, &hint(encoding, &TopicId::new("bench:1").unwrap(), 5, None));
        assert_eq!(read, [bare.welcome.clone(), [bare.welcome, hint].concat()]);
    }
}

/// Takes what comes until something holds.
fn turn(bare: &mut Bare, holds: impl Fn(&Bare) -> bool) {
    let (mut events, mut buffer) = (Events::with_capacity(8), vec![0; BUFFER_BYTES]);
    while !holds(bare) {
        bare.poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty(), "nothing comes");
        for event in &events {
            bare.ready(event.token().0, &mut buffer);
        }
    }
}
