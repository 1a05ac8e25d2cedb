//! `GET /v1/where`: which gateway a client should use.

use bytes::Bytes;
use doorbell_backplane::Role;
use doorbell_backplane::discovery::GatewayFacts;
use doorbell_cluster::{Others, View};
use doorbell_gateway::http::{error_response, json_response};
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use rand::seq::IteratorRandom;
use serde::Serialize;

/// Where it is asked.
pub const PATH: &str = "/v1/where";
/// When to ask again where nobody can be named.
const RETRY_AFTER_MS: u64 = 1_000;

#[derive(Serialize)]
struct Answer<'a> {
    url: &'a str,
}

/// What can be told.
pub struct Whereabouts {
    /// Where this gateway is reached; empty where it does not know.
    pub own: String,
    /// The others and this one; none where it is alone.
    pub others: Option<Others>,
}

impl Whereabouts {
    /// Names a gateway that takes clients.
    pub fn answer(&self) -> Response<Full<Bytes>> {
        match &self.others {
            Some(others) => {
                answer(choose(&others.view(), &mut rand::rng()).map(|gateway| gateway.url.as_str()))
            }
            None => answer(Some(self.own.as_str()).filter(|url| !url.is_empty())),
        }
    }
}

fn answer(url: Option<&str>) -> Response<Full<Bytes>> {
    let mut response = match url {
        Some(url) => {
            let body = serde_json::to_vec(&Answer { url }).expect("text always encodes");
            json_response(StatusCode::OK, body.into())
        }
        None => {
            let message = "no gateway takes clients and says where it is reached (`cluster.public_url`)";
            let error = ErrorBody::retry_after(ErrorCode::Unavailable, message, RETRY_AFTER_MS);
            error_response(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Of two at random, the one with fewer sessions (Mitzenmacher 2001): the numbers are up to a second old, and if all went
/// to the emptiest gateway, it would be the fullest by then.
fn choose<'a>(view: &'a View, random: &mut impl rand::Rng) -> Option<&'a GatewayFacts> {
    let open = view.with(Role::Gateway).filter_map(|instance| instance.gateway.as_ref());
    let two = open.filter(|gateway| !gateway.closed && !gateway.url.is_empty()).choose_multiple(random, 2);
    two.into_iter().min_by_key(|gateway| gateway.sessions)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use doorbell_backplane::{Instance, Instances, PartitionIdentity};
    use doorbell_cluster::view::Belief;
    use doorbell_protocol::InstanceId;
    use tokio::time::Instant;

    use super::*;

    fn view(gateways: &[(&str, u64, bool)]) -> View {
        let instance = |(number, &(url, sessions, closed)): (usize, &(&str, u64, bool))| Instance {
            id: InstanceId::new(format!("i-{number}")).unwrap(),
            roles: vec![Role::Gateway],
            address: String::new(),
            gateway: Some(GatewayFacts { url: url.to_owned(), sessions, closed }),
            store: None,
        };
        let live = gateways.iter().enumerate().map(instance).collect();
        let mut belief = Belief::new(Duration::from_secs(5));
        belief.heard(Instances { identity: PartitionIdentity("s".to_owned()), live }, Instant::now());
        belief.view()
    }

    #[test]
    fn the_emptier_of_two_is_named_and_never_one_that_takes_nobody() {
        let view = view(&[
            ("ws://full", 90, false),
            ("ws://half", 50, false),
            ("ws://none", 0, true),
            ("", 0, false),
            ("ws://new", 1, false),
        ]);
        let mut named = HashMap::new();
        for _ in 0..1_000 {
            *named.entry(choose(&view, &mut rand::rng()).unwrap().url.as_str()).or_insert(0) += 1;
        }
        assert!(
            !named.contains_key("ws://full") && !named.contains_key("ws://none") && !named.contains_key(""),
            "{named:?}"
        );
        assert!(named["ws://new"] > named["ws://half"] && named["ws://half"] > 200, "{named:?}");
    }

    #[test]
    fn who_is_alone_names_itself_and_nobody_is_named_where_none_takes_clients() {
        let status = |whereabouts: Whereabouts| whereabouts.answer().status();
        let alone = |own: &str| Whereabouts { own: own.to_owned(), others: None };
        assert_eq!(status(alone("ws://one")), StatusCode::OK);
        assert_eq!(status(alone("")), StatusCode::SERVICE_UNAVAILABLE);
        assert!(choose(&view(&[("ws://none", 0, true)]), &mut rand::rng()).is_none());
    }
}
