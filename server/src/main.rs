//! The binary `doorbell`: reads the command line, the configuration and the environment, and wires the services.
//!
//! It owns everything that belongs to the process: files, signals, the listener, logs, the end. It decides nothing
//! about users, hints or messages.
//!
//! Map: [`cli`] what was asked; [`config`] four layers become one configuration; [`serve`] from start to end;
//! [`wiring`] builds the services; [`supervisor`] runs them; [`shutdown`] the phases of the end; [`signals`];
//! [`site`] which path is whose, with [`admin`], [`openapi`], [`page`], [`whereabouts`] and [`demo`]; [`readiness`] and [`heartbeat`];
//! [`keyfile`], [`trust`], [`jwks`], [`apikeyfile`], [`secretfile`], [`peerkey`], [`certificate`] by way of [`guarded`], [`reload`], [`datadir`],
//! [`descriptors`]; [`devcluster`] many processes on one machine; [`mod@bench`] what the tests of an installation need of it; [`check`] what of this host would go wrong; [`clock`], [`telemetry`], [`metrics`].

mod admin;
mod apikeyfile;
mod bench;
mod certificate;
mod check;
mod cli;
mod clock;
mod config;
mod datadir;
mod demo;
mod descriptors;
mod devcluster;
mod guarded;
mod heartbeat;
mod jwks;
mod keyfile;
mod metrics;
mod openapi;
mod page;
mod peerkey;
mod readiness;
mod reload;
mod secretfile;
mod serve;
mod shutdown;
mod signals;
mod site;
mod supervisor;
mod telemetry;
mod trust;
mod whereabouts;
mod wiring;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use doorbell_gateway::auth::api_keys;
use doorbell_gateway::auth::claims::GRANTS_MAX;
use doorbell_protocol::frames::TOKEN_BYTES_MAX;

use cli::{ApiKeyArgs, CheckArgs, Cli, Command, Flags, TokenArgs};
use config::{Config, ConfigError, Layers};

/// The exit code of a configuration that is wrong; clap uses the same for a wrong command line.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().asked()) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            if error.is::<ConfigError>() { ExitCode::from(WRONG) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(settings) => serve::run(&load(settings)?),
        Command::Token(args) => token(args),
        Command::ApiKey(args) => api_key(args),
        Command::Check(args) => check(args),
        Command::DevCluster(args) => devcluster::run(args),
        Command::Bench { what } => bench::run(&what),
    }
}

/// Says what is wrong on standard error, each line with who says it.
fn complain(wrong: &str) {
    for line in wrong.lines() {
        let _ = writeln!(std::io::stderr(), "doorbell: {line}");
    }
}

fn load(flags: impl Into<Flags>) -> Result<Config, ConfigError> {
    layers(flags).load()
}

fn layers(flags: impl Into<Flags>) -> Layers {
    let Flags { file, settings } = flags.into();
    // A name that is no text is none of ours. A value that is none is kept, and refused with its name where it counts.
    let as_text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    Layers::new(file, settings, std::env::vars_os().filter_map(as_text))
}

fn token(args: TokenArgs) -> Result<ExitCode> {
    let (user, grants, ttl) = (args.user.clone(), args.grants(), args.ttl);
    if grants.topics.len() > GRANTS_MAX {
        bail!("a token grants at most {GRANTS_MAX} topics: use prefixes");
    }
    let config = load(args.flags())?;
    let keys = keyfile::read(&config.key_path())?;
    let token = keys.issue_for(&config.auth, &user, &grants, (ttl, (clock::wall())()));
    if token.0.len() > TOKEN_BYTES_MAX {
        bail!(
            "the token would have {} bytes, and {TOKEN_BYTES_MAX} are taken: grant fewer topics",
            token.0.len()
        );
    }
    writeln!(std::io::stdout(), "{}", token.0)?;
    Ok(ExitCode::SUCCESS)
}

/// The key goes to standard output, once; what the file of the keys needs goes to standard error, so that
/// `2>> api-keys.toml` adds it.
fn api_key(args: ApiKeyArgs) -> Result<ExitCode> {
    let key = api_keys::generate();
    write!(std::io::stderr(), "\n{}", apikeyfile::table(&args.name, &key, args.rights()))?;
    writeln!(std::io::stdout(), "{}", key.0)?;
    Ok(ExitCode::SUCCESS)
}

/// All that is wrong goes to standard error, and so do warnings; only the former makes it fail.
fn check(args: CheckArgs) -> Result<ExitCode> {
    let print = args.print;
    let layers = layers(args.flags());
    let config = match layers.load() {
        Ok(config) => config,
        Err(wrong) => {
            complain(&wrong.to_string());
            return Ok(ExitCode::FAILURE);
        }
    };
    let found = check::look(&config, layers.ignored());
    found.wrong.iter().for_each(|wrong| complain(wrong));
    found.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let sound = found.wrong.is_empty();
    if print {
        std::io::stdout().write_all(config.redacted().as_bytes())?;
    } else if sound {
        writeln!(std::io::stdout(), "the configuration is sound")?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
