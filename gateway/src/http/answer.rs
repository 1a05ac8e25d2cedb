//! Results and error objects as HTTP answers. The one mapping of error codes to statuses.

use bytes::Bytes;
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

#[derive(Serialize)]
struct ErrorObject<'a> {
    error: &'a ErrorBody,
}

/// The status that fits an error.
#[must_use]
pub const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Invalid | ErrorCode::UnknownType => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound | ErrorCode::UnknownMethod => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"error": {…}}`, with `Retry-After` in whole seconds where trying again can help.
#[must_use]
pub fn error_response(status: StatusCode, error: &ErrorBody) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(&ErrorObject { error }).expect("an error object always encodes");
    let mut response = json_response(status, body.into());
    if let Some(millis) = error.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, millis.div_ceil(1000).max(1).into());
    }
    response
}

/// One JSON value that nobody may keep.
#[must_use]
pub fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Says how to authenticate; goes with every 401 (RFC 9110, 15.5.2).
pub fn challenge(headers: &mut HeaderMap) {
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
}
