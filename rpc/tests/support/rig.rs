//! A server on loopback, and connections to it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use doorbell_rpc::remote::{Config, Connection, Error, Metrics, PeerKey, Served, Server, Trust};
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::double::gateway;

pub fn key(text: &str) -> Trust {
    let key = PeerKey::new(format!("{text} 0123456789abcdef0123456789abcdef")).unwrap();
    Trust { key: Some(key), tls: None }
}

/// As the defaults, with less patience.
pub fn config() -> Config {
    Config {
        call_timeout_max: Duration::from_secs(5),
        keep_alive_interval: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_millis(300),
        drain_budget: Duration::from_secs(2),
        ..Config::default()
    }
}

/// One process that serves. Dropped, it is gone as if killed.
pub struct Rig {
    pub address: SocketAddr,
    pub registry: Registry,
    pub stop: CancellationToken,
    run: JoinSet<Result<(), Error>>,
}

impl Rig {
    pub async fn start(served: Served) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), served, &key("one"), &config()).await
    }

    pub async fn start_at(address: SocketAddr, served: Served, trust: &Trust, config: &Config) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let server = Server::bind(address, trust, config, &metrics).await.unwrap();
        let address = server.local_addr();
        let stop = CancellationToken::new();
        let mut run = JoinSet::new();
        run.spawn(server.run(served, stop.clone()));
        Self { address, registry, stop, run }
    }

    /// A caller who means the gateway `gw-1`.
    pub fn connect(&self) -> Connection {
        connect(self.address, &key("one"), &config())
    }

    /// The sum of a counter's or gauge's series with this label; any where it is empty.
    pub fn count(&self, metric: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let series = families.iter().filter(|family| family.name() == metric).flat_map(|f| f.get_metric());
        let chosen =
            series.filter(|one| label.is_empty() || one.get_label().iter().any(|pair| pair.value() == label));
        chosen.map(|one| one.get_counter().get_value() + one.get_gauge().get_value()).sum()
    }

    /// Waits until it is so.
    pub async fn counted(&self, metric: &str, label: &str, value: f64) {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while self.count(metric, label) != value {
            look.tick().await;
        }
    }

    /// Stops it, and waits for its end.
    pub async fn end(mut self) {
        self.stop.cancel();
        self.run.join_next().await.unwrap().unwrap().unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) -> SocketAddr {
        self.run.shutdown().await;
        self.address
    }
}

pub fn connect(address: SocketAddr, trust: &Trust, config: &Config) -> Connection {
    let gateway = Some(gateway("gw-1"));
    Connection::new(&address.to_string(), gateway, trust, config, &Metrics::unregistered()).unwrap()
}
