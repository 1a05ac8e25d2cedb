//! The checks of an upgrade, without I/O: a request's head, and the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorbell_protocol::{Encoding, Timestamp};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Version, request};
use sha1::{Digest, Sha1};

use super::origin::{Host, Origins};
use super::refusal::Refusal;
use crate::auth::bearer::bearer;
use crate::auth::{Authenticator, Verified};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
/// What the key is hashed with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What an upgrade was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// How the session speaks.
    pub encoding: Encoding,
    /// Whether the client offered sub-protocols, so that one must be named in the answer.
    pub offered: Offered,
    /// Whose the token was that came with the request, where one came.
    pub verified: Option<Verified>,
}

/// Whether sub-protocols were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// None: JSON is spoken, and no sub-protocol named.
    Nothing,
    /// Some: the one agreed on is named.
    Some,
}

/// Who may connect.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Which pages.
    pub origins: &'a Origins,
    /// Which tokens.
    pub authenticator: &'a dyn Authenticator,
}

/// Checks everything that a request's head can show. Extensions that were offered are not answered, so none is
/// agreed.
///
/// # Errors
/// The first check that fails. What is cheap comes first; the token, which costs a signature, last.
pub fn check(head: &request::Parts, rules: Rules<'_>, now: Timestamp) -> Result<Acceptance, Refusal> {
    let headers = &head.headers;
    if head.method != Method::GET {
        return Err(Refusal::Method);
    }
    if head.version != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
    {
        return Err(Refusal::Body);
    }
    let host = host(head)?;
    upgrade(headers)?;
    let accept = key(headers)?;
    let (encoding, offered) = subprotocol(headers)?;
    origin(headers, rules.origins, &host)?;
    let verified = match bearer(headers).map_err(Refusal::Token)? {
        Some(token) => Some(rules.authenticator.verify(&token, now).map_err(Refusal::Token)?),
        None => None,
    };
    Ok(Acceptance { accept, encoding, offered, verified })
}

/// The one valid `Host`. A target in absolute form must name the same (RFC 9112, 3.2.2).
fn host(head: &request::Parts) -> Result<Host, Refusal> {
    let value = single(&head.headers, &HOST)?.ok_or(Refusal::Host)?;
    let host = value.to_str().ok().and_then(Host::parse).ok_or(Refusal::Host)?;
    match head.uri.authority() {
        Some(target) if Host::parse(target.as_str()).as_ref() != Some(&host) => Err(Refusal::Host),
        _ => Ok(host),
    }
}

fn upgrade(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_asked = match single(headers, &UPGRADE)? {
        Some(upgrade) => tokens(upgrade).any(|token| token.eq_ignore_ascii_case("websocket")),
        None => false,
    };
    let mut connection = headers.get_all(CONNECTION).iter().flat_map(tokens);
    if !is_asked || !connection.any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(Refusal::NotAnUpgrade);
    }
    let mut versions = headers.get_all(VERSION).iter();
    match (versions.next(), versions.next()) {
        (Some(version), None) if version == "13" => Ok(()),
        _ => Err(Refusal::WebSocketVersion),
    }
}

/// Checks the key, and answers what proves that it was read.
fn key(headers: &HeaderMap) -> Result<String, Refusal> {
    let key = single(headers, &KEY)?.ok_or(Refusal::Key)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => {}
        _ => return Err(Refusal::Key),
    }
    Ok(STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize()))
}

/// The first sub-protocol that is spoken here, in the client's order.
fn subprotocol(headers: &HeaderMap) -> Result<(Encoding, Offered), Refusal> {
    if !headers.contains_key(PROTOCOL) {
        return Ok((Encoding::Json, Offered::Nothing));
    }
    let spoken = [Encoding::Json, Encoding::MsgPack];
    let mut offered = headers.get_all(PROTOCOL).iter().flat_map(tokens);
    let agreed = offered.find_map(|name| spoken.into_iter().find(|one| one.subprotocol() == name));
    Ok((agreed.ok_or(Refusal::Subprotocol)?, Offered::Some))
}

/// A request without `Origin` comes from no page; tokens, not cookies, say whose it is.
fn origin(headers: &HeaderMap, origins: &Origins, host: &Host) -> Result<(), Refusal> {
    let mut sent = headers.get_all(ORIGIN).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if origin.to_str().is_ok_and(|origin| origins.allow(origin, host)) => Ok(()),
        _ => Err(Refusal::Origin),
    }
}

/// The value of a header that must not be repeated: two readers could each take another one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) if *name == HOST => Err(Refusal::Host),
        (_, Some(_)) => Err(Refusal::Repeated),
        (value, None) => Ok(value),
    }
}

/// The members of a list header; none where it is not text.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

#[cfg(test)]
mod tests;
