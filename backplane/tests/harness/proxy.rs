//! A TCP proxy between a back-end and a server on loopback, which loses or cuts what the server answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

/// What becomes of the server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Pass,
    /// They come so much later, one after the other.
    Delay(Duration),
    /// The server is heard no more; it hears everything.
    Lose,
    /// Of the next ones on each connection so many bytes pass, and then it is reset.
    CutAfter(usize),
}

/// It ends when dropped, with its connections.
pub struct Proxy {
    pub address: SocketAddr,
    answers: watch::Sender<Answers>,
    port: watch::Sender<u16>,
    accepted: Arc<AtomicUsize>,
    _run: JoinSet<()>,
}

impl Proxy {
    /// In front of the server at this port of the loopback.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (answers, seen) = watch::channel(Answers::Pass);
        let (port, ports) = watch::channel(port);
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut run = JoinSet::new();
        run.spawn(accept(listener, ports, seen, Arc::clone(&accepted)));
        Self { address, answers, port, accepted, _run: run }
    }

    pub fn set(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }

    /// Another server stands behind it from now on; connections to the one before end.
    pub fn aim(&self, port: u16) {
        self.port.send_replace(port);
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn accept(
    listener: TcpListener,
    ports: watch::Receiver<u16>,
    answers: watch::Receiver<Answers>,
    accepted: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        connections.spawn(carry(near, ports.clone(), answers.clone()));
    }
}

async fn carry(near: TcpStream, mut ports: watch::Receiver<u16>, answers: watch::Receiver<Answers>) {
    // Dropped, a socket is reset.
    near.set_zero_linger().expect("a socket");
    let port = *ports.borrow_and_update();
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((mut near_in, near_out), (far_in, mut far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        _ = copy(&mut near_in, &mut far_out) => {}
        () = answer(far_in, near_out, answers) => {}
        _ = ports.changed() => {}
    }
}

/// Carries answers until either side ends, or they are cut.
async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, answers: watch::Receiver<Answers>) {
    let (mut bytes, mut lost) = (vec![0; 16 << 10], false);
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let now = *answers.borrow();
        let (passes, ends) = match now {
            // A connection never goes on after a hole.
            Answers::Pass | Answers::Delay(_) if lost => return,
            Answers::Pass => (read, false),
            Answers::Delay(time) => {
                interval_at(Instant::now() + time, time).tick().await;
                (read, false)
            }
            Answers::Lose => {
                lost = true;
                (0, false)
            }
            Answers::CutAfter(most) => (read.min(most), true),
        };
        if to.write_all(&bytes[..passes]).await.is_err() || ends {
            return;
        }
    }
}
