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
        let cursor = Cursor::new(Position(announced), Position(forgotten), identities(noted));
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
