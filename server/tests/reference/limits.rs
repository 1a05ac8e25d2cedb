//! Limits that are fixed because clients rely on them, or because nobody has needed to set them: the constants of these
//! folders whose names end in `_MAX` or `_MIN`, and the sizes of pages, with what is written above each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Title, and where its constants stand: files, or folders with all that is below them.
const PARTS: &[(&str, &[&str])] = &[
    ("Frames, names, values", &["protocol/src"]),
    ("Methods", &["message-svc/src/api", "message-svc/src/service", "message-svc/src/read"]),
    (
        "HTTP, sockets, tokens",
        &["gateway/src/config.rs", "gateway/src/http", "gateway/src/listener", "gateway/src/auth"],
    ),
    ("Hints", &["backplane/src/queue.rs"]),
    ("Back ends of the operator's own", &["upstream/src"]),
];

const INTRODUCTION: &str = "
## Fixed limits

They cannot be set. Bytes are bytes of UTF-8 where text is meant; a page's size is the one without `limit`, and the
greatest `limit`.
";

/// The section of `docs/configuration.md`.
pub fn section(root: &Path) -> String {
    let mut out = INTRODUCTION.to_owned();
    for (title, places) in PARTS {
        let _ = write!(out, "\n### {title}\n\n| limit | value | meaning |\n| --- | ---: | --- |\n");
        for file in places.iter().flat_map(|place| sources(&root.join(place))) {
            for (name, value, about) in constants(&std::fs::read_to_string(&file).unwrap()) {
                let _ = writeln!(out, "| `{name}` | {value} | {} |", about.replace('|', "\\|"));
            }
        }
    }
    out
}

/// A file, or the Rust files of a folder, in the order of their names.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let mut entries: Vec<_> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let ours =
        entries.into_iter().filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
    ours.flat_map(|path| sources(&path)).collect()
}

/// Name, value and text of each limit in a source.
fn constants(source: &str) -> Vec<(String, String, String)> {
    let (mut found, mut above) = (Vec::new(), String::new());
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            above.push_str(text);
            continue;
        }
        let about = std::mem::take(&mut above).trim().to_owned();
        let declared =
            line.split_once("const ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        let Some((name, kind, value)) = declared.and_then(|(_, rest)| parts(rest)) else { continue };
        let is_page = kind == "(u32, u32)";
        if is_page || name.ends_with("_MAX") || name.ends_with("_MIN") {
            assert!(about.len() > 10, "{name} does not say what it bounds");
            found.push((name.to_owned(), shown(name, value, is_page), about));
        }
    }
    found
}

/// `NAME: kind = value;` in its parts.
fn parts(declaration: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = declaration.split_once(": ")?;
    let (kind, value) = rest.strip_suffix(';')?.split_once(" = ")?;
    Some((name, kind, value))
}

fn shown(name: &str, value: &str, is_page: bool) -> String {
    let sole = |value: &str| number(value).unwrap_or_else(|| panic!("{name}: cannot read the value {value}"));
    if is_page {
        let (default, most) = value.trim_matches(['(', ')']).split_once(", ").expect("two sizes");
        return format!("{}, {} at most", sole(default), sole(most));
    }
    match value.strip_prefix("Duration::from_secs(").and_then(|rest| rest.strip_suffix(')')) {
        Some(secs) => format!("{} s", sole(secs)),
        None => sole(value).to_string(),
    }
}

/// A number, a product or a shift of numbers.
fn number(text: &str) -> Option<u64> {
    if let Some((left, right)) = text.split_once(" << ") {
        return Some(number(left)? << number(right)?);
    }
    let mut factors = text.split(" * ").map(|factor| {
        let digits = factor.replace('_', "");
        let digits = digits.strip_suffix(".0").unwrap_or(&digits);
        digits.parse::<u64>().ok()
    });
    factors.try_fold(1, |product, factor| Some(product * factor?))
}
