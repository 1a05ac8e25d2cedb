//! Everything an operator can set: one section a service, from four layers.
//!
//! Flags stand over environment variables, over the file, over the defaults. Only this module reads the file and the
//! environment; each service receives its section.

mod blame;
mod layers;
mod listen;
mod roles;
mod shutdown;
mod tls;

use std::path::{Path, PathBuf};

use doorbell_backplane::Role;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use blame::{ConfigError, line_at};
pub use layers::{Layers, Setting};
pub use listen::Listen;
pub use roles::Roles;
pub use shutdown::Shutdown;
pub use tls::Tls;

/// The configuration of a `doorbell` process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this process does: `gateway`, `notifier`, `channel`, `message`, or `all`.
    pub roles: Roles,
    /// Where it listens, as HOST:PORT; port 0 asks for a free one.
    pub listen: Listen,
    /// Where messages are kept. One process at a time.
    pub data_dir: PathBuf,
    /// The keys that sign and check tokens, made at the first start; empty means `key` in the data directory. All
    /// gateways of an installation share it.
    pub key_file: PathBuf,
    /// The API keys of other back ends, in TOML; `doorbell api-key` makes them. Empty means that there are none. Read
    /// again at SIGHUP.
    pub api_keys_file: PathBuf,
    /// Whether a name is enough for a token at `POST /v1/demo/token`: `on`, `off`, or `auto`, which means on where
    /// one process does everything and listens on loopback, and then only for this machine.
    pub demo: Demo,
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module, comma-separated.
    pub log: String,
    /// How it is logged: `human`, `json`, or `auto`, which means human on a terminal and JSON elsewhere.
    pub log_format: LogFormat,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// TLS on `listen`: `https` and `wss` in place of `http` and `ws`.
    pub tls: Tls,
    /// The door: connections before they are sessions, and HTTP requests.
    pub listener: doorbell_gateway::listener::Config,
    /// Tokens: what is demanded of them beside a good signature.
    pub auth: doorbell_gateway::auth::Config,
    /// Sessions: their limits and times.
    pub gateway: doorbell_gateway::Config,
    /// `POST /v1/hints`: the limits for other back ends.
    pub hints: doorbell_gateway::http::hints::Config,
    /// Conversations and messages.
    pub message: doorbell_message_svc::Config,
    /// A back end of your own, over HTTP, in place of the message service.
    pub upstream: doorbell_upstream::Config,
    /// From the queue to the gateways.
    pub notifier: doorbell_notifier::Config,
    /// From a publish to the gateways that have followers.
    pub channel: doorbell_channel_svc::Config,
    /// A webhook that hears who was to be rung and had no session: for push services.
    pub offline_hook: doorbell_upstream::hook::Config,
    /// The hint queue, the session registry and the versions of channels.
    pub backplane: doorbell_backplane::Config,
    /// The Redis that the processes of an installation share.
    pub redis: doorbell_backplane::redis::Config,
    /// How processes find each other, and who may call them; of use with `redis` alone.
    pub cluster: doorbell_cluster::Config,
    /// How processes call each other.
    pub rpc: doorbell_rpc::remote::Config,
}

/// Whether a name alone gives a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demo {
    /// Where only this machine can ask.
    #[default]
    Auto,
    /// For everybody who reaches the listener.
    On,
    /// For nobody.
    Off,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: Roles::default(),
            listen: Listen::default(),
            data_dir: PathBuf::from("./doorbell-data"),
            key_file: PathBuf::new(),
            api_keys_file: PathBuf::new(),
            demo: Demo::default(),
            log: "info".to_owned(),
            log_format: LogFormat::default(),
            shutdown: Shutdown::default(),
            tls: Tls::default(),
            listener: doorbell_gateway::listener::Config::default(),
            auth: doorbell_gateway::auth::Config::default(),
            gateway: doorbell_gateway::Config::default(),
            hints: doorbell_gateway::http::hints::Config::default(),
            message: doorbell_message_svc::Config::default(),
            upstream: doorbell_upstream::Config::default(),
            notifier: doorbell_notifier::Config::default(),
            channel: doorbell_channel_svc::Config::default(),
            offline_hook: doorbell_upstream::hook::Config::default(),
            backplane: doorbell_backplane::Config::default(),
            redis: doorbell_backplane::redis::Config::default(),
            cluster: doorbell_cluster::Config::default(),
            rpc: doorbell_rpc::remote::Config::default(),
        }
    }
}

impl Config {
    /// Where the keys are.
    pub fn key_path(&self) -> PathBuf {
        if self.key_file.as_os_str().is_empty() { self.data_dir.join("key") } else { self.key_file.clone() }
    }

    /// Checks what must hold between keys.
    ///
    /// # Errors
    /// One line for each rule that is broken; each names its keys in full.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut broken = Vec::new();
        let mut check = |section: &str, result: Result<(), String>| {
            if let Err(rule) = result {
                broken.push(blame::in_section(section, &rule));
            }
        };
        check("", self.place());
        check("", self.one_process());
        check("", self.log_filter());
        check("", self.shared_times());
        check("shutdown", self.shutdown.validate());
        check("tls", self.tls.validate());
        check("listener", self.listener.validate().map_err(|error| error.to_string()));
        check("auth", self.auth.validate().map_err(|error| error.to_string()));
        check("gateway", self.gateway.validate().map_err(|error| error.to_string()));
        check("hints", self.hints.validate().map_err(|error| error.to_string()));
        check("message", self.message.validate().map_err(|error| error.to_string()));
        check("upstream", self.upstream.validate().map_err(|error| error.to_string()));
        check("offline_hook", self.offline_hook.validate().map_err(|error| error.to_string()));
        check("notifier", self.notifier.validate().map_err(|error| error.to_string()));
        check("channel", self.channel.validate().map_err(|error| error.to_string()));
        if self.is_cluster() {
            check("redis", self.redis.validate().map_err(|error| error.to_string()));
        }
        check("cluster", self.cluster.validate());
        check("rpc", self.rpc.validate().map_err(|error| error.to_string()));
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }

    /// An empty path would mean the current directory: what `--data-dir "$UNSET"` in a script would do.
    fn place(&self) -> Result<(), String> {
        if self.data_dir.as_os_str().is_empty() {
            return Err("`data_dir` is empty; name a directory".to_owned());
        }
        Ok(())
    }

    /// Whether this process is one of several.
    pub const fn is_cluster(&self) -> bool {
        !self.redis.urls.is_empty()
    }

    /// Whether it has, or may take, the message store.
    pub fn keeps_messages(&self) -> bool {
        self.roles.has(Role::Message) && !self.upstream.is_set()
    }

    /// Several processes share Redis, and all gateways the same keys. The memory backplane lives in one process: its roles
    /// cannot be apart.
    fn one_process(&self) -> Result<(), String> {
        if self.is_cluster() {
            if self.roles.has(Role::Gateway) && self.key_file.as_os_str().is_empty() {
                return Err("`key_file` is not set: with `redis`, all gateways of the installation sign and check tokens with \
                            the keys of one file; name it"
                    .to_owned());
            }
            return Ok(());
        }
        if self.roles.is_all() {
            return Ok(());
        }
        Err(format!(
            "`roles` is {}: without Redis, hints live in the memory of one process, so one process needs all of {}",
            self.roles,
            Roles::default()
        ))
    }

    fn log_filter(&self) -> Result<(), String> {
        match self.log.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) => match self.log.split(',').find(|part| !part.contains('=') && !is_level(part.trim())) {
                // It would be taken as a module's name, and everything else would be silent.
                Some(word) => Err(format!(
                    "`log`: {:?} is no level (error, warn, info, debug, trace, off); for one module write module=level",
                    word.trim()
                )),
                None => Ok(()),
            },
            Err(error) => Err(format!("`log` is no level and no list of module=level: {error}")),
        }
    }

    /// What one service's time demands of another's.
    fn shared_times(&self) -> Result<(), String> {
        if self.notifier.delay_max > self.gateway.lease_ttl {
            return Err(
                "`notifier.delay_max` must not be longer than `gateway.lease_ttl`, or users of a gateway \
                        that died wait for longer than it takes to notice"
                    .to_owned(),
            );
        }
        if self.gateway.refollow_wait >= self.notifier.deliver_deadline {
            return Err(
                "`gateway.refollow_wait` must be less than `notifier.deliver_deadline`, or a slow message service \
                        looks like a gateway that does not answer"
                    .to_owned(),
            );
        }
        if self.message.signal_deadline >= self.gateway.signal_timeout {
            return Err(
                "`message.signal_deadline` must be less than `gateway.signal_timeout`, or signals that were passed \
                        on count as lost"
                    .to_owned(),
            );
        }
        if self.channel.publish_deadline > self.shutdown.finish_budget {
            return Err(
                "`channel.publish_deadline` must not be longer than `shutdown.finish_budget`, in which the last calls \
                        to gateways end"
                    .to_owned(),
            );
        }
        self.times_of_other_processes()?;
        self.times_of_other_back_ends()?;
        if self.message.drain_timeout > self.shutdown.finish_budget {
            return Err(
                "`message.drain_timeout` must not be longer than `shutdown.finish_budget`, which it is a \
                        part of"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn times_of_other_processes(&self) -> Result<(), String> {
        if self.cluster.subscribe_timeout >= self.gateway.channel_timeout {
            return Err("`cluster.subscribe_timeout` must be less than `gateway.channel_timeout`, or one channel service that \
                        is silent makes a gateway's words to all of them late"
                .to_owned());
        }
        if self.rpc.drain_budget > self.shutdown.finish_budget {
            return Err(
                "`rpc.drain_budget` must not be longer than `shutdown.finish_budget`, which it is a part of"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn times_of_other_back_ends(&self) -> Result<(), String> {
        if self.upstream.is_set() && self.upstream.call_timeout > self.gateway.call_timeout {
            return Err(
                "`upstream.call_timeout` must not be longer than `gateway.call_timeout`, or a client never learns \
                        what the upstream said"
                    .to_owned(),
            );
        }
        // The hook's time begins when the message service has announced what it could.
        let last = self.message.drain_timeout.saturating_add(self.offline_hook.stop_timeout);
        if self.offline_hook.is_set() && last > self.shutdown.finish_budget {
            return Err(
                "`message.drain_timeout` and, after it, `offline_hook.stop_timeout` must not be longer together than \
                 `shutdown.finish_budget`, in which both end"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// As TOML, secrets left out.
    pub fn redacted(&self) -> String {
        toml::to_string(&self.shown()).expect("the configuration's types are all TOML")
    }

    /// The keys that differ from their defaults, on one line, secrets left out.
    pub fn changes(&self) -> String {
        let mut changes = Vec::new();
        differ("", &table(&self.shown()), &table(&Self::default()), &mut changes);
        changes.join(", ")
    }

    fn shown(&self) -> Self {
        let mut shown = self.clone();
        if !shown.cluster.peer_key.is_empty() {
            shown.cluster.peer_key = "<redacted>".to_owned();
        }
        shown
    }
}

fn is_level(word: &str) -> bool {
    word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
}

fn table(config: &Config) -> Table {
    Table::try_from(config).expect("the configuration's types are all TOML")
}

fn differ(section: &str, table: &Table, defaults: &Table, changes: &mut Vec<String>) {
    for (key, value) in table {
        match (value, defaults.get(key)) {
            (Value::Table(inner), Some(Value::Table(other))) => {
                differ(&format!("{section}{key}."), inner, other, changes);
            }
            (value, other) if other != Some(value) => changes.push(format!("{section}{key} = {value}")),
            _ => {}
        }
    }
}

/// Reads a file's text, saying which.
fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests;
