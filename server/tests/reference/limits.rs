//! Limits that are fixed because clients rely on them, or because nobody has needed to set them: the constants of these
//! folders whose names end in `_MAX`, `_MIN`, `_TIMEOUT` or `_INTERVAL`, and the sizes of pages, with what is written
//! above each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Title, and where its constants stand: files, or folders with all that is below them.
const PARTS: &[(&str, &[&str])] = &[
    ("Frames, names, values", &["protocol/src"]),
    (
        "Methods",
        &[
            "message-svc/src/api",
            "message-svc/src/service",
            "message-svc/src/read",
            "message-svc/src/turns.rs",
            "message-svc/src/writer/draft/amend.rs",
        ],
    ),
    (
        "HTTP, sockets, tokens",
        &[
            "gateway/src/config.rs",
            "gateway/src/handshake.rs",
            "gateway/src/http",
            "gateway/src/listener.rs",
            "gateway/src/listener",
            "gateway/src/auth",
            "gateway/src/signals",
            "gateway/src/session/task.rs",
            "server/src/cli.rs",
            "server/src/demo.rs",
            "server/src/jwks.rs",
            "server/src/jwks",
        ],
    ),
    ("Hints", &["backplane/src/queue.rs"]),
    ("Back ends of the operator's own", &["upstream/src"]),
    ("Keys of processes", &["rpc/src/remote/key.rs", "server/src/peerkey.rs"]),
];

/// Limits that nobody outside meets: sizes of batches, of what is remembered, of a step. By file and name.
const INNER: &[&str] = &[
    "backplane/src/buckets.rs:FULL_IN_MS_MAX",
    "backplane/src/conformance.rs:CHANNEL_TOPICS_MAX",
    "backplane/src/conformance.rs:THROTTLE_BUCKETS_MAX",
    "backplane/src/redis/buckets.rs:RECALLED_MAX",
    "backplane/src/discovery.rs:INSTANCES_MAX",
    "cluster/src/membership.rs:WITHDRAW_TIMEOUT",
    "rpc/src/remote/convert/message.rs:METHOD_BYTES_MAX",
    "rpc/src/remote/link.rs:HEADER_BYTES_MAX",
    "rpc/src/remote/link.rs:STREAMS_MAX",
    "server/src/devcluster/process.rs:READY_TIMEOUT",
    "server/src/devcluster/process.rs:STOP_TIMEOUT",
    "server/src/devcluster/redis.rs:READY_TIMEOUT",
    "server/src/wiring/store.rs:LOOK_INTERVAL",
    "server/src/wiring/store.rs:SETTLE_TIMEOUT",
    "backplane/src/redis/dial.rs:VERSION_MIN",
    "backplane/src/redis/keys.rs:PARTITIONS_MAX",
    "backplane/src/redis/link.rs:CLUSTER_FAILURES_MAX",
    "backplane/src/redis/registry.rs:LAPSED_MAX",
    "gateway/src/entries/lane.rs:LEAVES_MAX",
    "gateway/src/entries/lane/task.rs:BACKOFF_MAX",
    "gateway/src/entries/lingering.rs:LINGERING_MAX",
    "gateway/src/fanout/pacing.rs:CLASSES_MAX",
    "gateway/src/follow.rs:BACKOFF_MAX",
    "gateway/src/follow/rounds.rs:USERS_MAX",
    "gateway/src/interest.rs:COUNT_INTERVAL",
    "gateway/src/interest.rs:WORDS_MAX",
    "gateway/src/interest.rs:NOTED_MAX",
    "gateway/src/interest.rs:BACKOFF_MAX",
    "gateway/src/interest/repeat.rs:PAUSE_MAX",
    "gateway/src/look.rs:READ_MAX",
    "gateway/src/look.rs:CHANGES_MAX",
    "gateway/src/look.rs:BACKOFF_MAX",
    "gateway/src/look/reads.rs:TOPICS_MAX",
    "gateway/src/look/reads.rs:UNDER_WAY_MAX",
    "gateway/src/presence.rs:MOVES_MAX",
    "gateway/src/presence.rs:BACKOFF_MAX",
    "gateway/src/socket/tls.rs:HELD_BYTES_MAX",
    "gateway/src/socket/tls.rs:READS_MAX",
    "gateway/src/socket/tls/records.rs:CIPHER_BYTES_MAX",
    "gateway/src/socket/tls/records.rs:PARTIAL_BYTES_MAX",
    "gateway/src/socket/tls/records.rs:RECORD_BYTES_MAX",
    "gateway/src/sweep.rs:AHEAD_SECONDS_MAX",
    "gateway/src/tls/certificate.rs:SOON_MAX",
    "gateway/src/ws/header.rs:CLIENT_HEADER_BYTES_MAX",
    "gateway/src/ws/header.rs:CONTROL_BYTES_MAX",
    "gateway/src/ws/writer.rs:HEADER_BYTES_MAX",
    "message-svc/src/announce.rs:HINTS_MAX",
    "message-svc/src/announce.rs:INBOXES_MAX",
    "message-svc/src/announce/identity.rs:LOOK_INTERVAL",
    "message-svc/src/announce/identity.rs:LOOK_TIMEOUT",
    "message-svc/src/announce/persist.rs:RETRY_MIN",
    "message-svc/src/announce/publisher.rs:PUBLISH_TIMEOUT",
    "message-svc/src/announce/publisher.rs:RAISES_MAX",
    "message-svc/src/config.rs:JOURNAL_BYTES_MIN",
    "message-svc/src/pulls.rs:SEATS_MAX",
    "message-svc/src/pulls/facts.rs:PARTS_MAX",
    "message-svc/src/pulls/heads.rs:HEADS_MAX",
    "message-svc/src/reach.rs:CONVERSATIONS_MAX",
    "message-svc/src/reach.rs:MEMBERS_MAX",
    "message-svc/src/service.rs:ASIDE_READS_MAX",
    "message-svc/src/service.rs:ASIDE_WAITING_MAX",
    "message-svc/src/service.rs:AUDIENCE_READS_MAX",
    "message-svc/src/service.rs:AUDIENCE_WAITING_MAX",
    "message-svc/src/service.rs:TIDY_INTERVAL",
    "message-svc/src/throttle.rs:SIZES_MAX",
    "message-svc/src/throttle/keeper.rs:KEEP_INTERVAL",
    "message-svc/src/throttle/keeper.rs:KEEP_TIMEOUT",
    "message-svc/src/throttle/keeper.rs:KEPT_MAX",
    "message-svc/src/throttle/keeper.rs:RECALLED_MAX",
    "message-svc/src/throttle/keeper.rs:RECALL_TIMEOUT",
    "message-svc/src/writer/cursor.rs:MOMENTS_MAX",
    "message-svc/src/writer/cursor.rs:FORGOTTEN_MAX",
    "message-svc/src/writer/draft.rs:COUNTED_MAX",
    "message-svc/src/writer/memory.rs:REMEMBERED_MAX",
    "message-svc/src/writer/recent.rs:COMMITS_MAX",
    "message-svc/src/writer/recent.rs:EVENTS_MAX",
    "notifier/src/ingress.rs:USERS_MAX",
    "notifier/src/ingress.rs:CALLS_MAX",
    "server/src/apikeyfile.rs:BYTES_MAX",
    "server/src/certificate.rs:FILE_BYTES_MAX",
    "server/src/heartbeat.rs:LAG_MAX",
    "server/src/keyfile.rs:BYTES_MAX",
    "server/src/secretfile.rs:BYTES_MAX",
    "server/src/site.rs:QUEUE_LOOK_MAX",
    "server/src/telemetry.rs:LOG_LINES_MAX",
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
        if is_page || is_limit(name) {
            assert!(about.len() > 10, "{name} does not say what it bounds");
            found.push((name.to_owned(), shown(name, value, is_page), about));
        }
    }
    found
}

fn is_limit(name: &str) -> bool {
    ["_MAX", "_MIN", "_TIMEOUT", "_INTERVAL"].iter().any(|end| name.ends_with(end))
}

/// Limits of the crates' sources that are neither in the table nor known to be inner, and names of inner ones that are
/// gone.
pub fn unlisted(root: &Path) -> Vec<String> {
    let listed: Vec<PathBuf> =
        PARTS.iter().flat_map(|(_, places)| *places).flat_map(|place| sources(&root.join(place))).collect();
    let mut inner: Vec<&str> = INNER.to_vec();
    let mut unlisted = Vec::new();
    for crate_source in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("src")) {
        let is_product = !["bench", "tests", "xtask", "web"]
            .iter()
            .any(|other| crate_source == root.join(other).join("src"));
        if !crate_source.is_dir() || !is_product {
            continue;
        }
        let ours = |file: &PathBuf| !listed.contains(file) && !file.ends_with("tests.rs");
        for file in sources(&crate_source).into_iter().filter(ours) {
            let shown = file.strip_prefix(root).unwrap().display().to_string();
            let source = std::fs::read_to_string(&file).unwrap();
            let declared = source.lines().filter_map(|line| parts(line.trim().split_once("const ")?.1));
            for (name, ..) in declared.filter(|(name, ..)| is_limit(name)) {
                let place = format!("{shown}:{name}");
                match inner.iter().position(|known| *known == place) {
                    Some(at) => drop(inner.remove(at)),
                    None => unlisted.push(place),
                }
            }
        }
    }
    unlisted.extend(inner.into_iter().map(|gone| format!("{gone} is not there")));
    unlisted.sort();
    unlisted
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
    let within = |start: &str| value.strip_prefix(start)?.strip_suffix(')');
    match (within("Duration::from_secs("), within("Duration::from_millis(")) {
        (Some(secs), _) => format!("{} s", sole(secs)),
        (_, Some(millis)) => format!("{} ms", sole(millis)),
        (None, None) => sole(value).to_string(),
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
