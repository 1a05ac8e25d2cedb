use std::collections::HashSet;

use doorbell_protocol::SessionId;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::session::Identity;

fn user(number: usize) -> UserId {
    UserId::new(format!("user-{number}")).unwrap()
}

/// A session without a socket: nothing here writes.
fn session(of: &UserId) -> Arc<Session> {
    Session::without_socket(Identity { user: of.clone(), device: None })
}

fn all(followers: &Followers, rows: Rows) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    (0..rows.count()).for_each(|number| followers.row(rows, number, &mut sessions));
    sessions.iter().map(|session| session.id()).collect()
}

#[test]
fn users_are_counted_once_however_many_sessions_they_have() {
    let mut followers = Followers::default();
    let (ada, bob) = (user(1), user(2));
    let (first, second, third) = (session(&ada), session(&ada), session(&bob));
    assert_eq!(followers.insert(&ada, &first), Change::Users);
    assert_eq!(followers.insert(&ada, &first), Change::Nothing);
    assert_eq!(followers.insert(&ada, &second), Change::Sessions);
    assert_eq!(followers.insert(&bob, &third), Change::Users);
    assert_eq!((followers.users(), followers.sessions()), (2, 3));

    assert_eq!(followers.remove(&ada, &first), Change::Sessions);
    assert_eq!(followers.remove(&ada, &first), Change::Nothing);
    assert_eq!(followers.remove(&ada, &second), Change::Users);
    assert_eq!(followers.remove(&bob, &third), Change::Users);
    assert_eq!((followers.users(), followers.sessions()), (0, 0));
}

#[test]
fn a_walk_meets_once_everybody_who_was_there_and_stayed_however_the_table_grows_and_shrinks() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut followers = Followers::default();
        let mut there: Vec<(UserId, Arc<Session>)> = Vec::new();
        let join = |followers: &mut Followers, there: &mut Vec<_>, random: &mut StdRng| {
            let user = user(random.random_range(0..5_000));
            let session = session(&user);
            followers.insert(&user, &session);
            there.push((user, session));
        };
        let leave =
            |followers: &mut Followers, there: &mut Vec<(UserId, Arc<Session>)>, random: &mut StdRng| {
                if !there.is_empty() {
                    let (user, session) = there.swap_remove(random.random_range(0..there.len()));
                    followers.remove(&user, &session);
                }
            };
        for _ in 0..random.random_range(1..2_000) {
            join(&mut followers, &mut there, &mut random);
        }
        let before: HashSet<_> = there.iter().map(|(_, session)| session.id()).collect();
        let grows = [true, false].choose(&mut random) == Some(&true);

        let (rows, mut met) = (followers.rows(), Vec::new());
        for number in 0..rows.count() {
            let mut sessions = Vec::new();
            followers.row(rows, number, &mut sessions);
            met.extend(sessions.iter().map(|session| session.id()));
            for _ in 0..random.random_range(0..400) {
                if random.random_bool(if grows { 0.9 } else { 0.1 }) {
                    join(&mut followers, &mut there, &mut random);
                } else {
                    leave(&mut followers, &mut there, &mut random);
                }
            }
        }

        let once: HashSet<_> = met.iter().copied().collect();
        assert_eq!(once.len(), met.len(), "seed {seed}: nobody twice");
        let stayed = there.iter().map(|(_, session)| session.id()).filter(|id| before.contains(id));
        assert!(stayed.into_iter().all(|id| once.contains(&id)), "seed {seed}: nobody missed");
        assert_eq!(all(&followers, followers.rows()).len(), there.len(), "seed {seed}");
    }
}
