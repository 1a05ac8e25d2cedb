//! What `doorbell check` finds beyond the configuration's own rules: what of this host would keep it from starting, or
//! have it serve badly. It only looks.

mod host;

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;

use doorbell_backplane::Role;
use doorbell_gateway::tls::Standing;
use doorbell_protocol::Timestamp;
use rustix::fs::{Access, FsWord, access, statfs, statvfs};

use crate::config::{Config, Demo};
use crate::wiring::backends;
use crate::{apikeyfile, certificate, clock, descriptors, jwks, keyfile, peerkey, trust};
use host::{Limits, Server};

/// What `statfs` calls a file system in memory.
const TMPFS: FsWord = 0x0102_1994;
/// As message-svc does: of a small disk, the eighth part is kept free.
const RESERVE_DIVISOR: u64 = 8;

/// What was found, one line each.
#[derive(Debug, Default)]
pub struct Found {
    /// It would not start, or nobody could come.
    pub wrong: Vec<String>,
    /// It would start.
    pub warnings: Vec<String>,
}

/// Looks at everything. `ignored` are variables that look like ours and name no key.
pub fn look<'a>(config: &Config, ignored: impl Iterator<Item = &'a str>) -> Found {
    let mut found = Found::default();
    keys(config, &mut found);
    tls(config, (clock::wall())(), &mut found);
    other_back_ends(config, &mut found);
    address(config, &mut found);
    if config.is_cluster() {
        peers(config, &mut found);
    }
    if !config.is_cluster() || config.keeps_messages() {
        data(config, &mut found);
    }
    let ignored = ignored.map(|name| format!("{name} is set and names no key: it is ignored"));
    found.warnings.extend(ignored);
    found
}

/// A key file is made at the first start; one that is there must be good, and so must the public keys.
fn keys(config: &Config, found: &mut Found) {
    let path = config.key_path();
    if path.exists()
        && let Err(error) = keyfile::read(&path)
    {
        found.wrong.push(format!("`key_file`: {error:#}"));
    }
    if let Err(error) = apikeyfile::read(&config.api_keys_file) {
        found.wrong.push(format!("`api_keys_file`: {error:#}"));
    }
    let unusable = config.auth.public_key_files.iter().filter_map(|path| trust::public_key(path).err());
    found.wrong.extend(unusable.map(|error| format!("{error:#}")));
    if let Err(error) = jwks::check(config) {
        found.wrong.push(format!("{error:#}"));
    }
}

/// A certificate that no client would take keeps nothing from starting, and everybody from coming.
fn tls(config: &Config, now: Timestamp, found: &mut Found) {
    if !config.tls.is_on() {
        return;
    }
    let certificate = match certificate::read(&config.tls) {
        Ok(certificate) => certificate,
        Err(error) => return found.wrong.push(format!("{error:#}")),
    };
    let Some(complaint) = certificate::complaint(&certificate, now) else { return };
    let finding = format!("`tls.certificate_file` is {}: {complaint}", config.tls.certificate_file.display());
    match certificate.standing(now) {
        Standing::Early | Standing::Expired => found.wrong.push(finding),
        Standing::Good | Standing::Soon => found.warnings.push(finding),
    }
}

/// Secrets and users' data go there.
fn other_back_ends(config: &Config, found: &mut Found) {
    found.wrong.extend(backends::probe(config).iter().map(|error| format!("{error:#}")));
    for (key, url) in [("upstream.url", &config.upstream.url), ("offline_hook.url", &config.offline_hook.url)]
    {
        if leaves_in_plain_text(url) {
            found.warnings.push(format!(
                "`{key}` is http, and not on this machine: what goes there travels in plain text; use https"
            ));
        }
    }
}

fn leaves_in_plain_text(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme_str() == Some("http") && !is_here
}

/// Where other processes call this one, and what keeps foreign ones out.
fn peers(config: &Config, found: &mut Found) {
    let listen = &config.cluster.listen;
    let addresses: Vec<SocketAddr> = match listen.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return found
                .wrong
                .push(format!("`cluster.listen` is {listen}: cannot find the address: {error}"));
        }
    };
    let is_everywhere = addresses.iter().any(|address| address.ip().is_unspecified());
    if is_everywhere && config.cluster.advertise.is_empty() {
        let what = "that is every address of this machine, so `cluster.advertise` has to say at which one others reach it";
        found.wrong.push(format!("`cluster.listen` is {listen}: {what}"));
    }
    let is_open = !addresses.iter().all(|address| address.ip().is_loopback());
    match peerkey::trust(&config.cluster) {
        Err(error) => found.wrong.push(format!("{error:#}")),
        Ok(trust) if is_open && !trust.guards() => found.wrong.push(format!(
            "`cluster.listen` is {listen}, which is not loopback: set `cluster.peer_key_file`, or `cluster.tls_cert_file` \
             with its key and authority"
        )),
        Ok(_) => {}
    }
    if !is_open {
        found
            .warnings
            .push(format!("`cluster.listen` is {listen}: processes of other machines cannot call this one"));
    }
}

fn address(config: &Config, found: &mut Found) {
    let addresses = match config.listen.resolve() {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return found.wrong.push(format!("`listen` is {}: the name has no address", config.listen)),
        Err(error) => {
            let listen = &config.listen;
            return found
                .wrong
                .push(format!("`listen` is {listen}: cannot find the address of the name: {error}"));
        }
    };
    // The port may be the running server's: only whether the address is this host's is tried.
    let here = |address: &SocketAddr| TcpListener::bind((address.ip(), 0)).is_ok();
    if !addresses.iter().any(here) {
        found.wrong.push(format!(
            "`listen` is {}: that is no address of this host; 0.0.0.0 and [::] stand for all that it has",
            config.listen
        ));
    }
    let loopback = addresses.iter().all(|address| address.ip().is_loopback());
    if !loopback {
        open_to_others(config, found);
    }
    if config.roles.has(Role::Gateway) {
        let server = Server { behind_proxy: loopback, tls: config.tls.is_on() };
        found.warnings.extend(Limits::of_this_host(descriptors::limit()).missing(server));
    }
}

/// Others than this machine can connect.
fn open_to_others(config: &Config, found: &mut Found) {
    if config.demo == Demo::On {
        let what = "`demo` is on and `listen` is not loopback: everybody who reaches it can be any user";
        found.warnings.push(what.to_owned());
    }
    if !config.tls.is_on() {
        found.warnings.push(
            "`listen` is not loopback, and tokens and messages travel in plain text: set `tls.certificate_file`, or put a \
             proxy with TLS in front"
                .to_owned(),
        );
    }
    if config.listener.origins.is_empty() {
        found.warnings.push(
            "`listener.origins` is empty and `listen` is not loopback: pages reached by a name cannot open sockets; \
             list their origins, as https://chat.example"
                .to_owned(),
        );
    }
}

fn data(config: &Config, found: &mut Found) {
    let dir = &config.data_dir;
    let Some(place) = dir.ancestors().map(or_here).find(|path| path.exists()) else { return };
    let shown = dir.display();
    if !place.is_dir() {
        return found.wrong.push(format!("`data_dir` is {shown}: {} is no directory", place.display()));
    }
    if access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return found.wrong.push(format!("`data_dir` is {shown}: {} cannot be written", place.display()));
    }
    if statfs(place).is_ok_and(|disk| disk.f_type == TMPFS) {
        let what = "is in memory: all messages are gone when this machine stops";
        found.warnings.push(format!("`data_dir` is {shown}, which {what}"));
    }
    let Ok(disk) = statvfs(place) else { return };
    let (free, size) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    if let Some(reserve) = reserve_lacking(free, size, config.message.disk_reserve_bytes) {
        found.warnings.push(format!(
            "`data_dir` is {shown}: {free} bytes are free, and `message.disk_reserve_bytes` keeps {reserve} of them; \
             whatever writes is refused until there is room"
        ));
    }
}

/// What is kept free of a disk of this size, where less is.
fn reserve_lacking(free: u64, size: u64, wanted: u64) -> Option<u64> {
    let reserve = wanted.min(size / RESERVE_DIVISOR);
    (free < reserve).then_some(reserve)
}

/// The last ancestor of a relative path is empty: the current directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_gateway::auth::KeySource;
    use std::os::unix::fs::PermissionsExt;

    fn config(more: &str) -> (tempfile::TempDir, Config) {
        let scratch = tempfile::tempdir().unwrap();
        let mut config: Config = toml::from_str(more).unwrap();
        config.data_dir = scratch.path().join("data/deep");
        (scratch, config)
    }

    /// What is wrong, and the warnings that name `key`.
    fn about(config: &Config, key: &str) -> (Vec<String>, Vec<String>) {
        let Found { wrong, warnings } = look(config, std::iter::empty());
        (wrong, warnings.into_iter().filter(|warning| warning.contains(key)).collect())
    }

    #[test]
    fn the_defaults_find_nothing_wrong() {
        let (_scratch, config) = config("");
        assert_eq!(about(&config, "listen"), (vec![], vec![]));
    }

    #[test]
    fn several_things_are_told_at_once_with_their_keys() {
        let (scratch, mut config) = config("listen = '192.0.2.1:80'");
        let key = scratch.path().join("key");
        std::fs::write(&key, "{}").unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
        (config.key_file, config.data_dir) = (key.clone(), key.join("data"));
        config.auth.public_key_files = vec!["/nowhere/a.pem".into(), key.clone()];
        let nothing = scratch.path().join("jwks.json");
        config.auth.jwks = KeySource::File(nothing);

        let (wrong, _) = about(&config, "");

        for expected in [
            "`key_file`: ",
            "chmod 600",
            "no address of this host",
            "is no directory",
            "/nowhere/a.pem",
            "no public key",
            "jwks.json",
        ] {
            assert!(wrong.iter().any(|line| line.contains(expected)), "no {expected} in {wrong:?}");
        }
        assert_eq!(wrong.len(), 6, "{wrong:?}");
    }

    #[test]
    fn others_than_this_machine_are_a_reason_for_warnings() {
        let (_scratch, config) = config("listen = '0.0.0.0:80'\ndemo = 'on'");
        let (wrong, warnings) = about(&config, "`listen` is not loopback");
        assert_eq!((wrong.len(), warnings.len()), (0, 3), "{warnings:?}");
    }

    #[test]
    fn other_back_ends_are_looked_at_without_a_call() {
        let (_scratch, sound) = config(
            "upstream.url = 'http://127.0.0.1:1'\nupstream.secret = 's3cret'\n\
             offline_hook.url = 'https://push.example'\noffline_hook.secret = 'a secret of some length'",
        );
        assert_eq!(about(&sound, ".url"), (vec![], vec![]));

        let (_scratch, faulty) = config(
            "upstream.url = 'http://app.example'\nupstream.secret_file = '/nowhere'\n\
             offline_hook.url = 'http://[::1]:1'\noffline_hook.secret = 'short'",
        );
        let (wrong, warnings) = about(&faulty, ".url");
        assert!(wrong[0].contains("`upstream.secret_file`: cannot read /nowhere"), "{wrong:?}");
        assert!(wrong[1].contains("`offline_hook` must be at least 16 bytes"), "{wrong:?}");
        assert!(!wrong.concat().contains("short") && wrong.len() == 2, "{wrong:?}");
        assert!(warnings.len() == 1 && warnings[0].contains("`upstream.url` is http"), "{warnings:?}");
    }

    #[test]
    fn an_ignored_variable_is_a_warning() {
        let (_scratch, config) = config("");
        let found = look(&config, ["DOORBELL_PORT"].into_iter());
        assert!(found.warnings.iter().any(|line| line.contains("DOORBELL_PORT")), "{found:?}");
    }

    #[test]
    fn a_disk_with_less_than_its_reserve_is_a_warning() {
        for (free, size, wanted, kept) in [
            (99, 8_000, 100, Some(100)),
            (100, 8_000, 100, None),
            (100, 800, 1_000, None),
            (99, 8_000, 5_000, Some(1_000)),
        ] {
            assert_eq!(reserve_lacking(free, size, wanted), kept, "{free} of {size}");
        }
    }

    #[test]
    fn what_keeps_other_processes_from_calling_is_told() {
        let looked = |change: fn(&mut doorbell_cluster::Config)| {
            let mut config = Config::default();
            change(&mut config.cluster);
            let mut found = Found::default();
            peers(&config, &mut found);
            found.wrong.join("\n")
        };
        assert_eq!(looked(|_| {}), "");
        for (change, said) in [
            (
                (|cluster| cluster.listen = "10.0.0.1:7070".to_owned()) as fn(&mut doorbell_cluster::Config),
                "peer_key_file",
            ),
            (|cluster| cluster.listen = "0.0.0.0:7070".to_owned(), "`cluster.advertise`"),
            (|cluster| cluster.peer_key_file = "/no/such".into(), "/no/such"),
            (|cluster| cluster.peer_key = "short".to_owned(), "`cluster.peer_key`"),
        ] {
            assert!(looked(change).contains(said), "{said}: {}", looked(change));
        }
    }
}
