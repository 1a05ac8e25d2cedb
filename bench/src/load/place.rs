//! Where sessions connect, by the addresses that were given.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use tokio::net::lookup_host;

use super::orders::Place;
use crate::trust::Trust;

/// Whether an address is one of TLS.
pub fn is_secure(url: &str) -> bool {
    url.starts_with("wss://")
}

/// What an address that is as [`load_url`](crate::spelling::load_url) lets it be says of a place; whom to trust there.
///
/// # Errors
/// There is no such host.
pub async fn found(url: &str, trust: &Trust) -> anyhow::Result<Place> {
    let (scheme, rest) = url.split_once("://").context("an address has a scheme")?;
    let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (name, port) = split_port(host);
    let port = port.unwrap_or(if scheme == "wss" { 443 } else { 80 });
    let found = lookup_host(format!("{name}:{port}")).await.with_context(|| format!("there is no {host}"))?;
    let address = preferred(found).with_context(|| format!("{host} has no address"))?;
    let trust = is_secure(url).then(|| trust.clone());
    Ok(Place { address, host: host.to_owned(), prefix: prefix.to_owned(), trust })
}

/// All of them; either all speak TLS or none.
///
/// # Errors
/// As [`found`], or some speak TLS and some do not.
pub async fn all(urls: &[String], trust: &Trust) -> anyhow::Result<Vec<Place>> {
    let secure = urls.iter().filter(|url| is_secure(url)).count();
    ensure!(
        secure == 0 || secure == urls.len(),
        "--url: some are wss:// and some ws://: what those cost is not comparable, so measure them one after the other"
    );
    let mut places = Vec::new();
    for url in urls {
        places.push(found(url, trust).await?);
    }
    Ok(places)
}

/// A host, and the port that is named with it.
fn split_port(host: &str) -> (&str, Option<u16>) {
    let named = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    named.map_or((host, None), |(name, port)| (name, Some(port)))
}

/// Of a name's addresses one of IPv4, whose loopback has many to connect from; else the first.
fn preferred(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    addresses.min_by_key(SocketAddr::is_ipv6)
}

impl Place {
    /// That of a process here.
    ///
    /// # Errors
    /// It is no address.
    pub fn own(address: &str, trust: Option<Trust>) -> anyhow::Result<Self> {
        Ok(Self { address: address.parse()?, host: address.to_owned(), prefix: String::new(), trust })
    }

    /// For which name its certificate must be.
    ///
    /// # Errors
    /// It is no name.
    pub fn name(&self) -> anyhow::Result<ServerName<'static>> {
        let (host, _) = split_port(&self.host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(host)
            .with_context(|| format!("{} is no name that a certificate may have", self.host))
    }

    /// Where its metrics are, unless somebody says otherwise.
    pub fn metrics_url(&self) -> String {
        let scheme = if self.trust.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}/metrics", self.host, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_names_addresses_the_first_of_ipv4_is_taken() {
        let of = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            preferred(addresses.into_iter()).map(|address| address.to_string())
        };
        assert_eq!(of(&["[::1]:8", "127.0.0.1:8", "127.0.0.2:8"]).as_deref(), Some("127.0.0.1:8"));
        assert_eq!(of(&["[::2]:8", "[::1]:8"]).as_deref(), Some("[::2]:8"));
        assert_eq!(of(&[]), None);
    }

    #[tokio::test]
    async fn an_address_says_where_by_which_name_and_under_which_path() {
        for (url, address, name, metrics) in [
            ("ws://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "http://127.0.0.1/metrics"),
            ("wss://127.0.0.1/push", "127.0.0.1:443", "127.0.0.1", "https://127.0.0.1/push/metrics"),
            ("wss://localhost:8", "127.0.0.1:8", "localhost", "https://localhost:8/metrics"),
            ("wss://[::1]:8", "[::1]:8", "::1", "https://[::1]:8/metrics"),
        ] {
            let place = found(url, &Trust::System).await.unwrap();
            assert_eq!(place.address.to_string(), address, "{url}");
            assert_eq!(place.name().unwrap().to_str(), name, "{url}");
            assert_eq!((place.metrics_url().as_str(), place.trust.is_some()), (metrics, is_secure(url)));
        }
        let both = ["ws://127.0.0.1", "wss://127.0.0.1"].map(str::to_owned);
        assert!(all(&both, &Trust::System).await.unwrap_err().to_string().contains("one after the other"));
    }
}
