//! Figures and texts for people.

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

/// A moment of a run, in microseconds: `1:23.456`.
pub fn moment(at: u64) -> String {
    format!("{}:{:02}.{:03}", at / 60_000_000, at / 1_000_000 % 60, at / 1_000 % 1_000)
}

/// A length in microseconds: `850 ms`, `12.5 s`, `5 min 03 s`.
pub fn length(micros: u64) -> String {
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
