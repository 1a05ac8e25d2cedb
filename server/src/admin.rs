//! What an operator and their machines ask: alive, ready, metrics.

use bytes::Bytes;
use doorbell_gateway::http::{error_response, json_response};
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use prometheus::Registry;
use serde::Serialize;

use crate::readiness::Readiness;
use crate::telemetry::prometheus_text;

/// Answers for operators.
pub struct Admin {
    /// Whether new clients should come.
    pub readiness: Readiness,
    /// What is counted.
    pub registry: Registry,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<&'static str>,
}

impl Admin {
    /// 200, because it answers.
    pub fn live() -> Response<Full<Bytes>> {
        json_response(StatusCode::OK, Bytes::from_static(br#"{"live":true}"#))
    }

    /// 200, or 503 with the reasons.
    pub fn ready(&self) -> Response<Full<Bytes>> {
        let reasons = self.readiness.reasons();
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = Ready { ready: reasons.is_empty(), reasons };
        json_response(status, serde_json::to_vec(&body).expect("text always encodes").into())
    }

    /// All families. Gathered where it may block: Linux before 6.2 counts the open files one by one.
    pub async fn metrics(&self) -> Response<Full<Bytes>> {
        let registry = self.registry.clone();
        let gathered = tokio::task::spawn_blocking(move || prometheus_text(&registry)).await;
        let Ok(text) = gathered else {
            return error_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                &ErrorBody::new(ErrorCode::Internal, "the metrics could not be gathered"),
            );
        };
        let mut response = Response::new(Full::from(text));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
