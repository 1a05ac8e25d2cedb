//! The tree's text files, as the rules see them.

use std::path::Path;

use anyhow::{Context, Result};

/// What holds nothing of ours, besides what the `.gitignore`s name. The tree is walked and git is not asked, so that an
/// archive, or a checkout that belongs to another account, is checked as well.
const FOREIGN: &str = ".git";

/// Files made from others: sizes and habits are judged where they are made.
const GENERATED: &[&str] = &["web/dist/", "rpc/src/remote/wire.rs", "Cargo.lock", "package-lock.json"];

/// The rules themselves and their examples, which name what they forbid.
const RULES_FOLDER: &str = "xtask/src/tidy/";

/// One text file.
pub struct File {
    /// From the root, with forward slashes.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// Lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// What stands after the last dot of the name.
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Written by people, in a programming language that we use.
    pub fn is_code(&self) -> bool {
        matches!(self.extension(), "rs" | "ts" | "js" | "mjs" | "py") && !self.is_generated()
    }

    /// Made from other files.
    pub fn is_generated(&self) -> bool {
        GENERATED.iter().any(|made| self.path.starts_with(made) || self.name() == *made)
    }

    /// Names what the rules forbid, because it is one of them.
    pub fn is_rule(&self) -> bool {
        self.path.starts_with(RULES_FOLDER)
    }

    /// A Rust file of a crate's library or binary.
    pub fn is_rust_source(&self) -> bool {
        self.extension() == "rs" && self.path.split('/').any(|part| part == "src")
    }

    /// The first line that belongs to tests: 1 in a test file, that of the first `#[cfg(test)]` in other Rust code.
    pub fn tests_from(&self) -> Option<usize> {
        if self.is_test_file() {
            return Some(1);
        }
        let inline = self.extension() == "rs";
        self.lines().find(|(_, line)| inline && line.trim_end() == "#[cfg(test)]").map(|(number, _)| number)
    }

    fn is_test_file(&self) -> bool {
        let folders = self.path.split('/').rev().skip(1);
        let name = self.name();
        self.is_code()
            && (folders.into_iter().any(|folder| matches!(folder, "tests" | "test"))
                || name == "tests.rs"
                || name == "conformance.rs"
                || name.contains(".test.")
                || name.starts_with("test_"))
    }
}

/// All text files of the checkout, by path.
pub struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads a checkout.
    ///
    /// # Errors
    /// Where a folder or a file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![(root.to_path_buf(), vec![FOREIGN.to_owned()])];
        while let Some((folder, mut ignored)) = folders.pop() {
            ignored.extend(ignored_in(&folder));
            let entries =
                std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                let kind = entry.file_type()?;
                if ignored.iter().any(|name| entry.file_name() == **name) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push((entry.path(), ignored.clone()));
                } else if kind.is_file() {
                    files.extend(read_text(root, &entry.path())?);
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree for a rule's test.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    /// All files.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// One file by its path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The names in a folder's `.gitignore`, which hold for everything below it. Patterns are not understood: we write none.
fn ignored_in(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
    let names = text.lines().map(|line| line.trim().trim_matches('/'));
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// The file's text; `None` where it is no UTF-8, or was deleted since the folder was listed.
fn read_text(root: &Path, path: &Path) -> Result<Option<File>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let relative = path.strip_prefix(root).context("a file outside of the tree")?;
    let path = relative.to_string_lossy().replace('\\', "/");
    Ok(String::from_utf8(bytes).ok().map(|text| File { path, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn tests_begin_where_their_module_does() {
        assert_eq!(file("a/src/b.rs", "x\n#[cfg(test)]\nmod tests {}").tests_from(), Some(2));
        assert_eq!(file("a/src/b.rs", "x\n").tests_from(), None);
        for path in ["a/tests/b.rs", "a/src/b/tests.rs", "web/test/a.ts", "tests/clients/test_a.py"] {
            assert_eq!(file(path, "").tests_from(), Some(1), "{path}");
        }
    }

    #[test]
    fn generated_files_are_no_code() {
        assert!(file("web/src/app.ts", "").is_code());
        assert!(!file("web/dist/app.js", "").is_code());
        assert!(file("tests/browser/package-lock.json", "").is_generated());
    }

    #[test]
    fn a_checkout_is_read_without_what_git_ignores() {
        let root = std::env::temp_dir().join(format!("doorbell-tidy-{}", std::process::id()));
        for (path, text) in [
            (".gitignore", "/target\nnode_modules/\n"),
            ("a/b.rs", "x"),
            ("target/c.rs", "x"),
            ("web/node_modules/d.js", "x"),
        ] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        }
        let tree = Tree::read(&root);
        std::fs::remove_dir_all(&root).unwrap();

        let paths: Vec<String> = tree.unwrap().files.into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [".gitignore", "a/b.rs"]);
    }
}
