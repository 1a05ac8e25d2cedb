//! Where a process listens.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use serde::{Deserialize, Deserializer, Serialize};

/// HOST:PORT, the host a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Listen(String);

impl Default for Listen {
    fn default() -> Self {
        Self("127.0.0.1:8080".to_owned())
    }
}

impl Listen {
    /// The addresses that it stands for, in the resolver's order.
    ///
    /// # Errors
    /// Where the name is unknown.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok(self.0.to_socket_addrs()?.collect())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (host, port) = text.rsplit_once(':').unwrap_or(("", ""));
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host_ok = !host.is_empty() && (bracketed || !host.contains(':'));
        if host_ok && port.parse::<u16>().is_ok() {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom(format!(
            "{text:?} is not HOST:PORT, for example 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080"
        )))
    }
}
