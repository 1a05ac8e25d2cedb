//! Making connections: to one server, to a Cluster, or to the primary that Sentinels name.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::time::timeout;

use super::address::{Login, Node, Servers, Target};
use super::config::Config;

/// The oldest version that has all commands that the scripts use.
const VERSION_MIN: u32 = 7;

/// A connection: cheap to clone, many calls at once.
#[derive(Clone)]
pub(super) enum Wire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What hears the bell.
pub(super) type Ear = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Another try may succeed.
    #[error("{0}")]
    Away(String),
    /// It will not help to try again.
    #[error("{0}")]
    Never(String),
}

/// All that is needed for connections.
#[derive(Debug)]
pub(super) struct Dialer {
    target: Target,
    sentinel_login: Login,
    certificates: Option<TlsCertificates>,
    connect_timeout: Duration,
    call_timeout: Duration,
}

/// On the way to a primary.
enum Step {
    /// A Sentinel says that it is this one.
    Named(Node),
    /// It took a connection.
    Dialled(MultiplexedConnection),
    /// It did not.
    Failed(DialError),
}

impl Wire {
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            Self::One(one) => one.req_packed_command(command).await,
            Self::Cluster(cluster) => cluster.req_packed_command(command).await,
        };
        answer?.extract_error()
    }

    /// Begins to hear these channels, or makes sure of it.
    pub(super) async fn hear(&mut self, channels: &[String]) -> Result<(), RedisError> {
        match self {
            Self::One(one) => one.subscribe(channels).await,
            Self::Cluster(cluster) => {
                // Channels of different slots are of different nodes: one call each.
                for channel in channels {
                    cluster.ssubscribe(channel).await?;
                }
                Ok(())
            }
        }
    }
}

impl Dialer {
    /// Reads the files that the section names.
    pub(super) fn new(config: &Config, mut target: Target) -> Result<Self, String> {
        if let Some(password) = read_secret(&config.password_file)? {
            target.login.password = Some(password);
        }
        let password = read_secret(&config.sentinel_password_file)?;
        let certificates = if config.ca_file.as_os_str().is_empty() {
            None
        } else {
            let text = std::fs::read(&config.ca_file);
            let root = text.map_err(|error| format!("cannot read {}: {error}", config.ca_file.display()))?;
            Some(TlsCertificates { client_tls: None, root_cert: Some(root) })
        };
        let sentinel_login = Login { user: None, password };
        let (connect_timeout, call_timeout) = (config.connect_timeout, config.call_timeout);
        Ok(Self { target, sentinel_login, certificates, connect_timeout, call_timeout })
    }

    /// A new connection; with an ear, one for the bell.
    pub(super) async fn dial(&self, ear: Option<Ear>) -> Result<Wire, DialError> {
        match &self.target.servers {
            Servers::One(node) => {
                let (one, cluster) = self.dial_one(node, &self.target.login, ear.clone()).await?;
                if cluster {
                    self.dial_cluster(std::slice::from_ref(node), ear).await
                } else {
                    Ok(Wire::One(one))
                }
            }
            Servers::Seeds(nodes) => self.dial_cluster(nodes, ear).await,
            Servers::Sentinels { nodes, primary } => self.dial_primary(nodes, primary, ear).await,
        }
    }

    /// A connection to one server that is fit for its work, and whether it is part of a Cluster.
    async fn dial_one(
        &self,
        node: &Node,
        login: &Login,
        ear: Option<Ear>,
    ) -> Result<(MultiplexedConnection, bool), DialError> {
        let mut one = self.open(node, login, ear).await?;
        let info = redis::cmd("INFO");
        let said = self.in_time(node, async { info.query_async::<redis::InfoDict>(&mut one).await }).await?;
        fit(node, &said)?;
        Ok((one, said.get::<u32>("cluster_enabled") == Some(1)))
    }

    async fn open(
        &self,
        node: &Node,
        login: &Login,
        ear: Option<Ear>,
    ) -> Result<MultiplexedConnection, DialError> {
        let info = self.info(node, login, ear.is_some())?;
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        };
        let client = client.map_err(|error| away(node, &error))?;
        // Calls have deadlines of their own.
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None);
        if let Some(ear) = ear {
            config = config.set_push_sender(move |push| {
                ear(push);
                Ok::<(), redis::aio::SendError>(())
            });
        }
        self.in_time(node, client.get_multiplexed_async_connection_with_config(&config)).await
    }

    async fn dial_cluster(&self, nodes: &[Node], ear: Option<Ear>) -> Result<Wire, DialError> {
        let login = &self.target.login;
        let infos: Vec<ConnectionInfo> =
            nodes.iter().map(|node| self.info(node, login, ear.is_some())).collect::<Result<_, _>>()?;
        let mut builder = ClusterClientBuilder::new(infos)
            .connection_timeout(self.connect_timeout)
            .response_timeout(self.call_timeout)
            .tcp_settings(self.tcp_settings())
            .retries(2)
            .min_retry_wait(10)
            .max_retry_wait(200);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        if let Some(ear) = ear {
            builder = builder.use_protocol(ProtocolVersion::RESP3).push_sender(move |push| {
                ear(push);
                Ok::<(), redis::aio::SendError>(())
            });
        }
        let client = builder.build().map_err(|error| away(&nodes[0], &error))?;
        let cluster = self.in_time(&nodes[0], client.get_async_connection()).await?;
        Ok(Wire::Cluster(cluster))
    }

    /// The primary that a Sentinel names. All are asked at once, so that one that vanished costs no time; and each server that is
    /// named is tried, for a Sentinel that was cut off names an old one.
    async fn dial_primary(&self, nodes: &[Node], primary: &str, ear: Option<Ear>) -> Result<Wire, DialError> {
        let ask = |one| async move { self.primary(one, primary).await.map(Step::Named) }.boxed();
        let mut steps: FuturesUnordered<_> = nodes.iter().map(ask).collect();
        let (mut tried, mut refused, mut never) = (Vec::new(), Vec::new(), false);
        while let Some(step) = steps.next().await {
            match step {
                Ok(Step::Dialled(one)) => return Ok(Wire::One(one)),
                Ok(Step::Named(node)) if !tried.contains(&node) => {
                    tried.push(node.clone());
                    let ear = ear.clone();
                    let dial = async move {
                        let dialled = self.dial_one(&node, &self.target.login, ear).await;
                        Ok(dialled.map_or_else(Step::Failed, |(one, _)| Step::Dialled(one)))
                    };
                    steps.push(dial.boxed());
                }
                Ok(Step::Named(_)) => {}
                // What the server itself says holds, however many Sentinels are away.
                Ok(Step::Failed(error)) => {
                    never |= matches!(error, DialError::Never(_));
                    refused.push(error);
                }
                Err(error) => refused.push(error),
            }
        }
        let said = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        never |= refused.iter().all(|error| matches!(error, DialError::Never(_)));
        Err(if never { DialError::Never(said) } else { DialError::Away(said) })
    }

    async fn primary(&self, sentinel: &Node, primary: &str) -> Result<Node, DialError> {
        let mut one = self.open(sentinel, &self.sentinel_login, None).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
        let found: Option<(String, u16)> = self.in_time(sentinel, ask.query_async(&mut one)).await?;
        let (host, port) = found.ok_or_else(|| {
            DialError::Away(format!(
                "the Sentinel at {}:{} knows no primary `{primary}`",
                sentinel.host, sentinel.port
            ))
        })?;
        Ok(Node { host, port })
    }

    fn info(&self, node: &Node, login: &Login, hears: bool) -> Result<ConnectionInfo, DialError> {
        let (host, port) = (node.host.clone(), node.port);
        let addr = if self.target.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let protocol = if hears { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let mut settings = RedisConnectionInfo::default().set_protocol(protocol);
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let info = addr.into_connection_info().map_err(|error| away(node, &error))?;
        Ok(info.set_redis_settings(settings).set_tcp_settings(self.tcp_settings()))
    }

    /// A peer that vanished without a word is noticed, by what it does not confirm.
    fn tcp_settings(&self) -> TcpSettings {
        TcpSettings::default().set_nodelay(true).set_user_timeout(2 * self.call_timeout)
    }

    async fn in_time<T>(
        &self,
        node: &Node,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, DialError> {
        let Node { host, port } = node;
        match timeout(self.connect_timeout, work).await {
            Ok(done) => done.map_err(|error| away(node, &error)),
            Err(_) => {
                let within = self.connect_timeout;
                Err(DialError::Away(format!("{host}:{port} took no connection within {within:?}")))
            }
        }
    }
}

/// Refuses a server that is too old, and warns of one that throws keys away.
fn fit(node: &Node, said: &redis::InfoDict) -> Result<(), DialError> {
    let Node { host, port } = node;
    let version: String = said.get("redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    // A server that says nothing of its version is asked to try.
    if major.is_some_and(|major| major < VERSION_MIN) {
        return Err(DialError::Never(format!(
            "{host}:{port} is Redis {version}: version {VERSION_MIN} or later, or Valkey, is needed"
        )));
    }
    let policy: String = said.get("maxmemory_policy").unwrap_or_default();
    if policy.starts_with("allkeys") {
        tracing::warn!(
            host,
            port,
            policy,
            "redis may throw away keys that it needs: set maxmemory-policy to noeviction"
        );
    }
    Ok(())
}

fn away(node: &Node, error: &RedisError) -> DialError {
    let said = format!("{}:{}: {error}", node.host, node.port);
    let never = matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"));
    if never { DialError::Never(said) } else { DialError::Away(said) }
}

fn read_secret(path: &Path) -> Result<Option<String>, String> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{} is empty: it must hold a password", path.display()));
    }
    Ok(Some(secret.to_owned()))
}
