//! The token of a request: `Authorization: Bearer …`, and nowhere else. Never in the URL, where logs keep it.

use doorbell_protocol::frames::{TOKEN_BYTES_MAX, Token};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::AuthError;

/// Finds the token, or `None` where the request has no `Authorization` at all.
///
/// # Errors
/// [`AuthError::Bad`] for two of them, another scheme, or what cannot be a token.
pub fn bearer(headers: &HeaderMap) -> Result<Option<Token>, AuthError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() || first.len() > TOKEN_BYTES_MAX + "Bearer ".len() {
        return Err(AuthError::Bad);
    }
    let (scheme, token) =
        first.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(AuthError::Bad)?;
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !scheme.eq_ignore_ascii_case("Bearer") || !is_token {
        return Err(AuthError::Bad);
    }
    Ok(Some(Token(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Result<Option<String>, AuthError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.map(|token| token.0))
    }

    #[test]
    fn only_one_bearer_token_is_taken() {
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&["Bearer a.b-c_d"]), Ok(Some("a.b-c_d".into())));
        assert_eq!(found(&["bearer x"]), Ok(Some("x".into())));
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        for bad in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer  x"],
            &["Bearer x y"],
            &["Basic x"],
            &["x"],
            &[""],
            &[&long],
        ] {
            assert_eq!(found(bad), Err(AuthError::Bad), "{bad:?}");
        }
        assert_eq!(found(&["Bearer x", "Bearer x"]), Err(AuthError::Bad));
    }
}
