//! A call of a method as a request.

use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::UserId;
use doorbell_protocol::backends::USER_HEADER;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::config::Config;
use crate::error::{Error, NoAnswer};
use crate::http::{Answer, Connections, Http};
use crate::secret::Secret;

/// What a user's name may not hold in a header as it stands; beside it, what is no ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The way to the upstream: an address, a secret, and connections that are kept.
pub(crate) struct Exchange {
    /// With a slash at its end.
    base: String,
    bearer: HeaderValue,
    http: Http,
    response_bytes_max: usize,
}

impl Exchange {
    pub(crate) fn new(config: &Config, secret: &Secret) -> Result<Self, Error> {
        let address = config.address()?;
        let secret = secret.reveal();
        let visible = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        let bearer = HeaderValue::try_from(format!("Bearer {secret}")).ok().filter(|_| visible);
        let mut bearer = bearer.ok_or(Error::Secret)?;
        bearer.set_sensitive(true);
        let connections = Connections {
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            idle_max: config.idle_connections_max,
        };
        Ok(Self {
            base: format!("{}/", config.url.trim_end_matches('/')),
            bearer,
            http: Http::new(&address, connections).map_err(Error::Certificates)?,
            response_bytes_max: config.response_bytes_max.get(),
        })
    }

    /// Asks one method, whose name can stand in a path; `deadline` is from the request to the answer's last byte.
    ///
    /// *Cancel safety*: as [`Http::send`].
    pub(crate) async fn ask(
        &self,
        method: &str,
        user: &UserId,
        params: Bytes,
        deadline: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = Request::post(format!("{}{method}", self.base))
            .header(AUTHORIZATION, self.bearer.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_HEADER, utf8_percent_encode(user.as_str(), ESCAPED).to_string())
            .body(Full::new(params))
            .expect("an address, a method's name and escaped text make a request");
        self.http.send(request, deadline, self.response_bytes_max).await
    }
}
