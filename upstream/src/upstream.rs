//! The upstream as the gateways call it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::backends::{AuthorizeReply, AuthorizeRequest};
use doorbell_protocol::{Encoding, ErrorBody, ErrorCode, Hint, Payload, TopicId, UserId};
use doorbell_rpc::{Audiences, CallRequest, Messages};
use tokio::time::Instant;

use crate::breaker::Breaker;
use crate::config::Config;
use crate::error::{Error, NoAnswer};
use crate::exchange::Exchange;
use crate::http::{Answer, with_causes};
use crate::metrics::Metrics;
use crate::places::{Place, Places, Taken};
use crate::secret::Secret;

/// The gateways' question; a client that asked it would learn about others.
const AUTHORIZE: &str = "topics.authorize";
/// When to come back where too many calls are under way: about as long as one takes.
const BUSY_RETRY_MS: u64 = 100;
/// When to come back after a call that got no answer.
const RETRY_MS: u64 = 1_000;

/// What an upstream is made of.
pub struct Parts {
    /// Where it is, and how much it may take.
    pub config: Config,
    /// What it knows us by.
    pub secret: Secret,
    /// How long a gateway's question may take, where that is less than `call_timeout`. It must end before the gateway
    /// gives up, or a question without an answer is never counted as a failure.
    pub question_timeout: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// A back end of the operator's own.
pub struct Upstream {
    exchange: Exchange,
    breaker: Breaker,
    /// For calls of clients.
    places: Places,
    /// For the gateways' questions, which no call is to keep from being asked.
    questions: Places,
    call_timeout: Duration,
    question_timeout: Duration,
    metrics: Metrics,
    /// Whether the last answer was a fault: a row of them is logged once.
    faulty: AtomicBool,
}

impl Upstream {
    /// Sets it up; nothing is sent yet.
    ///
    /// # Errors
    /// The address or the secret is none, or there are no certificates of authorities.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { config, secret, question_timeout, metrics } = parts;
        let calls = config.calls_in_flight_max.get();
        let questions = (calls / 2).max(1);
        metrics.capacity(calls.saturating_add(questions));
        Ok(Self {
            exchange: Exchange::new(&config, &secret)?,
            breaker: Breaker::new(config.breaker_failures_max, config.breaker_open_for, metrics.clone()),
            places: Places::new(calls),
            questions: Places::new(questions),
            call_timeout: config.call_timeout,
            question_timeout: question_timeout.min(config.call_timeout),
            metrics,
            faulty: AtomicBool::new(false),
        })
    }

    fn place<'p>(&self, places: &'p Places, user: &UserId) -> Result<Place<'p>, ErrorBody> {
        places.take(user).map_err(|taken| match taken {
            Taken::ByAll => {
                self.metrics.refused("busy");
                unavailable("too many calls of the upstream are under way", BUSY_RETRY_MS)
            }
            Taken::ByUser => {
                self.metrics.refused("busy_user");
                let message = "too many calls of yours are under way";
                ErrorBody::retry_after(ErrorCode::RateLimited, message, BUSY_RETRY_MS)
            }
        })
    }

    async fn ask(&self, method: &str, user: &UserId, params: &Payload) -> Result<Payload, ErrorBody> {
        let (places, deadline) = if method == AUTHORIZE {
            (&self.questions, self.question_timeout)
        } else {
            (&self.places, self.call_timeout)
        };
        let _place = self.place(places, user)?;
        let permit = self.breaker.admit(user, Instant::now()).map_err(|wait| {
            self.metrics.refused("spared");
            unavailable("the upstream does not answer", jittered(wait))
        })?;
        let began = Instant::now();
        let in_flight = self.metrics.call_started();
        let params = params.to(Encoding::Json).bytes().clone();
        let outcome = self.exchange.ask(method, user, params, deadline).await;
        drop(in_flight);
        match outcome {
            Ok(answer) => {
                if answer.is_failure() {
                    permit.failed(Instant::now());
                } else {
                    permit.succeeded(Instant::now());
                }
                self.answered(method, answer, began.elapsed())
            }
            Err(cause) => {
                self.metrics.call_ended(cause.label(), began.elapsed());
                tracing::debug!(method, cause = with_causes(&cause), "a call of the upstream got no answer");
                match cause {
                    // It is there, and has a fault of one method.
                    NoAnswer::TooLarge => {
                        permit.succeeded(Instant::now());
                        Err(ErrorBody::new(
                            ErrorCode::TooLarge,
                            "the upstream's answer is too large: ask for less",
                        ))
                    }
                    NoAnswer::Unreachable(_) => {
                        permit.failed(Instant::now());
                        Err(unavailable("the upstream cannot be reached", RETRY_MS))
                    }
                    NoAnswer::Late | NoAnswer::Broken(_) => {
                        permit.failed(Instant::now());
                        Err(unavailable(
                            "no answer of the upstream; the call may have taken effect",
                            RETRY_MS,
                        ))
                    }
                }
            }
        }
    }

    fn answered(&self, method: &str, answer: Answer, took: Duration) -> Result<Payload, ErrorBody> {
        let status = answer.status;
        let result = answer.into_result();
        let label = result.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
        self.metrics.call_ended(label, took);
        let fault = result.as_ref().is_err_and(|error| is_fault(error.code));
        if self.faulty.swap(fault, Ordering::Relaxed) != fault && fault {
            // Not what it says itself: that may hold anything.
            tracing::warn!(method, %status, "the upstream answered with a fault");
        }
        result
    }
}

#[async_trait]
impl Messages for Upstream {
    /// Calls of one client that are under way together may arrive in another order: they take several connections.
    async fn call(&self, request: CallRequest) -> Result<Payload, ErrorBody> {
        let CallRequest { caller, method, params } = request;
        if !is_name(&method) || method == AUTHORIZE {
            return Err(ErrorBody::new(ErrorCode::UnknownMethod, "no such method"));
        }
        let result = self.ask(&method, &caller.user, &params).await?;
        Ok(result.to(params.encoding()))
    }
}

#[async_trait]
impl Audiences for Upstream {
    /// None: an upstream's topics are followed by `subscribe`.
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, doorbell_rpc::Error> {
        Ok(vec![Vec::new(); users.len()])
    }

    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, doorbell_rpc::Error> {
        let asked: HashSet<TopicId> = topics.iter().cloned().collect();
        let params = Payload::encode(Encoding::Json, &AuthorizeRequest { user: user.clone(), topics });
        let failed = |error: ErrorBody| doorbell_rpc::Error::Unavailable {
            service: "upstream",
            reason: error.message,
        };
        let reply = match self.ask(AUTHORIZE, user, &params).await {
            Ok(reply) => reply.parse::<AuthorizeReply>().map_err(failed)?,
            // It has no such method, however its framework says so: only tokens grant topics.
            Err(error) if is_absent(error.code) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let hints = reply.0.into_iter().filter(|(topic, _)| asked.contains(topic));
        Ok(hints.map(|(topic, version)| Hint { topic, version }).collect())
    }
}

/// Whether a method's name can stand in a path as it is (UP-1).
fn is_name(method: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    method.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) && method.bytes().all(plain)
}

/// Whether a code of an answer says that its operator should look.
const fn is_fault(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Internal | ErrorCode::Unavailable)
}

const fn is_absent(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownMethod | ErrorCode::NotFound | ErrorCode::Unsupported)
}

fn unavailable(message: &str, retry_after_ms: u64) -> ErrorBody {
    ErrorBody::retry_after(ErrorCode::Unavailable, message, retry_after_ms)
}

/// At least that long, and up to a half longer: not everybody at once.
fn jittered(wait: Duration) -> u64 {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    millis.saturating_add(rand::random_range(0..=millis / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_place_in_the_path() {
        for good in ["notes.add", "a", "topics.changes", "A-1_b", "a..b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "", ".", "..", "../admin", "a/b", "%2e%2e", "a?b", "a#b", "a b", "http:", "ü", "-a", "//x",
            "a\\b",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
