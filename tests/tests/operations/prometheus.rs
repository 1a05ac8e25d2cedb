//! A Prometheus of one's own, on a free port.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use doorbell_tests::absent::skip;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::rules::{quick_alerts, quick_config};
use crate::{DEADLINE, until};

/// It runs until it is dropped.
pub struct Prometheus {
    _child: Child,
    /// Kept open: a closed one would end it.
    _log: Lines<BufReader<ChildStderr>>,
    address: String,
    _scratch: TempDir,
}

/// The program: what xtask found, or the one of the path.
fn program(variable: &str, name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test is started by people and by xtask")]
    std::env::var(variable).unwrap_or_else(|_| name.to_owned())
}

impl Prometheus {
    /// Starts one that scrapes `target` and watches the alerts. `None`, and a word about it, where there is no Prometheus.
    pub async fn watch(target: &str) -> Result<Option<Self>> {
        let scratch = tempfile::tempdir()?;
        let config = scratch.path().join("prometheus.yaml");
        std::fs::write(&config, quick_config(target)?)?;
        std::fs::write(scratch.path().join("alerts.yaml"), quick_alerts()?)?;
        let mut command = Command::new(program("PROMETHEUS", "prometheus"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=logfmt"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                skip("there is no Prometheus here: `cargo xtask test operations` installs it")?;
                return Ok(None);
            }
            Err(error) => return Err(error).context("starting Prometheus"),
        };
        let mut log = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let address = timeout(DEADLINE, listening(&mut log)).await.context("Prometheus did not listen")??;
        let started = Self { _child: child, _log: log, address, _scratch: scratch };
        until("Prometheus", || async { Ok((started.get("/-/ready").await?.0 == 200).then_some(())) }).await?;
        until("the first scrape", || async { Ok(started.query("up == 1").await?.first().map(|_| ())) })
            .await?;
        Ok(Some(started))
    }

    /// The values of an expression now; what is no number is left out.
    pub async fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(expression))).await?;
        ensure!(answer["status"] == "success", "`{expression}`: {}", answer["error"]);
        let series = answer["data"]["result"].as_array().context("an instant vector")?;
        let values = series.iter().filter_map(|series| series["value"][1].as_str()?.parse().ok());
        Ok(values.filter(|value: &f64| !value.is_nan()).collect())
    }

    /// The alerts that fire now.
    pub async fn firing(&self) -> Result<Vec<String>> {
        let answer = self.ask("/api/v1/alerts").await?;
        let alerts = answer["data"]["alerts"].as_array().context("a list of alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
    }

    /// One answer of the API.
    async fn ask(&self, path: &str) -> Result<Value> {
        let (_, body) = self.get(path).await?;
        serde_json::from_str(&body).with_context(|| format!("no JSON: {body}"))
    }

    /// A status and a body. HTTP/1.0, so that it comes in one piece.
    async fn get(&self, path: &str) -> Result<(u16, String)> {
        let asking = async {
            let mut socket = TcpStream::connect(&self.address).await?;
            socket.write_all(format!("GET {path} HTTP/1.0\r\nhost: prometheus\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(DEADLINE, asking).await.context("Prometheus does not answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, body.to_owned()))
    }
}

/// The address that the log names.
async fn listening(log: &mut Lines<BufReader<ChildStderr>>) -> Result<String> {
    let mut seen = String::new();
    while let Some(line) = log.next_line().await? {
        if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
            return Ok(address.trim().to_owned());
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    bail!("Prometheus ended: {seen}")
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Asks `promtool` whether the files of `grafana/` are sound, as they stand there.
#[tokio::test]
async fn promtool_finds_nothing_wrong() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../grafana");
    for (kind, file) in [("rules", "alerts.yaml"), ("config", "prometheus.yaml")] {
        let mut command = Command::new(program("PROMTOOL", "promtool"));
        let output = match command.args(["check", kind, file]).current_dir(folder).output().await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return skip("there is no promtool here");
            }
            output => output?,
        };
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "grafana/{file}: {said}{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}
