//! The scripts: one file each in `lua/`, behind the prelude that they share.

use std::sync::LazyLock;

/// One operation inside Redis.
#[derive(Debug)]
pub(super) struct Script {
    /// For errors.
    pub(super) name: &'static str,
    /// The names of its keys, in their order.
    pub(super) keys: Vec<&'static str>,
    code: String,
    /// The SHA-1 of the code, by which Redis remembers it.
    hash: String,
}

impl Script {
    /// The code, for a server that does not know the hash.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// What the server knows it by.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Reads a script file: its head names the keys, and flags where it has any.
    fn new(name: &'static str, body: &'static str, clock: &str) -> Self {
        let head = |word: &str| body.lines().find_map(|line| line.strip_prefix(word)).unwrap_or("").trim();
        let keys: Vec<&'static str> = head("-- KEYS").split_whitespace().collect();
        let flags = match head("-- FLAGS") {
            "" => String::new(),
            flags => format!(" flags={flags}"),
        };
        let places: Vec<String> = (1..=keys.len()).map(|at| format!("KEYS[{at}]")).collect();
        let locals = format!("local {} = {}", keys.join(", "), places.join(", "));
        let code = format!("#!lua{flags}\n{locals}\n{clock}\n{}\n{body}", shared(body));
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { name, keys, code, hash }
    }
}

const PRELUDE: &str = include_str!("lua/prelude.lua");

/// What a script uses of the prelude, function by function: each that is there would be made anew by every call.
fn shared(body: &str) -> String {
    let mut used: Vec<&str> = Vec::new();
    for part in PRELUDE.split("\n\n").collect::<Vec<_>>().into_iter().rev() {
        let name = part.split("local function ").nth(1).and_then(|rest| rest.split('(').next());
        let call = |text: &&str| name.is_none_or(|name| text.contains(&format!("{name}(")));
        if call(&body) || used.iter().any(call) {
            used.insert(0, part);
        }
    }
    used.join("\n\n")
}

/// The server's own time in ms.
const CLOCK: &str = "local function clock() \
    local at = redis.call('TIME') return at[1] * 1000 + math.floor(at[2] / 1000) end";

/// The time that a test gives with each call, behind the other arguments.
#[cfg(feature = "testing")]
const CLOCK_BY_HAND: &str = "local at = tonumber(table.remove(ARGV)) local function clock() return at end";

macro_rules! scripts {
    ($($name:ident)+) => {
        /// All scripts.
        #[derive(Debug)]
        pub(super) struct Scripts { $(pub(super) $name: Script,)+ }

        impl Scripts {
            fn new(clock: &str) -> Self {
                Self { $($name: Script::new(
                    stringify!($name), include_str!(concat!("lua/", stringify!($name), ".lua")), clock,
                ),)+ }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<&Script> {
                vec![$(&self.$name,)+]
            }
        }
    };
}

scripts! {
    hint claim settle release depth bury mend
    take_lease renew_leases end_leases enter leave look_up online lapsed
    raise read look
    announce withdraw settle_store
    keep recall
}

/// The scripts that go by the server's time.
pub(super) fn scripts() -> &'static Scripts {
    static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(CLOCK));
    &SCRIPTS
}

/// The same scripts, by a time that comes with each call.
#[cfg(feature = "testing")]
pub(super) fn scripts_by_hand() -> &'static Scripts {
    static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(CLOCK_BY_HAND));
    &SCRIPTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_takes_and_answers() {
        for script in scripts().all() {
            for word in ["-- KEYS ", "-- ARGV ", "-- REPLY "] {
                let count = script.code.lines().filter(|line| line.starts_with(word)).count();
                assert_eq!(count, 1, "{} lacks {word}", script.name);
            }
            assert!(!script.keys.is_empty(), "{} names no key", script.name);
        }
    }

    #[test]
    fn a_script_brings_what_it_uses_and_nothing_else() {
        let check = |script: &Script, name: &str| script.code.contains(&format!("local function {name}("));
        let Scripts { look_up, claim, .. } = scripts();
        assert!(
            ["tick", "merge", "add", "collapse", "bury", "waiting"].iter().all(|name| check(claim, name))
        );
        assert!(!["tick", "merge", "identity", "liveness"].iter().any(|name| check(look_up, name)));
        assert!(!check(claim, "identity"));
    }

    #[test]
    fn the_servers_own_time_is_that_of_a_build_without_tests() {
        for script in scripts().all() {
            assert!(script.code.contains("'TIME'") && !script.code.contains("table.remove(ARGV)"));
        }
    }
}
