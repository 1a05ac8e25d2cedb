//! The second door: `POST /v1/call/{method}`, the same methods and results as over a socket, for what holds none.
//!
//! No CORS header is ever sent: a page of another origin cannot read an answer here.
//!
//! Beside it, `POST /v1/hints` for other back ends.
//!
//! Map: [`head`] which requests are ambiguous; [`body`] reading a request's body within its limits; [`answer`] results
//! and error objects as HTTP answers; [`acting`] as whom a back end acts; [`rates`] how many calls a user may make;
//! [`metrics`]; [`hints`] the door for hints.

pub mod acting;
pub mod answer;
pub mod body;
pub mod head;
pub mod hints;
pub mod metrics;
pub mod rates;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::frames::METHOD_BYTES_MAX;
use doorbell_protocol::{Clock, Encoding, ErrorBody, ErrorCode, Payload};
use doorbell_rpc::{CallRequest, Caller, Messages};
use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use tokio::time::timeout;

pub use acting::{USER_HEADER, acting_user};
pub use answer::{challenge, error_response, json_response, status_of};
pub use body::{BodyLimits, drain_body, read_body};
pub use metrics::Metrics;
pub use rates::CallRates;

use crate::auth::api_keys::is_api_key;
use crate::auth::bearer::bearer;
use crate::auth::{ApiKeys, AuthError, Authenticator};

/// What the path begins with; the method's name follows.
pub const CALL_PATH: &str = "/v1/call/";

/// Answers calls over HTTP. Shared by all connections.
pub struct CallDoor {
    /// Who answers.
    pub messages: Arc<dyn Messages>,
    /// Which tokens hold.
    pub authenticator: Arc<dyn Authenticator>,
    /// Which back ends may call, and as whom.
    pub api_keys: Arc<ApiKeys>,
    /// The wall clock, for tokens.
    pub clock: Clock,
    /// How many calls each user may make.
    pub rates: CallRates,
    /// For the parameters.
    pub body: BodyLimits,
    /// From the parameters to the result; then the answer is `unavailable`.
    pub call_timeout: Duration,
}

impl CallDoor {
    /// Answers one request whose path begins with [`CALL_PATH`]: 200 with the result, or the error object with the
    /// status that fits.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
    {
        if request.method() != Method::POST {
            let error = ErrorBody::new(ErrorCode::Invalid, "a call is made with POST");
            let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, &error);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        match self.call(request).await {
            Ok(result) => json_response(StatusCode::OK, result.bytes().clone()),
            Err(error) => {
                let mut response = error_response(status_of(error.code), &error);
                if error.code == ErrorCode::Unauthorized {
                    challenge(response.headers_mut());
                }
                response
            }
        }
    }

    async fn call<B>(&self, request: Request<B>) -> Result<Payload, ErrorBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        let admitted = self.caller(request.headers()).and_then(|caller| {
            self.rates.take(&caller.user)?;
            Ok((caller, method(request.uri().path())?))
        });
        let (caller, method) = match admitted {
            Ok(head) => head,
            Err(error) => {
                drain_body(request, self.body).await;
                return Err(error);
            }
        };
        let body = read_body(request, self.body).await?;
        let params = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        let params = Payload::from_untrusted(Encoding::Json, params)?;
        let call = self.messages.call(CallRequest { caller, method, params });
        match timeout(self.call_timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(ErrorBody::retry_after(
                ErrorCode::Unavailable,
                "no answer in time; it may have happened: repeat the call with the same key",
                1000,
            )),
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, ErrorBody> {
        let token = bearer(headers).and_then(|token| token.ok_or(AuthError::Missing));
        if let Some(key) = token.as_ref().ok().filter(|token| is_api_key(token)) {
            return acting_user(&self.api_keys, key, headers);
        }
        if headers.contains_key(USER_HEADER) {
            let message = "Doorbell-User is for API keys: a user's token acts for its user alone";
            return Err(ErrorBody::new(ErrorCode::Forbidden, message));
        }
        let verified = token.and_then(|token| self.authenticator.verify(&token, (self.clock)()));
        verified.map(Caller::from).map_err(|error| match error {
            AuthError::Undecided => AuthError::undecided(),
            AuthError::Missing | AuthError::Bad | AuthError::Expired => ErrorBody::new(
                ErrorCode::Unauthorized,
                "no token that holds: send Authorization: Bearer with a fresh one",
            ),
        })
    }
}

fn method(path: &str) -> Result<String, ErrorBody> {
    let name = path.strip_prefix(CALL_PATH).unwrap_or_default();
    let is_name = !name.is_empty()
        && name.len() <= METHOD_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name {
        return Err(ErrorBody::new(
            ErrorCode::UnknownMethod,
            "no such method: the path is /v1/call/ and a name such as messages.send",
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
