use super::*;

const VERSION: Moment = 90;

fn returning(lost: Lost) -> Returning {
    Returning::new(&Job { lost, ..Job::of_one(Vec::new()) })
}

/// A session that was there and is lost by a loss of that kind, a second ago.
fn lost(how: Losing) -> (Returning, Socket, Returns) {
    let (mut returning, mut socket, mut returns) =
        (returning(Lost::Back), Socket::new(1), Returns::default());
    returning.lose(Loss { at: clock::now() - 1_000_000, how, version: VERSION });
    match how {
        Losing::Cut => {
            assert!(returning.is_to_cut(clock::now()) && !returning.is_to_cut(clock::now()), "once");
            returning.lost(0, &mut socket, &mut returns);
        }
        Losing::Killed => {
            assert!(!returning.is_to_cut(clock::now()));
            let verdict = returning.over((0, &mut socket), Stage::Open, &"reset".into(), &mut returns);
            assert_eq!(verdict, Verdict::Expected);
        }
    }
    assert_eq!((socket.life, returns.lost), (Life::Lost, 1));
    (returning, socket, returns)
}

fn over(then: Then) -> Over {
    Over { why: "why".to_owned(), then }
}

#[test]
fn who_is_lost_comes_back_after_backoff_and_no_sooner_than_a_door_says() {
    let (mut returning, mut socket, mut returns) = lost(Losing::Cut);

    assert_eq!(returning.due(clock::now() + 250_000), Some(0), "its first wait is at most 250 ms");
    assert!(!returning.is_waiting());
    let (now, then) = (clock::now(), Then::After(Duration::from_secs(3)));
    let verdict = returning.over((0, &mut socket), Stage::Upgrading, &over(then), &mut returns);

    assert_eq!((verdict, returns.turned_away, returns.failures), (Verdict::Expected, 1, 0));
    assert_eq!(returning.due(now + 2_999_999), None);
    assert_eq!(returning.due(clock::now() + 3_500_000), Some(0), "and its second at most 500 ms more");
}

#[test]
fn a_wait_that_never_ends_is_one() {
    let (mut returning, mut socket, mut returns) = lost(Losing::Cut);
    returning.due(Moment::MAX);

    returning.over((0, &mut socket), Stage::Upgrading, &over(Then::After(Duration::MAX)), &mut returns);
    assert_eq!(returning.next(), Some(Moment::MAX));

    returning.due(Moment::MAX);
    assert!(returning.ask_again((0, Life::Lost), Duration::MAX, &mut returns));
    assert_eq!(returning.next(), Some(Moment::MAX));
}

#[test]
fn who_waits_draws_from_the_whole_time_up_to_a_bound_that_doubles() {
    let (mut returning, mut socket, mut returns) = lost(Losing::Cut);
    let mut most = [0; 6];
    for _ in 0..200 {
        socket.backoff.reset();
        for longest in &mut most {
            while returning.due(Moment::MAX).is_some() {}
            let now = clock::now();
            returning.over((0, &mut socket), Stage::Connecting, &over(Then::Backoff), &mut returns);
            *longest = (*longest).max(returning.next().unwrap().saturating_sub(now));
        }
    }

    for (longest, bound) in most.into_iter().zip([250, 500, 1_000, 2_000, 2_000, 2_000]) {
        // Of 200 draws the longest is near the bound; a slow machine adds what passes between two looks.
        assert!((bound * 900..=bound * 1_000 + 100_000).contains(&longest), "{most:?}");
    }
}

#[test]
fn what_the_door_does_is_no_failure_and_everything_else_is() {
    for (then, verdict, counts) in [
        (Then::After(Duration::ZERO), Verdict::Expected, [1, 0, 0, 0]),
        (Then::Unanswered, Verdict::Expected, [0, 1, 0, 0]),
        (Then::Backoff, Verdict::Failed, [0, 0, 1, 0]),
        (Then::Never, Verdict::Ended, [0, 0, 1, 1]),
    ] {
        let (mut returning, mut socket, mut returns) = lost(Losing::Cut);
        returning.due(Moment::MAX);

        assert_eq!(returning.over((0, &mut socket), Stage::Upgrading, &over(then), &mut returns), verdict);

        let Returns { turned_away, unanswered, failures, refused, unserved, .. } = returns;
        assert_eq!([turned_away, unanswered, failures, refused], counts, "{then:?}");
        assert_eq!((unserved, returning.is_waiting()), (0, verdict != Verdict::Ended), "{then:?}");
    }
}

#[test]
fn who_finds_no_server_fails_only_once_there_is_one_again() {
    let (mut returning, mut socket, mut returns) = lost(Losing::Killed);

    let mut end = |returning: &mut Returning| {
        returning.over((0, &mut socket), Stage::Connecting, &"connect: refused".into(), &mut returns)
    };
    assert_eq!(end(&mut returning), Verdict::Expected);
    returning.served();
    assert_eq!(end(&mut returning), Verdict::Failed);

    assert_eq!((returns.unserved, returns.failures), (1, 1));
}

#[test]
fn who_follows_is_current_once_it_knows_the_last_version_and_times_count_from_the_loss() {
    let (mut returning, mut socket, mut returns) = lost(Losing::Cut);
    let counted = |returning: &Returning, socket: &Socket| {
        let (Counts(back), Counts(current)) = returning.counts(std::iter::once(socket));
        [back, current]
            .map(|seen| seen.iter().map(|(micros, count)| (*micros >= 999_000, *count)).collect::<Vec<_>>())
    };
    let once = vec![(true, 1)];
    assert_eq!(
        counted(&returning, &socket),
        [once.clone(), once.clone()],
        "who is not back counts all the same"
    );

    assert!(returning.welcomed(&mut socket, clock::now(), &mut returns));
    (socket.stage, socket.known) = (Stage::Open, VERSION - 1);
    returning.knows(&mut socket, clock::now(), &mut returns);
    assert_eq!((returns.back, returns.current, socket.life), (1, 0, Life::Back));
    socket.known = VERSION;
    returning.knows(&mut socket, clock::now(), &mut returns);
    assert_eq!((returns.back, returns.current, returns.tries_most), (1, 1, 1));
    assert_eq!(counted(&returning, &socket), [once.clone(), once]);

    // Lost once more by itself, it is back but not current.
    let verdict = returning.over((0, &mut socket), Stage::Open, &over(Then::Backoff), &mut returns);
    assert_eq!((verdict, returns.current, returns.failures), (Verdict::Failed, 0, 1));
}

#[test]
fn who_is_held_back_at_the_door_at_first_comes_all_the_same_where_sessions_come_back() {
    let (after, unanswered) = (Then::After(Duration::ZERO), Then::Unanswered);
    for (lost, then, verdict) in [
        (Lost::Back, after, Verdict::Expected),
        (Lost::Back, unanswered, Verdict::Expected),
        (Lost::Back, Then::Never, Verdict::Ended),
        (Lost::Gone, after, Verdict::Ended),
        (Lost::Gone, unanswered, Verdict::Ended),
    ] {
        let (mut returning, mut socket, mut returns) = (returning(lost), Socket::new(1), Returns::default());
        let then = over(then);

        assert_eq!(returning.over((0, &mut socket), Stage::Upgrading, &then, &mut returns), verdict);

        assert_eq!((returning.is_waiting(), returns), (verdict == Verdict::Expected, Returns::default()));
        let ended = returning.over((0, &mut socket), Stage::Open, &over(Then::Backoff), &mut returns);
        assert_eq!(ended, Verdict::Ended, "nobody asked for another loss");
    }
}
