//! How times and addresses are written on the command line.

use std::time::Duration;

/// What is said of an address that is none.
const SERVER: &str = "must be ws://HOST:PORT or wss://HOST";

/// A time above zero and at most a day.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Duration, String> {
    let time = humantime_serde::re::humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() || time > Duration::from_secs(86_400) {
        return Err("must be above zero and at most a day".to_owned());
    }
    Ok(time)
}

/// Where a server is: `ws://HOST:PORT` or `wss://HOST`, without a path.
///
/// # Errors
/// What is wrong with it.
pub fn url(text: &str) -> Result<String, String> {
    server(text).map_err(|why| if why == SERVER { format!("{why}, without a path") } else { why })
}

fn server(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|_| SERVER.to_owned())?;
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let (_, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    if uri.host().is_some_and(|host| host.len() < host_and_port.len()) && uri.port_u16().is_none() {
        return Err("its port must be a number, 65535 at most".to_owned());
    }
    let scheme = matches!(uri.scheme_str(), Some("ws" | "wss"));
    let path = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    // What follows a `#` is left out of an `Uri`.
    if scheme && path && uri.host().is_some() && !text.contains('#') {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(SERVER.to_owned())
    }
}

/// The same for who measures, where a proxy may have it under a path: `wss://HOST/PATH`. The path is what comes before `/v1/ws`.
///
/// # Errors
/// What is wrong with it.
pub fn load_url(text: &str) -> Result<String, String> {
    let after_scheme = text.find("://").map_or(text.len(), |scheme| scheme + 3);
    let path = text[after_scheme..].find('/').map_or(text.len(), |path| after_scheme + path);
    let (server, path) = (server(&text[..path])?, text[path..].trim_end_matches('/'));
    if server.contains('@') {
        return Err("leave USER@ out: tokens say who a user is".to_owned());
    }
    if path.ends_with("/v1/ws") {
        return Err("leave /v1/ws out: a path is what comes before it".to_owned());
    }
    let is_path = path.is_empty() || path.parse::<http::uri::PathAndQuery>().is_ok();
    if !is_path || path.contains(['?', '#']) {
        return Err("its path must be one, without a query".to_owned());
    }
    Ok(server + path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_and_a_host() {
        assert_eq!(url("wss://chat.example/").unwrap(), "wss://chat.example");
        for bad in ["http://h", "ws://", "chat.example", "ws://h/v1/ws", ""] {
            assert!(url(bad).is_err(), "{bad}");
        }
        for good in ["ws://h", "ws://h:65535", "ws://[::1]:80", "ws://[::1]", "ws://user@h:1"] {
            assert_eq!(url(good).unwrap(), good);
        }
        for bad in ["ws://h:65536", "ws://h:99999999999", "wss://[::1]:70000", "ws://h:"] {
            assert!(url(bad).unwrap_err().contains("65535"), "{bad}");
        }
        assert!(url("wss://h/p").unwrap_err().ends_with("without a path"));
    }

    #[test]
    fn an_address_to_measure_may_have_a_path_and_nothing_else() {
        for (good, same) in [
            ("ws://h:1", "ws://h:1"),
            ("wss://h/", "wss://h"),
            ("wss://h/push", "wss://h/push"),
            ("wss://[::1]:8/a/b/", "wss://[::1]:8/a/b"),
        ] {
            assert_eq!(load_url(good).unwrap(), same);
        }
        for (bad, why) in [
            ("http://h/p", SERVER),
            ("wss:///p", SERVER),
            ("wss://h#x", SERVER),
            ("wss://h?x", SERVER),
            ("wss://user@h/p", "leave USER@ out: tokens say who a user is"),
            ("wss://h/p?x", "its path must be one, without a query"),
            ("wss://h/p#x", "its path must be one, without a query"),
            ("wss://h/a b", "its path must be one, without a query"),
            ("wss://h/v1/ws/", "leave /v1/ws out: a path is what comes before it"),
            ("wss://h/push/v1/ws", "leave /v1/ws out: a path is what comes before it"),
        ] {
            assert_eq!(load_url(bad).unwrap_err(), why, "{bad}");
        }
    }
}
