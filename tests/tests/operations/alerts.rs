//! Each alert comes under its fault.

use anyhow::{Context, Result, ensure};
use doorbell_tests::{Client, Cluster, Doorbell, Options, Shape, SmallDisk};
use serde_json::json;

use crate::prometheus::Prometheus;
use crate::{DEADLINE, Pair, crowd, rules, unlimited, until};

const NEWS_WAIT: &str = "DoorbellNewsWait";
const SENDS_FAIL: &str = "DoorbellSendsFail";
const SOCKETS_FALL: &str = "DoorbellSocketsFall";
const PULL_STORM: &str = "DoorbellPullStorm";
const READ_STORM: &str = "DoorbellReadStorm";
const CANARIES_LATE: &str = "DoorbellCanariesLate";

/// More than the alert takes for few.
const CROWD: usize = 80;

#[test]
fn each_alert_has_its_fault_here() {
    let mut names: Vec<_> = rules::names().collect();
    names.sort_unstable();
    assert_eq!(names, [CANARIES_LATE, NEWS_WAIT, PULL_STORM, READ_STORM, SENDS_FAIL, SOCKETS_FALL]);
}

/// Waits until an alert fires, and nothing else does.
async fn fires(prometheus: &Prometheus, alert: &str) -> Result<()> {
    let firing = until(alert, || async {
        let firing = prometheus.firing().await?;
        Ok((!firing.is_empty()).then_some(firing))
    });
    let firing = firing.await?;
    ensure!(firing == [alert], "{firing:?} fire, where {alert} should");
    Ok(())
}

/// A gateway that cannot ring its crowd within the deadline is asked again and again.
#[tokio::test]
async fn news_that_cannot_be_delivered_are_told() -> Result<()> {
    let options = unlimited()
        .with("DOORBELL_NOTIFIER__DELIVER_DEADLINE", "1ms")
        .with("DOORBELL_GATEWAY__REFOLLOW_WAIT", "0ms")
        .with("DOORBELL_GATEWAY__SESSIONS_PER_USER_MAX", "1000");
    let doorbell = Doorbell::start_with(options).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(()) };
    let mut pair = Pair::meet(&doorbell).await?;
    let crowd = crowd(&doorbell, "bob", 800).await?;

    let sending = async {
        loop {
            ensure!(pair.send().await?, "a send was refused");
        }
    };
    tokio::select! {
        stopped = sending => stopped,
        fired = fires(&prometheus, NEWS_WAIT) => fired,
    }?;

    drop(crowd);
    Ok(())
}

/// The gateway's own metrics tell that the notifiers are gone: those that would tell of news that wait are gone with them.
#[tokio::test]
async fn rings_that_do_not_arrive_are_told() -> Result<()> {
    let shape = Shape { gateways: 1, notifiers: 1, channels: 1, messages: 1, restart_after: "never" };
    let cluster = Cluster::start(shape, &[("DOORBELL_GATEWAY__CANARY_INTERVAL", "500ms")]).await?;
    let Some(prometheus) = Prometheus::watch(&cluster.address("gateway-1")?).await? else { return Ok(()) };
    until("a canary in the metrics", || async {
        Ok(prometheus.query("doorbell_gateway_canary_seconds_count > 16").await?.first().copied())
    })
    .await?;
    ensure!(prometheus.firing().await?.is_empty(), "it fires while rings arrive");

    cluster.kill("notifier-1").await?;

    fires(&prometheus, CANARIES_LATE).await
}

#[tokio::test]
async fn sends_that_fail_are_told() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(scratch.path(), 192)? else { return Ok(()) };
    let options = unlimited().with("DOORBELL_MESSAGE__DISK_RESERVE_BYTES", "16777216");
    let doorbell = Doorbell::start_in(&disk.path().join("data"), options).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(()) };
    let mut pair = Pair::meet(&doorbell).await?;

    disk.fill()?;
    let sending = async {
        loop {
            ensure!(!pair.send().await?, "a send was taken by a full disk");
        }
    };
    tokio::select! {
        stopped = sending => stopped,
        fired = fires(&prometheus, SENDS_FAIL) => fired,
    }?;

    doorbell.kill().await?;
    Ok(())
}

#[tokio::test]
async fn sockets_that_fall_are_told() -> Result<()> {
    let (doorbell, prometheus) = match crowded(Options::default()).await? {
        Some((doorbell, prometheus, crowd)) => {
            // Only the clients' ends close: nobody asked the gateway to leave.
            drop(crowd);
            (doorbell, prometheus)
        }
        None => return Ok(()),
    };

    fires(&prometheus, SOCKETS_FALL).await?;

    doorbell.kill().await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_process_is_told() -> Result<()> {
    let Some((doorbell, prometheus, _crowd)) = crowded(Options::default()).await? else { return Ok(()) };

    doorbell.kill().await?;

    fires(&prometheus, SOCKETS_FALL).await
}

/// Some clients ask again and again for the same page, which costs the store nothing.
#[tokio::test]
async fn pulls_that_nobody_rang_for_are_told() -> Result<()> {
    let doorbell = Doorbell::start_with(unlimited()).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(()) };
    let mut one = Pair::meet(&doorbell).await?;
    let mut other = Pair::meet(&doorbell).await?;

    let again = async |pair: &mut Pair| loop {
        pair.bob.pull(&pair.conversation, 0).await?;
    };
    tokio::select! {
        stopped = again(&mut one) => stopped,
        stopped = again(&mut other) => stopped,
        fired = fires(&prometheus, PULL_STORM) => fired,
    }
}

/// A client asks for its whole list again and again.
#[tokio::test]
async fn reads_that_nobody_shares_are_told() -> Result<()> {
    let doorbell = Doorbell::start_with(unlimited()).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(()) };
    let mut ada = Client::connect(doorbell.address(), &doorbell.token("ada").await?).await?;
    for friend in 0..60 {
        let hello = json!({"to": format!("friend-{friend}"), "key": format!("{friend}"), "text": "hello"});
        ada.call("messages.send", hello).await?;
    }

    let again = async {
        loop {
            ada.call("conversations.list", json!({"limit": 200})).await?;
        }
    };
    tokio::select! {
        stopped = again => stopped,
        fired = fires(&prometheus, READ_STORM) => fired,
    }
}

#[tokio::test]
async fn a_drain_is_no_alert() -> Result<()> {
    let options = Options::default().with("DOORBELL_SHUTDOWN__MOVE_BUDGET", "4s");
    let Some((mut doorbell, prometheus, crowd)) = crowded(options).await? else { return Ok(()) };

    doorbell.terminate().await?;
    until("the drain in the metrics", || async {
        Ok(prometheus.query("doorbell_gateway_draining == 1").await?.first().copied())
    })
    .await?;
    let code = doorbell.exit_code(DEADLINE).await?;
    drop(crowd);
    ensure!(code == Some(0), "the drain ended with {code:?}");

    // Without its last clause, the alert would have come by now.
    let fallen = fallen()?;
    until("sockets that fell", || async { Ok(prometheus.query(&fallen).await?.first().copied()) }).await?;
    ensure!(prometheus.firing().await?.is_empty(), "a drain is no alert");
    Ok(())
}

/// A `doorbell` with a crowd that Prometheus has seen.
async fn crowded(options: Options) -> Result<Option<(Doorbell, Prometheus, Vec<Client>)>> {
    let options = options.with("DOORBELL_GATEWAY__SESSIONS_PER_USER_MAX", "1000");
    let doorbell = Doorbell::start_with(options).await?;
    let Some(prometheus) = Prometheus::watch(doorbell.address()).await? else { return Ok(None) };
    let crowd = crowd(&doorbell, "bob", CROWD).await?;
    let seen = format!("doorbell_gateway_sockets >= {CROWD}");
    until("the crowd", || async { Ok(prometheus.query(&seen).await?.first().copied()) }).await?;
    Ok(Some((doorbell, prometheus, crowd)))
}

/// The expression of the sockets' alert without what leaves drains out.
fn fallen() -> Result<String> {
    let alerts = rules::quick_alerts()?;
    let (_, alert) = alerts.split_once(SOCKETS_FALL).context("the alert is there")?;
    let (_, expression) = alert.split_once("expr: |\n").context("an expression of several lines")?;
    let (expression, _) = expression.split_once("unless").context("drains are left out")?;
    Ok(expression.split_whitespace().collect::<Vec<_>>().join(" "))
}
