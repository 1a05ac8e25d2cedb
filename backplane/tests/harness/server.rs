//! Real Redis servers, one or a Cluster of three, on free ports and with nothing on disk; ended with the test.
//!
//! `DOORBELL_REDIS_SERVER` names another program than `redis-server`, of Valkey for example.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisResult, Value};
use tempfile::TempDir;
use tokio::time::Instant;

/// A port may be taken between the look and the start.
const STARTS_MAX: usize = 20;
const PATIENCE: Duration = Duration::from_secs(20);
const SLOTS: u32 = 16_384;

/// One server process.
pub struct Server {
    child: Child,
    pub port: u16,
    bus: u16,
    words: Vec<String>,
    folder: TempDir,
}

/// Looks again and again until something is so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[expect(clippy::disallowed_methods, reason = "which program is tested is said to the test from outside")]
fn program() -> String {
    std::env::var("DOORBELL_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

impl Server {
    /// A server with these options beside its own.
    pub fn start(words: &[&str]) -> Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        for _ in 0..STARTS_MAX {
            let folder = tempfile::tempdir().expect("a folder");
            let (port, bus) = (free_port(), free_port());
            let child = Self::spawn(port, bus, &words, &folder);
            let mut server = Self { child, port, bus, words: words.clone(), folder };
            if server.is_up() {
                return server;
            }
        }
        panic!("{} does not start: it comes with Debian's package redis-server", program());
    }

    /// A Sentinel that watches the primary at this port, named `main`, and needs nobody's agreement.
    pub fn start_sentinel(primary: u16) -> Self {
        let file = "sentinel.conf";
        for _ in 0..STARTS_MAX {
            let folder = tempfile::tempdir().expect("a folder");
            let (port, bus) = (free_port(), free_port());
            let lines = [
                format!("port {port}\nbind 127.0.0.1\ndir {}", folder.path().display()),
                format!("sentinel monitor main 127.0.0.1 {primary} 1"),
                "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000".to_owned(),
            ];
            std::fs::write(folder.path().join(file), lines.join("\n")).expect("a file");
            let mut command = Command::new(program());
            command.arg(folder.path().join(file)).arg("--sentinel");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().expect("the program is there");
            let mut server = Self { child, port, bus, words: Vec::new(), folder };
            if server.is_up() {
                return server;
            }
        }
        panic!("the sentinel does not start");
    }

    /// The same server again, on its old port, with nothing of what it knew but what it was told to save.
    pub fn restart(&mut self) {
        self.kill();
        self.child = Self::spawn(self.port, self.bus, &self.words, &self.folder);
        assert!(self.is_up(), "the port is still free");
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends its process a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {name}");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> RedisResult<Connection> {
        Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(2))
    }

    /// Says something to it.
    pub fn say(&self, words: &[&str]) -> Value {
        let mut command = redis::Cmd::new();
        command.arg(words);
        let mut connection = self.connect().expect("the server is there");
        command.query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn spawn(port: u16, bus: u16, words: &[String], folder: &TempDir) -> Child {
        let mut command = Command::new(program());
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(["--loglevel", "warning", "--enable-debug-command", "local"]);
        command.arg("--dir").arg(folder.path());
        if words.iter().any(|word| word == "--cluster-enabled") {
            command.args(["--cluster-port", &bus.to_string()]);
        }
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: Debian's package is redis-server", program()))
    }

    /// Waits until it answers; says no where it has ended instead.
    fn is_up(&mut self) -> bool {
        until("the server answers or ends", || {
            if self.child.try_wait().expect("a child").is_some() {
                return Some(false);
            }
            let mut connection = self.connect().ok()?;
            let answered = redis::cmd("PING").query::<String>(&mut connection);
            // A server that wants a password is up as well.
            (answered.is_ok() || answered.is_err_and(|error| error.code() == Some("NOAUTH"))).then_some(true)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Cluster of three primaries, each with a third of the slots.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Self {
        let words = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let servers: Vec<Server> = (0..3).map(|_| Server::start(&words)).collect();
        let count = u32::try_from(servers.len()).expect("few");
        for (at, server) in (0..).zip(&servers) {
            let (from, to) = (SLOTS * at / count, SLOTS * (at + 1) / count - 1);
            server.say(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            server.say(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            let (port, bus) = (servers[0].port.to_string(), servers[0].bus.to_string());
            if at > 0 {
                server.say(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        for server in &servers {
            until("all know each other", || {
                let Value::BulkString(said) = server.say(&["CLUSTER", "INFO"]) else { return None };
                let said = String::from_utf8_lossy(&said).into_owned();
                let whole = said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:3");
                whole.then_some(())
            });
        }
        Self { servers }
    }

    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }
}
