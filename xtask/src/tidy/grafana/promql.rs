//! Which metrics an expression of Prometheus' language asks for.

/// Words that are no metrics although no parenthesis follows.
const WORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
    "start",
    "end",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
];
/// Words with a list of labels behind them.
const LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The names of an expression's metrics, in their order.
pub fn metrics_of(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' | '\'' | '`' => after(&rest[1..], first),
            '{' => after_braces(&rest[1..]),
            '[' => after(&rest[1..], ']'),
            _ if is_word(first) && !first.is_ascii_digit() => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                let called = behind.trim_start().starts_with('(');
                if LISTS.contains(&word) && called {
                    after(behind, ')')
                } else {
                    if !called && !WORDS.contains(&word) && !LISTS.contains(&word) {
                        found.push(word);
                    }
                    behind
                }
            }
            // A number, with its unit: 5m, 1e3.
            _ if first.is_ascii_digit() => {
                &rest[rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len())..]
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// Behind the selector that was begun; a value in quotes may hold a brace.
fn after_braces(mut text: &str) -> &str {
    loop {
        match text.find(['"', '}']) {
            None => return "",
            Some(at) if text[at..].starts_with('}') => return &text[at + 1..],
            Some(at) => text = after(&text[at + 1..], '"'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_functions_labels_and_words() {
        for (expression, expected) in [
            (
                "histogram_quantile(0.99, sum by (le) (rate(a_bucket{x=~\"b|c}\"}[$__rate_interval])))",
                vec!["a_bucket"],
            ),
            ("sum(a) / on (b) group_left (c) d offset 5m > bool 1e3", vec!["a", "d"]),
            ("count(up{job=\"doorbell\"} == 0) or vector(0)", vec!["up"]),
            ("max_over_time(sum(a)[10m:]) unless (max(b) > 0.5)", vec!["a", "b"]),
            ("a and on() b", vec!["a", "b"]),
        ] {
            assert_eq!(metrics_of(expression), expected, "{expression}");
        }
    }
}
