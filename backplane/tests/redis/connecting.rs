//! What will never work is refused at the start; what may work later is waited for.

use std::time::Duration;

use doorbell_backplane::HintQueue as _;
use doorbell_backplane::redis::Config;

use super::caller::{at, connect, connect_with, reason, ring, until, user};
use super::harness::section;
use super::server::{Server, until as until_true};

#[tokio::test]
async fn a_password_is_needed_and_comes_from_the_address_or_a_file() {
    let server = Server::start(&["--requirepass", "s3cret"]);
    let place = server.url().replace("redis://", "");
    for url in [server.url(), format!("redis://:wrong@{place}"), format!("redis://nobody:s3cret@{place}")] {
        let error = connect(&[url]).await.expect_err("refused").to_string();
        assert!(!error.contains("s3cret") && !error.contains("wrong@"), "{error}");
    }
    ring(&connect(&[format!("redis://:s3cret@{place}")]).await.unwrap(), &user("alice")).await;

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let section = Config { password_file: file.path().to_owned(), ..section(&[server.url()]) };
    ring(&connect_with(section).await.unwrap(), &user("bob")).await;
}

#[tokio::test]
async fn a_server_that_comes_later_is_waited_for() {
    let mut server = Server::start(&[]);
    server.kill();
    let redis = connect(&[server.url()]).await.unwrap();
    assert!(!reason(redis.depth().await).is_empty());

    server.restart();

    until("it is there", async || redis.depth().await).await;
    ring(&redis, &user("alice")).await;
}

#[tokio::test]
async fn files_that_are_not_there_and_addresses_of_nothing_are_refused() {
    let missing =
        Config { password_file: "/nowhere/password".into(), ..section(&["redis://localhost:1".into()]) };
    assert!(connect_with(missing).await.unwrap_err().to_string().contains("/nowhere/password"));
    let odd = Config { urls: vec![at("redis://localhost:1/3")], ..Config::default() };
    assert!(connect_with(odd).await.unwrap_err().to_string().contains("key_prefix"));
}

#[tokio::test]
async fn tls_is_spoken_with_the_authority_that_the_section_names() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = super::server::free_port();
    let (port_text, no) = (port.to_string(), "no");
    let words = ["--tls-port", &port_text, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let rest = ["--tls-ca-cert-file", &certificate, "--tls-auth-clients", no];
    let server = Server::start(&[&words[..], &rest].concat());
    let url = format!("rediss://localhost:{port}");

    let trusting = Config { ca_file: certificate.into(), ..section(std::slice::from_ref(&url)) };
    ring(&connect_with(trusting).await.unwrap(), &user("alice")).await;
    let stranger = connect_with(section(&[url])).await.unwrap();
    assert!(reason(stranger.depth().await).to_lowercase().contains("certificate"));
    drop(server);
}

/// R3.
#[tokio::test]
async fn sentinels_name_the_primary_and_the_next_one() {
    let mut primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    until_true("the replica follows", || {
        let redis::Value::BulkString(said) = replica.say(&["INFO", "replication"]) else { return None };
        String::from_utf8_lossy(&said).contains("master_link_status:up").then_some(())
    });
    let sentinel = Server::start_sentinel(primary.port);
    let place = sentinel.url().replace("redis://", "");
    // One that refuses, and two that vanished without a word.
    let silent = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let places = silent.each_ref().map(|one| one.local_addr().unwrap().to_string()).join(",");
    let url = format!("redis+sentinel://localhost:1,{places},{place}/main");
    let patient = Config { call_timeout: Duration::from_secs(2), ..section(std::slice::from_ref(&url)) };
    let redis = connect_with(patient).await.unwrap();
    ring(&redis, &user("alice")).await;
    let unknown = connect_with(section(&[url.replace("/main", "/other")])).await.unwrap();
    assert!(reason(unknown.depth().await).contains("other"));
    until_true("the sentinel knows the replica", || {
        let said = sentinel.say(&["SENTINEL", "REPLICAS", "main"]);
        matches!(said, redis::Value::Array(replicas) if !replicas.is_empty()).then_some(())
    });

    primary.kill();

    until("the replica has taken over", async || super::caller::enter(&redis, &user("alice")).await).await;
    ring(&redis, &user("alice")).await;
}

/// One that was cut off from the others, or stood still while they agreed on another primary.
#[tokio::test]
async fn a_sentinel_that_names_who_is_gone_keeps_nobody_from_the_primary() {
    let (mut gone, primary) = (Server::start(&[]), Server::start(&[]));
    let sentinels = [Server::start_sentinel(gone.port), Server::start_sentinel(primary.port)];
    gone.kill();
    let [stale, sound] = sentinels.each_ref().map(|one| one.url().replace("redis://", ""));
    // Whichever answers first.
    for places in [[&stale, &sound], [&sound, &stale]] {
        let url = format!("redis+sentinel://{},{}/main", places[0], places[1]);
        let redis = connect_with(section(&[url])).await.unwrap();
        ring(&redis, &user("alice")).await;
    }
}
