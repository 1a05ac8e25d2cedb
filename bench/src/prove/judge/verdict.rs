//! What the judge answers.

use std::fmt;

use serde::Serialize;

use crate::prove::history::Micros;

/// Violations of one rule that are kept with their events; beyond it they are counted.
const KEPT_MAX: usize = 20;

macro_rules! rules {
    ($($name:ident = $id:literal, $what:literal, $meaning:literal;)+) => {
        /// One rule. The ids are those of `docs/prove.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Rule { $(#[doc = $meaning] $name,)+ }

        impl Rule {
            /// All of them, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// What it is about, in few words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what),+ }
            }

            /// What must be so.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),+ }
            }
        }
    };
}

rules! {
    L1 = "L1", "no loss", "Every acknowledged send is in the final log of its conversation.";
    L2 = "L2", "once", "A key has one entry at most, and all its answers name the same one.";
    L3 = "L3", "no phantom", "Every entry is what somebody sent, as it was sent; what was refused is not there.";
    L4 = "L4", "one order", "All pulls, by whomever and whenever, show parts of one gapless sequence that never changes.";
    L5 = "L5", "real time", "What was acknowledged before another was sent stands before it.";
    L6 = "L6", "fresh", "A pull shows what was acknowledged before the pull was asked.";
    H1 = "H1", "hinted", "Each change is hinted to every session that is there for it, or known by a pull, within T.";
    H2 = "H2", "end state", "At the end each hint-driven reader knows the head of each of its logs, by hints alone.";
    H3 = "H3", "authorised", "Only members are hinted and may pull, and a hint holds no content.";
    H4 = "H4", "few repeats", "Without faults at most one hint in a hundred says nothing new; with them, a few a fault.";
    U1 = "U1", "unread", "Unread counts are exact, and read marks never go back.";
    V1 = "V1", "alive again", "After T a connection, a send, a pull and a hint work at once.";
    V1Queue = "V1q", "queue empty", "After T nobody waits in the hint queue, and nothing was given up.";
    V2 = "V2", "no leak", "After the last client sockets, sessions, registrations, files and memory are as before.";
    V3 = "V3", "available", "While a fault spares who answers sends, 99 of 100 are acknowledged; who moves from a gateway that ends is never without a session.";
}

impl Rule {
    /// Those without which "nothing lost" cannot be said.
    pub const NEEDED: &'static [Self] = &[Self::L1, Self::L2, Self::L3, Self::L4, Self::H1, Self::H2];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// One break of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What was found.
    pub found: String,
    /// What should have been.
    pub expected: String,
    /// The events that show it, with their times.
    pub events: Vec<(Micros, String)>,
}

/// How one rule came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How many cases were looked at.
    pub checked: u64,
    /// How many broke the rule.
    pub violated: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
    /// Why it could not be judged. What broke it all the same counts.
    pub not_judged: Option<String>,
    /// What else there is to say: how much of it was judged.
    pub note: Option<String>,
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was judged and holds.
    Holds,
    /// It is broken.
    Broken,
    /// There was nothing to judge it by. Never the same as [`Verdict::Holds`].
    NotJudged,
}

impl Outcome {
    /// Nothing to judge it by.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { not_judged: Some(why.into()), ..Self::default() }
    }

    /// One case was looked at.
    pub const fn look(&mut self) {
        self.checked += 1;
    }

    /// One case broke the rule. The violation is made only where it is kept.
    pub fn broken(&mut self, violation: impl FnOnce() -> Violation) {
        self.violated += 1;
        if self.violations.len() < KEPT_MAX {
            self.violations.push(violation());
        }
    }

    /// Whether the rule holds.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        if self.violated > 0 {
            Verdict::Broken
        } else if self.checked > 0 && self.not_judged.is_none() {
            Verdict::Holds
        } else {
            Verdict::NotJudged
        }
    }

    /// Says why there is no verdict, where there is none and nothing else says it.
    pub(super) fn or_unknown(mut self, why: &str) -> Self {
        if self.checked == 0 {
            self.not_judged.get_or_insert_with(|| why.to_owned());
        }
        self
    }
}

/// What the run was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sends that were acknowledged, each key once.
    pub acked: u64,
    /// Keys whose fate nobody knows at the end.
    pub unknown: u64,
    /// Times that a send was asked again.
    pub repeats: u64,
    /// Sessions that had their welcome.
    pub sessions: u64,
    /// The most at one moment.
    pub sessions_peak: u64,
    /// Sessions of clients that had one before.
    pub reconnects: u64,
    /// Topics hinted.
    pub hints: u64,
    /// Pulls answered.
    pub pulls: u64,
    /// Faults made, and those that were seen to happen.
    pub faults: u64,
    /// Of these.
    pub effective: u64,
    /// Microseconds from the first event to the last.
    pub length: Micros,
}

/// Hint latencies of one kind: from a send to the hint of its version, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// In ascending order.
    pub sorted: Vec<u32>,
}

impl Spread {
    /// The value that `of_thousand` in a thousand do not pass; `None` where there is none.
    #[must_use]
    pub fn quantile(&self, of_thousand: usize) -> Option<u32> {
        let last = self.sorted.len().checked_sub(1)?;
        self.sorted.get((self.sorted.len() * of_thousand / 1_000).min(last)).copied()
    }
}

/// How long hints took, outside and inside of faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Sent and hinted while no fault was on, nor within T after one.
    pub calm: Spread,
    /// The others.
    pub faulty: Spread,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Each rule with how it came out.
    pub rules: Vec<(Rule, Outcome)>,
    /// Why the run shows nothing, where it does not.
    pub invalid: Vec<String>,
    /// What it was made of.
    pub counts: Counts,
    /// How long hints took.
    pub latency: Latency,
}

/// The verdict of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Nothing lost.
    Kept,
    /// A rule is broken.
    Lost,
    /// None is broken, and one of [`Rule::NEEDED`] could not be judged.
    NotJudged,
    /// Too little happened to tell.
    Invalid,
}

impl Judgement {
    /// A broken rule counts also in a run that is too small.
    #[must_use]
    pub fn overall(&self) -> Overall {
        if self.broken().next().is_some() {
            Overall::Lost
        } else if self.unjudged().next().is_some() {
            Overall::NotJudged
        } else if self.invalid.is_empty() {
            Overall::Kept
        } else {
            Overall::Invalid
        }
    }

    /// The rules of [`Rule::NEEDED`] that could not be judged, with why.
    pub fn unjudged(&self) -> impl Iterator<Item = (Rule, &str)> {
        let needed = self.rules.iter().filter(|(rule, _)| Rule::NEEDED.contains(rule));
        let open = needed.filter(|(_, outcome)| outcome.verdict() == Verdict::NotJudged);
        open.map(|(rule, outcome)| {
            (*rule, outcome.not_judged.as_deref().unwrap_or("there was nothing to judge it by"))
        })
    }

    /// The rules that are broken.
    pub fn broken(&self) -> impl Iterator<Item = Rule> {
        self.rules.iter().filter(|(_, outcome)| outcome.violated > 0).map(|(rule, _)| *rule)
    }
}

impl Overall {
    /// What the process ends with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Lost => 1,
            Self::NotJudged | Self::Invalid => 2,
        }
    }
}
