//! `POST /v1/hints`: other back ends ring users, with an API key.
//!
//! A call is refused whole, before anything happens, or done. What is said here bounds one caller; what a hint may be,
//! and whom it rings, is the ingress's business.
//!
//! Map: [`config`] the limits; [`metrics`] what is counted.

pub mod config;
pub mod metrics;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::backends::{HintsReply, HintsRequest, Ring};
use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Payload};
use doorbell_rpc::Ingress;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use config::Config;
pub use metrics::Metrics;

use super::{BodyLimits, challenge, drain_body, error_response, json_response, read_body, status_of};
use crate::auth::api_keys::ApiKey;
use crate::auth::bearer::bearer;
use crate::auth::{ApiKeys, AuthError};

/// Where the door is.
pub const HINTS_PATH: &str = "/v1/hints";
/// When to come back where too many calls are under way: about as long as one takes.
const BUSY_RETRY_MS: u64 = 100;
/// When to come back where the queue did not answer.
const LATE_RETRY_MS: u64 = 1_000;

/// Takes hints from other back ends. Shared by all connections.
pub struct HintsDoor {
    ingress: Arc<dyn Ingress>,
    api_keys: Arc<ApiKeys>,
    config: Config,
    body: BodyLimits,
    /// Users rung, by the key's name. Keys are few, and an operator's.
    rate: DefaultKeyedRateLimiter<Arc<str>>,
    clock: DefaultClock,
    places: Semaphore,
    metrics: Metrics,
}

impl HintsDoor {
    /// A door to `ingress`, for the holders of these keys. `config` has been validated.
    pub fn new(
        ingress: Arc<dyn Ingress>,
        api_keys: Arc<ApiKeys>,
        config: Config,
        body_timeout: Duration,
        metrics: Metrics,
    ) -> Self {
        let quota = Quota::per_second(config.users_per_second).allow_burst(config.users_burst);
        metrics.capacity(config.calls_in_flight_max.get());
        Self {
            ingress,
            api_keys,
            body: BodyLimits { bytes_max: config.body_bytes_max.get(), timeout: body_timeout },
            rate: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            places: Semaphore::new(config.calls_in_flight_max.get()),
            config,
            metrics,
        }
    }

    /// Answers one request for [`HINTS_PATH`]: 200 with the counts, or the error object with the status that fits.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
    {
        if request.method() != Method::POST {
            let error = ErrorBody::new(ErrorCode::Invalid, "hints are sent with POST");
            let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, &error);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let began = Instant::now();
        let outcome = self.answer(request).await;
        self.metrics.answered(outcome.as_ref().map(|_| ()), began.elapsed());
        match outcome {
            Ok(reply) => {
                json_response(StatusCode::OK, Payload::encode(Encoding::Json, &reply).bytes().clone())
            }
            Err(error) => {
                let mut response = error_response(status_of(error.code), &error);
                if error.code == ErrorCode::Unauthorized {
                    challenge(response.headers_mut());
                }
                response
            }
        }
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<HintsReply, ErrorBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        let admitted = self.key(request.headers()).and_then(|key| {
            // A body takes memory, so a place comes first.
            let place = self.places.try_acquire().map_err(|_| busy())?;
            Ok((key, place))
        });
        let (key, _place) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                drain_body(request, self.body).await;
                return Err(error);
            }
        };
        let body = read_body(request, self.body).await?;
        let HintsRequest { hints } = Payload::from_untrusted(Encoding::Json, body)?.parse()?;
        let users = self.check(&hints)?;
        self.take(&key, users)?;
        match timeout(self.config.call_timeout, self.ingress.ring(hints)).await {
            Ok(rung) => Ok(HintsReply { hints: rung? }),
            Err(_) => Err(ErrorBody::retry_after(
                ErrorCode::Unavailable,
                "no answer in time; some users may have been rung: repeat the call, hints merge",
                LATE_RETRY_MS,
            )),
        }
    }

    fn key(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, ErrorBody> {
        let token = bearer(headers).and_then(|token| token.ok_or(AuthError::Missing));
        let Some(key) = token.ok().and_then(|token| self.api_keys.find(&token)) else {
            let message =
                "no API key that holds: send Authorization: Bearer with one; `doorbell api-key` makes them";
            return Err(ErrorBody::new(ErrorCode::Unauthorized, message));
        };
        if !key.may_hint() {
            let message = "this API key may not ring users: it needs `hints = true`";
            return Err(ErrorBody::new(ErrorCode::Forbidden, message));
        }
        Ok(key)
    }

    /// Checks the counts, and says what the call weighs: a user a hint, and one for a topic's followers.
    fn check(&self, hints: &[Ring]) -> Result<u32, ErrorBody> {
        let (hints_max, users_max) = (self.config.hints_max.get(), self.config.users_max.get());
        let too_large = |message| Err(ErrorBody::new(ErrorCode::TooLarge, message));
        if hints.len() > hints_max {
            return too_large(format!("`hints`: must be at most {hints_max}"));
        }
        let mut weight = 0_usize;
        for (index, hint) in hints.iter().enumerate() {
            let Some(users) = &hint.users else {
                weight += 1;
                continue;
            };
            if users.len() > users_max {
                return too_large(format!("`hints[{index}].users`: must be at most {users_max}"));
            }
            weight += users.len();
        }
        match u32::try_from(weight) {
            Ok(weight) if weight <= self.config.users_burst.get() => Ok(weight),
            _ => too_large(format!("`hints`: must ring at most {} users in all", self.config.users_burst)),
        }
    }

    fn take(&self, key: &ApiKey, users: u32) -> Result<(), ErrorBody> {
        let Some(users) = NonZeroU32::new(users) else { return Ok(()) };
        match self.rate.check_key_n(key.name(), users) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(self.clock.now()).as_millis();
                Err(ErrorBody::retry_after(
                    ErrorCode::RateLimited,
                    format!("this API key may ring {} users a second", self.config.users_per_second),
                    u64::try_from(wait).unwrap_or(u64::MAX).max(1),
                ))
            }
            Err(_) => {
                Err(ErrorBody::new(ErrorCode::TooLarge, "`hints`: must ring fewer users, in several calls"))
            }
        }
    }
}

fn busy() -> ErrorBody {
    ErrorBody::retry_after(ErrorCode::RateLimited, "too many calls with hints are under way", BUSY_RETRY_MS)
}

#[cfg(test)]
mod tests;
