//! Where Redis is: addresses as text, checked, with errors that say what to write.

use percent_encoding::percent_decode_str;

use super::secret::Address;

/// The port of a Redis server where none is written.
const PORT: u16 = 6_379;
/// The port of a Sentinel where none is written.
const SENTINEL_PORT: u16 = 26_379;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What connections are made with.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How the servers of an installation are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Servers {
    /// One server; a Cluster where it says so.
    One(Node),
    /// Some of a Cluster's servers.
    Seeds(Vec<Node>),
    /// Sentinels that know where the primary of that name is.
    Sentinels { nodes: Vec<Node>, primary: String },
}

/// What the addresses say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) servers: Servers,
    pub(super) tls: bool,
    pub(super) login: Login,
}

/// An address, or a list of them, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{address}\": {rule}")]
pub struct InvalidAddress {
    /// The address, without its password.
    pub address: String,
    /// What to write.
    pub rule: &'static str,
}

const SCHEMES: &str = "write redis://host:port, rediss://host:port (TLS) or redis+sentinel://host:port,host:port/name-of-the-primary";

/// Reads all addresses: several are seeds of one Cluster.
pub(super) fn parse_all(addresses: &[Address]) -> Result<Target, InvalidAddress> {
    let mut targets = Vec::new();
    for address in addresses {
        let refuse = |rule| InvalidAddress { address: address.redacted(), rule };
        targets.push(parse(address.expose()).map_err(refuse)?);
    }
    let all = addresses.iter().map(Address::redacted).collect::<Vec<_>>().join(", ");
    let refuse = |rule| InvalidAddress { address: all.clone(), rule };
    let first = targets.first().cloned().ok_or_else(|| refuse("an address is needed"))?;
    if targets.len() == 1 {
        return Ok(first);
    }
    let mut seeds = Vec::new();
    for target in targets {
        if (target.tls, &target.login) != (first.tls, &first.login) {
            return Err(refuse("seeds of one Cluster have the same scheme, user and password"));
        }
        match target.servers {
            Servers::One(node) => seeds.push(node),
            Servers::Seeds(_) | Servers::Sentinels { .. } => {
                return Err(refuse("all Sentinels stand in one address, with commas between them"));
            }
        }
    }
    Ok(Target { servers: Servers::Seeds(seeds), ..first })
}

fn parse(text: &str) -> Result<Target, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or(SCHEMES)?;
    let (tls, sentinel) = match scheme {
        "redis" => (false, false),
        "rediss" => (true, false),
        "redis+sentinel" => (false, true),
        "rediss+sentinel" => (true, true),
        _ => return Err(SCHEMES),
    };
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (parse_login(login)?, place),
        None => (Login::default(), rest),
    };
    if place.contains(['?', '#']) {
        return Err("options in an address are not known: what can be set has a key of its own");
    }
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    if sentinel {
        if path.is_empty() || path.contains('/') {
            return Err("the name of the primary is missing: redis+sentinel://host:port,host:port/name");
        }
        let nodes = hosts.split(',').map(|host| parse_node(host, SENTINEL_PORT)).collect::<Result<_, _>>()?;
        return Ok(Target { servers: Servers::Sentinels { nodes, primary: path.to_owned() }, tls, login });
    }
    if !path.is_empty() {
        return Err("a number of a database is not supported: installations are kept apart by `key_prefix`");
    }
    if hosts.contains(',') {
        return Err("one address a server: several seeds of a Cluster are several addresses");
    }
    Ok(Target { servers: Servers::One(parse_node(hosts, PORT)?), tls, login })
}

fn parse_login(text: &str) -> Result<Login, &'static str> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| "user and password are UTF-8, percent-encoded where needed")
    };
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok(Login { user: some(decode(user)?), password: some(decode(password)?) })
}

fn parse_node(text: &str, default_port: u16) -> Result<Node, &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address ends with `]`")?;
            (host, after.strip_prefix(':').or((after.is_empty()).then_some("")).ok_or(SCHEMES)?)
        }
        None if text.matches(':').count() > 1 => {
            return Err("an IPv6 address stands in brackets: [::1]:6379");
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c)) {
        return Err("the host is a name or an address");
    }
    let port = if port.is_empty() { Some(default_port) } else { port.parse().ok().filter(|port| *port > 0) };
    Ok(Node { host: host.to_owned(), port: port.ok_or("the port is a number from 1 to 65535")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(addresses: &[&str]) -> Result<Target, InvalidAddress> {
        parse_all(&addresses.iter().map(|text| Address::new(*text)).collect::<Vec<_>>())
    }

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn one_address_is_one_server() {
        let check = |text: &str, host: &str, port, tls, user: Option<&str>, password: Option<&str>| {
            let login = Login { user: user.map(Into::into), password: password.map(Into::into) };
            let expected = Target { servers: Servers::One(node(host, port)), tls, login };
            assert_eq!(read(&[text]), Ok(expected), "{text}");
        };
        check("redis://localhost", "localhost", 6_379, false, None, None);
        check("redis://10.0.0.7:7000/", "10.0.0.7", 7_000, false, None, None);
        check("rediss://ann:p%40ss%3a@[::1]:1", "::1", 1, true, Some("ann"), Some("p@ss:"));
        check("redis://:secret@r", "r", 6_379, false, None, Some("secret"));
        check("redis://ann@r", "r", 6_379, false, Some("ann"), None);
    }

    #[test]
    fn several_addresses_are_seeds_of_a_cluster() {
        let target = read(&["redis://a:1", "redis://b"]).unwrap();
        assert_eq!(target.servers, Servers::Seeds(vec![node("a", 1), node("b", 6_379)]));
    }

    #[test]
    fn sentinels_stand_in_one_address() {
        let target = read(&["rediss+sentinel://:pw@a,b:5/main"]).unwrap();
        let nodes = vec![node("a", 26_379), node("b", 5)];
        assert_eq!(target.servers, Servers::Sentinels { nodes, primary: "main".into() });
        assert!(target.tls && target.login.password.as_deref() == Some("pw"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_the_password() {
        let bad: [&[&str]; 14] = [
            &[],
            &["localhost:6379"],
            &["http://:s3cret@a"],
            &["redis://:s3cret@"],
            &["redis://:s3cret@a:0"],
            &["redis://a:70000"],
            &["redis://a/3"],
            &["redis://a?db=3"],
            &["redis://::1"],
            &["redis://a,b"],
            &["redis+sentinel://a:1"],
            &["redis://a", "rediss://b"],
            &["redis://:s3cret@a", "redis://b"],
            &["redis+sentinel://a/m", "redis://b"],
        ];
        for addresses in bad {
            let error = read(addresses).expect_err(&format!("{addresses:?}")).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
