use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::connection::Closed;
use super::*;

type Serving<T> = std::thread::JoinHandle<Vec<T>>;

/// Takes connections, one after the other, and gives each of them as many answers as told, ended by `last`; answers which versions came.
fn server(answers: &'static [usize], last: &'static str) -> (Place, Serving<u64>) {
    server_of(answers, last, |hint| hint["version"].as_u64().unwrap())
}

/// As [`server`]; answers what `what` finds in the hints that came.
fn server_of<T: Send + 'static>(
    answers: &'static [usize],
    last: &'static str,
    what: fn(&serde_json::Value) -> T,
) -> (Place, Serving<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answers in answers {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            for number in 1..=*answers {
                asked.push(what(&request(&mut socket)));
                let head = if number == *answers { last } else { "" };
                let answer = format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\n{{}}");
                socket.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
        asked
    });
    (Place::own(&address.to_string(), None).unwrap(), serving)
}

/// Takes a request whole, so that an end after it is an end in order; answers its hint.
fn request(socket: &mut BufReader<TcpStream>) -> serde_json::Value {
    let mut length = 0;
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["hints"][0].clone()
}

#[test]
fn what_a_server_that_ends_its_connection_did_not_answer_is_published_again() {
    for last in ["", "Connection: close\r\n"] {
        let (place, serving) = server(&[2, 1, 2], last);
        let mut publisher =
            Publisher::connect(&[place], "key", "bench:1", &CancellationToken::new()).unwrap();

        (1..=5).for_each(|version| publisher.publish(version).unwrap());

        assert_eq!(publisher.reconnects(), 2);
        assert_eq!(serving.join().unwrap(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_server_that_ends_every_connection_is_told_as_such() {
    let (place, serving) = server(&[0, 0], "");
    let mut publisher = Publisher::connect(&[place], "key", "bench:1", &CancellationToken::new()).unwrap();

    let error = publisher.publish(1).unwrap_err();

    assert!(error.is::<Closed>(), "{error:#}");
    serving.join().unwrap();
}

#[test]
fn a_publish_goes_to_all_places_and_all_answers_are_waited_for() {
    // The second ends its connection: the publish comes there over a new one.
    let servers = [&[3][..], &[1, 2], &[3]].map(|answers| server(answers, ""));
    let (places, serving): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    let mut publisher = Publisher::connect(&places, "key", "bench:1", &CancellationToken::new()).unwrap();

    (1..=3).for_each(|version| publisher.publish(version).unwrap());

    assert_eq!(publisher.reconnects(), 1);
    for serving in serving {
        assert_eq!(serving.join().unwrap(), [1, 2, 3]);
    }
}

#[test]
fn users_are_rung_where_their_sessions_are_and_nobody_is_asked_for_nothing() {
    let users = |hint: &serde_json::Value| hint["users"].to_string();
    let servers = [&[2][..], &[1], &[0]].map(|answers| server_of(answers, "", users));
    let (places, serving): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    let mut publisher = Publisher::connect(&places, "key", "bench:1", &CancellationToken::new()).unwrap();
    let name = |session| format!("user-{session}");

    publisher.ring(1, [3, 1, 4, 6].into_iter(), name).unwrap();
    publisher.ring(1, [0].into_iter(), name).unwrap();
    drop(publisher);

    let asked: Vec<Vec<String>> = serving.into_iter().map(|serving| serving.join().unwrap()).collect();
    let first = [r#"["user-3","user-6"]"#, r#"["user-0"]"#].map(str::to_owned).to_vec();
    assert_eq!(asked, [first, vec![r#"["user-1","user-4"]"#.to_owned()], vec![]]);
}

#[test]
fn an_answer_that_was_not_waited_for_is_not_taken_for_the_next() {
    let (place, serving) = server(&[1, 1], "");
    let (refused, refusing) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refusing = std::thread::spawn(move || {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            for status in ["500 No", "200 OK"] {
                request(&mut socket);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                socket.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        (Place::own(&address.to_string(), None).unwrap(), refusing)
    };
    let mut publisher =
        Publisher::connect(&[refused, place], "key", "bench:1", &CancellationToken::new()).unwrap();

    assert!(publisher.publish(1).unwrap_err().to_string().contains("500 No"));
    publisher.publish(2).unwrap();

    assert_eq!((publisher.reconnects(), serving.join().unwrap()), (1, vec![1, 2]));
    refusing.join().unwrap();
}

#[test]
fn who_is_to_end_connects_to_no_other_place() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = Place::own(&listener.local_addr().unwrap().to_string(), None).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();

    let error = Publisher::connect(&[place], "key", "bench:1", &stop).err().unwrap();

    assert!(error.is::<Interrupted>(), "{error:#}");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
