//! Every interleaving of a small world around the real cursor: commits, steps of the announcer, stores that are lost, looks
//! which store answers, notes on disk, crashes. When nothing can move any more, the present store was told everything.
//! Leaving one rule out loses a commit, so each is needed, and the search would see it.
//!
//! In half of the worlds all of it happens within the window. In the others windows pass, after which what was told is
//! safe, and nothing safe is told again, whatever crashes. No commit is forgotten; [`super::tests`] has that.

use std::collections::BTreeSet;
use std::hash::Hash;

use doorbell_walk::{breaks, keeps};

use super::*;

const LONG: Duration = Duration::from_secs(1_000);
const WINDOW: Duration = Duration::from_secs(60);

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A step moves the cursor also where it went back meanwhile.
    Turn,
    /// The announcer goes on from where it stands.
    StepsGoBack,
    /// The identities are noted on disk first, and the cursor after.
    NotedTogether,
    /// What the stores are is known in memory alone.
    Noted,
    /// At the first start, announcements do not wait for the first look.
    FirstLook,
    /// The cursor moves when a step begins.
    ToldBeforeMoved,
    /// A start knows nothing of how long the ones before it looked.
    Trail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    commits: u64,
    losses: u8,
    crashes: u8,
    waits: u8,
}

/// A step of the announcer: what it tells, and whether it has.
#[derive(Clone, Copy, Debug)]
struct Step {
    from: Position,
    through: Place,
    told: bool,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Commit,
    Lose,
    Crash,
    /// Three windows pass, in which the store is looked at and the cursor is noted.
    Wait,
    Begin,
    Tell,
    End,
    Ask,
    Sight,
    Note,
    /// Only where it takes two steps.
    NoteIdentities,
}

struct World {
    without: Without,
    left: Budget,
    start: Instant,
    committed: u64,
    /// The present store, and the commits that it was told of.
    store: u8,
    told: BTreeSet<u64>,
    /// No loss takes the commits up to here, and nobody is told of them again.
    safe: u64,
    told_safe: bool,
    cursor: Cursor,
    disk: Note,
    /// As far as the announcer has come.
    rung: Place,
    step: Option<Step>,
    /// The store that a look has met.
    looked: Option<u8>,
}

fn identities(store: u8) -> Identities {
    [PartitionIdentity(store.to_string())].into()
}

impl World {
    fn new(without: Without, budget: Budget) -> Self {
        let cursor = Cursor::new(&Note::default());
        Self {
            without,
            left: budget,
            start: Instant::now() + LONG,
            committed: 0,
            store: 0,
            told: BTreeSet::new(),
            safe: 0,
            told_safe: false,
            rung: cursor.place(),
            cursor,
            disk: Note::default(),
            step: None,
            looked: None,
        }
    }

    fn copy(&self) -> Self {
        let State { place, before, forgotten, ref identities, sighted, ref history, ref trail, counted } =
            *self.cursor.state.lock();
        let (identities, trail) = (Arc::clone(identities), trail.clone());
        let history = History(history.0.clone());
        let state = State { place, before, forgotten, identities, sighted, history, trail, counted };
        let turn = watch::Sender::new(*self.cursor.turn.borrow());
        Self {
            cursor: Cursor { state: Mutex::new(state), turn },
            told: self.told.clone(),
            disk: self.disk.clone(),
            ..*self
        }
    }

    fn known(&self) -> Identities {
        Arc::clone(&self.cursor.state.lock().identities)
    }

    /// What a note would write now.
    fn note(&self) -> Note {
        let noted = self.copy().cursor.note(self.start, LONG * 1_000);
        match self.without {
            Without::Noted => Note { identities: Identities::default(), ..noted },
            Without::Trail => Note { trail: Trail::default(), ..noted },
            _ => noted,
        }
    }

    /// As `Announcer::steps`.
    fn may_begin(&self) -> bool {
        let known = self.cursor.turn.borrow().is_some() || self.without == Without::FirstLook;
        known && self.step.is_none() && (self.from().position.0 < self.committed)
    }

    fn from(&self) -> Place {
        let place = self.cursor.place();
        let goes_back = place.turn != self.rung.turn && self.without != Without::StepsGoBack;
        if goes_back { place } else { Place { turn: place.turn, ..self.rung } }
    }

    fn begin(&mut self) {
        let from = self.from();
        let through = Place { position: Position(self.committed), turn: from.turn };
        self.step = Some(Step { from: from.position, through, told: false });
        if self.without == Without::ToldBeforeMoved {
            self.cursor.advance(through);
        }
    }

    /// Looks often enough that the trail knows of the time.
    fn wait(&mut self) {
        self.safe = self.cursor.place().position.0;
        for _ in 0..=6 {
            self.cursor.note(self.start, LONG * 1_000);
            self.cursor.sight(identities(self.store), self.start, WINDOW);
            self.start += WINDOW / 2;
        }
        self.start -= WINDOW / 2;
        self.disk = self.note();
    }

    fn end(&mut self) {
        let Step { mut through, .. } = self.step.take().expect("it was begun");
        self.rung = through;
        if self.without == Without::Turn {
            through.turn = self.cursor.place().turn;
            self.rung.turn = through.turn;
        }
        self.cursor.advance(through);
    }
}

impl doorbell_walk::World for World {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<> {
        let place = self.cursor.place();
        let known = self.known().first().map(|identity| identity.0.clone());
        let noted = (self.disk.announced, self.disk.identities.first().map(|identity| identity.0.clone()));
        let rung = (self.rung.position, self.rung.turn == place.turn);
        let step = self
            .step
            .map(|step| (step.from, step.through.position, step.through.turn == place.turn, step.told));
        let sighted = self.cursor.state.lock().sighted.is_some();
        let truth = (self.left, self.committed, self.store, self.told.clone(), self.safe, self.told_safe);
        let trails = (self.cursor.state.lock().trail.clone().places, self.disk.trail.places.clone());
        (truth, place.position, known, noted, trails, rung, step, self.looked, sighted)
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let told = self.step.map(|step| step.told);
        let note = self.note();
        let apart = self.without == Without::NotedTogether && note.identities != self.disk.identities;
        let system = [
            (self.may_begin(), Move::Begin),
            (told == Some(false), Move::Tell),
            (told == Some(true), Move::End),
            (self.looked.is_none() && self.known() != identities(self.store), Move::Ask),
            (self.looked.is_some(), Move::Sight),
            (apart, Move::NoteIdentities),
            (!apart && note != self.disk, Move::Note),
        ];
        let Budget { commits, losses, crashes, waits } = self.left;
        let quiet = self.looked.is_none() && self.known() == identities(self.store);
        let outside = [
            (commits > 0, Move::Commit),
            (losses > 0, Move::Lose),
            (crashes > 0, Move::Crash),
            (waits > 0 && quiet, Move::Wait),
        ];
        let on = |(is_on, step): (bool, Move)| is_on.then_some(step);
        (system.into_iter().filter_map(on).collect(), outside.into_iter().filter_map(on).collect())
    }

    fn after(&self, step: Move) -> Self {
        let mut next = self.copy();
        match step {
            Move::Commit => {
                next.left.commits -= 1;
                next.committed += 1;
            }
            Move::Lose => {
                next.left.losses -= 1;
                next.store += 1;
                next.told = (1..=next.safe).collect();
            }
            Move::Crash => {
                next.left.crashes -= 1;
                next.cursor = Cursor::new(&next.disk);
                (next.rung, next.step, next.looked) = (next.cursor.place(), None, None);
            }
            Move::Wait => {
                next.left.waits -= 1;
                next.wait();
            }
            Move::Begin => next.begin(),
            Move::Tell => {
                let step = next.step.as_mut().expect("it was begun");
                step.told = true;
                next.told_safe |= step.from.0 < next.safe;
                next.told.extend(step.from.0 + 1..=step.through.position.0);
            }
            Move::End => next.end(),
            Move::Ask => next.looked = Some(next.store),
            Move::Sight => {
                let seen = identities(next.looked.take().expect("it was asked"));
                next.cursor.sight(seen, next.start, WINDOW);
            }
            Move::Note => next.disk = next.note(),
            Move::NoteIdentities => next.disk.identities = next.note().identities,
        }
        next
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        self.told_safe || at_rest && !(1..=self.committed).all(|commit| self.told.contains(&commit))
    }
}

const LOSSES: Budget = Budget { commits: 2, losses: 2, crashes: 2, waits: 0 };
const WINDOWS: Budget = Budget { commits: 2, losses: 2, crashes: 2, waits: 1 };

#[test]
fn whatever_is_lost_when_the_present_store_is_told_everything() {
    keeps(World::new(Without::Nothing, LOSSES), 2_000);
}

#[test]
fn whatever_is_lost_later_than_a_window_after_it_was_told_is_safe_and_not_told_again() {
    keeps(World::new(Without::Nothing, WINDOWS), 2_000);
}

#[test]
fn how_long_the_stores_were_looked_at_is_noted() {
    breaks(World::new(Without::Trail, WINDOWS), Without::Trail);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, LOSSES), Without::$without); })+
    };
}

each_rule_is_needed! {
    a_step_of_a_turn_that_is_over_moves_nothing: Turn,
    the_announcer_goes_back_with_the_cursor: StepsGoBack,
    cursor_and_identities_are_noted_together: NotedTogether,
    identities_are_noted: Noted,
    the_first_announcement_waits_for_the_first_look: FirstLook,
    the_cursor_moves_after_it_was_told: ToldBeforeMoved,
}
