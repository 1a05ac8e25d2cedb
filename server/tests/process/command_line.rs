//! What a person types, and what they read.

use crate::rig::{Server, doorbell, run, scratch, text};

#[tokio::test]
async fn help_tells_a_stranger_what_it_is_and_how_to_use_it() {
    let help = run(&mut doorbell(&["--help"])).await;

    assert!(help.status.success());
    let help = text(&help.stdout);
    for expected in [
        "push gateway",
        "doorbell token alice",
        "DOORBELL_GATEWAY__HEARTBEAT",
        "--data-dir",
        "[default: 127.0.0.1:8080]",
        "SIGTERM",
        "Exit codes",
        "/readyz",
        "<data-dir>/key",
    ] {
        assert!(help.contains(expected), "no {expected:?} in:\n{help}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_says_what_is_right() {
    for (args, expected) in [
        (&["--lisen", "h:1"][..], "--listen"),
        (&["sreve"], "serve"),
        (&["token"], "<USER>"),
        (&["token", "ada", "--ttl", "soon"], "--ttl"),
        (&["--roles", "gateway,chanel", "check"], "subcommand"),
    ] {
        let output = run(&mut doorbell(args)).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(expected), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_ends_serve_with_2_and_check_with_1() {
    let (scratch, _) = scratch();
    let file = scratch.path().join("doorbell.toml");
    std::fs::write(&file, "[gateway]\n\nhartbeat = '25s'\n").unwrap();
    let file = file.to_str().unwrap();
    let expected = format!("doorbell: {file}:3: unknown key `hartbeat`; did you mean `heartbeat`?\n");

    let serve = run(&mut doorbell(&["--config", file])).await;
    assert_eq!((serve.status.code(), text(&serve.stderr)), (Some(2), expected.clone()));
    let check = run(&mut doorbell(&["check", "--config", file])).await;
    assert_eq!((check.status.code(), text(&check.stderr)), (Some(1), expected));
}

#[tokio::test]
async fn check_tells_all_that_is_wrong_and_warns_of_what_would_serve_badly() {
    let (scratch, data) = scratch();
    let key = scratch.path().join("key");
    std::fs::write(&key, "{}").unwrap();
    let key = key.to_str().unwrap();
    let mut command = doorbell(&["check", "--key-file", key, "--listen", "0.0.0.0:0", "--data-dir"]);

    let check = run(command.arg(data).env("DOORBELL_PORT", "tcp://10.0.0.1:80")).await;

    let said = text(&check.stderr);
    assert_eq!((check.status.code(), text(&check.stdout)), (Some(1), String::new()), "{said}");
    let lines = |prefix: &str, word: &str| {
        said.lines().filter(|line| line.starts_with(prefix) && line.contains(word)).count()
    };
    assert_eq!(lines("doorbell: `key_file`", "chmod 600"), 1, "{said}");
    assert_eq!(lines("doorbell: warning: ", "DOORBELL_PORT"), 1, "{said}");
    assert_eq!(lines("doorbell: warning: ", "`listener.origins`"), 1, "{said}");
}

#[tokio::test]
async fn check_says_when_all_is_well_and_prints_what_is_in_force() {
    let sound = run(&mut doorbell(&["check"])).await;
    assert!(sound.status.success(), "{}", text(&sound.stderr));
    assert_eq!(text(&sound.stdout), "the configuration is sound\n");

    let mut command = doorbell(&["check", "--print", "--listen", "127.0.0.1:3"]);
    let printed = run(command.env("DOORBELL_GATEWAY__HEARTBEAT", "12s").env("DOORBELL_LISTEN", "h:2")).await;
    assert!(printed.status.success());
    let printed = text(&printed.stdout);
    for expected in ["listen = \"127.0.0.1:3\"", "heartbeat = \"12s\""] {
        assert!(printed.contains(expected), "no {expected:?} in:\n{printed}");
    }
}

#[tokio::test]
async fn check_touches_nothing() {
    let (scratch, data) = scratch();

    run(&mut doorbell(&["check", "--data-dir", data.to_str().unwrap()])).await;

    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn roles_that_cannot_be_alone_are_refused_clearly() {
    for (args, expected) in [
        (["--roles", "gateway,notifier"], "without Redis"),
        (["--roles", "gatway"], "unknown role \"gatway\""),
        (["--redis", "redis://:secret@h/"], "`key_file`"),
        (["--redis=http://:secret@h/", "--key-file=k"], "redis://host:port"),
    ] {
        let output = run(&mut doorbell(&args)).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn a_token_is_all_that_is_printed_and_it_holds_beside_the_running_server() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;

    let output =
        run(&mut doorbell(&["token", "ada", "--ttl", "5m", "--data-dir", data.to_str().unwrap()])).await;

    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let token = text(&output.stdout);
    assert_eq!(token.lines().count(), 1);
    assert_eq!(token.trim_end().split('.').count(), 3);
    let bearer = format!("Authorization: Bearer {}", token.trim_end());
    let answer = server.request("POST", "/v1/call/topics.changes", &[&bearer], "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_token_says_what_the_configuration_demands() {
    let (scratch, data) = scratch();
    let file = scratch.path().join("doorbell.toml");
    std::fs::write(&file, "[auth]\ntoken_issuer = 'https://id.example'\ntoken_audience = 'doorbell'")
        .unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let server = Server::start(&data, &config).await;
    let place = ["token", "ada", "--data-dir", data.to_str().unwrap()];

    for (args, status) in [([&place[..], &config].concat(), 200), (place.to_vec(), 401)] {
        let token = text(&run(&mut doorbell(&args)).await.stdout);
        let bearer = format!("Authorization: Bearer {}", token.trim_end());
        assert_eq!(server.request("POST", "/v1/call/topics.changes", &[&bearer], "{}").await.status, status);
    }
}

#[tokio::test]
async fn a_token_without_a_key_file_says_which_file_is_missing_and_makes_none() {
    let (_scratch, data) = scratch();

    let output = run(&mut doorbell(&["token", "ada", "--data-dir", data.to_str().unwrap()])).await;

    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains(data.join("key").to_str().unwrap()));
    assert!(!data.exists());
}
