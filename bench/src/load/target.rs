//! What is measured: a Doorbell of the tool's own on the loopback, an installation, or bare loops.

use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::args::Where;
use super::bare::Tells;
use super::certificate::Certificate;
use super::orders::{Credentials, Place};
use super::usage::Meter;
use super::{pipe, place};
use crate::Host;
use crate::cpus::Cpus;
use crate::process::{Kind, Launch, Member};
use crate::prove::nemesis::local::{Local, Manner, Shape};
use crate::prove::nemesis::{Cluster, Fallen};
use crate::rank::Rank;
use crate::trust::Trust;

/// Settings of one of the tool's own whose door is wide open, because the rate at which connections are taken protects a server from what
/// this tool is there to do.
const WIDE_OPEN: [(&str, &str); 2] =
    [("DOORBELL_LISTENER__ACCEPTS_PER_SECOND", "1000000"), ("DOORBELL_LISTENER__ACCEPTS_BURST", "1000000")];
/// And of each of them, for rings as well; all else is as by default.
const SETTINGS: [(&str, &str); 3] = [
    ("DOORBELL_HINTS__USERS_PER_SECOND", "10000000"),
    ("DOORBELL_HINTS__USERS_BURST", "10000000"),
    ("DOORBELL_LOG", "warn"),
];

/// An API key is made at once; a loaded machine may take longer.
const KEY_DEADLINE: Duration = Duration::from_secs(60);

/// How fast a Doorbell of the tool's own takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// As fast as it can.
    WideOpen,
    /// As by default.
    AsByDefault,
}

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
    what: Started,
    logs: Vec<PathBuf>,
    /// Its files, gone with it.
    _folder: TempDir,
}

enum Started {
    /// A Doorbell in one process.
    One(Box<Member>),
    /// A Doorbell whose roles are apart.
    Apart(Local),
    /// Bare loops, which know nothing of each other.
    Bare(Vec<Member>),
}

impl Target {
    /// What was asked for: an installation, or one of the tool's own.
    ///
    /// # Errors
    /// It does not start, its address or its key is none.
    pub async fn of(
        (place, door): (&Where, Door),
        api_key: Option<&Path>,
        host: &Host,
        cpus: Option<&Cpus>,
    ) -> anyhow::Result<Self> {
        if place.url.is_empty() {
            Self::own((place, door), host, cpus).await
        } else {
            Self::installation(place, api_key).await
        }
    }

    /// With authentication, registration, metrics and heartbeats on: one process with everything in it, or the roles apart.
    async fn own((place, door): (&Where, Door), host: &Host, cpus: Option<&Cpus>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("api-keys.toml");
        let made = Command::new(&host.binary)
            .args(["api-key", "bench", "--hints"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let made =
            timeout(KEY_DEADLINE, made).await.context("an API key takes too long")?.context("an API key")?;
        ensure!(made.status.success(), "doorbell api-key: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(&keys, &made.stderr)?;
        let open = WIDE_OPEN.into_iter().filter(|_| door == Door::WideOpen);
        let settings = SETTINGS.into_iter().chain(open);
        let mut env: Vec<(String, String)> =
            settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.push(("DOORBELL_API_KEYS_FILE".to_owned(), text(&keys)));
        let certificate = place.tls.then(|| Certificate::make(folder.path())).transpose()?;
        env.extend(certificate.iter().flat_map(Certificate::settings));
        env.extend(place.set.iter().cloned());
        let api_key = Some(String::from_utf8(made.stdout)?.trim_end().to_owned());
        let own = match place.gateways {
            Some(count) => {
                let manner =
                    Manner { env, cpus: cpus.cloned(), gateways: Rank::Yielding, ..Manner::default() };
                apart(host, folder, count, manner).await?
            }
            None => one(host, folder, env, cpus).await?,
        };
        let trust = certificate.map(|certificate| certificate.trust());
        let places = own.places.into_iter().map(|place| Place { trust: trust.clone(), ..place }).collect();
        Ok(Self { places, api_key, ..own })
    }

    async fn installation(place: &Where, api_key: Option<&Path>) -> anyhow::Result<Self> {
        let trust = place.trust()?;
        let places = place::all(&place.url, &trust).await?;
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
        let meter = Meter::Metrics(place.metrics_url.clone(), trust);
        // Last, when all else that was asked for is known to be there.
        pipe::look(&places).await?;
        Ok(Self { places, credentials, api_key, meter, own: None })
    }

    /// So many bare loops.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn bare(
        host: &Host,
        tells: &Tells,
        loops: NonZeroU32,
        cpus: Option<&Cpus>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut args = ["bench", "load-bare"].map(str::to_owned).to_vec();
        args.extend(tells.words());
        let launch = |number: u32| Launch {
            name: "a bare loop".to_owned(),
            leash: Some(host.binary.clone()),
            program: host.binary.clone(),
            args: args.clone(),
            env: Vec::new(),
            log: folder.path().join(format!("bare-{number}.log")),
            kind: Kind::Doorbell,
            cpus: cpus.cloned(),
            rank: Rank::Ordinary,
        };
        let starting = (1..=loops.get()).map(|number| started("a bare loop", launch(number)));
        let (logs, members): (Vec<_>, Vec<_>) = try_join_all(starting).await?.into_iter().unzip();
        let (places, numbers) = places_of(&members).await?;
        Ok(Self {
            places,
            credentials: Credentials::Nobody,
            api_key: Some("none".to_owned()),
            meter: Meter::Processes(numbers),
            own: Some(Own { what: Started::Bare(members), logs, _folder: folder }),
        })
    }

    /// Where a back end calls so that everybody is reached: any of these, and there all places. A Doorbell passes on what comes to one of its
    /// gateways; a bare loop tells its own sockets and nobody else's.
    pub fn call_at(&self) -> impl Iterator<Item = &[Place]> + Clone {
        let is_bare = matches!(self.own.as_ref().map(|own| &own.what), Some(Started::Bare(_)));
        self.places.chunks(if is_bare { self.places.len().max(1) } else { 1 })
    }

    /// Whether it is this machine over the loopback: then sessions have source addresses of their own.
    pub fn is_loopback(&self) -> bool {
        self.places.iter().all(|place| place.address.is_ipv4() && place.address.ip().is_loopback())
    }

    /// Kills whom sessions are connected to, where the tool started it: all of them at once, as a crash would.
    ///
    /// # Errors
    /// One of them had ended by itself.
    pub async fn kill(&self) -> anyhow::Result<()> {
        try_join_all(self.held_by().into_iter().map(Member::kill)).await.map(drop)
    }

    /// Starts them again where they were, and waits until they are ready; answers where their CPU and memory are read from now on.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn restart(&self) -> anyhow::Result<Meter> {
        let members = self.held_by();
        try_join_all(members.iter().map(|member| member.restart())).await?;
        Ok(Meter::Processes(try_join_all(members.iter().map(|member| member.number())).await?))
    }

    /// How the tool's own processes stand to others: as the gateways do to their Redis.
    pub fn rank(&self) -> Rank {
        match self.own.as_ref().map(|own| &own.what) {
            Some(Started::Apart(_)) => Rank::Yielding,
            _ => Rank::Ordinary,
        }
    }

    /// Whom sessions are connected to, where the tool started it.
    fn held_by(&self) -> Vec<&Member> {
        match self.own.as_ref().map(|own| &own.what) {
            Some(Started::One(member)) => vec![&**member],
            Some(Started::Bare(members)) => members.iter().collect(),
            Some(Started::Apart(local)) => local.gateways().collect(),
            None => Vec::new(),
        }
    }

    /// Those figures of whom sessions are connected to, of all of them one after the other; `None` where nobody tells, as bare loops do not.
    ///
    /// # Errors
    /// One of them has no page with such figures, or does not answer.
    pub async fn figures(
        &self,
        wanted: impl Fn(&str) -> bool + Copy,
    ) -> anyhow::Result<Option<Vec<(String, f64)>>> {
        let (pages, trust) = self.metrics_urls();
        if pages.is_empty() {
            return Ok(None);
        }
        let mut figures = Vec::new();
        for page in pages {
            figures.extend(crate::scrape::figures(&page, &trust, wanted).await?);
        }
        Ok(Some(figures))
    }

    /// Where whoever sessions are connected to tells of itself, and whom to trust there.
    fn metrics_urls(&self) -> (Vec<String>, Trust) {
        match (&self.meter, self.own.as_ref().map(|own| &own.what)) {
            (Meter::Metrics(pages, trust), _) => (pages.clone(), trust.clone()),
            (_, Some(Started::Bare(_))) => (Vec::new(), Trust::System),
            _ => {
                let trust = self.places.iter().find_map(|place| place.trust.clone());
                (self.places.iter().map(Place::metrics_url).collect(), trust.unwrap_or_default())
            }
        }
    }

    /// Ends what the tool started, in order; answers how that went, and the last lines of its log, which is gone then.
    pub async fn end(self) -> (anyhow::Result<()>, Vec<String>) {
        let Some(own) = self.own else { return (Ok(()), Vec::new()) };
        let ended = match &own.what {
            Started::One(member) => member.end().await,
            Started::Apart(local) => match local.end().await.as_slice() {
                [] => Ok(()),
                fallen => {
                    let how = fallen.iter().map(|Fallen { process, how }| format!("{process} {how}"));
                    Err(anyhow!(how.collect::<Vec<_>>().join("; ")))
                }
            },
            // Bare loops have nothing to put in order.
            Started::Bare(members) => join_all(members.iter().map(Member::kill)).await.into_iter().collect(),
        };
        (ended, own.logs.iter().flat_map(|log| last_lines(log)).collect())
    }

    /// A script in place of a Doorbell of the tool's own.
    #[cfg(test)]
    pub async fn script(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            name: "it".to_owned(),
            leash: None,
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            log: folder.path().join("log"),
            kind: Kind::Doorbell,
            cpus: None,
            rank: Rank::Ordinary,
        };
        let (log, member) = started("it", launch).await.unwrap();
        Self {
            places: Vec::new(),
            credentials: Credentials::Nobody,
            api_key: None,
            meter: Meter::Metrics(Vec::new(), Trust::System),
            own: Some(Own { what: Started::One(Box::new(member)), logs: vec![log], _folder: folder }),
        }
    }
}

/// A Doorbell with all roles in one process.
async fn one(
    host: &Host,
    folder: TempDir,
    env: Vec<(String, String)>,
    cpus: Option<&Cpus>,
) -> anyhow::Result<Target> {
    let data = folder.path().join("data");
    let launch = Launch {
        name: "doorbell".to_owned(),
        leash: Some(host.binary.clone()),
        program: host.binary.clone(),
        args: ["serve", "--data-dir", &text(&data)].map(str::to_owned).to_vec(),
        env,
        log: folder.path().join("server.log"),
        kind: Kind::Doorbell,
        cpus: cpus.cloned(),
        rank: Rank::Ordinary,
    };
    let (log, member) = started("a Doorbell of its own", launch).await?;
    Ok(Target {
        places: vec![Place::own(member.address(), None)?],
        credentials: Credentials::Key(data.join("key")),
        api_key: None,
        meter: Meter::Processes(vec![member.number().await?]),
        own: Some(Own { what: Started::One(Box::new(member)), logs: vec![log], _folder: folder }),
    })
}

/// A Doorbell with so many gateways around a Redis, each role a process of its own.
async fn apart(host: &Host, folder: TempDir, count: NonZeroU16, manner: Manner) -> anyhow::Result<Target> {
    let shape = Shape::of_gateways(count.get());
    let started = Local::installation(&host.binary, folder.path(), shape, manner).await;
    let names = (1..=count.get()).map(|number| format!("gateway-{number}"));
    let others = ["notifier-1", "channel-1", "message-1", "redis"].map(str::to_owned);
    let logs: Vec<PathBuf> =
        names.chain(others).map(|name| folder.path().join(format!("{name}.log"))).collect();
    // The files are gone with their folder.
    let why = |error| {
        let lines: Vec<String> = logs.iter().flat_map(|log| last_lines(log)).collect();
        anyhow!("a Doorbell of its own does not start: {error:#}\n{}", lines.join("\n"))
    };
    let local = started.map_err(why)?;
    let (places, numbers) = places_of(local.gateways()).await?;
    Ok(Target {
        places,
        credentials: Credentials::Key(local.key_file()),
        api_key: None,
        meter: Meter::Processes(numbers),
        own: Some(Own { what: Started::Apart(local), logs, _folder: folder }),
    })
}

/// Where each of them is connected to, and their numbers in `/proc`.
async fn places_of(members: impl IntoIterator<Item = &Member>) -> anyhow::Result<(Vec<Place>, Vec<u32>)> {
    let (mut places, mut numbers) = (Vec::new(), Vec::new());
    for member in members {
        places.push(Place::own(member.address(), None)?);
        numbers.push(member.number().await?);
    }
    Ok((places, numbers))
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

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
