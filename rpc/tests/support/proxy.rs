//! A TCP proxy with faults, in front of a server on loopback.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// All bytes are lost, both ways; connections stay open.
    Lose,
    /// What the server sends is lost.
    LoseAnswers,
    /// Connections are reset, old ones and new ones.
    Cut,
    /// Each connection is reset after so many bytes of its caller.
    CutAfter(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// It ends when dropped, with its connections.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepted: Arc<AtomicUsize>,
    _run: JoinSet<()>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut run = JoinSet::new();
        run.spawn(accept(listener, server, modes, Arc::clone(&accepted)));
        Self { address, mode, accepted, _run: run }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Connections so far, those that were reset at once among them.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
    accepted: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        connections.spawn(carry(near, server, modes.clone()));
    }
}

async fn carry(near: TcpStream, server: SocketAddr, modes: watch::Receiver<Mode>) {
    // Dropped, a socket is reset.
    near.set_zero_linger().unwrap();
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(server).await else { return };
    far.set_zero_linger().unwrap();
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut cut = modes.clone();
    tokio::select! {
        () = pump(near_in, far_out, Way::Up, modes.clone()) => {}
        () = pump(far_in, near_out, Way::Down, modes) => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Carries bytes one way until either side ends, or they are cut.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, modes: watch::Receiver<Mode>) {
    let (mut bytes, mut carried) = (vec![0; 16 << 10], 0);
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        carried += read;
        match *modes.borrow() {
            Mode::Lose => continue,
            Mode::LoseAnswers if way == Way::Down => continue,
            Mode::CutAfter(most) if way == Way::Up && carried > most => return,
            _ => {}
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    // That a side has ended is lost as well.
    let mut modes = modes;
    _ = modes.wait_for(|mode| *mode != Mode::Lose).await;
}
