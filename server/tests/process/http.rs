//! What operators and browsers get.

use crate::rig::{Server, scratch};

#[tokio::test]
async fn operators_get_health_readiness_and_metrics() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;

    assert_eq!(server.get("/healthz").await.body, r#"{"live":true}"#);
    assert_eq!(server.get("/readyz").await.body, r#"{"ready":true,"reasons":[]}"#);
    let metrics = server.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for family in [
        "doorbell_server_build_info{version=",
        "doorbell_server_uptime_seconds ",
        "doorbell_server_event_loop_lag_seconds_count ",
        "process_open_fds ",
        "process_resident_memory_bytes ",
        "doorbell_gateway_",
        "doorbell_notifier_in_hand_capacity_users 4096",
        "doorbell_message_",
        "doorbell_backplane_",
        "doorbell_channel_gateways ",
    ] {
        assert!(metrics.body.contains(family), "no {family}");
    }
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;

    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let page = server.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some(media_type)), "{path}");
        assert!(
            page.header("content-security-policy").unwrap().contains("default-src 'none'; script-src 'self'")
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let again = format!("If-None-Match: {}", page.header("etag").unwrap());
        assert_eq!(server.request("GET", path, &[&again], "").await.status, 304, "{path}");
        let head = server.request("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), Some(page.body.len().to_string().as_str()), "{path}");
    }
}

#[tokio::test]
async fn wrong_paths_and_methods_get_an_error_object() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;

    for path in ["/nope", "/v1", "/v1/", "/index.html", "/v1/hint", "/metrics/"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.body.starts_with(r#"{"error":{"code":"not_found","message":"#),
            "{path}: {}",
            answer.body
        );
    }
    for (method, path, allowed) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("GET", "/v1/demo/token", "POST"),
        ("GET", "/v1/call/topics.changes", "POST"),
        ("GET", "/v1/hints", "POST"),
    ] {
        let answer = server.request(method, path, &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert!(answer.body.starts_with(r#"{"error":{"#), "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_demo_gives_a_name_a_token_that_holds() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;

    let origin = format!("Origin: http://{}", server.address);
    let given = server.request("POST", "/v1/demo/token", &[&origin], r#"{"user":"ada"}"#).await;

    assert_eq!(given.status, 200, "{given:?}");
    assert!(given.body.starts_with(r#"{"user":"ada","token":""#), "{}", given.body);
    assert!(given.body.contains(r#""expires_at_ms":"#));
    let token = given.body.split('"').nth(7).unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    let answer = server.request("POST", "/v1/call/topics.changes", &[&bearer], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn the_demo_refuses_other_sites_and_names_that_were_made_to_point_here() {
    let (_scratch, data) = scratch();
    let server = Server::start(&data, &[]).await;
    let port = server.address.rsplit_once(':').unwrap().1;

    for headers in [
        vec!["Origin: http://evil.example".to_owned()],
        vec!["Origin: null".to_owned()],
        vec![format!("Host: evil.example:{port}")],
        vec![format!("Host: evil.example:{port}"), format!("Origin: http://evil.example:{port}")],
    ] {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let answer = server.request("POST", "/v1/demo/token", &headers, r#"{"user":"ada"}"#).await;
        assert_eq!(answer.status, 403, "{headers:?}: {answer:?}");
        assert!(!answer.body.contains("token\":\""), "{headers:?}");
    }
    for body in ["", "[]", r#"{"user":""}"#, r#"{"user":"a\u0007"}"#, r#"{"usr":"ada"}"#] {
        let answer = server.request("POST", "/v1/demo/token", &[], body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    let huge = format!(r#"{{"user":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(server.request("POST", "/v1/demo/token", &[], &huge).await.status, 413);
}

#[tokio::test]
async fn without_the_demo_a_name_gives_nothing() {
    let (scratch, data) = scratch();
    let file = scratch.path().join("doorbell.toml");
    std::fs::write(&file, "demo = 'off'").unwrap();
    let server = Server::start(&data, &["--config", file.to_str().unwrap()]).await;

    let answer = server.request("POST", "/v1/demo/token", &[], r#"{"user":"ada"}"#).await;

    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("doorbell token"), "{}", answer.body);
    assert_eq!(server.get("/").await.status, 200);
}
