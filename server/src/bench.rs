//! What `doorbell bench` needs of the binary: its version, itself, and tokens made with a key file.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use doorbell_bench::{Bench, Host, Mint};
use doorbell_gateway::auth::{Config, Grants, KeySet};
use doorbell_protocol::UserId;

use crate::{clock, descriptors, keyfile};

/// Longer than any run.
const TOKEN_TTL: Duration = Duration::from_secs(2 * 24 * 3_600);

/// What a test that could not be run ends with, as clap does for a wrong command line.
const NOT_RUN: u8 = 2;

/// Runs one, and answers its exit code.
pub fn run(what: &Bench) -> Result<ExitCode> {
    let host = Host {
        build: env!("CARGO_PKG_VERSION").to_owned(),
        binary: std::env::current_exe().context("the binary does not know where it is")?,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        now_ms: (clock::wall())().as_millis(),
        files: descriptors::raise,
        mint,
    };
    match doorbell_bench::run(what, &host) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            crate::complain(&format!("{error:#}"));
            Ok(ExitCode::from(NOT_RUN))
        }
    }
}

/// A key file's first key, with a throttle that holds no writer back.
struct Key {
    keys: KeySet,
    grants: Grants,
}

fn mint(file: &Path, topics: &[String]) -> Result<Box<dyn Mint>> {
    let grants = Grants { topics: topics.to_vec(), throttle: Some(NonZeroU32::MAX), device: None };
    Ok(Box::new(Key { keys: keyfile::read(file)?, grants }))
}

impl Mint for Key {
    fn token(&self, user: &str) -> Result<String> {
        let user = UserId::new(user)?;
        let times = (TOKEN_TTL, (clock::wall())());
        Ok(self.keys.issue_for(&Config::default(), &user, &self.grants, times).0)
    }
}
