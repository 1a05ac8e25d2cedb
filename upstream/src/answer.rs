//! Pure: what the upstream answered, as a result or an error object. The one mapping of its statuses.

use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Payload};
use http::StatusCode;
use serde::Deserialize;

use crate::http::Answer;

/// Largest error object that is passed on: an error is for people to read.
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// When to come back where the upstream does not say.
const RETRY_MS: u64 = 1_000;

#[derive(Deserialize)]
struct ErrorObject {
    error: ErrorBody,
}

impl Answer {
    /// Whether it says that the upstream is not there, or cannot keep up. A fault of one method (500) says nothing about
    /// the others, and any user who finds one could cut everybody off.
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    }

    /// The result, in JSON; or the error object that a client gets.
    pub(crate) fn into_result(self) -> Result<Payload, ErrorBody> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        if self.body.trim_ascii().is_empty() {
            return Ok(Payload::empty_object(Encoding::Json));
        }
        Payload::from_untrusted(Encoding::Json, self.body).map_err(|_| {
            let message =
                "the upstream's answer must be one JSON object, and is not; the call may have taken effect";
            ErrorBody::retry_after(ErrorCode::Unavailable, message, RETRY_MS)
        })
    }

    /// What it refuses passes as it stands. A failure is told in words of ours: its own are for its operator.
    fn refusal(&self) -> ErrorBody {
        let own = self.own_error();
        match self.code() {
            ErrorCode::Unavailable => {
                let wait = own.and_then(|error| error.retry_after_ms).unwrap_or_else(|| self.wait_ms());
                let message = "the upstream failed; the call may have taken effect";
                ErrorBody::retry_after(ErrorCode::Unavailable, message, wait)
            }
            // Our secret, not the client's token: no word of it is for the client.
            ErrorCode::Internal => {
                ErrorBody::new(ErrorCode::Internal, "the upstream does not know this server's secret")
            }
            code => self.with_wait(own.unwrap_or_else(|| ErrorBody::new(code, meaning(code)))),
        }
    }

    fn own_error(&self) -> Option<ErrorBody> {
        if self.body.len() > ERROR_BYTES_MAX {
            return None;
        }
        let body = Payload::from_untrusted(Encoding::Json, self.body.clone()).ok()?;
        body.parse::<ErrorObject>().ok().map(|object| object.error)
    }

    const fn code(&self) -> ErrorCode {
        match self.status {
            StatusCode::UNAUTHORIZED => ErrorCode::Internal,
            StatusCode::FORBIDDEN => ErrorCode::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ErrorCode::UnknownMethod,
            StatusCode::CONFLICT => ErrorCode::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
            StatusCode::NOT_IMPLEMENTED => ErrorCode::Unsupported,
            status if status.as_u16() / 100 == 4 => ErrorCode::Invalid,
            // 5xx; and redirects, which are not followed.
            _ => ErrorCode::Unavailable,
        }
    }

    /// Clients rely on a wait exactly where trying again can help.
    fn with_wait(&self, error: ErrorBody) -> ErrorBody {
        let helps = matches!(error.code, ErrorCode::RateLimited | ErrorCode::Unavailable);
        let retry_after_ms = error.retry_after_ms.or_else(|| helps.then(|| self.wait_ms()));
        ErrorBody { retry_after_ms, ..error }
    }

    fn wait_ms(&self) -> u64 {
        self.retry_after_secs.map_or(RETRY_MS, |secs| secs.saturating_mul(1_000).max(1))
    }
}

/// For a refusal that says nothing itself.
const fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Forbidden => "the upstream forbids it",
        ErrorCode::UnknownMethod => "the upstream has no such method",
        ErrorCode::Conflict => "the upstream sees a conflict",
        ErrorCode::TooLarge => "too large for the upstream",
        ErrorCode::RateLimited => "the upstream asks to come more slowly",
        ErrorCode::Unsupported => "the upstream does not offer it",
        _ => "the upstream refuses the call",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answer(status: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after_secs: None, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn an_object_is_the_result_and_nothing_is_an_empty_one() {
        for (status, body, result) in
            [(200, r#"{"a": [1]}"#, r#"{"a": [1]}"#), (201, "{}", "{}"), (204, "", "{}"), (200, " \n", "{}")]
        {
            assert_eq!(answer(status, body).into_result().unwrap().bytes(), result);
        }
        for body in ["[]", "null", "{", "{} {}", "<html>", "\u{1}"] {
            let error = answer(200, body).into_result().unwrap_err();
            assert_eq!(
                (error.code, error.retry_after_ms),
                (ErrorCode::Unavailable, Some(RETRY_MS)),
                "{body}"
            );
        }
    }

    #[test]
    fn a_refusal_passes_as_it_stands() {
        let body = r#"{"error": {"code": "conflict", "message": "taken", "retry_after_ms": 5, "details": {"by": "bob"}}}"#;
        for status in [400, 404, 409, 501] {
            let error = answer(status, body).into_result().unwrap_err();
            assert_eq!(
                (error.code, &*error.message, error.retry_after_ms),
                (ErrorCode::Conflict, "taken", Some(5))
            );
            assert_eq!(error.details.unwrap()["by"], "bob");
        }
        let slower = r#"{"error": {"code": "rate_limited", "message": "slower"}}"#;
        let error = answer(429, slower).into_result().unwrap_err();
        assert_eq!((&*error.message, error.retry_after_ms), ("slower", Some(RETRY_MS)));
    }

    #[test]
    fn a_failure_is_told_in_our_words_with_its_wait() {
        let body = r#"{"error": {"code": "internal", "message": "Traceback", "retry_after_ms": 7, "details": {"at": "db"}}}"#;
        for status in [500, 503] {
            let error = answer(status, body).into_result().unwrap_err();
            assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Unavailable, Some(7)));
            assert!(!error.message.contains("Traceback") && error.details.is_none(), "{error:?}");
        }
        let error = answer(401, r#"{"error": {"code": "unauthorized", "message": "who?"}}"#).into_result();
        assert_eq!(error.unwrap_err().code, ErrorCode::Internal, "the client's token is not what it means");
    }

    #[test]
    fn a_status_without_an_error_object_has_its_code() {
        use ErrorCode::*;
        for (status, code, again) in [
            (400, Invalid, false),
            (422, Invalid, false),
            (401, Internal, false),
            (403, Forbidden, false),
            (404, UnknownMethod, false),
            (405, UnknownMethod, false),
            (409, Conflict, false),
            (413, TooLarge, false),
            (418, Invalid, false),
            (429, RateLimited, true),
            (500, Unavailable, true),
            (501, Unsupported, false),
            (502, Unavailable, true),
            (503, Unavailable, true),
            (504, Unavailable, true),
            (302, Unavailable, true),
            (307, Unavailable, true),
            (599, Unavailable, true),
        ] {
            for body in
                ["", "<html>no</html>", r#"{"error": "no"}"#, r#"{"error": {"code": "odd", "message": ""}}"#]
            {
                let error = answer(status, body).into_result().unwrap_err();
                assert_eq!((error.code, error.retry_after_ms.is_some()), (code, again), "{status} {body}");
            }
        }
    }

    #[test]
    fn it_says_when_to_come_back() {
        let wait =
            |secs| Answer { retry_after_secs: Some(secs), ..answer(503, "") }.into_result().unwrap_err();
        assert_eq!(wait(7).retry_after_ms, Some(7_000));
        assert_eq!(wait(0).retry_after_ms, Some(1));
    }

    #[test]
    fn only_what_stands_for_the_whole_upstream_is_a_failure() {
        for status in [502, 503, 504] {
            assert!(answer(status, "").is_failure());
        }
        for status in [200, 302, 400, 401, 404, 429, 500, 501] {
            assert!(!answer(status, "").is_failure(), "{status}");
        }
    }

    #[test]
    fn an_error_object_of_a_page_is_not_passed_on() {
        let body =
            format!(r#"{{"error": {{"code": "conflict", "message": "{}"}}}}"#, "x".repeat(ERROR_BYTES_MAX));
        let answer = Answer { body: body.into(), ..answer(400, "") };
        assert_eq!(answer.into_result().unwrap_err().code, ErrorCode::Invalid);
    }
}
