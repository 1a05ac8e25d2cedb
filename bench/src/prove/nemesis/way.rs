//! A connection between two processes that can be cut as a cable is pulled: nothing passes, and nobody is told.

use std::net::TcpListener as StdListener;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// As much as one read takes; beside the sockets' own buffers that is all that waits while it is cut.
const BUFFER: usize = 16 * 1024;
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A port of the loopback whose connections go on to another one, while it is whole.
///
/// What was on its way when it was cut arrives after it is mended, as TCP repeats what a pulled cable swallowed.
pub(super) struct Way {
    name: String,
    port: u16,
    whole: watch::Sender<bool>,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl Way {
    /// Opens it. What it leads to need not be there yet: each connection is made when one comes.
    ///
    /// # Errors
    /// No port.
    pub(super) fn open(name: String, to: u16) -> anyhow::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0").context("a way between two processes")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (whole, watched) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(TcpListener::from_std(listener)?, to, watched));
        Ok(Self { name, port, whole, _tasks: tasks })
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it begins.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing pass.
    pub(super) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets it pass again.
    pub(super) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn serve(listener: TcpListener, to: u16, whole: watch::Receiver<bool>) {
    let mut pairs = JoinSet::new();
    loop {
        tokio::select! {
            came = listener.accept() => match came {
                Ok((near, _)) => {
                    pairs.spawn(pair(near, to, whole.clone()));
                }
                // No file is free, say: whoever waits is taken when one is.
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = pairs.join_next() => {}
        }
    }
}

/// Ends when both directions have ended, or the other side is not there.
async fn pair(near: TcpStream, to: u16, mut whole: watch::Receiver<bool>) {
    // Whoever connects while it is cut hears nothing, and nobody hears of them.
    if whole.wait_for(|whole| *whole).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near, far) = (near.into_split(), far.into_split());
    tokio::join!(pass(near.0, far.1, whole.clone()), pass(far.0, near.1, whole));
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut whole: watch::Receiver<bool>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // An end is news as well.
        if whole.wait_for(|whole| *whole).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const A_WHILE: Duration = Duration::from_millis(200);

    async fn connected() -> (Way, TcpStream, TcpStream) {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way::open("a to b".to_owned(), far.local_addr().unwrap().port()).unwrap();
        let near = TcpStream::connect(("127.0.0.1", way.port())).await.unwrap();
        (way, near, far.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_sent_while_it_is_cut_arrives_after_it_is_mended_and_not_before() {
        let (way, mut near, mut far) = connected().await;
        let mut word = [0; 2];
        near.write_all(b"hi").await.unwrap();
        far.read_exact(&mut word).await.unwrap();

        way.cut();
        near.write_all(b"yo").await.unwrap();
        assert!(timeout(A_WHILE, far.read_exact(&mut word)).await.is_err(), "nothing passes");
        way.mend();
        far.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"yo");
    }

    #[tokio::test]
    async fn an_end_passes_as_bytes_do() {
        let (way, near, mut far) = connected().await;
        way.cut();
        drop(near);
        assert!(timeout(A_WHILE, far.read(&mut [0])).await.is_err(), "nobody is told");
        way.mend();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }
}
