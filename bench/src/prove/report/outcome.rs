//! A verdict in few words.

use crate::prove::judge::verdict::{Outcome, Overall, Verdict};
use crate::words::count;

/// The verdict in two or three words.
pub const fn overall(overall: Overall) -> &'static str {
    match overall {
        Overall::Kept => "Nothing lost",
        Overall::Lost => "Not kept",
        Overall::NotJudged => "Not judged",
        Overall::Invalid => "Shows nothing",
    }
}

/// How a rule came out, in few words.
pub fn outcome(outcome: &Outcome) -> String {
    match outcome.verdict() {
        Verdict::Holds => "holds".to_owned(),
        Verdict::Broken => format!("broken {}×", count(outcome.violated)),
        Verdict::NotJudged => "not judged".to_owned(),
    }
}
