//! A back end whose connections are not taken.

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// Takes so many connections to a Doorbell, and no more: who comes then waits until it gives up, which takes 15 s. Answers its port.
async fn narrow_door(doorbell: &Doorbell, most: u64) -> anyhow::Result<(u16, JoinSet<anyhow::Result<()>>)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    // The kernel takes two more by itself.
    let listener = socket.listen(1)?;
    let (port, address) = (listener.local_addr()?.port(), doorbell.address().to_owned());
    let mut door = JoinSet::new();
    door.spawn(async move {
        let mut taken = JoinSet::new();
        for _ in 0..most {
            let (mut outside, _) = listener.accept().await?;
            let mut inside = TcpStream::connect(&address).await?;
            taken.spawn(async move { tokio::io::copy_bidirectional(&mut outside, &mut inside).await });
        }
        std::future::pending().await
    });
    Ok((port, door))
}

#[tokio::test]
async fn a_tool_whose_back_end_does_not_get_in_hears_who_ends_it_and_its_deadline() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (keys, secret) = (scratch.path().join("api-keys.toml"), scratch.path().join("api-key"));
    std::fs::write(&secret, api_key(&keys, "bench", &["--hints"]).await?)?;
    let doorbell =
        Doorbell::start_with(Options::default().with("DOORBELL_API_KEYS_FILE", text(&keys)?)).await?;
    let key = doorbell.data().join("key");
    let place = ["--key-file", text(&key)?, "--api-key-file", text(&secret)?, "--no-reference"];
    let small = ["--sessions", "20", "--in-flight", "1", "--connections", "8"];

    for (deadline, code) in [("1h", 130), ("3s", 2)] {
        // 20 sessions, and the look before them.
        let (port, _door) = narrow_door(&doorbell, 21).await?;
        let url = format!("ws://127.0.0.1:{port}");
        let words = [&["unicast", "--url", &url, "--deadline", deadline], &small[..], &place].concat();
        let mut unicast = bench(&words)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        line_with(&mut unicast, "connecting the back end").await?;
        if code == 130 {
            kill("-INT", &unicast.id().context("it is gone")?.to_string()).await?;
        }

        let output =
            timeout(Duration::from_secs(9), unicast.wait_with_output()).await.context(deadline)??;

        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let told = if code == 130 { "interrupted" } else { "connecting the back end took longer than 3 s" };
        assert!(said.contains(told), "{said}");
    }
    Ok(())
}
