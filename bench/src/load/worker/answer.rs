//! What a server says about a socket before there are frames, and at its end.

use crate::load::outbound;

/// The longest head of an answer to an upgrade.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Why a session is over, for people.
pub type Over = String;

/// Where the head of an answer to an upgrade ends; `None` where it has not come whole.
///
/// # Errors
/// It is another answer than the one that was asked for.
pub fn upgraded(bytes: &[u8]) -> Result<Option<usize>, Over> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > ANSWER_BYTES_MAX {
            Err("upgrade: no end of the answer".to_owned())
        } else {
            Ok(None)
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !head.starts_with("HTTP/1.1 ") || status != "101" {
        let status: String = status.chars().filter(char::is_ascii_digit).take(3).collect();
        return Err(format!("upgrade: HTTP {status}"));
    }
    if !head.contains(outbound::ACCEPT) {
        return Err("upgrade: a wrong Sec-WebSocket-Accept".to_owned());
    }
    Ok(Some(end + 4))
}

/// What a close frame says, for people.
pub fn closed(payload: &[u8]) -> Over {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("closed with {code}: {}", String::from_utf8_lossy(reason))
        }
        _ => "closed without a code".to_owned(),
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
            assert!(upgraded(bad.as_bytes()).unwrap_err().contains(why), "{bad}");
        }
        assert!(upgraded(&[b'x'; ANSWER_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_close_says_its_code_and_reason() {
        assert_eq!(closed(b"\x11\x31no"), "closed with 4401: no");
        assert_eq!(closed(b""), "closed without a code");
    }
}
