//! What is measured: a Doorbell of the tool's own on the loopback, an installation, or the reference.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::net::lookup_host;
use tokio::process::Command;

use super::args::Where;
use super::orders::{Coding, Credentials, Place};
use super::usage::Meter;
use crate::Host;
use crate::process::{Kind, Launch, Member};

/// The installation's name for its own: doors wide open, because the rates at which connections are taken protect a server from
/// what this tool is there to do; all else is as by default.
const CONFIG: &str = "[listener]\naccepts_per_second = 1000000\naccepts_burst = 1000000\n";

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
    /// What people call it.
    pub name: String,
    own: Option<Own>,
}

/// What the tool started.
struct Own {
    member: Member,
    is_bare: bool,
    /// Its files, gone with it.
    _folder: TempDir,
}

impl Target {
    /// What was asked for: an installation, or one of the tool's own.
    ///
    /// # Errors
    /// It does not start, its address or its key is none.
    pub async fn of(place: &Where, api_key: Option<&Path>, host: &Host) -> anyhow::Result<Self> {
        if place.url.is_empty() {
            Self::own(&place.set, host).await
        } else {
            Self::installation(place, api_key).await
        }
    }

    /// One process with everything in it, authentication, registration, metrics and heartbeats on.
    async fn own(settings: &[(String, String)], host: &Host) -> anyhow::Result<Self> {
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
        };
        let log = launch.log.clone();
        let started = Member::start(launch).await;
        // The folder goes away, and the log with it.
        let told = || std::fs::read_to_string(&log).unwrap_or_default().trim_end().to_owned();
        let member =
            started.map_err(|_| anyhow::anyhow!("a Doorbell of its own does not start:\n{}", told()))?;
        Ok(Self {
            places: vec![place_of(member.address())?],
            credentials: Credentials::Key(data.join("key")),
            api_key: Some(String::from_utf8(made.stdout)?.trim_end().to_owned()),
            meter: Meter::Process(member.number().await?),
            name: "a Doorbell of its own".to_owned(),
            own: Some(Own { member, is_bare: false, _folder: folder }),
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
        let (meter, name) = (Meter::Metrics(place.metrics_url.clone()), place.url.join(", "));
        Ok(Self { places, credentials, api_key, meter, name, own: None })
    }

    /// The bare loop.
    ///
    /// # Errors
    /// It does not start.
    pub async fn bare(
        host: &Host,
        coding: Coding,
        followed: Option<(&str, Option<u32>)>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let coding = match coding {
            Coding::Json => "json",
            Coding::Msgpack => "msgpack",
        };
        let mut args = ["bench", "load-bare", "--encoding", coding].map(str::to_owned).to_vec();
        if let Some((topic, pull_after_ms)) = followed {
            args.extend(["--topic".to_owned(), topic.to_owned()]);
            args.extend(
                pull_after_ms.into_iter().flat_map(|ms| ["--pull-after-ms".to_owned(), ms.to_string()]),
            );
        }
        let launch = Launch {
            name: "the reference".to_owned(),
            program: host.binary.clone(),
            args,
            env: Vec::new(),
            log: folder.path().join("bare.log"),
            kind: Kind::Doorbell,
        };
        let member = Member::start(launch).await?;
        Ok(Self {
            places: vec![place_of(member.address())?],
            credentials: Credentials::Nobody,
            api_key: Some("none".to_owned()),
            meter: Meter::Process(member.number().await?),
            name: "the bare loop".to_owned(),
            own: Some(Own { member, is_bare: true, _folder: folder }),
        })
    }

    /// Whether it is this machine over the loopback: then sessions have source addresses of their own.
    pub fn is_loopback(&self) -> bool {
        self.places.iter().all(|place| place.address.is_ipv4() && place.address.ip().is_loopback())
    }

    /// Ends what the tool started, in order.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.own {
            // It has nothing to put in order.
            Some(own) if own.is_bare => own.member.kill().await,
            Some(own) => own.member.end().await,
            None => Ok(()),
        }
    }
}

fn place_of(address: &str) -> anyhow::Result<Place> {
    Ok(Place { address: address.parse()?, host: address.to_owned() })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
