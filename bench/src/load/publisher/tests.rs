use std::net::{TcpListener, TcpStream};

use super::*;

/// Takes connections, one after the other, and gives each of them as many answers as told, ended by `last`; answers what it was asked.
fn server(answers: &'static [usize], last: &'static str) -> (Place, std::thread::JoinHandle<Vec<u64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answers in answers {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            for number in 1..=*answers {
                asked.push(request(&mut socket));
                let head = if number == *answers { last } else { "" };
                let answer = format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\n{{}}");
                socket.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
        asked
    });
    (Place::own(&address.to_string(), None).unwrap(), serving)
}

/// Takes a request whole, so that an end after it is an end in order; answers its version.
fn request(socket: &mut BufReader<TcpStream>) -> u64 {
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
    body["hints"][0]["version"].as_u64().unwrap()
}

#[test]
fn what_a_server_that_ends_its_connection_did_not_answer_is_published_again() {
    for last in ["", "Connection: close\r\n"] {
        let (place, serving) = server(&[2, 1, 2], last);
        let mut publisher = Publisher::connect(&place, "key", "bench:1").unwrap();

        (1..=5).for_each(|version| publisher.publish(version).unwrap());

        assert_eq!(publisher.reconnects, 2);
        assert_eq!(serving.join().unwrap(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_server_that_ends_every_connection_is_told_as_such() {
    let (place, serving) = server(&[0, 0], "");
    let mut publisher = Publisher::connect(&place, "key", "bench:1").unwrap();

    let error = publisher.publish(1).unwrap_err();

    assert!(error.is::<Closed>(), "{error:#}");
    serving.join().unwrap();
}
