//! The command line.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use doorbell_bench::Bench;
use doorbell_gateway::auth::Grants;
use doorbell_gateway::auth::api_keys::is_name;
use doorbell_gateway::auth::claims::is_grant;
use doorbell_protocol::{DeviceId, UserId};

use crate::apikeyfile::Rights;
use crate::config::Setting;
use crate::devcluster::DevClusterArgs;

const ABOUT: &str = "Doorbell, a self-hosted real-time push gateway: it rings clients, and they pull.";

const LONG_ABOUT: &str = "\
Doorbell, a self-hosted real-time push gateway.

Clients hold one WebSocket each. When something changes for a user, Doorbell rings: a hint that a topic has reached a \
version, never the content. The client then pulls what it has not seen. Without options, one process does all of it, \
keeps messages in ./doorbell-data, and serves a demo chat at http://127.0.0.1:8080.";

const AFTER_HELP: &str = "\
Examples:
  doorbell                               everything, with a demo chat
  doorbell --listen 0.0.0.0:8080 --data-dir /var/lib/doorbell
  doorbell token alice --ttl 1h          a token, beside a running server too
  doorbell api-key shop --hints 2>> api-keys.toml
                                         a key for a back end that rings users
  doorbell check --config doorbell.toml  what is wrong with a configuration
  doorbell bench prove --local           is anything lost? see its --help

Configuration:
  Flags stand over environment variables, over the file of --config, over
  the defaults. A key of the file is an environment variable with DOORBELL_
  before it and __ after its section: `heartbeat` in [gateway] is
  DOORBELL_GATEWAY__HEARTBEAT=25s. DOORBELL_CONFIG names the file.
  `doorbell check --print` shows what is in force; docs/configuration.md
  lists every key.

Files:
  <data-dir>/key   signs and checks tokens; made at the first start, for its
                   owner only. Keep it secret and safe: who has it can be any
                   user, and without it every token ends.
  <data-dir>/log   the messages
  <data-dir>/lock  held by the one process that uses the directory

Over HTTP:
  /healthz         200 while the process lives
  /readyz          200 while it should get new clients, or 503 with reasons
  /metrics         for Prometheus
  /v1/ws           the WebSocket; /v1/call/METHOD for single calls
  /v1/openapi.json the calls, described for programs (OpenAPI 3.1)
  /v1/hints        other back ends ring users here, with an API key

Signals:
  SIGTERM, SIGINT  end in order: new sockets are refused, clients are asked
                   to move, claims and announcements are finished. A second
                   signal ends at once.
  SIGHUP           reads the API keys again

Exit codes:
  0                ended in order
  1                could not start, or failed
  2                the command line or the configuration is wrong
  130, 143         ended at once by a second SIGINT or SIGTERM

Standard output has the ready line and nothing else:
  doorbell ready on http://HOST:PORT
Logs go to standard error.";

const CHECK_ABOUT: &str = "\
Say what is wrong with the configuration and this host, and start nothing.

Reads what `doorbell` would read with the same flags, environment and file, and the key file where it is made already. It \
writes nothing, and may run beside the server.";

const CHECK_AFTER_HELP: &str = "\
Standard error gets one line for each thing that is wrong: where it was set,
which key, and what to do. Lines with `warning:` are about what will start and
may serve badly: few open files, a disk that is full or in memory, a demo or
plain text for others than this machine, variables that name no key.

Exit codes:
  0  it would start; there may be warnings
  1  something is wrong
  2  the command line itself is wrong";

/// What was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "doorbell",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Settings,
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server (the default)
    Serve(Settings),
    /// Print a token for a user, and nothing else
    Token(TokenArgs),
    /// Print a new API key for another back end, and on standard error what api_keys_file needs
    ApiKey(ApiKeyArgs),
    /// Say what is wrong with the configuration and this host, and start nothing
    #[command(long_about = CHECK_ABOUT, after_help = CHECK_AFTER_HELP)]
    Check(CheckArgs),
    /// Start a whole installation as processes on this machine, Redis included, to try things out
    DevCluster(DevClusterArgs),
    /// Put an installation to the test
    Bench {
        /// Which test.
        #[command(subcommand)]
        what: Bench,
    },
}

/// The flags that set keys of the configuration.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// What this process does: gateway, notifier, channel, message, or all [default: all]
    #[arg(long, value_name = "LIST")]
    roles: Option<String>,
    /// Where to listen; port 0 asks for a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    places: Places,
    /// The Redis that processes share; several addresses, with commas, are of one Redis Cluster [default: none, one process]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// What to log: error, warn, info, debug, trace, or module=level, … [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// How to log: human, json, or auto [default: auto]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// The flags that say where things are.
#[derive(Debug, Default, Args)]
pub struct Places {
    /// The configuration file, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where messages are kept [default: ./doorbell-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The keys that sign and check tokens [default: <data-dir>/key]
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
}

/// `doorbell token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Whose token: 1 to 128 bytes of printable text
    #[arg(value_parser = user)]
    pub user: UserId,
    /// How long it holds, for example 15m, 1h, 7days
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
    pub ttl: Duration,
    /// A topic that its user may subscribe to, or a prefix such as 'news:*'; may be repeated
    #[arg(long = "topic", value_name = "TOPIC", value_parser = grant)]
    topics: Vec<String>,
    /// Messages that its user may send in one period of the throttle
    #[arg(long, value_name = "MESSAGES")]
    throttle: Option<NonZeroU32>,
    /// The device that its sessions are of
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    device: Option<DeviceId>,
    #[command(flatten)]
    places: Places,
}

impl TokenArgs {
    /// What the token says beside its user and its times.
    pub fn grants(&self) -> Grants {
        Grants { topics: self.topics.clone(), throttle: self.throttle, device: self.device.clone() }
    }
}

/// `doorbell api-key`.
#[derive(Debug, Args)]
pub struct ApiKeyArgs {
    /// What logs call it: 1 to 64 letters, digits, '_' and '-'
    #[arg(value_parser = key_name)]
    pub name: String,
    #[command(flatten)]
    rights: RightsArgs,
    /// Messages that it may send as one user in one period of the throttle, in place of the configured number
    #[arg(long, value_name = "MESSAGES", requires = "act_as")]
    throttle: Option<NonZeroU32>,
}

/// What a new key may: at least one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct RightsArgs {
    /// It may ring users: POST /v1/hints
    #[arg(long)]
    hints: bool,
    /// It may call methods as this user; may be repeated
    #[arg(long, value_name = "USER", value_parser = user)]
    act_as: Vec<UserId>,
}

impl ApiKeyArgs {
    /// What the key may.
    pub fn rights(&self) -> Rights {
        let RightsArgs { hints, act_as } = &self.rights;
        Rights { hints: *hints, act_as: act_as.clone(), throttle: self.throttle }
    }
}

/// `doorbell check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print the configuration in force, secrets left out
    #[arg(long)]
    pub print: bool,
    #[command(flatten)]
    settings: Settings,
}

/// What the flags say about the configuration.
#[derive(Debug)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The others.
    pub settings: Vec<Setting>,
}

impl Cli {
    /// What to do; `serve` where nothing is said.
    pub fn asked(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl From<Places> for Flags {
    fn from(places: Places) -> Self {
        let mut flags = Self { file: places.config, settings: Vec::new() };
        flags.set("data_dir", places.data_dir);
        flags.set("key_file", places.key_file);
        flags
    }
}

impl From<Settings> for Flags {
    fn from(settings: Settings) -> Self {
        let mut flags = Self::from(settings.places);
        flags.set("roles", settings.roles);
        flags.set("listen", settings.listen);
        flags.set_at("--redis", ["redis", "urls"], settings.redis);
        flags.set("log", settings.log);
        flags.set("log_format", settings.log_format);
        flags
    }
}

impl TokenArgs {
    /// Its flags about the configuration.
    pub fn flags(self) -> Flags {
        self.places.into()
    }
}

impl CheckArgs {
    /// Its flags about the configuration.
    pub fn flags(self) -> Flags {
        self.settings.into()
    }
}

impl Flags {
    /// A flag of another name than its key's.
    fn set_at<const N: usize>(&mut self, origin: &str, path: [&str; N], value: Option<String>) {
        let path = path.map(str::to_owned).to_vec();
        self.settings.extend(value.map(|value| Setting { origin: origin.to_owned(), path, value }));
    }

    fn set(&mut self, key: &str, value: Option<String>) {
        let origin = format!("--{}", key.replace('_', "-"));
        self.settings.extend(value.map(|value| Setting { origin, path: vec![key.to_owned()], value }));
    }
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|error| error.to_string())
}

fn device(text: &str) -> Result<DeviceId, String> {
    DeviceId::new(text).map_err(|error| error.to_string())
}

fn grant(text: &str) -> Result<String, String> {
    if is_grant(text) {
        Ok(text.to_owned())
    } else {
        Err("must be a topic (kind:key) or a prefix with its kind and '*' at its end, of no conversation or inbox"
            .to_owned())
    }
}

fn key_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 64 letters, digits, '_' and '-'".to_owned())
    }
}

/// The longest token: ten years. Longer ones are a mistake.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if ttl < Duration::from_secs(1) || ttl > TTL_MAX {
        return Err("must be between 1s and 10years".to_owned());
    }
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_options_fits_a_narrow_terminal() {
        for line in AFTER_HELP.lines() {
            assert!(line.chars().count() <= 78, "{line}");
        }
    }

    #[test]
    fn serve_is_the_default_and_takes_the_same_flags() {
        for line in [vec!["doorbell", "--listen", "h:1"], vec!["doorbell", "serve", "--listen", "h:1"]] {
            let Command::Serve(settings) = Cli::parse_from(line).asked() else { panic!("not serve") };
            let flags = Flags::from(settings);
            assert_eq!(flags.settings[0].origin, "--listen");
            assert_eq!(flags.settings[0].path, ["listen"]);
        }
    }

    #[test]
    fn an_api_key_needs_a_name_and_a_right() {
        let parse = |args: &[&str]| Cli::try_parse_from(["doorbell", "api-key"].iter().chain(args));
        for good in [&["shop", "--hints"][..], &["shop", "--act-as", "a", "--act-as", "b"]] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for bad in [&["shop"][..], &["a b", "--hints"], &["--hints"], &["shop", "--act-as", ""]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_needs_a_good_user_and_a_sane_time() {
        let parse = |args: &[&str]| Cli::try_parse_from(["doorbell", "token"].iter().chain(args));
        assert!(parse(&["alice", "--ttl", "15m"]).is_ok());
        for bad in [&["a\nb"][..], &[""], &["alice", "--ttl", "0s"], &["alice", "--ttl", "soon"], &[]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
