//! What a server says about a socket before there are frames, and at its end.

use std::time::Duration;

use crate::load::outbound;

/// The longest head of an answer to an upgrade.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// The longest wait that a server is believed: it may say anything.
pub const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Why a session is over, and what is said of coming back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// For people.
    pub why: String,
    /// For its client.
    pub then: Then,
}

/// What a client does of which a server is rid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It comes back after backoff.
    Backoff,
    /// It was cut off before it had an answer, as happens at a door with too many before it: it comes back after backoff.
    Unanswered,
    /// It was turned away at the door, and comes back no sooner than that.
    After(Duration),
    /// It does not come back.
    Never,
}

impl From<String> for Over {
    /// Something broke: a client comes back after backoff.
    fn from(why: String) -> Self {
        Self { why, then: Then::Backoff }
    }
}

impl From<&str> for Over {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

/// Where the head of an answer to an upgrade ends; `None` where it has not come whole.
///
/// # Errors
/// It is another answer than the one that was asked for.
pub fn upgraded(bytes: &[u8]) -> Result<Option<usize>, Over> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > ANSWER_BYTES_MAX {
            Err("upgrade: no end of the answer".into())
        } else {
            Ok(None)
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !head.starts_with("HTTP/1.1 ") || status != "101" {
        let status: String = status.chars().filter(char::is_ascii_digit).take(3).collect();
        return Err(Over { then: refused(&status, &head), why: format!("upgrade: HTTP {status}") });
    }
    if !head.contains(outbound::ACCEPT) {
        return Err("upgrade: a wrong Sec-WebSocket-Accept".into());
    }
    Ok(Some(end + 4))
}

/// What an answer asks for that is no upgrade.
fn refused(status: &str, head: &str) -> Then {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut after = headers.filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    let seconds = after.next().and_then(|(_, value)| value.trim().parse().ok());
    match (status, seconds) {
        ("503", Some(seconds)) => Then::After(Duration::from_secs(seconds).min(WAIT_MAX)),
        ("429", _) => Then::Backoff,
        _ if status.starts_with('4') => Then::Never,
        _ => Then::Backoff,
    }
}

/// What a close frame says. docs/protocol.md lists who comes back after which code.
pub fn closed(payload: &[u8]) -> Over {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let then = match code {
                4408 | 4419 | 4429 => Then::Backoff,
                1002 | 1007 | 1009 | 4400..4500 => Then::Never,
                _ => Then::Backoff,
            };
            Over { why: format!("closed with {code}: {}", String::from_utf8_lossy(reason)), then }
        }
        _ => "closed without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_answered_with_101_and_the_key_of_the_request() {
        let good =
            format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {}\r\n\r\n", outbound::ACCEPT);
        assert_eq!(upgraded(good.as_bytes()), Ok(Some(good.len())));
        assert_eq!(upgraded(&good.as_bytes()[..good.len() - 1]), Ok(None));
        for (bad, why) in [
            ("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\n", "HTTP 503"),
            ("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: other\r\n\r\n", "wrong"),
            ("SSH-2.0\r\n\r\n", "upgrade"),
        ] {
            assert!(upgraded(bad.as_bytes()).unwrap_err().why.contains(why), "{bad}");
        }
        assert!(upgraded(&[b'x'; ANSWER_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_close_says_its_code_and_reason() {
        assert_eq!(closed(b"\x11\x31no").why, "closed with 4401: no");
        assert_eq!(closed(b"").why, "closed without a code");
    }

    #[test]
    fn who_comes_back_and_when_is_as_the_protocol_says() {
        let answer = |head: &str| upgraded(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).unwrap_err().then;
        assert_eq!(answer("503 Busy\r\nRetry-After: 4"), Then::After(Duration::from_secs(4)));
        assert_eq!(answer(&format!("503 Busy\r\nRetry-After: {}", u64::MAX)), Then::After(WAIT_MAX));
        assert_eq!(answer("503 Busy"), Then::Backoff);
        assert_eq!(answer("500 Internal"), Then::Backoff);
        assert_eq!(answer("401 Unauthorized\r\nRetry-After: 4"), Then::Never);
        for (code, then) in [
            (1000, Then::Backoff),
            (1009, Then::Never),
            (1011, Then::Backoff),
            (4401, Then::Never),
            (4408, Then::Backoff),
            (4409, Then::Never),
            (4429, Then::Backoff),
            (4500, Then::Backoff),
        ] {
            assert_eq!(closed(&u16::to_be_bytes(code)).then, then, "{code}");
        }
    }
}
