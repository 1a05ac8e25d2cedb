//! Starts that work, and starts that are refused in one line.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::rig::{Server, doorbell, run, scratch, text};

#[tokio::test]
async fn serve_is_the_default_and_the_ready_line_is_all_of_standard_output() {
    let (_scratch, data) = scratch();
    let mut command = doorbell(&["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    command.stderr(std::process::Stdio::piped());

    let mut server = Server::started(command).await;

    assert_ne!(server.address, "127.0.0.1:0");
    assert_eq!(server.get("/healthz").await.status, 200);
    server.signal("-INT").await;
    assert_eq!(server.code().await, Some(0));
}

#[tokio::test]
async fn the_key_survives_a_restart_and_is_its_owners_only() {
    let (_scratch, data) = scratch();
    let mut server = Server::start(&data, &[]).await;
    let key = std::fs::read_to_string(data.join("key")).unwrap();
    assert_eq!(data.join("key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    server.signal("-KILL").await;
    server.code().await;

    let _again = Server::start(&data, &[]).await;

    assert_eq!(std::fs::read_to_string(data.join("key")).unwrap(), key);
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_and_the_first_one_named() {
    let (_scratch, data) = scratch();
    let first = Server::start(&data, &[]).await;

    let second = run(&mut doorbell(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
        "--log",
        "off",
    ]))
    .await;

    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty());
    let said = text(&second.stderr);
    assert!(said.contains(&format!("in use by another doorbell (process {})", first.pid())), "{said}");
    assert_eq!(first.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_said_in_one_line() {
    let (scratch, data) = scratch();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let bad_key = scratch.path().join("bad-key");
    std::fs::write(&bad_key, "{}").unwrap();
    std::fs::set_permissions(&bad_key, PermissionsExt::from_mode(0o600)).unwrap();
    let open_key = scratch.path().join("open-key");
    std::fs::write(&open_key, "{}").unwrap();
    std::fs::set_permissions(&open_key, PermissionsExt::from_mode(0o644)).unwrap();
    let data = data.to_str().unwrap();
    let free = "127.0.0.1:0";
    for (args, expected) in [
        (["--listen", &taken, "--data-dir", data], "in use by another process"),
        (["--listen", "no.such.host.invalid:80", "--data-dir", data], "cannot find the address of the name"),
        (["--listen", free, "--data-dir", file.to_str().unwrap()], "cannot create the data directory"),
        (["--data-dir", data, "--key-file", bad_key.to_str().unwrap()], "not usable"),
        (["--data-dir", data, "--key-file", open_key.to_str().unwrap()], "chmod 600"),
    ] {
        let output = run(&mut doorbell(&[&args[..], &["--log", "off"]].concat())).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with("doorbell: ") && said.contains(expected), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_reader_of_the_log_that_does_not_read_holds_up_nothing() {
    let (_scratch, data) = scratch();
    let mut command =
        doorbell(&["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap(), "--log", "trace"]);
    // Piped and never read: the pipe's 64 KiB are soon full.
    command.stderr(std::process::Stdio::piped());
    let mut server = Server::started(command).await;

    for _ in 0..400 {
        assert_eq!(server.get("/healthz").await.status, 200);
    }

    server.signal("-TERM").await;
    assert_eq!(server.code().await, Some(0));
}
