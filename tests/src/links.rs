//! Links that can be cut: a TCP proxy in front of each listener, and one switch for all.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Proxies of one switch. They end when it is dropped, with their connections.
pub struct Links {
    cut: watch::Sender<bool>,
    proxies: JoinSet<()>,
}

impl Default for Links {
    /// No link, whole.
    fn default() -> Self {
        Self { cut: watch::Sender::new(false), proxies: JoinSet::new() }
    }
}

impl Links {
    /// A link to a listener, which need not be there yet: where to call instead.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(&mut self, listener: SocketAddr) -> anyhow::Result<SocketAddr> {
        let door = TcpListener::bind("127.0.0.1:0").await?;
        let address = door.local_addr()?;
        self.proxies.spawn(accept(door, listener, self.cut.subscribe()));
        Ok(address)
    }

    /// From now on all that is said is lost, both ways, and connections stay open.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Links are whole again. Connections from before are reset: none goes on after a hole.
    pub fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn accept(door: TcpListener, listener: SocketAddr, cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = door.accept().await {
        connections.spawn(carry(near, listener, cut.clone()));
    }
}

async fn carry(near: TcpStream, listener: SocketAddr, mut cut: watch::Receiver<bool>) {
    // Dropped, a socket is reset.
    if near.set_zero_linger().is_err() {
        return;
    }
    if !*cut.borrow() {
        let Ok(far) = TcpStream::connect(listener).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = pump(near_in, far_out, cut.clone()) => {}
            () = pump(far_in, near_out, cut.clone()) => {}
        }
    }
    // What ended in the dark is seen to have ended in the light.
    let _ = cut.wait_for(|cut| !cut).await;
}

/// Carries bytes one way until a side ends; once cut, until the link is mended.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            biased;
            _ = cut.wait_for(|cut| *cut) => break,
            read = from.read(&mut bytes) => read,
        };
        let Ok(read @ 1..) = read else { return };
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    let _ = cut.wait_for(|cut| !cut).await;
}
