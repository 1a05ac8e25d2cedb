//! The header `Doorbell-User`: as whom a back end with an API key acts.

use doorbell_protocol::frames::Token;
use doorbell_protocol::{ErrorBody, ErrorCode, UserId};
use doorbell_rpc::Caller;
use http::HeaderMap;
use http::header::HeaderName;
use percent_encoding::percent_decode;

use crate::auth::ApiKeys;

/// Whom a call concerns: asked with an API key, and told to an upstream. The user's UTF-8, percent-encoded (RFC 3986)
/// where it is no visible ASCII, and `%` itself.
pub const USER_HEADER: HeaderName = HeaderName::from_static(doorbell_protocol::backends::USER_HEADER);

/// The user as whom an API key acts, with the key's throttle.
///
/// # Errors
/// `unauthorized` for a key that does not hold; `invalid` for no user, or more than one; `forbidden` for one that the key
/// may not act as.
pub fn acting_user(keys: &ApiKeys, token: &Token, headers: &HeaderMap) -> Result<Caller, ErrorBody> {
    let Some(key) = keys.find(token) else {
        return Err(ErrorBody::new(ErrorCode::Unauthorized, "this API key does not hold"));
    };
    let mut named = headers.get_all(USER_HEADER).iter();
    let (Some(user), None) = (named.next(), named.next()) else {
        let message = "an API key acts for a user: name one, and only one, in the header Doorbell-User";
        return Err(ErrorBody::new(ErrorCode::Invalid, message));
    };
    let user = percent_decode(user.as_bytes())
        .decode_utf8()
        .map_err(|_| "must be UTF-8, percent-encoded".to_owned());
    let user = user.and_then(|user| UserId::new(user).map_err(|error| error.rule.to_owned()));
    let user =
        user.map_err(|rule| ErrorBody::new(ErrorCode::Invalid, format!("the user in Doorbell-User {rule}")))?;
    if !key.may_act_as(&user) {
        let message = "this API key may not act as that user: its `act_as` names those it may";
        return Err(ErrorBody::new(ErrorCode::Forbidden, message));
    }
    Ok(Caller { user, throttle: key.throttle() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::api_keys::{Written, digest, generate};

    fn acting(users: &[&str]) -> Result<String, ErrorCode> {
        let (key, keys) = (generate(), ApiKeys::default());
        let act_as = ["system", "Zoë", "50%"].map(|user| UserId::new(user).unwrap()).to_vec();
        let written =
            Written { name: "desk".into(), sha256: digest(&key), hints: false, act_as, throttle: None };
        keys.replace(vec![written]).unwrap();
        let headers = users.iter().map(|user| (USER_HEADER, user.parse().unwrap())).collect();
        acting_user(&keys, &key, &headers).map(|caller| caller.user.to_string()).map_err(|error| error.code)
    }

    #[test]
    fn a_key_acts_as_its_users_and_as_no_other() {
        for (named, user) in [("system", "system"), ("Zo%C3%AB", "Zoë"), ("50%25", "50%"), ("50%", "50%")] {
            assert_eq!(acting(&[named]), Ok(user.to_owned()));
        }
        for (named, code) in [
            (&[][..], ErrorCode::Invalid),
            (&["system", "system"], ErrorCode::Invalid),
            (&[""], ErrorCode::Invalid),
            (&["a%00"], ErrorCode::Invalid),
            (&["a%FF"], ErrorCode::Invalid),
            (&["ada"], ErrorCode::Forbidden),
            (&["System"], ErrorCode::Forbidden),
        ] {
            assert_eq!(acting(named), Err(code), "{named:?}");
        }
    }

    #[test]
    fn a_key_that_does_not_hold_acts_as_nobody() {
        let headers = HeaderMap::from_iter([(USER_HEADER, "system".parse().unwrap())]);
        let error = acting_user(&ApiKeys::default(), &generate(), &headers).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthorized);
    }
}
