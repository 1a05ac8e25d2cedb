//! Each file that a document names is there.

use super::{File, Finding, Tree};

/// Endings by which a name without a folder is taken for a file of ours.
const ENDINGS: &[&str] = &[".rs", ".ts", ".py", ".md"];

const REMEDY: &str = "mend the name, or add the file";

/// Checks the documents' links and the names between back quotes, and mentions of `docs/…` in code.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| !file.is_rule()) {
        for (number, line) in file.lines() {
            let missing: Vec<&str> = match file.extension() {
                "md" if is_checked(&file.path) => missing_in_document(tree, file, line),
                _ if file.is_code() => missing_documents(tree, line),
                _ => Vec::new(),
            };
            for name in missing {
                findings.push(Finding::new(file, number, format!("there is no `{name}`"), REMEDY));
            }
        }
    }
    findings
}

/// A changelog tells of what was, and a style of what must not be.
fn is_checked(path: &str) -> bool {
    !matches!(path, "CHANGELOG.md" | "STYLE.md")
}

fn missing_in_document<'a>(tree: &Tree, file: &File, line: &'a str) -> Vec<&'a str> {
    let quoted = line.split('`').skip(1).step_by(2).filter(|name| !is_there(tree, file, name));
    let links = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let links = links.filter(|target| !target.contains("://") && !target.starts_with('#'));
    quoted.chain(links.filter(|target| !link_leads_somewhere(tree, file, target))).collect()
}

/// Whether a quoted text names a file that is there, from the root or a folder of the document's own path, or names no
/// file at all.
fn is_there(tree: &Tree, document: &File, quoted: &str) -> bool {
    let path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if !quoted.chars().all(path) || quoted.starts_with('/') {
        return true;
    }
    let name = quoted.trim_end_matches('/');
    let in_a_folder_of_ours = quoted.split_once('/').is_some_and(|(first, _)| has_folder(tree, first));
    let looks_like_a_file = ENDINGS.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len());
    if !in_a_folder_of_ours && !looks_like_a_file {
        return true;
    }
    let inside = format!("/{name}");
    let folders = document.path.match_indices('/').map(|(at, _)| &document.path[..at]);
    let mut near = folders.map(|folder| format!("{folder}/{name}"));
    near.any(|path| tree.file(&path).is_some() || has_folder(tree, &path))
        || tree.file(name).is_some()
        || has_folder(tree, name)
        || tree.files().iter().any(|file| looks_like_a_file && file.path.ends_with(&inside))
}

fn has_folder(tree: &Tree, name: &str) -> bool {
    let inside = format!("{name}/");
    tree.files().iter().any(|file| file.path.starts_with(&inside))
}

fn link_leads_somewhere(tree: &Tree, file: &File, target: &str) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = file.path.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    let path = parts.join("/");
    tree.file(&path).is_some() || has_folder(tree, &path)
}

/// Documents that code mentions: `docs/…`, where the beginning of a name is enough.
fn missing_documents<'a>(tree: &Tree, line: &'a str) -> Vec<&'a str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_' | '/'));
    let documents = words.map(|word| word.trim_end_matches('.')).filter(|word| word.starts_with("docs/"));
    documents.filter(|name| !tree.files().iter().any(|file| file.path.starts_with(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const TREE: &[(&str, &str)] = &[("gateway/src/session.rs", ""), ("docs/adr/0001-why.md", "")];

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut files = TREE.to_vec();
        files.push((path, text));
        places(check, &files)
    }

    #[test]
    fn a_document_that_names_a_missing_file_is_found() {
        let good =
            "`gateway/src/session.rs` `session.rs` `gateway/` `docs/adr` `doorbell-data/key` `GET /v1/ws`\n";
        assert_eq!(found("README.md", good), Vec::<String>::new());
        let bad = "`gateway/src/gone.rs`\n`gone.rs`\n`docs/gone`\n";
        assert_eq!(found("README.md", bad), ["README.md:1", "README.md:2", "README.md:3"]);
        assert_eq!(found("CHANGELOG.md", bad), Vec::<String>::new());
    }

    #[test]
    fn a_document_may_name_its_neighbours() {
        let files = [
            ("protocol/vectors/README.md", "`tests/codec/` `tests/gone/`\n"),
            ("protocol/tests/codec/a.rs", ""),
        ];
        assert_eq!(
            places(check, &files),
            Vec::<String>::new(),
            "nothing is at stake without a `tests/` of ours"
        );
        let all = [&files[..], &[("tests/src/lib.rs", "")]].concat();
        assert_eq!(places(check, &all), ["protocol/vectors/README.md:1"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[why](adr/0001-why.md#x) [web](https://example.org) [up](../gateway/src/session.rs)\n[no](adr/2.md)\n";
        assert_eq!(found("docs/a.md", text), ["docs/a.md:2"]);
    }

    #[test]
    fn code_that_names_a_missing_document_is_found() {
        assert_eq!(
            found("gateway/src/a.rs", "//! (docs/adr/0001)\n//! See docs/gone.md.\n"),
            ["gateway/src/a.rs:2"]
        );
    }
}
