//! A server under a path of a proxy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Passes on what is asked for under `/push`, without that; ends every connection that asks for something else.
async fn pass_on(mut client: TcpStream, server: String) -> anyhow::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = async {
        let (mut bytes, mut is_upgraded) = (vec![0; 64 * 1024], false);
        loop {
            let count = from_client.read(&mut bytes).await?;
            if count == 0 {
                return anyhow::Ok(());
            }
            // A client of the tool writes a request at once, and frames only after an upgrade.
            if is_upgraded {
                to_server.write_all(&bytes[..count]).await?;
                continue;
            }
            let request = std::str::from_utf8(&bytes[..count])?;
            let (method, rest) = request.split_once(" /push/").context("not under the path")?;
            to_server.write_all(format!("{method} /{rest}").as_bytes()).await?;
            is_upgraded = rest.starts_with("v1/ws ");
        }
    };
    tokio::select! {
        asked = asked => asked,
        answered = tokio::io::copy(&mut from_server, &mut to_client) => Ok(answered.map(drop)?),
    }
}

#[tokio::test]
async fn a_server_under_a_path_is_measured_with_its_sockets_its_calls_and_its_metrics() -> anyhow::Result<()>
{
    let scratch = tempfile::tempdir()?;
    let (keys, secret) = (scratch.path().join("api-keys.toml"), scratch.path().join("api-key"));
    std::fs::write(&secret, api_key(&keys, "bench", &["--hints"]).await?)?;
    let doorbell =
        Doorbell::start_with(Options::default().with("DOORBELL_API_KEYS_FILE", text(&keys)?)).await?;
    let (proxy, server) = (TcpListener::bind("127.0.0.1:0").await?, doorbell.address().to_string());
    let under = format!("{}/push", proxy.local_addr()?);
    let (url, metrics, key) =
        (format!("ws://{under}"), format!("http://{under}/metrics"), doorbell.data().join("key"));
    let fanout = ["fanout", "--duration", "1s", "--rate", "20", "--no-reference"];
    let place = ["--url", &url, "--key-file", text(&key)?, "--api-key-file", text(&secret)?];
    let mut passing = tokio::task::JoinSet::new();
    let serving = async {
        loop {
            match proxy.accept().await {
                Ok((client, _)) => passing.spawn(pass_on(client, server.clone())),
                Err(error) => return error,
            };
        }
    };

    let words = [&fanout[..], &place, &["--metrics-url", &metrics]].concat();
    let result = tokio::select! {
        result = measured(&words) => result?,
        error = serving => return Err(error.into()),
    };

    assert!(figure(&result, "cpu_per_hint")?["value"].is_f64());
    assert_eq!(result["counts"]["publishes learned of, over all followers"], 20 * SESSIONS);
    Ok(())
}
