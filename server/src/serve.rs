//! `doorbell serve`: from a checked configuration to the end of the process.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use doorbell_backplane::Role;
use doorbell_rpc::remote::Served;
use doorbell_upstream::Hook;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificate::CertificateFiles;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::demo::Admission;
use crate::heartbeat::{Heartbeat, Lag};
use crate::jwks::Jwks;
use crate::metrics::Metrics;
use crate::readiness::Stage;
use crate::reload::Reload;
use crate::shutdown::{Ended, Ending};
use crate::signals::Signals;
use crate::supervisor::Supervisor;
use crate::telemetry::Logs;
use crate::trust::Keys;
use crate::wiring::{Door, Joined, Parts, Store, Trust};
use crate::{apikeyfile, certificate, descriptors, jwks, keyfile};

/// How long blocking threads may take after the last phase: a store that writes out.
const THREADS_BUDGET: Duration = Duration::from_secs(1);

/// Runs the process to its end.
///
/// # Errors
/// It could not start.
pub fn run(config: &Config) -> Result<ExitCode> {
    let logs = Logs::start(config)?;
    let descriptors_max = descriptors::raise();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), descriptors_max, roles = %config.roles, "doorbell starts");
    tracing::info!(changed = config.changes(), "the configuration in force; all else is as by default");
    tracing::debug!(config = config.redacted(), "the whole configuration");
    #[cfg(feature = "sabotage")]
    if let Some(kind) = std::env::var_os("DOORBELL_SABOTAGE").and_then(|kind| kind.into_string().ok()) {
        tracing::info!(kind, "this build breaks a promise on purpose");
        doorbell_rpc::sabotage::choose(kind);
    }
    #[cfg(feature = "sabotage")]
    if let Some(folder) = std::env::var_os("DOORBELL_FAILPOINTS") {
        doorbell_rpc::failpoint::obey(folder.into());
    }
    // Of several processes, the one that opens the message store takes it.
    let _data_dir = if config.is_cluster() { None } else { Some(DataDir::take(&config.data_dir)?) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let end = runtime.block_on(live(config, &logs));
    match end {
        Ok(End::AtOnce(code)) => {
            runtime.shutdown_background();
            Ok(ExitCode::from(code))
        }
        Ok(End::InOrder) => {
            runtime.shutdown_timeout(THREADS_BUDGET);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            runtime.shutdown_timeout(THREADS_BUDGET);
            Err(error)
        }
    }
}

/// How a process that started has ended.
enum End {
    InOrder,
    /// By a second signal.
    AtOnce(u8),
}

async fn live(config: &Config, logs: &Logs) -> Result<End> {
    let mut signals = Signals::listen()?;
    let (stop, mut supervisor) = (CancellationToken::new(), Supervisor::default());
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry)?;
    let mut reload = Reload::listen(metrics.clone())?;
    let trust = config.roles.has(Role::Gateway).then(|| trust(config, &mut reload)).transpose()?;
    let certificate = CertificateFiles::of(&config.tls, certificate::Metrics::register(&registry)?)?;
    if let Some(files) = &certificate {
        let again = Arc::clone(files);
        reload.add("the certificate", move || again.read_again());
        supervisor.spawn("looking at the certificate", finishing(Arc::clone(files).watch(stop.clone())));
    }
    let lag = Lag::default();
    let heartbeat = Heartbeat::new(lag.clone(), logs.dropped().clone(), metrics);
    let (door, listener) = Door::new(config, certificate.map(|files| files.tls()), registry, lag).await?;
    supervisor.spawn("the heartbeat", finishing(heartbeat.run(stop.clone())));
    supervisor.spawn("reading files again", finishing(reload.run(stop.clone())));
    let site = Arc::clone(&door.site);
    supervisor.spawn("the listener", finishing(listener.run(stop.clone(), site)));
    let jwks_metrics = jwks::Metrics::register(door.metrics())?;
    let mut jwks = match &trust {
        Some(trust) => Jwks::of(config, &trust.keys, jwks_metrics)?,
        None => None,
    };
    let parts = tokio::select! {
        parts = furnish(&door, config, trust, jwks.as_mut()) => parts?,
        asked = signals.next() => {
            tracing::info!(%asked, "asked to end before everything was started");
            return Ok(End::InOrder);
        }
    };
    if let Some(jwks) = jwks {
        supervisor.spawn("the reader of the JWK Set", finishing(jwks.run(stop.clone())));
    }
    let ending = start(parts, config, &door, &stop, &mut supervisor).await;
    announce(config, &door);
    let failure = tokio::select! {
        asked = signals.next() => {
            tracing::info!(%asked, "asked to end; a second signal ends at once");
            None
        }
        failure = supervisor.first_end() => {
            tracing::error!(error = format!("{failure:#}"), "a part of the process failed; it ends");
            Some(failure)
        }
    };
    let ended = tokio::select! {
        ended = ending.run(&mut supervisor) => ended,
        asked = signals.next() => {
            tracing::warn!(%asked, "asked again: ended at once");
            return Ok(End::AtOnce(asked.exit_code()));
        }
    };
    match (failure, ended) {
        (Some(failure), _) => Err(failure),
        (None, Ended::InOrder) => Ok(End::InOrder),
        (None, Ended::Aborted) => Err(anyhow::anyhow!("not everything ended in order; the log says what")),
    }
}

/// The services, and the keys that their clients' tokens need: nobody is refused for a set that was not read yet.
async fn furnish(
    door: &Door,
    config: &Config,
    trust: Option<Trust>,
    jwks: Option<&mut Jwks>,
) -> Result<Parts> {
    if let Some(jwks) = jwks {
        jwks.read_first().await?;
    }
    door.furnish(config, trust).await
}

/// What says who a client is. The API keys are read again when asked.
fn trust(config: &Config, reload: &mut Reload) -> Result<Trust> {
    let keys = Keys::read(config, keyfile::read_or_make(&config.key_path())?)?;
    let api_keys = apikeyfile::read(&config.api_keys_file)?;
    let (again, path) = (Arc::clone(&api_keys), config.api_keys_file.clone());
    reload.add("the API keys", move || apikeyfile::load(&path, &again));
    Ok(Trust { keys, api_keys })
}

/// Starts what was built; says how to end it.
async fn start(
    parts: Parts,
    config: &Config,
    door: &Door,
    stop: &CancellationToken,
    supervisor: &mut Supervisor,
) -> Ending {
    let Parts { gateway, store, notifier, channels, hook, joined, upgrades } = parts;
    // Those who report to the offline hook: what they find at their end is reported as well.
    let reporters = TaskTracker::new();
    let stopped = || stop.clone();
    match store {
        Store::Elsewhere => {}
        Store::Open(store) => {
            supervisor.spawn("the message service", reporters.track_future(failing(store.run(stopped()))));
        }
        Store::Awaited(task) => {
            supervisor.spawn("the message service", reporters.track_future(task.run(stopped())));
        }
    }
    if let Some(notifier) = notifier {
        supervisor.spawn("the notifier", reporters.track_future(failing(notifier.run(stopped()))));
    }
    reporters.close();
    if let Some(hook) = hook {
        supervisor.spawn("the offline hook", reporting(hook, stopped(), reporters));
    }
    if let Some(channels) = channels {
        supervisor.spawn("the channel service", failing(channels.run(stopped())));
    }
    if let Some(gateway) = &gateway {
        supervisor.spawn("the gateway", failing(Arc::clone(gateway).run(stopped())));
    }
    // Before the others hear of it: they are told whether it takes clients.
    door.readiness.enter(Stage::Serving);
    let others = joined.as_ref().map(|(joined, _)| joined.membership.others());
    if let Some((joined, served)) = joined {
        join(joined, served, stop, supervisor).await;
    }
    Ending {
        budgets: config.shutdown.clone(),
        readiness: door.readiness.clone(),
        gateway,
        upgrades,
        others,
        stop: stop.clone(),
    }
}

/// Serves the other processes, and then tells them so: whoever finds this one can call it.
async fn join(joined: Joined, served: Served, stop: &CancellationToken, supervisor: &mut Supervisor) {
    let Joined { mut membership, server } = joined;
    supervisor.spawn("the door for other processes", failing(server.run(served, stop.clone())));
    membership.announce().await;
    supervisor.spawn("the membership", finishing(membership.run(stop.clone())));
}

/// Says where it is: one line for programs on standard output, and where a person goes in the log.
fn announce(config: &Config, door: &Door) {
    let (address, scheme) = (door.address, door.transport.scheme());
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading it; the process serves all the same.
    let _ = writeln!(stdout, "doorbell ready on {scheme}://{address}").and_then(|()| stdout.flush());
    let port = address.port();
    let page = if address.ip().is_unspecified() { format!("localhost:{port}") } else { address.to_string() };
    match Admission::new(config, address) {
        Admission::ThisMachine { .. } => tracing::info!("open {scheme}://{page} in a browser"),
        Admission::Nobody => {
            tracing::info!("serving on {scheme}://{address}; `doorbell token USER` makes a token");
        }
        Admission::Anybody if address.ip().is_loopback() => {
            tracing::info!("open {scheme}://{page} in a browser")
        }
        Admission::Anybody => tracing::warn!(
            "`demo` is on and {scheme}://{address} is not loopback: EVERYBODY who reaches it can be any user, without a \
             password; open {scheme}://{page} in a browser"
        ),
    }
}

/// The hook, whose last tries have their time from the reporters' end on.
async fn reporting(hook: Hook, stop: CancellationToken, reporters: TaskTracker) -> Result<()> {
    let reported = CancellationToken::new();
    let last = async {
        reporters.wait().await;
        reported.cancel();
    };
    tokio::join!(last, hook.run(stop, reported.clone()));
    Ok(())
}

async fn finishing(task: impl Future<Output = ()>) -> Result<()> {
    task.await;
    Ok(())
}

async fn failing<E: Into<anyhow::Error>>(task: impl Future<Output = Result<(), E>>) -> Result<()> {
    task.await.map_err(Into::into)
}
