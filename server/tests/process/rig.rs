//! Runs the binary, alone or beside another.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A start takes well under a second; a loaded machine may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One command with nothing of our own environment.
pub fn doorbell(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
    command.args(args).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn run(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("doorbell did not end").unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A directory for one test.
pub fn scratch() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    (scratch, data)
}

/// A server that said that it is ready.
pub struct Server {
    child: Child,
    pub scheme: String,
    pub address: String,
}

/// What a request got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Server {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let listen = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--log", "warn"];
        Self::started(doorbell(&[&listen[..], more].concat())).await
    }

    /// Waits for the ready line of a command that serves.
    pub async fn started(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("not ready in time").unwrap().unwrap();
        let place = line.strip_prefix("doorbell ready on ").expect("the ready line");
        let (scheme, address) = place.split_once("://").expect("the ready line");
        Self { child, scheme: scheme.to_owned(), address: address.to_owned() }
    }

    pub fn pid(&self) -> String {
        self.child.id().unwrap().to_string()
    }

    pub async fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.pid()]).status().await.unwrap().success());
    }

    /// Waits for its end and answers the exit code.
    pub async fn code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("doorbell did not end").unwrap().code()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let host = format!("Host: {}", self.address);
        let headers = if headers.iter().any(|header| header.starts_with("Host:")) {
            headers.join("\r\n")
        } else {
            [&[host.as_str()], headers].concat().join("\r\n")
        };
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}");
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("no answer").unwrap();
        answer_of(&answer)
    }
}

/// Reads an answer.
pub fn answer_of(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
