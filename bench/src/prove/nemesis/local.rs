//! A Doorbell of the tool's own on the loopback: one process, or a whole installation around a Redis.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures_util::future::join_all;

use super::port::Port;
use super::way::Way;
use super::{Cluster, Cut, Fallen, Harm, Process};
use crate::cpus::Cpus;
use crate::process::{Kind, Launch, Member};
use crate::prove::history::{Deed, Harmed, Part};
use crate::rank::Rank;

/// How many processes of each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Gateways, notifiers, channel services, message services.
    counts: [u16; 4],
}

impl Shape {
    /// So many gateways, and one of each other role.
    pub const fn of_gateways(count: u16) -> Self {
        Self { counts: [count, 1, 1, 1] }
    }
}

/// How long a process may take to end: the sum of its budgets in `[shutdown]`, 20 s, and a few seconds, as `docs/operations.md` says.
const STOP_BUDGET: Duration = Duration::from_secs(25);

/// In the order of [`Shape`].
const ROLES: [(&str, Part); 4] = [
    ("gateway", Part::Gateway),
    ("notifier", Part::Notifier),
    ("channel", Part::Channel),
    ("message", Part::Message),
];

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
        if counts.contains(&0) {
            return Err("at least one of each role".to_owned());
        }
        Ok(Self { counts })
    }
}

/// What the tool started, and may do harm to.
pub struct Local {
    folder: PathBuf,
    key_file: PathBuf,
    members: Vec<Member>,
    /// What each of them is.
    parts: Vec<Part>,
    /// The connections that can be cut: of each process to Redis, and of all others to it.
    ways: Vec<Cuttable>,
    /// Where those listen who are at the same port after each restart.
    ports: Vec<Port>,
}

/// A connection that can be cut.
struct Cuttable {
    way: Way,
    /// Its ends.
    parts: Vec<Part>,
    /// Whose it is.
    process: Process,
}

/// How the processes of an installation run.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Settings, as environment variables.
    pub env: Vec<(String, String)>,
    /// Whether their connections can be cut.
    pub is_cut: bool,
    /// Their CPUs; those of the tool where none are named.
    pub cpus: Option<Cpus>,
    /// How gateways stand to the others.
    pub gateways: Rank,
}

/// What all processes of an installation have in common.
struct Common<'a> {
    binary: &'a Path,
    /// The port of Redis.
    redis: u16,
    manner: Manner,
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
            leash: Some(binary.to_owned()),
            program: binary.to_owned(),
            args: vec!["serve".to_owned(), "--data-dir".to_owned(), text(&data)],
            env,
            log: folder.join("server.log"),
            kind: Kind::Doorbell,
            cpus: None,
            rank: Rank::Ordinary,
        };
        let members = vec![Member::start(launch).await?];
        Ok(Self {
            folder: folder.to_owned(),
            key_file: data.join("key"),
            members,
            parts: vec![Part::All],
            ways: Vec::new(),
            ports: Vec::new(),
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
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let reserved = Port::reserve()?;
        let port = reserved.number();
        // Redis goes to its folder before it reads other paths.
        let folder = folder.canonicalize()?;
        let key_file = folder.join("key");
        let (members, parts, ways, ports) = (Vec::new(), Vec::new(), Vec::new(), vec![reserved]);
        let mut own = Self { key_file, folder, members, parts, ways, ports };
        // Everybody waits for it.
        let rank = if manner.gateways == Rank::Yielding { Rank::First } else { Rank::Ordinary };
        let redis = Launch { cpus: manner.cpus.clone(), rank, ..own.redis(binary, port) };
        own.add(redis, Part::Redis).await.context("an installation needs redis-server: install it")?;
        let common = Common { binary, redis: port, manner };
        for ((role, part), count) in ROLES.into_iter().zip(shape.counts).rev() {
            let launches: Vec<Launch> = (1..=count)
                .map(|number| own.member(&common, (role, part), number))
                .collect::<anyhow::Result<_>>()?;
            let started = join_all(launches.into_iter().map(Member::start)).await;
            for member in started {
                own.members.push(member?);
                own.parts.push(part);
            }
        }
        Ok(own)
    }

    async fn add(&mut self, launch: Launch, part: Part) -> anyhow::Result<()> {
        self.members.push(Member::start(launch).await?);
        self.parts.push(part);
        Ok(())
    }

    fn redis(&self, binary: &Path, port: u16) -> Launch {
        let flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--logfile"];
        let mut args: Vec<String> = flags.map(str::to_owned).to_vec();
        args.extend([text(&self.folder.join("redis.log")), "--dir".to_owned(), text(&self.folder)]);
        let log = self.folder.join("redis.err");
        Launch {
            name: "redis".to_owned(),
            leash: Some(binary.to_owned()),
            program: "redis-server".into(),
            args,
            env: Vec::new(),
            log,
            kind: Kind::Redis(port),
            cpus: None,
            rank: Rank::Ordinary,
        }
    }

    fn member(
        &mut self,
        common: &Common<'_>,
        (role, part): (&str, Part),
        number: u16,
    ) -> anyhow::Result<Launch> {
        let name = format!("{role}-{number}");
        let mut env = common.manner.env.clone();
        let mut redis = common.redis;
        if common.manner.is_cut {
            let reserved = Port::reserve()?;
            let listens = reserved.number();
            self.ports.push(reserved);
            let to_redis = Way::open(format!("{name} to redis"), redis)?;
            let to_it = Way::open(format!("all to {name}"), listens)?;
            let address = |port: u16| format!("127.0.0.1:{port}");
            env.push(("DOORBELL_CLUSTER__LISTEN".to_owned(), address(listens)));
            env.push(("DOORBELL_CLUSTER__ADVERTISE".to_owned(), address(to_it.port())));
            redis = to_redis.port();
            // Those of a role are started together, in the order of their numbers.
            let process = self.members.len() + usize::from(number) - 1;
            let ends = [(to_redis, vec![part, Part::Redis]), (to_it, vec![part])];
            self.ways.extend(ends.map(|(way, parts)| Cuttable { way, parts, process }));
        }
        let args = [
            "serve",
            "--roles",
            role,
            "--redis",
            &format!("redis://127.0.0.1:{redis}"),
            "--key-file",
            &text(&self.key_file),
            // Message services share it: one has the store, the others wait for it and pass calls on.
            "--data-dir",
            &text(&self.folder.join("data")),
        ];
        Ok(Launch {
            leash: Some(common.binary.to_owned()),
            program: common.binary.to_owned(),
            args: args.map(str::to_owned).to_vec(),
            env,
            log: self.folder.join(format!("{name}.log")),
            name,
            kind: Kind::Doorbell,
            cpus: common.manner.cpus.clone(),
            rank: if is_door(part) { common.manner.gateways } else { Rank::Ordinary },
        })
    }

    /// Those to which clients connect.
    pub fn gateways(&self) -> impl Iterator<Item = &Member> {
        self.those(is_door)
    }

    /// Those of which `is` holds, by what they are.
    fn those<'a>(&'a self, is: impl Fn(Part) -> bool + 'a) -> impl Iterator<Item = &'a Member> {
        self.members.iter().zip(&self.parts).filter(move |(_, part)| is(**part)).map(|(member, _)| member)
    }

    /// The place of a process in [`Cluster::urls`], where clients connect to it.
    fn target(&self, process: Process) -> Option<u32> {
        let before = self.parts.iter().take(process).filter(|part| is_door(**part)).count();
        self.parts.get(process).filter(|part| is_door(**part)).and_then(|_| u32::try_from(before).ok())
    }
}

#[async_trait]
impl Cluster for Local {
    fn processes(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name().to_owned()).collect()
    }

    fn links(&self) -> Vec<String> {
        self.ways.iter().map(|cuttable| cuttable.way.name().to_owned()).collect()
    }

    fn urls(&self) -> Vec<String> {
        self.gateways().map(|gateway| format!("ws://{}", gateway.address())).collect()
    }

    fn metrics_urls(&self) -> Vec<String> {
        let own = self.those(|part| part != Part::Redis);
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
        let mut fallen = join_all(self.those(|part| part != Part::Redis).map(ended)).await;
        for redis in self.those(|part| part == Part::Redis) {
            fallen.push(ended(redis).await);
        }
        fallen.into_iter().flatten().collect()
    }

    fn harmed(&self, harm: Harm) -> Harmed {
        let (deed, parts, process) = match harm {
            Harm::Kill(process) => (Deed::Kill, vec![self.parts[process]], process),
            Harm::Stop(process) => (Deed::Stop, vec![self.parts[process]], process),
            Harm::End(process) => (Deed::End, vec![self.parts[process]], process),
            Harm::Cut(link) => (Deed::Cut, self.ways[link].parts.clone(), self.ways[link].process),
        };
        Harmed { deed, parts, targets: self.target(process).into_iter().collect() }
    }

    async fn kill(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].kill().await
    }

    async fn leave(&self, process: Process) -> anyhow::Result<()> {
        self.members[process].leave(STOP_BUDGET).await
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
        self.ways[link].way.cut();
        Ok(())
    }

    async fn mend(&self, link: Cut) -> anyhow::Result<()> {
        self.ways[link].way.mend();
        Ok(())
    }
}

/// Whether clients connect to it.
const fn is_door(part: Part) -> bool {
    matches!(part, Part::All | Part::Gateway)
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
        assert_eq!("2,2,2,3".parse(), Ok(Shape { counts: [2, 2, 2, 3] }));
        for bad in ["", "2", "2,2,2,1,1", "0,1,1,1", "2,2,2,0", "a,b,c,d"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
