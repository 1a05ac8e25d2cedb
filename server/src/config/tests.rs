use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let scratch = tempfile::tempdir().unwrap();
    let path = file.map(|text| {
        let path = scratch.path().join("doorbell.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let flags = flags.iter().map(|(flag, value)| Setting {
        origin: format!("--{flag}"),
        path: vec![flag.replace('-', "_")],
        value: (*value).to_owned(),
    });
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Layers::new(path, flags.collect(), environment).load().map_err(|error| error.to_string())
}

fn refusal(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    load(file, environment, flags).expect_err("it should have been refused")
}

#[test]
fn the_defaults_hold_together() {
    assert_eq!(load(None, &[], &[]), Ok(Config::default()));
}

#[test]
fn flags_stand_over_the_environment_over_the_file_over_the_defaults() {
    let file = "listen = '127.0.0.1:1'\ndata_dir = 'file'\nlog = 'warn'";
    let environment = [("DOORBELL_LISTEN", "127.0.0.1:2"), ("DOORBELL_DATA_DIR", "environment")];

    let config = load(Some(file), &environment, &[("listen", "127.0.0.1:3")]).unwrap();

    assert_eq!(config.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.data_dir, Path::new("environment"));
    assert_eq!(config.log, "warn");
    assert_eq!(config.demo, Demo::Auto);
}

#[test]
fn environment_variables_reach_into_sections_with_the_type_of_the_key() {
    let config = load(
        None,
        &[
            ("DOORBELL_GATEWAY__HEARTBEAT", "12s"),
            ("DOORBELL_NOTIFIER__WORKERS", "3"),
            ("DOORBELL_ROLES", "message, gateway,channel,notifier"),
            ("DOORBELL_LOG", "debug"),
        ],
        &[],
    )
    .unwrap();

    assert_eq!(config.gateway.heartbeat, std::time::Duration::from_secs(12));
    assert_eq!(config.notifier.workers.get(), 3);
    assert!(config.roles.is_all());
    assert_eq!(config.log, "debug");
}

#[test]
fn an_unknown_key_is_refused_with_its_file_its_line_and_the_nearest_key() {
    let said = refusal(Some("log = 'info'\n\n[gateway]\nhello_timout = '5s'\n"), &[], &[]);

    assert!(
        said.ends_with("doorbell.toml:4: unknown key `hello_timout`; did you mean `hello_timeout`?"),
        "{said}"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_layers() {
    let file = "log = 'info'\n[gateway]\nsweep_interval = 5\nhartbeat = '5s'\n[gatway]\nx = 1\n[message]\nshards = 0\n";
    let said = refusal(
        Some(file),
        &[("DOORBELL_NOTIFIER__WORKERS", "none"), ("DOORBELL_LISTEN", "h:1")],
        &[("log-format", "loud")],
    );

    let places: Vec<_> = said.lines().map(|line| line.rsplit('/').next().unwrap_or(line)).collect();
    let expected = [
        "doorbell.toml:3: `sweep_interval`: ",
        "doorbell.toml:4: unknown key `hartbeat`; did you mean `heartbeat`?",
        "doorbell.toml:5: unknown key `gatway`; did you mean `gateway`?",
        "doorbell.toml:8: `shards`: ",
        "DOORBELL_NOTIFIER__WORKERS: ",
        "--log-format: ",
    ];
    assert_eq!(places.len(), expected.len(), "{said}");
    for (place, expected) in places.iter().zip(expected) {
        assert!(place.starts_with(expected), "{place:?} should begin with {expected:?}");
    }
}

#[test]
fn a_key_of_another_section_is_named_with_it() {
    let said = refusal(Some("hello_timeout = '5s'"), &[], &[]);

    assert!(said.contains("`hello_timeout` in the section [gateway]"), "{said}");
}

#[test]
fn a_bad_value_is_refused_where_it_was_set() {
    let cases = [
        (refusal(Some("[gateway]\nheartbeat = 5"), &[], &[]), "doorbell.toml:2: "),
        (
            refusal(Some("listen = 'nowhere'"), &[], &[]),
            "doorbell.toml:1: `listen`: \"nowhere\" is not HOST:PORT",
        ),
        (refusal(Some("listen = \n"), &[], &[]), "doorbell.toml:1: "),
        (refusal(None, &[("DOORBELL_GATEWAY__HEARTBEAT", "soon")], &[]), "DOORBELL_GATEWAY__HEARTBEAT: "),
        (refusal(None, &[("DOORBELL_NOTIFIER__WORKERS", "0")], &[]), "DOORBELL_NOTIFIER__WORKERS: "),
        (refusal(None, &[("DOORBELL_LISTEN__PORT", "80")], &[]), "DOORBELL_LISTEN__PORT: "),
        (
            refusal(None, &[("DOORBELL_LISTN", "h:1")], &[]),
            "DOORBELL_LISTN: unknown key `listn`; did you mean `listen`?",
        ),
        (refusal(None, &[], &[("roles", "gateway,notifer")]), "--roles: unknown role \"notifer\""),
        (refusal(None, &[], &[("log", "loud=very")]), "--log"),
        (refusal(None, &[], &[("log", "verbose")]), "\"verbose\" is no level"),
        (refusal(None, &[], &[("log", "info, inf")]), "\"inf\" is no level"),
        (refusal(None, &[("DOORBELL_DEMO", "o\u{fffd}")], &[]), "DOORBELL_DEMO: the value is not UTF-8"),
        (refusal(None, &[], &[("data_dir", "")]), "`data_dir` is empty"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    }
}

#[test]
fn variables_of_others_under_our_prefix_are_left_alone() {
    for foreign in ["DOORBELL_PORT", "DOORBELL_SERVICE_HOST", "DOORBELL_PORT_8080_TCP_ADDR", "DOORBELL_BIN"] {
        assert_eq!(load(None, &[(foreign, "x")], &[]), Ok(Config::default()), "{foreign}");
    }
}

#[test]
fn a_broken_relation_names_both_keys_and_where_they_were_set() {
    let said = refusal(
        Some("[notifier]\nclaim_lease = '2s'"),
        &[("DOORBELL_NOTIFIER__DELIVER_DEADLINE", "3s")],
        &[],
    );

    for expected in [
        "`notifier.claim_lease` and `notifier.deliver_deadline`",
        "doorbell.toml:2",
        "DOORBELL_NOTIFIER__DELIVER_DEADLINE",
    ] {
        assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    }
}

#[test]
fn a_signal_ends_at_the_message_service_before_the_gateway_gives_it_up() {
    let said =
        refusal(Some("[message]\nsignal_deadline = '300ms'\n[gateway]\nsignal_timeout = '300ms'"), &[], &[]);
    assert!(
        said.contains("`message.signal_deadline`") && said.contains("`gateway.signal_timeout`"),
        "{said}"
    );
    let nested = "[message]\nsignal_deadline = '299ms'\n[gateway]\nsignal_timeout = '300ms'";
    assert!(load(Some(nested), &[], &[]).is_ok());
}

#[test]
fn the_offline_hook_ends_after_the_message_service_and_both_within_the_finish_budget() {
    let hook = "[offline_hook]\nurl = 'https://push.example/'\nsecret_file = 'hook.secret'\n";
    assert!(load(Some(hook), &[], &[]).is_ok(), "by default they do");
    let longer = "[message]\ndrain_timeout = '2001ms'\n";
    let said = refusal(Some(&format!("{hook}{longer}")), &[], &[]);
    for key in ["`message.drain_timeout`", "`offline_hook.stop_timeout`", "`shutdown.finish_budget`"] {
        assert!(said.contains(key), "{said:?} should contain {key}");
    }
    assert!(load(Some(longer), &[], &[]).is_ok(), "without a hook nothing comes after it");
}

#[test]
fn roles_apart_need_redis_and_gateways_one_key() {
    let apart = refusal(None, &[], &[("roles", "gateway")]);
    assert!(apart.contains("without Redis") && apart.contains("--roles"), "{apart}");

    let redis = ("DOORBELL_REDIS__URLS", "redis://:secret@h");
    let keyless = refusal(None, &[redis], &[("roles", "gateway")]);
    assert!(keyless.contains("`key_file`") && !keyless.contains("secret"), "{keyless}");
    let others = load(None, &[redis], &[("roles", "notifier,channel,message")]).unwrap();
    assert!(others.is_cluster() && others.keeps_messages());
    assert!(
        !others.redacted().contains(":secret") && !others.changes().contains(":secret"),
        "{}",
        others.changes()
    );

    let bad = refusal(None, &[("DOORBELL_REDIS__URLS", "http://:secret@h")], &[]);
    assert!(bad.contains("DOORBELL_REDIS__URLS") && !bad.contains("secret"), "{bad}");
}

#[test]
fn what_is_printed_holds_no_secret_and_reads_back() {
    let mut config = Config::default();
    config.cluster.peer_key = "hunter2".to_owned();
    config.upstream.secret = doorbell_upstream::Secret::new("hunter2".to_owned());
    config.offline_hook.secret = doorbell_upstream::Secret::new("hunter2".to_owned());
    assert_eq!(config.redacted().matches("<redacted>").count(), 3);
    for shown in [config.redacted(), config.changes(), format!("{:?}", config.upstream)] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    assert_eq!(toml::from_str::<Config>(&Config::default().redacted()).unwrap(), Config::default());
}

#[test]
fn what_differs_from_the_defaults_is_said_on_one_line() {
    assert_eq!(Config::default().changes(), "");

    let mut config = Config::default();
    config.cluster.peer_key = "secret".to_owned();
    config.gateway.heartbeat = std::time::Duration::from_secs(12);
    assert_eq!(config.changes(), "cluster.peer_key = \"<redacted>\", gateway.heartbeat = \"12s\"");
}
