//! The file with the API keys of other back ends: names, digests and rights, never a key.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use doorbell_gateway::auth::ApiKeys;
use doorbell_gateway::auth::api_keys::Written;
use doorbell_protocol::frames::Token;
use serde::{Deserialize, Serialize};

use crate::config::line_at;
use crate::guarded::{self, Guard};

/// Thousands of keys; more is no list of keys.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    api_key: Vec<Written>,
}

/// Puts the file's keys in force; none where there is no file. Where it has a fault, those in force stay.
///
/// # Errors
/// The file is not there, others could write it, or it holds what is no list of keys.
pub fn load(path: &Path, keys: &ApiKeys) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let shown = path.display();
    let text = guarded::read_text(path, Guard::Trusted, BYTES_MAX, "add a key of their own");
    let text = text.context("the API keys")?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        anyhow!("{shown}, line {line}: {}", error.message())
    })?;
    keys.replace(file.api_key).with_context(|| format!("the API keys in {shown} are not usable"))
}

/// As [`load`], for a start.
///
/// # Errors
/// As [`load`].
pub fn read(path: &Path) -> Result<Arc<ApiKeys>> {
    let keys = Arc::new(ApiKeys::default());
    load(path, &keys)?;
    Ok(keys)
}

/// What to add to the file for a new key.
pub fn table(name: &str, key: &Token, rights: Rights) -> String {
    let sha256 = doorbell_gateway::auth::api_keys::digest(key);
    let Rights { hints, act_as, throttle } = rights;
    let written = Written { name: name.to_owned(), sha256, hints, act_as, throttle };
    toml::to_string(&File { api_key: vec![written] }).expect("text and truth values are all TOML")
}

/// What a new key may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Ring users.
    pub hints: bool,
    /// Call methods as these.
    pub act_as: Vec<doorbell_protocol::UserId>,
    /// Messages as one of them in one period of the throttle.
    pub throttle: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_gateway::auth::api_keys::generate;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn rights() -> Rights {
        let act_as = vec![doorbell_protocol::UserId::new("system").unwrap()];
        Rights { hints: true, act_as, throttle: NonZeroU32::new(600) }
    }

    #[test]
    fn what_is_printed_for_a_key_lets_it_in() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("api-keys.toml");
        let (shop, desk) = (generate(), generate());
        let text = table("shop", &shop, rights()) + "\n" + &table("desk", &desk, rights());
        assert!(!text.contains(&shop.0));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        let keys = read(&path).unwrap();

        assert_eq!(&**keys.find(&shop).unwrap().name(), "shop");
        assert!(keys.find(&desk).unwrap().may_hint() && keys.len() == 2);
        assert_eq!(keys.find(&desk).unwrap().throttle(), NonZeroU32::new(600));
    }

    #[test]
    fn a_bad_file_is_refused_with_its_place_and_changes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("api-keys.toml");
        let (shop, keys) = (generate(), ApiKeys::default());
        let good = table("shop", &shop, rights());
        fs::write(&path, &good).unwrap();
        load(&path, &keys).unwrap();
        for (text, said) in [
            (good.replace("[[api_key]]", "\n[[api-key]]"), "line 2: unknown field `api-key`"),
            (good.replace("hints", "hint"), "line 4: unknown field `hint`"),
            (good.replace("\"system\"", "\"\""), "user must not be empty"),
            (good.replace("shop", "a shop"), "API key 1: `name` must be"),
            ("[[api_key]".to_owned(), "line 1"),
        ] {
            fs::write(&path, text).unwrap();
            let refused = format!("{:#}", load(&path, &keys).unwrap_err());
            assert!(refused.contains(said) && refused.contains("api-keys.toml"), "{refused}");
            assert!(keys.find(&shop).is_some());
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(format!("{:#}", load(&path, &keys).unwrap_err()).contains("chmod go-w"));
        assert!(load(&scratch.path().join("none"), &keys).is_err() && keys.len() == 1);
    }

    #[test]
    fn no_file_means_no_keys() {
        assert!(read(Path::new("")).unwrap().is_empty());
    }
}
