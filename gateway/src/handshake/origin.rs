//! Which pages may open a socket: the browser says where a page comes from, and we compare exactly.
//!
//! Allowed are the configured origins, and by default the page's own: the same host and port as the request's
//! `Host`, and its scheme the listener's. That default counts only where the host is an IP address or `localhost`. Any other name proves nothing:
//! an attacker's page can point its own name at this server's address (DNS rebinding), and then its origin and its
//! `Host` agree. So a public name is configured, once.

use std::net::{IpAddr, Ipv6Addr};

use http::uri::Authority;
use serde::{Deserialize, Serialize};

use crate::socket::Transport;

/// Where a page comes from, in one spelling: scheme and host in lower case, the port where it is not the scheme's
/// own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    scheme: String,
    host: String,
    /// The one in use, where the scheme has a default.
    port: Option<u16>,
}

/// An origin that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin must be scheme://host or scheme://host:port, as in https://chat.example")]
pub struct InvalidOrigin;

impl Origin {
    /// Reads an origin as browsers send it. `null` is none.
    ///
    /// # Errors
    /// It has no scheme or host, or anything after the port.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return Err(InvalidOrigin);
        }
        let scheme = scheme.to_ascii_lowercase();
        let host = Host::parse(rest).ok_or(InvalidOrigin)?;
        let port = host.port.or(default_port(&scheme));
        Ok(Self { scheme, host: host.name, port })
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;
    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        Self::parse(&text)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        let Origin { scheme, host, port } = origin;
        match port {
            Some(port) if default_port(&scheme) != Some(port) => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// A checked `Host`: a name or address in lower case, and a port where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Reads the value of a `Host` header. `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let name = authority.host().to_ascii_lowercase();
        let port = match text.get(authority.host().len()..)? {
            "" => None,
            rest => Some(rest.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self { name, port })
    }

    /// Whether nobody else's name can stand here: an IP address or `localhost`.
    fn is_plain(&self) -> bool {
        let bracketed = self.name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        bracketed.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
            || self.name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
            || self.name == "localhost"
            || self.name.ends_with(".localhost")
    }
}

/// The origins that may open a socket.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<Origin>,
    transport: Transport,
}

impl Origins {
    /// Allows these, beside the pages that a listener with this transport serves itself.
    #[must_use]
    pub const fn new(allowed: Vec<Origin>, transport: Transport) -> Self {
        Self { allowed, transport }
    }

    /// Whether a page of this origin may open a socket through this host.
    #[must_use]
    pub fn allow(&self, origin: &str, host: &Host) -> bool {
        let Ok(origin) = Origin::parse(origin) else { return false };
        let is_own = self.transport.serves(&origin.scheme)
            && origin.host == host.name
            && origin.port == host.port.or(default_port(&origin.scheme))
            && host.is_plain();
        is_own || self.allowed.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, host: &str) -> bool {
        allowed_on(Transport::Plain, origin, host)
    }

    fn allowed_on(transport: Transport, origin: &str, host: &str) -> bool {
        let configured = ["https://chat.example", "http://lan.example:8080", "capacitor://localhost"];
        let configured = configured.map(|origin| Origin::parse(origin).unwrap());
        Origins::new(configured.into(), transport).allow(origin, &Host::parse(host).unwrap())
    }

    #[test]
    fn a_page_of_this_server_is_allowed_by_its_address() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://LOCALHOST:8080", "localhost:8080"),
            ("http://a.localhost:8080", "a.localhost:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://192.0.2.7", "192.0.2.7"),
            ("http://192.0.2.7", "192.0.2.7:80"),
            ("https://192.0.2.7", "192.0.2.7:443"),
            ("https://192.0.2.7:443", "192.0.2.7"),
        ] {
            assert!(allowed(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn with_tls_a_page_in_plain_is_not_this_servers() {
        let on_tls = |origin, host| allowed_on(Transport::Tls, origin, host);
        assert!(on_tls("https://127.0.0.1:8443", "127.0.0.1:8443"));
        assert!(on_tls("https://192.0.2.7", "192.0.2.7"));
        // The last one's ports agree: 80 for the page, and none, hence 443, for the socket.
        for (origin, host) in [("http://127.0.0.1:8443", "127.0.0.1:8443"), ("http://192.0.2.7", "192.0.2.7")]
        {
            assert!(!on_tls(origin, host), "{origin} at {host}");
        }
        assert!(on_tls("http://lan.example:8080", "192.0.2.7"), "what is configured is allowed all the same");
    }

    #[test]
    fn look_alikes_and_foreign_pages_are_not() {
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1.evil.example:8080",
            "http://127.0.0.1:8443",
            "http://127.0.0.1",
            "http://localhost:8080",
            "http://x@127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080 ",
            "ws://127.0.0.1:8080",
            "file://127.0.0.1:8080",
            "127.0.0.1:8080",
            "http://127.0.0.1:8080, http://127.0.0.1:8080",
        ] {
            assert!(!allowed(origin, "127.0.0.1:8080"), "{origin}");
        }
    }

    #[test]
    fn a_name_that_points_here_is_not_this_server() {
        assert!(!allowed("http://evil.example:8080", "evil.example:8080"));
        assert!(!allowed("http://127.0.0.1.nip.example:8080", "127.0.0.1.nip.example:8080"));
        assert!(!allowed("http://notlocalhost:8080", "notlocalhost:8080"));
        assert!(!allowed("http://[::1.evil]:8080", "localhost:8080"));
    }

    #[test]
    fn configured_origins_match_exactly_wherever_they_arrive() {
        for host in ["chat.example", "10.0.0.1:8080", "internal:9"] {
            assert!(allowed("https://chat.example", host));
            assert!(allowed("https://CHAT.example:443", host));
            assert!(allowed("http://lan.example:8080", host));
            assert!(allowed("capacitor://localhost", host));
            for bad in ["http://chat.example", "https://chat.example:8443", "https://a.chat.example"] {
                assert!(!allowed(bad, host), "{bad}");
            }
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["", ":80", "a:b", "a:", "a b", "x@a", "a:70000", "a/b", "[::1"] {
            assert_eq!(Host::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, written) in [
            ("HTTPS://Chat.Example:443", "https://chat.example"),
            ("http://a:8080", "http://a:8080"),
            ("tauri://localhost", "tauri://localhost"),
        ] {
            assert_eq!(String::from(Origin::parse(text).unwrap()), written);
        }
        assert!(serde_json::from_str::<Origin>("\"chat.example\"").is_err());
    }
}
