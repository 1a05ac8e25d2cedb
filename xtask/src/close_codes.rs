//! The table of close codes in docs/protocol.md, made from protocol/src/close.rs.

use anyhow::{Context, Result, bail};

/// Where the codes are defined.
pub const SOURCE: &str = "protocol/src/close.rs";
/// Where the table stands.
pub const DOCUMENT: &str = "docs/protocol.md";

const BEGIN: &str = "<!-- close codes: written by `cargo xtask docs` -->";
const END: &str = "<!-- end of close codes -->";

/// Puts the table made from `source` between the two marks of `document`.
///
/// # Errors
/// Where the source is not what this reads, or a mark is missing.
pub fn rewrite(document: &str, source: &str) -> Result<String> {
    let table = table(source)?;
    let (before, rest) =
        document.split_once(BEGIN).with_context(|| format!("the mark `{BEGIN}` is missing"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("the mark `{END}` is missing"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

fn table(source: &str) -> Result<String> {
    let (_, list) =
        source.split_once("\nclose_codes! {").context("no `close_codes! {` at the start of a line")?;
    let (list, _) = list.split_once("\n}").context("`close_codes!` has no end")?;
    let mut table = String::from("| code | why | the client |\n| --- | --- | --- |\n");
    let mut why = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("///") {
            why.push(text.trim());
            continue;
        }
        let (number, verdict) = entry(line).with_context(|| format!("cannot read `{line}`"))?;
        table.push_str(&format!("| {number} | {} | {} |\n", why.join(" "), advice(verdict)?));
        why.clear();
    }
    Ok(table)
}

/// `Name = 4400, Stop;` as its number and its verdict.
fn entry(line: &str) -> Option<(u16, &str)> {
    let (_, rest) = line.strip_suffix(';')?.split_once('=')?;
    let (number, verdict) = rest.split_once(',')?;
    Some((number.trim().parse().ok()?, verdict.trim()))
}

fn advice(verdict: &str) -> Result<&'static str> {
    Ok(match verdict {
        "Ended" => "comes back when it wants to",
        "Stop" => "does not come back unchanged",
        "Backoff" => "comes back, with exponential backoff and full jitter",
        "FreshToken" => "comes back with a fresh token",
        "AfterGoaway" => "comes back after the `reconnect_after_ms` of the `goaway`",
        other => bail!("no words for the verdict `{other}`: add them in xtask/src/close_codes.rs"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: &str =
        "macro\nclose_codes! {\n    /// no token,\n    /// or a bad one\n    Unauthorized = 4401, Stop;\n}\n";

    #[test]
    fn the_table_replaces_what_stands_between_the_marks() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let written = rewrite(&document, CODES).unwrap();
        assert!(
            written.contains("| 4401 | no token, or a bad one | does not come back unchanged |"),
            "{written}"
        );
        assert!(
            written.starts_with("before\n") && written.ends_with("\nafter\n") && !written.contains("old")
        );
        assert_eq!(rewrite(&written, CODES).unwrap(), written, "written twice is written once");
    }

    #[test]
    fn what_it_cannot_read_is_an_error() {
        assert!(rewrite("no marks", CODES).is_err());
        assert!(table(&CODES.replace("Stop", "Hover")).is_err());
        assert!(table(&CODES.replace("= 4401", "4401")).is_err());
    }
}
