//! Sessions that wait to be entered: the one that came first goes first, and those that ended meanwhile take no room.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::session::Session;

/// The queue. It holds no session alive, so that one which ends while the registry fails costs nothing more than its
/// place, and that only until the next cleaning.
#[derive(Default)]
pub(super) struct Waiting {
    sessions: VecDeque<Weak<Session>>,
}

impl Waiting {
    /// Adds a session at the end. Before the queue grows, those that ended go: it is bounded by twice the sessions
    /// alive, however long the registry fails.
    pub(super) fn push(&mut self, session: &Arc<Session>) {
        if self.sessions.len() == self.sessions.capacity() {
            self.forget_ended();
            // Room for as many again, so that cleaning costs each push the same.
            self.sessions.reserve(self.sessions.len());
        }
        self.sessions.push_back(Arc::downgrade(session));
    }

    /// Takes out those that waited longest.
    pub(super) fn take(&mut self, count_max: usize) -> Vec<Weak<Session>> {
        let count = self.sessions.len().min(count_max);
        self.sessions.drain(..count).collect()
    }

    /// Puts back in front what [`Waiting::take`] gave and the registry did not: it has waited longest.
    pub(super) fn put_back(&mut self, batch: Vec<Weak<Session>>) {
        for session in batch.into_iter().rev() {
            self.sessions.push_front(session);
        }
    }

    /// Drops the places of sessions that ended.
    pub(super) fn forget_ended(&mut self) {
        self.sessions.retain(|session| session.strong_count() > 0);
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::Encoding;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::socket::Socket;
    use crate::uptime::Moment;

    async fn session() -> Arc<Session> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Arc::new(Session::new(Socket::from(socket).hold(), Encoding::Json, None, Moment::default()))
    }

    #[tokio::test]
    async fn a_batch_put_back_goes_first_again() {
        let mut waiting = Waiting::default();
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(session().await);
            waiting.push(&sessions[sessions.len() - 1]);
        }
        let batch = waiting.take(2);
        sessions.push(session().await);
        waiting.push(&sessions[4]);
        waiting.put_back(batch);
        let order: Vec<_> = waiting.take(9).iter().map(|one| one.upgrade().unwrap().id()).collect();
        assert_eq!(order, sessions.iter().map(|session| session.id()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn sessions_that_ended_take_no_room() {
        let mut waiting = Waiting::default();
        let stays = session().await;
        waiting.push(&stays);
        for _ in 0..100 {
            waiting.push(&session().await);
            assert!(waiting.len() <= 8, "{}", waiting.len());
        }
        waiting.forget_ended();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting.take(9)[0].upgrade().unwrap().id(), stays.id());
    }
}
