//! Walks through every order of a small world's moves, breadth first: for tests that a rule is kept whatever comes first,
//! and needed.
//!
//! A test makes a [`World`] of a few parts and a few moves, walks with all rules kept ([`keeps`]) and once without each
//! ([`breaks`]). A way that is found is the shortest there is.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

/// What can be in one state and move to others.
pub trait World: Sized {
    /// One move.
    type Move: Copy + Debug;

    /// What tells two states apart that may go on differently.
    fn key(&self) -> impl Eq + Hash + use<Self>;

    /// What may come next: the system's own moves, and those of whatever is outside of it. Where the system has none, it
    /// rests.
    fn moves(&self) -> (Vec<Self::Move>, Vec<Self::Move>);

    /// The state after a move.
    #[must_use]
    fn after(&self, step: Self::Move) -> Self;

    /// Whether this must never be, at rest or not.
    fn is_wrong(&self, at_rest: bool) -> bool;
}

/// The shortest way to a state that is wrong, and how many states were seen.
#[must_use]
pub fn search<W: World>(start: W) -> (Option<Vec<W::Move>>, usize) {
    let mut seen = HashSet::from([start.key()]);
    let mut ways: Vec<(Option<W::Move>, usize)> = vec![(None, 0)];
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((world, at)) = open.pop_front() {
        let (system, outside) = world.moves();
        if world.is_wrong(system.is_empty()) {
            return (Some(way(&ways, at)), seen.len());
        }
        for step in system.into_iter().chain(outside) {
            let next = world.after(step);
            if seen.insert(next.key()) {
                ways.push((Some(step), at));
                open.push_back((next, ways.len() - 1));
            }
        }
    }
    (None, seen.len())
}

fn way<M: Copy>(ways: &[(Option<M>, usize)], mut at: usize) -> Vec<M> {
    let mut way = Vec::new();
    while let (Some(step), before) = ways[at] {
        way.push(step);
        at = before;
    }
    way.reverse();
    way
}

/// Demands that no state is wrong, and that there are enough of them to mean something.
///
/// # Panics
/// With the way to a state that is wrong, or where fewer than `worlds_min` were seen.
pub fn keeps<W: World>(start: W, worlds_min: usize) {
    let (wrong, worlds) = search(start);
    assert!(wrong.is_none(), "wrong after {wrong:#?}");
    assert!(worlds >= worlds_min, "only {worlds} worlds: the search was too small to mean anything");
}

/// Demands that some state is wrong, where a rule is left out; `--nocapture` shows how it comes to that.
///
/// # Panics
/// Where nothing goes wrong: the rule is not needed, or the world too small to need it.
#[expect(clippy::print_stdout, reason = "a test's output is shown to whoever asks for it")]
pub fn breaks<W: World>(start: W, without: impl Debug) {
    let (wrong, worlds) = search(start);
    println!("without {without:?}, wrong after {wrong:?}");
    assert!(wrong.is_some(), "nothing went wrong in {worlds} worlds without {without:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to three by itself, and is set back from outside once.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    struct Counter {
        count: u32,
        resets: u32,
        wrong_at: u32,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Step {
        Count,
        Reset,
    }

    impl World for Counter {
        type Move = Step;

        fn key(&self) -> impl Eq + Hash + use<> {
            *self
        }

        fn moves(&self) -> (Vec<Step>, Vec<Step>) {
            let system = if self.count < 3 { vec![Step::Count] } else { Vec::new() };
            (system, if self.resets > 0 { vec![Step::Reset] } else { Vec::new() })
        }

        fn after(&self, step: Step) -> Self {
            match step {
                Step::Count => Self { count: self.count + 1, ..*self },
                Step::Reset => Self { count: 0, resets: self.resets - 1, ..*self },
            }
        }

        fn is_wrong(&self, at_rest: bool) -> bool {
            at_rest && self.resets == 0 && self.count == self.wrong_at
        }
    }

    fn counter(wrong_at: u32) -> Counter {
        Counter { count: 0, resets: 1, wrong_at }
    }

    #[test]
    fn the_shortest_way_is_found_through_moves_from_outside() {
        let (way, _) = search(counter(3));
        assert_eq!(way, Some(vec![Step::Reset, Step::Count, Step::Count, Step::Count]));
    }

    #[test]
    fn each_state_is_seen_once() {
        assert_eq!(search(counter(9)), (None, 8));
        keeps(counter(9), 8);
    }

    #[test]
    #[should_panic(expected = "too small")]
    fn a_search_that_is_too_small_is_no_proof() {
        keeps(counter(9), 9);
    }

    #[test]
    #[should_panic(expected = "wrong after")]
    fn what_goes_wrong_is_shown() {
        keeps(counter(3), 1);
    }

    #[test]
    #[should_panic(expected = "nothing went wrong")]
    fn a_rule_that_is_not_needed_is_named() {
        breaks(counter(9), "a rule");
    }
}
