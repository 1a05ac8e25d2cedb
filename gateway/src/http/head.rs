//! Requests whose head two readers, a proxy and we, could take for two different ones.

use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Request, Version};

use crate::handshake::origin::Host;

/// Checks that a request names one host, in the header and in the target alike (RFC 9112, 3.2), and one origin at
/// most. HTTP/1.0 may name none: simple health checks do.
///
/// # Errors
/// `invalid`, to be answered with 400.
pub fn unambiguous<B>(request: &Request<B>) -> Result<(), ErrorBody> {
    let refuse = |message| Err(ErrorBody::new(ErrorCode::Invalid, message));
    if once(request.headers(), &ORIGIN).is_err() {
        return refuse("there must be one Origin header at most");
    }
    let host = match once(request.headers(), &HOST) {
        Ok(None) if request.version() < Version::HTTP_11 => return Ok(()),
        Ok(Some(value)) => value.to_str().ok().and_then(Host::parse),
        Ok(None) | Err(Twice) => None,
    };
    match (host, request.uri().authority()) {
        (None, _) => refuse("exactly one valid Host header is needed"),
        (Some(host), Some(target)) if Host::parse(target.as_str()).as_ref() != Some(&host) => {
            refuse("the Host header and the target must name the same host")
        }
        _ => Ok(()),
    }
}

struct Twice;

fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Twice> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Twice),
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    fn taken(target: &str, version: Version, headers: Headers) -> bool {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        unambiguous(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn a_request_names_one_host_and_one_origin_at_most() {
        const OWN: (&str, &str) = ("host", "127.0.0.1:8080");
        let cases: [(&str, Version, Headers, bool); 9] = [
            ("/healthz", Version::HTTP_11, &[OWN], true),
            ("/healthz", Version::HTTP_10, &[], true),
            ("http://127.0.0.1:8080/healthz", Version::HTTP_11, &[OWN], true),
            ("/healthz", Version::HTTP_11, &[], false),
            ("/healthz", Version::HTTP_11, &[("host", "a b")], false),
            ("/healthz", Version::HTTP_11, &[OWN, ("host", "evil.example")], false),
            ("http://evil.example/healthz", Version::HTTP_11, &[OWN], false),
            ("/", Version::HTTP_11, &[OWN, ("origin", "http://127.0.0.1:8080")], true),
            (
                "/",
                Version::HTTP_11,
                &[OWN, ("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")],
                false,
            ),
        ];
        for (target, version, headers, expected) in cases {
            assert_eq!(taken(target, version, headers), expected, "{target} {headers:?}");
        }
    }
}
