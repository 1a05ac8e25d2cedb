//! What is measured: a Doorbell of the tool's own on the loopback, an installation, or the reference.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::net::lookup_host;
use tokio::process::Command;

use super::args::Where;
use super::bare::Tells;
use super::orders::{Credentials, Place};
use super::usage::Meter;
use crate::Host;
use crate::cpus::Cpus;
use crate::process::{Kind, Launch, Member};

/// For one of the tool's own: doors wide open, because the rates at which connections and rings are taken protect a server from what
/// this tool is there to do; all else is as by default.
const CONFIG: &str = "[listener]\naccepts_per_second = 1000000\naccepts_burst = 1000000\n\
                      [hints]\nusers_per_second = 10000000\nusers_burst = 10000000\n";

/// Lines of a log that are told where something went wrong.
const LOG_LINES: usize = 20;

/// Where to connect, and what it costs there.
pub struct Target {
    /// Any of them.
    pub places: Vec<Place>,
    /// How tokens are made.
    pub credentials: Credentials,
    /// A key of somebody who may publish, where there is one.
    pub api_key: Option<String>,
    /// Where its CPU and memory are read.
    pub meter: Meter,
    own: Option<Own>,
}

/// What the tool started.
struct Own {
    member: Member,
    is_bare: bool,
    log: PathBuf,
    /// Its files, gone with it.
    _folder: TempDir,
}

impl Target {
    /// What was asked for: an installation, or one of the tool's own.
    ///
    /// # Errors
    /// It does not start, its address or its key is none.
    pub async fn of(
        place: &Where,
        api_key: Option<&Path>,
        host: &Host,
        cpus: Option<&Cpus>,
    ) -> anyhow::Result<Self> {
        if place.url.is_empty() {
            Self::own(&place.set, host, cpus).await
        } else {
            Self::installation(place, api_key).await
        }
    }

    /// One process with everything in it, authentication, registration, metrics and heartbeats on.
    async fn own(settings: &[(String, String)], host: &Host, cpus: Option<&Cpus>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (config, keys) = (folder.path().join("doorbell.toml"), folder.path().join("api-keys.toml"));
        let made = Command::new(&host.binary)
            .args(["api-key", "bench", "--hints"])
            .stdin(Stdio::null())
            .output()
            .await
            .context("an API key")?;
        ensure!(made.status.success(), "doorbell api-key: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(&keys, &made.stderr)?;
        std::fs::write(&config, format!("api_keys_file = {:?}\n{CONFIG}", keys.display().to_string()))?;
        let data = folder.path().join("data");
        let mut env = vec![("DOORBELL_LOG".to_owned(), "warn".to_owned())];
        env.extend(settings.iter().cloned());
        let launch = Launch {
            name: "doorbell".to_owned(),
            program: host.binary.clone(),
            args: ["serve", "--config", &text(&config), "--data-dir", &text(&data)]
                .map(str::to_owned)
                .to_vec(),
            env,
            log: folder.path().join("server.log"),
            kind: Kind::Doorbell,
            cpus: cpus.cloned(),
        };
        let (log, member) = started("a Doorbell of its own", launch).await?;
        Ok(Self {
            places: vec![place_of(member.address())?],
            credentials: Credentials::Key(data.join("key")),
            api_key: Some(String::from_utf8(made.stdout)?.trim_end().to_owned()),
            meter: Meter::Process(member.number().await?),
            own: Some(Own { member, is_bare: false, log, _folder: folder }),
        })
    }

    async fn installation(place: &Where, api_key: Option<&Path>) -> anyhow::Result<Self> {
        let mut places = Vec::new();
        for url in &place.url {
            let Some(host) = url.strip_prefix("ws://") else {
                bail!(
                    "{url}: the load tool speaks no TLS yet: measure the plain port, or what stands behind the proxy"
                );
            };
            let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                host.to_owned()
            } else {
                format!("{host}:80")
            };
            let mut found = lookup_host(&with_port).await.with_context(|| format!("there is no {host}"))?;
            let address = found.next().with_context(|| format!("{host} has no address"))?;
            places.push(Place { address, host: host.to_owned() });
        }
        let credentials = match (&place.key_file, &place.token_command) {
            (Some(file), _) => Credentials::Key(file.clone()),
            (None, Some(line)) => Credentials::Command(line.clone()),
            (None, None) => {
                bail!(
                    "--url needs --key-file, the server's key, or --token-command, which prints a user's token"
                )
            }
        };
        let read = |file: &Path| {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        };
        let api_key = api_key.map(read).transpose()?.map(|key| key.trim().to_owned());
        let meter = Meter::Metrics(place.metrics_url.clone());
        Ok(Self { places, credentials, api_key, meter, own: None })
    }

    /// The bare loop.
    ///
    /// # Errors
    /// It does not start.
    pub async fn bare(host: &Host, tells: &Tells, cpus: Option<&Cpus>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut args = ["bench", "load-bare"].map(str::to_owned).to_vec();
        args.extend(tells.words());
        let launch = Launch {
            name: "the reference".to_owned(),
            program: host.binary.clone(),
            args,
            env: Vec::new(),
            log: folder.path().join("bare.log"),
            kind: Kind::Doorbell,
            cpus: cpus.cloned(),
        };
        let (log, member) = started("the bare loop", launch).await?;
        Ok(Self {
            places: vec![place_of(member.address())?],
            credentials: Credentials::Nobody,
            api_key: Some("none".to_owned()),
            meter: Meter::Process(member.number().await?),
            own: Some(Own { member, is_bare: true, log, _folder: folder }),
        })
    }

    /// Whether it is this machine over the loopback: then sessions have source addresses of their own.
    pub fn is_loopback(&self) -> bool {
        self.places.iter().all(|place| place.address.is_ipv4() && place.address.ip().is_loopback())
    }

    /// Ends what the tool started, in order; answers how that went, and the last lines of its log, which is gone then.
    pub async fn end(self) -> (anyhow::Result<()>, Vec<String>) {
        let Some(own) = self.own else { return (Ok(()), Vec::new()) };
        // The bare loop has nothing to put in order.
        let ended = if own.is_bare { own.member.kill().await } else { own.member.end().await };
        (ended, last_lines(&own.log))
    }

    /// A script in place of a Doorbell of the tool's own.
    #[cfg(test)]
    pub async fn script(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            name: "it".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            log: folder.path().join("log"),
            kind: Kind::Doorbell,
            cpus: None,
        };
        let (log, member) = started("it", launch).await.unwrap();
        Self {
            places: Vec::new(),
            credentials: Credentials::Nobody,
            api_key: None,
            meter: Meter::Metrics(Vec::new()),
            own: Some(Own { member, is_bare: false, log, _folder: folder }),
        }
    }
}

/// Starts it; answers its log as well. Where it does not start, its log says why: the file is gone with its folder.
async fn started(name: &str, launch: Launch) -> anyhow::Result<(PathBuf, Member)> {
    let log = launch.log.clone();
    let started = Member::start(launch).await;
    let why = |_| anyhow::anyhow!("{name} does not start:\n{}", last_lines(&log).join("\n"));
    let member = started.map_err(why)?;
    Ok((log, member))
}

/// Of a log; there are none where there is no such file.
fn last_lines(log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

fn place_of(address: &str) -> anyhow::Result<Place> {
    Ok(Place { address: address.parse()?, host: address.to_owned() })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
