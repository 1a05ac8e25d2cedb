//! What of this host keeps it from holding many sockets: the limit of open files, the kernel's backlog, ports, connection tracking, memory.

use std::path::Path;

use doorbell_gateway::listener::BACKLOG;

/// Below this many open files it says so: each socket is one, and a gateway is made for many.
const FILES_FEW: u64 = 65_536;
/// What an idle session takes of a server's memory: some 1.2 KB of the process and 4.6 KB of the kernel, which is half of what it takes for
/// both ends (`docs/performance.md`, "Memory"); the rest is room.
const SESSION_BYTES: u64 = 8_192;
/// In TLS, of which rustls and aws-lc keep some 3.5 KB more. Double, as what waits for a busy client waits encrypted as well.
const TLS_SESSION_BYTES: u64 = 16_384;
/// Linux' own range has so many ports for connections that are begun (32768 to 60999).
const PORTS_USUAL: u64 = 28_232;

/// What there is of a server that matters here.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// It listens on the loopback alone: clients come by a proxy on this host.
    pub behind_proxy: bool,
    /// It speaks TLS.
    pub tls: bool,
}

/// What this host gives, as far as it can be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Files that a process may open (`ulimit -Hn`).
    files: u64,
    /// Connections that wait to be accepted at most, whatever a listener asks for (`net.core.somaxconn`).
    backlog: Option<u64>,
    /// Ports that one local address has for connections it begins (`net.ipv4.ip_local_port_range`).
    ports: Option<u64>,
    /// Connections that the firewall follows at most (`net.netfilter.nf_conntrack_max`); none where it follows none.
    tracked: Option<u64>,
    /// Bytes of memory: the machine's, or the control group's where that is less.
    memory: Option<u64>,
}

impl Limits {
    /// Those of this host.
    pub fn of_this_host(files: u64) -> Self {
        Self {
            files,
            backlog: number("/proc/sys/net/core/somaxconn"),
            ports: read("/proc/sys/net/ipv4/ip_local_port_range").and_then(|range| ports(&range)),
            tracked: number("/proc/sys/net/netfilter/nf_conntrack_max"),
            memory: memory(),
        }
    }

    /// What a gateway will miss, one line each.
    pub fn missing(self, server: Server) -> Vec<String> {
        let mut missing = Vec::new();
        if self.files < FILES_FEW {
            missing.push(format!(
                "{} open files are allowed, and each socket is one: raise the hard limit (`ulimit -Hn`, LimitNOFILE= \
                 of systemd) above the number of clients",
                self.files
            ));
        }
        if let Some(backlog) = self.backlog.filter(|backlog| *backlog < u64::from(BACKLOG)) {
            missing.push(format!(
                "{backlog} connections may wait to be accepted (`net.core.somaxconn`), and when everybody returns at once those beyond \
                 it wait a second or more: sysctl -w net.core.somaxconn={BACKLOG}"
            ));
        }
        if let Some(tracked) = self.tracked.filter(|tracked| *tracked < self.files.saturating_mul(2)) {
            missing.push(format!(
                "the firewall follows {tracked} connections (`net.netfilter.nf_conntrack_max`) and drops what comes \
                 beyond, where {} files may be open: raise it above twice the number of clients, or follow none of this \
                 port",
                self.files
            ));
        }
        if let Some(ports) = self.ports.filter(|ports| server.behind_proxy && *ports < PORTS_USUAL) {
            missing.push(format!(
                "a proxy on this machine has {ports} ports for its connections to this one \
                 (`net.ipv4.ip_local_port_range`): widen the range, sysctl -w \
                 net.ipv4.ip_local_port_range='32768 60999', or give it several addresses to connect from"
            ));
        }
        let bytes = if server.tls { TLS_SESSION_BYTES } else { SESSION_BYTES };
        let room = self.memory.map(|memory| memory / bytes);
        if let Some(room) = room.filter(|room| *room < self.files) {
            missing.push(format!(
                "memory is for some {room} idle sessions at {bytes} bytes each, process and kernel, where {} files may be \
                 open: lower the limit of open files (LimitNOFILE= of systemd), so that new clients are turned away before \
                 memory ends",
                self.files
            ));
        }
        missing
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    read(path)?.trim().parse().ok()
}

/// How many ports `FIRST LAST` is.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// The least of the machine's memory and of what this process' control groups allow (`memory.max` of version 2, itself and all above).
fn memory() -> Option<u64> {
    let machine = total(&read("/proc/meminfo")?)?;
    let group = read("/proc/self/cgroup").and_then(|groups| own_group(&groups).map(str::to_owned));
    let own = Path::new("/sys/fs/cgroup").join(group.as_deref().unwrap_or_default());
    let limits = own
        .ancestors()
        .filter(|dir| dir.starts_with("/sys/fs/cgroup"))
        .filter_map(|dir| number(dir.join("memory.max")));
    limits.chain([machine]).min()
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The group of version 2 in `/proc/self/cgroup`, relative to where they are mounted.
fn own_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Limits = Limits {
        files: 1 << 20,
        backlog: Some(4_096),
        ports: Some(28_232),
        tracked: Some(1 << 21),
        memory: Some(1 << 33),
    };

    const OPEN: Server = Server { behind_proxy: false, tls: false };
    const TLS: Server = Server { tls: true, ..OPEN };
    const BEHIND_PROXY: Server = Server { behind_proxy: true, ..OPEN };

    #[test]
    fn a_host_that_is_set_for_many_sockets_lacks_nothing() {
        assert_eq!(ENOUGH.missing(OPEN), [""; 0]);
        // What cannot be read is not said to be missing.
        assert_eq!(Limits { files: 1 << 20, ..Limits::default() }.missing(BEHIND_PROXY), [""; 0]);
    }

    #[test]
    fn each_limit_is_told_alone_with_its_number_and_where_it_is_set() {
        for (limits, server, number, place) in [
            (Limits { files: 1_024, ..ENOUGH }, OPEN, "1024 open files", "ulimit -Hn"),
            (Limits { backlog: Some(128), ..ENOUGH }, OPEN, "128 connections", "net.core.somaxconn=4096"),
            (Limits { tracked: Some(65_536), ..ENOUGH }, OPEN, "65536 connections", "nf_conntrack_max"),
            (Limits { ports: Some(1_000), ..ENOUGH }, BEHIND_PROXY, "1000 ports", "ip_local_port_range"),
            (Limits { memory: Some(1 << 30), ..ENOUGH }, OPEN, "131072 idle sessions", "LimitNOFILE="),
            (
                Limits { files: 100_000, memory: Some(128 << 20), ..ENOUGH },
                OPEN,
                "16384 idle sessions",
                "LimitNOFILE=",
            ),
            (Limits { memory: Some(10 << 30), ..ENOUGH }, TLS, "655360 idle sessions", "LimitNOFILE="),
        ] {
            let told = limits.missing(server);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(number) && told[0].contains(place), "{told:?}");
        }
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("9 1"), None);
        assert_eq!(total("MemTotal:       24689612 kB\nMemFree: 1 kB\n"), Some(24_689_612 * 1_024));
        assert_eq!(
            own_group("12:cpu:/old\n0::/system.slice/doorbell.service\n"),
            Some("system.slice/doorbell.service")
        );
        let here = Limits::of_this_host(1);
        assert!(here.backlog.is_some() && here.ports.is_some() && here.memory.is_some(), "{here:?}");
    }
}
