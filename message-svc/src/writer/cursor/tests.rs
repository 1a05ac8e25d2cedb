use super::*;

const WINDOW: Duration = Duration::from_secs(60);
const KEPT_FOR: Duration = Duration::from_secs(120);

/// A cursor on a clock of its own.
struct Case {
    cursor: Cursor,
    start: Instant,
}

impl Case {
    /// One that was noted at a position, with these identities.
    fn new(announced: u64, forgotten: u64, noted: &[&str]) -> Self {
        let (announced, forget) = (Position(announced), Position(forgotten));
        let cursor =
            Cursor::new(&Note { announced, forget, identities: identities(noted), ..Note::default() });
        // Far enough from the beginning of time.
        Self { cursor, start: Instant::now() + Duration::from_secs(1_000) }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn sight(&self, second: u64, seen: &[&str]) -> Sighting {
        self.cursor.sight(identities(seen), self.at(second), WINDOW)
    }

    fn note(&self, second: u64) -> (u64, u64) {
        let note = self.cursor.note(self.at(second), KEPT_FOR);
        (note.announced.0, note.forget.0)
    }

    fn announce(&self, position: u64) -> bool {
        let Place { turn, .. } = self.cursor.place();
        self.cursor.advance(Place { position: Position(position), turn })
    }

    fn position(&self) -> u64 {
        self.cursor.place().position.0
    }
}

fn identities(names: &[&str]) -> Identities {
    names.iter().map(|name| PartitionIdentity((*name).to_owned())).collect()
}

fn changed(from: u64, to: u64) -> Sighting {
    Sighting::Changed(Position(from), Position(to))
}

#[test]
fn the_first_look_ever_takes_the_identities_over_and_moves_nothing() {
    let case = Case::new(0, 0, &[]);
    assert_eq!(*case.cursor.turns().borrow(), None, "nothing is announced before it");
    case.announce(5);
    assert_eq!(case.sight(0, &["a", "b"]), Sighting::Known);
    assert_eq!((case.position(), *case.cursor.turns().borrow()), (5, Some(0)));
}

#[test]
fn another_identity_takes_the_cursor_back_by_the_window_before_the_last_sighting_and_no_further() {
    let case = Case::new(0, 0, &["a", "b"]);
    for second in 0..200 {
        case.sight(second, &["a", "b"]);
        case.announce(second + 1);
        case.note(second);
    }
    // Away for 100 s, in which nothing can be announced: the window is that before it went.
    assert_eq!(case.sight(300, &["a", "c"]), changed(200, 140));
    assert_eq!(case.position(), 140);
    assert_eq!(case.sight(301, &["a", "c"]), Sighting::Known);
}

#[test]
fn what_was_begun_before_the_cursor_went_back_does_not_move_it() {
    let case = Case::new(7, 3, &["a"]);
    case.sight(0, &["a"]);
    let begun = Place { position: Position(9), ..case.cursor.place() };
    assert_eq!(case.sight(1, &["b"]), changed(7, 3));
    assert!(!case.cursor.advance(begun));
    assert_eq!(case.position(), 3);
    assert!(case.announce(9));
    assert_eq!(case.position(), 9);
}

#[test]
fn a_change_while_nothing_ran_takes_it_back_to_the_oldest_commit_that_is_kept() {
    let case = Case::new(70, 20, &["a"]);
    assert_eq!(case.sight(0, &["b"]), Sighting::ChangedMeanwhile(Position(70), Position(20)));
    let case = Case::new(70, 20, &["a", "b"]);
    let fewer = case.sight(0, &["a"]);
    assert_eq!(fewer, Sighting::ChangedMeanwhile(Position(70), Position(20)), "another number of partitions");
}

#[test]
fn each_change_takes_it_back_once_also_over_what_was_announced_again() {
    let case = Case::new(0, 0, &["a", "b"]);
    for second in 0..100 {
        case.sight(second, &["a", "b"]);
        case.announce(second + 1);
        case.note(second);
    }
    assert_eq!(case.sight(100, &["x", "b"]), changed(100, 40));
    case.announce(80);
    assert_eq!(case.sight(101, &["x", "y"]), changed(80, 40), "40 to 80 were announced to b as well");
    case.announce(100);
    for second in 102..110 {
        assert_eq!(case.sight(second, &["x", "y"]), Sighting::Known);
        case.note(second);
    }
    assert_eq!(case.position(), 100);
    case.announce(101);
    case.note(110);
    for second in 111..200 {
        case.sight(second, &["x", "y"]);
    }
    // All of the window is after the last time that it went back: 40 and what followed were told to others long ago.
    assert_eq!(case.sight(200, &["x", "z"]), changed(101, 101));
}

/// Looks at the same store once a second for so long, with a commit each.
fn live(case: &Case, seconds: u64, store: &str) {
    let from = case.position();
    for second in 0..seconds {
        case.note(second);
        case.sight(second, &[store]);
        case.announce(from + second + 1);
    }
    case.note(seconds);
}

/// The next start, a thousand seconds after the noted end of this one.
fn restart(case: &Case) -> Case {
    let noted = case.cursor.note(case.at(0), KEPT_FOR);
    Case { cursor: Cursor::new(&noted), start: case.start + Duration::from_secs(1_000) }
}

#[test]
fn however_short_the_lives_a_start_goes_back_by_the_window_and_no_further() {
    let mut case = Case::new(0, 0, &["a"]);
    for _ in 0..60 {
        live(&case, 20, "a");
        case = restart(&case);
    }
    let Sighting::ChangedMeanwhile(from, to) = case.sight(0, &["b"]) else { panic!("it is another one") };
    assert_eq!(from.0, 60 * 20);
    let seconds = from.0 - to.0;
    // Each of the four lives of a window loses less than a tick, and so do the ends of the window.
    assert!((60..=60 + 6 * 8).contains(&seconds), "{seconds}");
}

#[test]
fn a_change_that_comes_soon_after_a_start_goes_back_by_what_earlier_ones_noted() {
    let case = Case::new(0, 0, &["a"]);
    live(&case, 300, "a");
    let case = restart(&case);
    live(&case, 10, "a");
    let Sighting::Changed(from, to) = case.sight(11, &["b"]) else { panic!("it is another one") };
    assert!((60..=60 + 3 * 8).contains(&(from.0 - to.0)), "{from:?} {to:?}");
}

#[test]
fn what_a_start_announces_again_is_of_the_window_for_the_next_one() {
    let case = Case::new(0, 0, &["a"]);
    live(&case, 300, "a");
    let case = restart(&case);
    let Sighting::ChangedMeanwhile(_, to) = case.sight(0, &["b"]) else { panic!("it is another one") };
    case.announce(300);
    let case = restart(&case);
    assert_eq!(case.sight(0, &["b"]), Sighting::Known, "once for each change");
    assert_eq!(case.position(), 300);
    let case = restart(&case);
    assert_eq!(
        case.sight(0, &["c"]),
        Sighting::ChangedMeanwhile(Position(300), to),
        "b was told it just now"
    );
    // When b would have had it for longer than the window, it is not.
    live(&case, 100, "c");
    let case = restart(&case);
    let Sighting::ChangedMeanwhile(from, to) = case.sight(0, &["d"]) else { panic!("it is another one") };
    assert!((60..=60 + 3 * 8).contains(&(from.0 - to.0)), "{from:?} {to:?}");
}

#[test]
fn an_idle_shard_goes_back_over_nothing_and_notes_nothing() {
    let case = Case::new(7, 3, &["a"]);
    for second in 0..100 {
        case.note(second);
        case.sight(second, &["a"]);
    }
    let noted = case.cursor.note(case.at(100), KEPT_FOR);
    for second in 101..10_000 {
        case.sight(second, &["a"]);
        let note = case.cursor.note(case.at(second), Duration::from_secs(20_000));
        assert_eq!(note, noted);
    }
    let case = restart(&case);
    assert_eq!(case.sight(0, &["b"]), Sighting::ChangedMeanwhile(Position(7), Position(7)));
}

#[test]
fn a_store_in_memory_that_began_with_this_process_has_nothing_announced_again() {
    let case = Case::new(70, 20, &["memory-1"]);
    assert_eq!(case.sight(0, &["memory-2"]), Sighting::Known);
    assert_eq!((case.position(), *case.cursor.turns().borrow()), (70, Some(0)));
    let case = Case::new(70, 20, &["memory-1"]);
    let other = case.sight(0, &["redis"]);
    assert_eq!(
        other,
        Sighting::ChangedMeanwhile(Position(70), Position(20)),
        "others may be told by that one"
    );
}

#[test]
fn a_note_lets_go_of_so_many_commits_and_the_next_one_of_the_rest() {
    let case = Case::new(0, 0, &["a"]);
    case.announce(2 * FORGOTTEN_MAX + 5);
    case.note(0);
    case.sight(KEPT_FOR.as_secs(), &["a"]);
    let forgotten = [500, 501, 502, 503].map(|second| case.note(second).1);
    let all = 2 * FORGOTTEN_MAX + 5;
    assert_eq!(forgotten, [FORGOTTEN_MAX, 2 * FORGOTTEN_MAX, all, all]);
}

#[test]
fn commits_are_forgotten_by_the_time_of_the_last_sighting() {
    let case = Case::new(0, 0, &["a"]);
    for second in 0..=200 {
        case.announce(second + 1);
        // Nothing was seen yet in this life.
        assert_eq!(case.note(second).1, 0);
    }
    case.sight(200, &["a"]);
    assert_eq!(case.note(200), (201, 81));
    for second in 201..400 {
        assert_eq!(case.note(second), (201, 81), "nobody knows which store has what");
    }
    assert_eq!(case.sight(400, &["b"]), changed(201, 141));
}

#[test]
fn a_history_without_room_remembers_lower_places() {
    let mut history = History::default();
    let start = Instant::now();
    for step in 0..MOMENTS_MAX as u64 + 10 {
        history.push(start + Duration::from_millis(step), Position(step));
    }
    assert_eq!(history.0.len(), MOMENTS_MAX);
    let last = history.lowest_since(start + Duration::from_secs(1_000));
    assert_eq!(last, Some(Position(MOMENTS_MAX as u64 - 1)));
    assert_eq!(history.lowest_since(start - Duration::from_millis(1)), None);
}
