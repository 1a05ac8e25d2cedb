//! A Doorbell of the tool's own on the loopback: one process, or a whole installation around a Redis.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use async_trait::async_trait;
use futures_util::future::join_all;

use super::way::Way;
use super::{Cluster, Cut, Fallen, Process};
use crate::process::{Kind, Launch, Member};

/// How many processes of each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Gateways, notifiers, channel services, message services.
    counts: [u16; 4],
}

/// In the order of [`Shape`].
const ROLES: [&str; 4] = ["gateway", "notifier", "channel", "message"];

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write four numbers: gateways,notifiers,channel services,message services".to_owned();
        let counts: Vec<u16> = text
            .split(',')
            .map(|number| number.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        let counts: [u16; 4] = counts.try_into().map_err(|_| wrong())?;
        if counts.contains(&0) || counts[3] != 1 {
            // More message services would share a store that one of them has open.
            return Err("at least one of each role, and one message service".to_owned());
        }
        Ok(Self { counts })
    }
}

/// What the tool started, and may do harm to.
pub struct Local {
    folder: PathBuf,
    key_file: PathBuf,
    members: Vec<Member>,
    /// What each of them is: a role, `all`, or `redis`.
    roles: Vec<&'static str>,
    /// The connections that can be cut: of each process to Redis, and of all others to it.
    ways: Vec<Way>,
}

/// What all processes of an installation have in common.
struct Common<'a> {
    binary: &'a Path,
    /// The port of Redis.
    redis: u16,
    env: Vec<(String, String)>,
    /// Whether their connections can be cut.
    is_cut: bool,
}

impl Local {
    /// One process with everything in it. Data and log go to `folder`.
    ///
    /// # Errors
    /// It does not get ready in time; its log says why.
    pub async fn one(binary: &Path, folder: &Path, env: Vec<(String, String)>) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let launch = Launch {
            name: "doorbell".to_owned(),
            program: binary.to_owned(),
            args: vec!["serve".to_owned(), "--data-dir".to_owned(), text(&data)],
            env,
            log: folder.join("server.log"),
            kind: Kind::Doorbell,
        };
        let members = vec![Member::start(launch).await?];
        Ok(Self {
            folder: folder.to_owned(),
            key_file: data.join("key"),
            members,
            roles: vec!["all"],
            ways: Vec::new(),
        })
    }

    /// A whole installation, around a `redis-server` that keeps nothing: killed and started, it is empty. Where connections are to be
    /// cut, all of them pass this process, which costs time.
    ///
    /// # Errors
    /// One of them does not get ready in time, or there is no `redis-server`.
    pub async fn installation(
        binary: &Path,
        folder: &Path,
        shape: Shape,
        env: Vec<(String, String)>,
        is_cut: bool,
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        // Redis goes to its folder before it reads other paths.
        let folder = folder.canonicalize()?;
        let key_file = folder.join("key");
        let mut own = Self { key_file, folder, members: Vec::new(), roles: Vec::new(), ways: Vec::new() };
        own.add(own.redis(port), "redis").await.context("an installation needs redis-server: install it")?;
        let common = Common { binary, redis: port, env, is_cut };
        for (role, count) in ROLES.into_iter().zip(shape.counts).rev() {
            let launches: Vec<Launch> =
                (1..=count).map(|number| own.member(&common, role, number)).collect::<anyhow::Result<_>>()?;
            let started = join_all(launches.into_iter().map(Member::start)).await;
            for member in started {
                own.members.push(member?);
                own.roles.push(role);
            }
        }
        Ok(own)
    }

    async fn add(&mut self, launch: Launch, role: &'static str) -> anyhow::Result<()> {
        self.members.push(Member::start(launch).await?);
        self.roles.push(role);
        Ok(())
    }

    fn redis(&self, port: u16) -> Launch {
        let flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--logfile"];
        let mut args: Vec<String> = flags.map(str::to_owned).to_vec();
        args.extend([text(&self.folder.join("redis.log")), "--dir".to_owned(), text(&self.folder)]);
        let log = self.folder.join("redis.err");
        Launch {
            name: "redis".to_owned(),
            program: "redis-server".into(),
            args,
            env: Vec::new(),
            log,
            kind: Kind::Redis(port),
        }
    }

    fn member(&mut self, common: &Common<'_>, role: &str, number: u16) -> anyhow::Result<Launch> {
        let name = format!("{role}-{number}");
        let mut env = common.env.clone();
        let mut redis = common.redis;
        if common.is_cut {
            let listens = free_port()?;
            let to_redis = Way::open(format!("{name} to redis"), redis)?;
            let to_it = Way::open(format!("all to {name}"), listens)?;
            let address = |port: u16| format!("127.0.0.1:{port}");
            env.push(("DOORBELL_CLUSTER__LISTEN".to_owned(), address(listens)));
            env.push(("DOORBELL_CLUSTER__ADVERTISE".to_owned(), address(to_it.port())));
            redis = to_redis.port();
            self.ways.extend([to_redis, to_it]);
        }
        let args = [
            "serve",
            "--roles",
            role,
            "--redis",
            &format!("redis://127.0.0.1:{redis}"),
            "--key-file",
            &text(&self.key_file),
            "--data-dir",
            &text(&self.folder.join("data")),
        ];
        Ok(Launch {
            program: common.binary.to_owned(),
            args: args.map(str::to_owned).to_vec(),
            env,
            log: self.folder.join(format!("{name}.log")),
            name,
            kind: Kind::Doorbell,
        })
    }

    /// Those of which `is` holds, by what they are.
    fn those<'a>(&'a self, is: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a Member> {
        self.members.iter().zip(&self.roles).filter(move |(_, role)| is(role)).map(|(member, _)| member)
    }
}

#[async_trait]
impl Cluster for Local {
    fn processes(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name().to_owned()).collect()
    }

    fn links(&self) -> Vec<String> {
        self.ways.iter().map(|way| way.name().to_owned()).collect()
    }

    fn urls(&self) -> Vec<String> {
        let gateways = self.those(|role| matches!(role, "gateway" | "all"));
        gateways.map(|gateway| format!("ws://{}", gateway.address())).collect()
    }

    fn metrics_urls(&self) -> Vec<String> {
        let own = self.those(|role| role != "redis");
        own.map(|member| format!("http://{}/metrics", member.address())).collect()
    }

    fn key_file(&self) -> PathBuf {
        self.key_file.clone()
    }

    async fn fallen(&self) -> Vec<Fallen> {
        let mut fallen = Vec::new();
        for member in &self.members {
            let process = member.name();
            fallen.extend(
                member.fallen().await.into_iter().map(|how| Fallen { process: process.to_owned(), how }),
            );
        }
        fallen
    }

    /// Redis last: the others tell it that they go.
    async fn end(&self) -> Vec<Fallen> {
        let mut fallen = join_all(self.those(|role| role != "redis").map(ended)).await;
        for redis in self.those(|role| role == "redis") {
            fallen.push(ended(redis).await);
        }
        fallen.into_iter().flatten().collect()
    }

    /// A gateway that dies takes the calls of its clients along.
    fn answers_sends(&self, process: Process) -> bool {
        matches!(self.roles[process], "all" | "gateway" | "message")
    }

    /// Without Redis a send is acknowledged all the same, and hinted later.
    fn carries_sends(&self, link: Cut) -> bool {
        self.ways[link].name().starts_with("all to message")
    }

    async fn kill(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].kill().await
    }

    async fn restart(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].restart().await
    }

    async fn stop(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].stop().await
    }

    async fn cont(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].cont().await
    }

    async fn cut(&self, link: Cut) -> anyhow::Result<()> {
        self.ways[link].cut();
        Ok(())
    }

    async fn mend(&self, link: Cut) -> anyhow::Result<()> {
        self.ways[link].mend();
        Ok(())
    }
}

/// One that nobody has now, for what has to be at the same port after each restart.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn ended(member: &Member) -> Option<Fallen> {
    let error = member.end().await.err()?;
    Some(Fallen { process: member.name().to_owned(), how: format!("{error:#}") })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_four_numbers_none_of_them_zero() {
        assert_eq!("2, 1,1,1".parse(), Ok(Shape { counts: [2, 1, 1, 1] }));
        for bad in ["", "2", "2,2,2,1,1", "0,1,1,1", "2,2,2,2", "a,b,c,d"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
