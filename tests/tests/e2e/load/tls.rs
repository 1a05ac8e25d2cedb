//! The same in TLS: with a certificate of the tool's own, and against a server that has one already.

use super::*;

/// What every result in TLS says of itself.
fn is_told_as_tls(result: &Value) -> anyhow::Result<()> {
    assert_eq!(result["parameters"]["TLS"], "1.3, whole handshakes");
    let notes = result["notes"].as_array().context("no notes")?;
    let of_tls = notes.iter().filter(|note| **note == "no figures of the bare loop: it speaks no TLS");
    assert_eq!(of_tls.count(), 1, "{notes:?}");
    assert!(result["figures"].as_array().context("no figures")?.iter().all(|of| of["reference"].is_null()));
    Ok(())
}

#[tokio::test]
async fn all_sessions_come_in_tls_and_the_handshake_has_its_own_times() -> anyhow::Result<()> {
    let result = measured(&["connect", "--tls", "--processes", "2", "--in-flight", "50"]).await?;

    is_told_as_tls(&result)?;
    assert_eq!((&result["counts"]["welcomed"], &result["counts"]["failed"]), (&SESSIONS.into(), &0.into()));
    for name in ["sessions_per_second", "cpu_per_session", "secured_p50"] {
        above_zero(figure(&result, name)?, &["value"])?;
    }
    let half = |of: &str| result["spreads"][of]["p50_us"].as_u64();
    assert_eq!(result["spreads"]["secured"]["count"], SESSIONS);
    assert!(half("secured") < half("upgrade") && half("upgrade") < half("welcome"), "{result}");
    Ok(())
}

#[tokio::test]
async fn sessions_in_tls_at_rest_answer_pings_at_gateways_too() -> anyhow::Result<()> {
    let idle = ["idle", "--tls", "--gateways", "2", "--duration", "4s", "--settle", "500ms"];
    let result = measured(&[&idle[..], &PINGED_EACH_SECOND].concat()).await?;

    is_told_as_tls(&result)?;
    assert_eq!(result["counts"]["sessions open at the end"], SESSIONS);
    assert!(result["counts"]["pings answered"].as_u64() >= Some(SESSIONS), "{result}");
    above_zero(figure(&result, "private_bytes")?, &["value"])
}

#[tokio::test]
async fn every_follower_in_tls_learns_of_every_publish() -> anyhow::Result<()> {
    let result = measured(&["fanout", "--tls", "--duration", "2s", "--rate", "40"]).await?;

    is_told_as_tls(&result)?;
    assert_eq!(result["counts"]["publishes learned of, over all followers"], 80 * SESSIONS);
    assert_eq!(result["spreads"]["late"]["count"], 80 * SESSIONS);
    Ok(())
}

#[tokio::test]
async fn sessions_in_tls_come_back_to_a_server_that_was_killed() -> anyhow::Result<()> {
    let result = measured(&["storm", "--tls", "--kill", "--settle", "500ms"]).await?;

    is_told_as_tls(&result)?;
    assert_eq!(result["counts"]["sessions open at the end"], SESSIONS);
    assert_eq!(result["spreads"]["current"]["count"], SESSIONS);
    Ok(())
}

/// Lets so few in that most are cut off at first.
const NARROW: [&str; 4] =
    ["--set", "DOORBELL_LISTENER__ACCEPTS_PER_SECOND=100", "--set", "DOORBELL_LISTENER__ACCEPTS_BURST=20"];

#[tokio::test]
async fn whom_a_door_cuts_off_in_tls_comes_all_the_same_where_sessions_come_back() -> anyhow::Result<()> {
    let result = measured(&[&["storm", "--tls", "--settle", "1s"][..], &NARROW].concat()).await?;

    let counts = &result["counts"];
    assert_eq!((&counts["back"], &counts["sessions open at the end"]), (&SESSIONS.into(), &SESSIONS.into()));
    assert!(counts["ended before an answer"].as_u64() > Some(0), "{counts}");
    Ok(())
}

#[tokio::test]
async fn whom_a_door_cuts_off_in_tls_is_told_of_the_door_where_sessions_come_once() -> anyhow::Result<()> {
    let connect = ["connect", "--tls", "--sessions", "300"];

    let (output, said) = run(&[&connect[..], &NARROW].concat()).await?;

    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lower --connect-rate") && !said.contains("--url"), "{said}");
    Ok(())
}

/// A server with a certificate that signs itself, for 127.0.0.1.
struct Secure {
    doorbell: Doorbell,
    certificate: std::path::PathBuf,
    api_key: std::path::PathBuf,
    _scratch: tempfile::TempDir,
}

impl Secure {
    async fn start() -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir()?;
        let file = |name: &str| scratch.path().join(name);
        let (certificate, key, api_key) = (file("certificate.pem"), file("key.pem"), file("api-key"));
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600))?;
        let keys = file("api-keys.toml");
        std::fs::write(&api_key, doorbell_tests::api_key(&keys, "bench", &["--hints"]).await?)?;
        let options = Options::default()
            .with("DOORBELL_API_KEYS_FILE", text(&keys)?)
            .with("DOORBELL_TLS__CERTIFICATE_FILE", text(&certificate)?)
            .with("DOORBELL_TLS__KEY_FILE", text(&key)?);
        Ok(Self { doorbell: Doorbell::start_with(options).await?, certificate, api_key, _scratch: scratch })
    }
}

#[tokio::test]
async fn an_installation_in_tls_is_measured_with_its_authority_its_calls_and_its_metrics()
-> anyhow::Result<()> {
    let secure = Secure::start().await?;
    let address = secure.doorbell.address();
    let (url, metrics) = (format!("wss://{address}"), format!("https://{address}/metrics"));
    let key = secure.doorbell.data().join("key");
    let fanout = ["fanout", "--duration", "1s", "--rate", "20", "--api-key-file", text(&secure.api_key)?];
    let place = ["--url", &url, "--ca", text(&secure.certificate)?, "--metrics-url", &metrics];

    let result = measured(&[&fanout[..], &place, &["--key-file", text(&key)?]].concat()).await?;

    is_told_as_tls(&result)?;
    assert!(figure(&result, "cpu_per_hint")?["value"].is_f64());
    assert_eq!(result["counts"]["publishes learned of, over all followers"], 20 * SESSIONS);
    Ok(())
}

#[tokio::test]
async fn who_is_not_trusted_or_speaks_otherwise_is_told_once_with_what_to_do() -> anyhow::Result<()> {
    let (secure, plain) = (Secure::start().await?, Doorbell::start().await?);
    let other = Secure::start().await?;
    let (in_tls, in_plain) = (secure.doorbell.address(), plain.address());
    let (own, foreign) = (text(&secure.certificate)?, text(&other.certificate)?);
    for (url, ca, reason) in [
        (format!("wss://{in_tls}"), None, "with --ca FILE"),
        (format!("wss://{in_tls}"), Some(foreign), "with --ca FILE"),
        (format!("wss://localhost:{}", secure.doorbell.port()), Some(own), "is for other names"),
        (format!("wss://{in_plain}"), Some(own), "take ws:// for --url"),
        (format!("ws://{in_tls}"), None, "take wss:// for --url"),
    ] {
        let ca = ca.map_or(vec![], |ca| vec!["--ca", ca]);
        let words = ["connect", "--sessions", "20", "--key-file", "none-is-read", "--url", &url];

        let (output, said) = run(&[&words[..], &ca].concat()).await?;

        assert_eq!(output.status.code(), Some(2), "{url}: {said}");
        assert_eq!(said.matches(reason).count(), 1, "{url}: {said}");
    }
    Ok(())
}
