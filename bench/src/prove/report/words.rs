//! Figures and texts for people.

use crate::prove::history::Micros;
use crate::prove::judge::verdict::{Outcome, Overall, Verdict};

/// A count with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A moment of a run: `1:23.456`.
pub fn moment(at: Micros) -> String {
    format!("{}:{:02}.{:03}", at / 60_000_000, at / 1_000_000 % 60, at / 1_000 % 1_000)
}

/// A length: `850 ms`, `12.5 s`, `5 min 03 s`.
pub fn length(micros: Micros) -> String {
    let seconds = micros / 1_000_000;
    match micros {
        0..10_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{seconds}.{} s", micros / 100_000 % 10),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Text as it may stand in a page.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(c),
        }
    }
    safe
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(moment(83_456_789), "1:23.456");
        assert_eq!(
            [850, 12_345, 12_500_000, 303_000_000].map(length),
            ["0.8 ms", "12 ms", "12.5 s", "5 min 03 s"]
        );
        assert_eq!(escaped("<a href=\"x\">&</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
    }
}
