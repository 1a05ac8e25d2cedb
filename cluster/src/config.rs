//! The section `[cluster]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How processes find and call each other; of use with `redis` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where other processes call this one, as HOST:PORT; port 0 asks for a free one. Not loopback: needs `peer_key_file`,
    /// or `tls_cert_file` with its key and authority.
    pub listen: String,
    /// Where others reach that, as HOST:PORT; empty means `listen`, which then must name an address and not all of them.
    pub advertise: String,
    /// Where clients reach this gateway, for example `wss://gw1.example.com`, as `GET /v1/where` tells them; empty means
    /// that it is not told of.
    pub public_url: String,
    /// A file with the secret that all processes of the installation share, 32 bytes or more; `DOORBELL_CLUSTER__PEER_KEY`
    /// holds it instead.
    pub peer_key_file: PathBuf,
    /// That secret itself: for the environment, not for a file that others read.
    pub peer_key: String,
    /// The certificates of those who may sign processes' certificates, in PEM: with it, processes speak TLS and both
    /// sides show a certificate. Whoever has one of them may call as any user: the authority of this installation alone.
    pub tls_ca_file: PathBuf,
    /// This process's certificate and those between it and the authority, in PEM.
    pub tls_cert_file: PathBuf,
    /// Its private key, in PEM, readable by its owner alone.
    pub tls_key_file: PathBuf,
    /// The name that the certificate of every process carries, whatever its address.
    pub tls_name: String,
    /// How long the word of a process that it is there holds.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// How often a process says it, and hears who else is there.
    #[serde(with = "humantime_serde")]
    pub announce_interval: Duration,
    /// How long the owner of a topic may take for a publish; after it, its version is stored without it, and gateways learn
    /// it by their look, within 2 s.
    #[serde(with = "humantime_serde")]
    pub owner_timeout: Duration,
    /// How long one channel service may take for what a gateway says of topics, while the others are told as well; whoever
    /// is later counts as one that forgot, and is told everything once more.
    #[serde(with = "humantime_serde")]
    pub subscribe_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            advertise: String::new(),
            public_url: String::new(),
            peer_key_file: PathBuf::new(),
            peer_key: String::new(),
            tls_ca_file: PathBuf::new(),
            tls_cert_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            tls_name: "doorbell".to_owned(),
            // As the leases of gateways: nobody is called for longer than claims to a dead gateway wait.
            lease_ttl: Duration::from_secs(5),
            announce_interval: Duration::from_secs(1),
            // The store's answer comes after it, and whoever tells of somebody's coming and going waits for 500 ms.
            owner_timeout: Duration::from_millis(300),
            // Longer than a store that is slow for a moment; gateways say something every 2 s.
            subscribe_timeout: Duration::from_millis(1_500),
        }
    }
}

impl Config {
    /// Checks what must hold between two keys.
    ///
    /// # Errors
    /// The keys and the rule.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value) in [
            ("announce_interval", self.announce_interval),
            ("owner_timeout", self.owner_timeout),
            ("subscribe_timeout", self.subscribe_timeout),
        ] {
            if value.is_zero() {
                return Err(format!("`{key}` must be longer than zero"));
            }
        }
        if self.lease_ttl < self.announce_interval * 3 {
            return Err("`lease_ttl` must be three times `announce_interval` at least, or one lost call makes others think \
                        that this process is gone"
                .to_owned());
        }
        let tls = [&self.tls_ca_file, &self.tls_cert_file, &self.tls_key_file];
        let set = tls.iter().filter(|path| !path.as_os_str().is_empty()).count();
        if set != 0 && set != tls.len() {
            return Err(
                "`tls_ca_file`, `tls_cert_file` and `tls_key_file` go together: set all of them or none"
                    .to_owned(),
            );
        }
        if !self.peer_key.is_empty() && !self.peer_key_file.as_os_str().is_empty() {
            return Err("`peer_key` and `peer_key_file` are both set: leave one of them out".to_owned());
        }
        for (key, address) in [("listen", &self.listen), ("advertise", &self.advertise)] {
            if (key == "listen" || !address.is_empty()) && !is_place(address) {
                return Err(format!("`{key}` is {address:?}: write HOST:PORT"));
            }
        }
        if !self.public_url.is_empty()
            && !self.public_url.starts_with("ws://")
            && !self.public_url.starts_with("wss://")
        {
            return Err("`public_url` must begin with ws:// or wss://".to_owned());
        }
        Ok(())
    }
}

fn is_place(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_what_does_not_is_named() {
        Config::default().validate().unwrap();
        for (text, key) in [
            ("lease_ttl = \"2s\"", "lease_ttl"),
            ("announce_interval = \"0s\"", "announce_interval"),
            ("subscribe_timeout = \"0s\"", "subscribe_timeout"),
            ("tls_ca_file = \"/a\"", "tls_cert_file"),
            ("peer_key = \"k\"\npeer_key_file = \"/k\"", "peer_key_file"),
            ("public_url = \"https://gw\"", "public_url"),
            ("advertise = \"10.0.0.5\"", "advertise"),
            ("listen = \":7070\"", "listen"),
        ] {
            let rule = toml::from_str::<Config>(text).unwrap().validate().unwrap_err();
            assert!(rule.contains(&format!("`{key}`")), "{rule}");
        }
    }
}
