//! `config/reference.toml` and `docs/configuration.md` are made from the configuration's types: their fields, what is
//! written above each, and their defaults as the binary prints them. After a change:
//! `WRITE_REFERENCE=1 cargo test -p doorbell --test reference`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "reference/limits.rs"]
mod limits;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// Section, source of its type, the type's name.
const SECTIONS: &[(&str, &str, &str)] = &[
    ("", include_str!("../src/config.rs"), "Config"),
    ("shutdown", include_str!("../src/config/shutdown.rs"), "Shutdown"),
    ("tls", include_str!("../src/config/tls.rs"), "Tls"),
    ("listener", include_str!("../../gateway/src/listener/config.rs"), "Config"),
    ("auth", include_str!("../../gateway/src/auth/config.rs"), "Config"),
    ("gateway", include_str!("../../gateway/src/config.rs"), "Config"),
    ("hints", include_str!("../../gateway/src/http/hints/config.rs"), "Config"),
    ("message", include_str!("../../message-svc/src/config.rs"), "Config"),
    ("upstream", include_str!("../../upstream/src/config.rs"), "Config"),
    ("notifier", include_str!("../../notifier/src/config.rs"), "Config"),
    ("channel", include_str!("../../channel-svc/src/config.rs"), "Config"),
    ("offline_hook", include_str!("../../upstream/src/hook/config.rs"), "Config"),
    ("backplane", include_str!("../../backplane/src/config.rs"), "Config"),
    ("redis", include_str!("../../backplane/src/redis/config.rs"), "Config"),
    ("cluster", include_str!("../../cluster/src/config.rs"), "Config"),
    ("rpc", include_str!("../../rpc/src/remote/config.rs"), "Config"),
];

struct Section {
    name: &'static str,
    about: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    about: String,
    /// As in TOML; `None` where it is not set by default.
    default: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
    let output = command.args(["check", "--print"]).args(arguments).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The text above a type, and above each of its public fields.
fn documented(source: &str, name: &str) -> (String, Vec<(String, String)>) {
    let (mut above, mut about, mut fields) = (String::new(), None, Vec::new());
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            above.push_str(text.trim_start_matches(' '));
            above.push(' ');
            continue;
        }
        if line.starts_with("#[") {
            continue;
        }
        let text = std::mem::take(&mut above).trim_end().to_owned();
        if line.strip_prefix("pub struct ").is_some_and(|rest| rest.split(' ').next() == Some(name)) {
            about = Some(text);
        } else if line == "}" && about.is_some() {
            break;
        } else if let (Some(_), Some((field, _))) =
            (&about, line.strip_prefix("pub ").and_then(|l| l.split_once(':')))
        {
            fields.push((field.to_owned(), text));
        }
    }
    (about.expect("the type is there"), fields)
}

fn sections() -> Vec<Section> {
    let defaults: Table = printed(&[]).parse().unwrap();
    let section = |&(name, source, type_name): &(&'static str, &str, &str)| {
        let table = if name.is_empty() { &defaults } else { defaults[name].as_table().unwrap() };
        let (about, fields) = documented(source, type_name);
        let missing: Vec<_> =
            table.keys().filter(|key| !fields.iter().any(|(field, _)| field == *key)).collect();
        assert!(missing.is_empty(), "[{name}] has keys that {type_name} does not document: {missing:?}");
        let keys = fields.into_iter().filter(|(field, _)| !matches!(table.get(field), Some(Value::Table(_))));
        let keys =
            keys.map(|(name, about)| Key { default: table.get(&name).map(Value::to_string), name, about });
        Section { name, about, keys: keys.collect() }
    };
    SECTIONS.iter().map(section).collect()
}

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    out + &line + "\n"
}

fn reference(sections: &[Section]) -> String {
    let mut out = wrapped(
        "Every key of Doorbell's configuration, with its default. Made from the code by server/tests/reference.rs: do \
         not edit. A file of your own holds only what differs.",
    );
    for section in sections {
        if !section.name.is_empty() {
            let _ = write!(out, "\n{}[{}]\n", wrapped(&section.about), section.name);
        }
        for Key { name, about, default } in &section.keys {
            out.push('\n');
            out.push_str(&wrapped(about));
            let _ = match default {
                Some(default) => writeln!(out, "{name} = {default}"),
                None => writeln!(out, "# {name} = (not set)"),
            };
        }
    }
    out
}

const INTRODUCTION: &str = "\
<!-- Made from the code by server/tests/reference.rs: do not edit. -->
# Configuration

Flags stand over environment variables, over the file of `--config` (TOML), over the defaults. The environment
variable of a key is `DOORBELL_`, its section and `__`, and its name, all in capitals: `heartbeat` in `[gateway]` is
`DOORBELL_GATEWAY__HEARTBEAT`. `DOORBELL_CONFIG` names the file. Lists are written with commas there.

Times are texts such as `\"250ms\"`, `\"25s\"`, `\"1h 30m\"`. An unknown key is refused, with the nearest one that there
is; only a variable of one part that is near no key is left alone, because Kubernetes sets such for a service of this
name. `doorbell check` says what is wrong, where it was set, and starts nothing; `doorbell check --print` shows what is in
force, secrets left out. What no key sets is in \"Fixed limits\" below.

[`server/config/reference.toml`](../server/config/reference.toml) is this page as a file.
";

fn page(sections: &[Section]) -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in sections {
        match section.name {
            "" => out.push_str("\n## The process\n\nThese keys stand before any section.\n"),
            name => {
                let _ = write!(out, "\n## `[{name}]`\n\n{}\n", section.about);
            }
        }
        out.push_str("\n| key | default | meaning |\n| --- | --- | --- |\n");
        for Key { name, about, default } in &section.keys {
            let default = default.as_ref().map_or("not set".to_owned(), |default| format!("`{default}`"));
            let _ = writeln!(out, "| `{name}` | {default} | {} |", about.replace('|', "\\|"));
        }
    }
    out
}

/// Compares a file with what it should be, or writes it where that was asked for.
fn current(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is stale: run `WRITE_REFERENCE=1 cargo test -p doorbell --test reference` and commit it"
    );
}

#[test]
fn the_reference_file_is_current_and_holds_the_defaults() {
    current("server/config/reference.toml", &reference(&sections()));

    let file = root().join("server/config/reference.toml");
    assert_eq!(printed(&["--config", file.to_str().unwrap()]), printed(&[]));
}

#[test]
fn the_configuration_page_is_current() {
    current("docs/configuration.md", &(page(&sections()) + &limits::section(&root())));
}

#[test]
fn every_fixed_limit_is_in_the_table_or_known_to_be_inner() {
    let unlisted = limits::unlisted(&root());
    assert!(unlisted.is_empty(), "list these in PARTS or INNER of reference/limits.rs: {unlisted:#?}");
}

#[test]
fn every_key_says_what_it_means() {
    for section in sections() {
        for key in section.keys {
            assert!(key.about.len() > 10, "[{}] {} has no documentation", section.name, key.name);
        }
    }
}
