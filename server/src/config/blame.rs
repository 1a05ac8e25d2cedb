//! Says what is wrong with a configuration, where, and what was probably meant.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use toml::{Table, Value};

use super::layers::Setting;

/// Why there is no configuration. Never repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or cannot be read.
    #[error("cannot read the configuration file {}: {cause}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// What is wrong, one line each, where it was set and what was probably meant.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

/// One thing wrong in a file; a line counts from 1.
pub(super) fn in_file(path: &Path, line: Option<usize>, message: &str) -> String {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}: {message}", path.display())
}

/// The line of a byte, from 1.
pub fn line_at(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count()
}

/// The value at a path.
pub(super) fn look_up<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (key, rest) = path.split_first()?;
    let value = table.get(key)?;
    match (value, rest) {
        (value, []) => Some(value),
        (Value::Table(inner), rest) => look_up(inner, rest),
        _ => None,
    }
}

/// The key that is nearest to a misspelt one; `None` where none is near.
pub(super) fn nearest<'a>(key: &str, keys: impl IntoIterator<Item = &'a String>) -> Option<&'a str> {
    let near = |other: &&str| strsim::jaro_winkler(key, other) > 0.85;
    let score = |other: &str| strsim::jaro_winkler(key, other);
    keys.into_iter().map(String::as_str).filter(near).max_by(|one, other| score(one).total_cmp(&score(other)))
}

/// Turns serde's "unknown field `x`, expected one of …" into a sentence with the nearest key. Other messages stay.
pub(super) fn with_suggestion(message: &str, defaults: &Table) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let Some((key, expected)) = rest.split_once('`') else { return message.to_owned() };
    let valid: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    if let Some(near) = nearest(key, &valid) {
        return format!("unknown key `{key}`; did you mean `{near}`?");
    }
    let sections = defaults.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
    for (section, keys) in sections {
        if let Some(near) = nearest(key, keys.keys()) {
            return format!("unknown key `{key}`; did you mean `{near}` in the section [{section}]?");
        }
    }
    format!("unknown key `{key}`; the keys here are {}", valid.join(", "))
}

/// Names the key at fault, where the message does not.
pub(super) fn with_key(message: String, key: &str) -> String {
    if message.contains(key) { message } else { format!("`{key}`: {message}") }
}

/// Puts the section before each key that a rule of that section names: `a` becomes `section.a`.
pub(super) fn in_section(section: &str, rule: &str) -> String {
    if section.is_empty() {
        return rule.to_owned();
    }
    let rule = rule.strip_prefix(section).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(rule);
    if !rule.contains('`') {
        return format!("[{section}] {rule}");
    }
    let mut out = String::with_capacity(rule.len() + 16);
    for (nth, part) in rule.split('`').enumerate() {
        let is_key = nth % 2 == 1 && part.starts_with(|c: char| c.is_ascii_lowercase());
        match (nth % 2 == 1, is_key) {
            (true, true) => _ = write!(out, "`{section}.{part}`"),
            (true, false) => _ = write!(out, "`{part}`"),
            (false, _) => out.push_str(part),
        }
    }
    out
}

/// Adds to each rule where its keys were set.
pub(super) fn locate(
    rules: &[String],
    file: Option<&Path>,
    text: &str,
    settings: &[&Setting],
) -> Vec<String> {
    let place = |key: &str| {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        if let Some(setting) = settings.iter().rev().find(|setting| setting.path == path) {
            return Some(format!("{key}: {}", setting.origin));
        }
        let line = line_of(text, &path)?;
        Some(format!("{key}: {}:{line}", file?.display()))
    };
    let with_places = |rule: &String| {
        let places: Vec<String> = rule.split('`').skip(1).step_by(2).filter_map(place).collect();
        if places.is_empty() { rule.clone() } else { format!("{rule} (set at {})", places.join(", ")) }
    };
    rules.iter().map(with_places).collect()
}

/// The line on which a key, or the first key of a section, stands in a file.
pub(super) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let (section, key) = match path {
        [key] => (None, key),
        [section, key] => (Some(section), key),
        _ => return None,
    };
    let root = DeTable::parse(text).ok()?;
    let table = match section {
        None => root.get_ref(),
        Some(section) => root.get_ref().get(section.as_str())?.get_ref().as_table()?,
    };
    let (found, _) = table.get_key_value(key.as_str())?;
    Some(line_at(text, found.span().start))
}
