//! Where somebody else's back end is.

use http::Uri;

/// Reads an address over HTTP.
///
/// # Errors
/// The rule that it breaks; what stands in it is not repeated.
pub(crate) fn parse(url: &str) -> Result<Uri, &'static str> {
    let address: Uri = url.parse().map_err(|_| "is no address: write one")?;
    if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
        return Err("must begin with http:// or https:// and a host");
    }
    if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must hold no user and no password: the secret has a key of its own");
    }
    // What follows it would never be sent.
    if url.contains('#') {
        return Err("must hold no `#`");
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_of_ours_and_a_host_and_no_secret() {
        for url in ["http://127.0.0.1:9000", "https://app.example/a/b/", "http://[::1]:1", "https://x/?a=1"] {
            parse(url).unwrap();
        }
        for url in ["app.example", "ftp://x/", "https://u:p@x/", "https://x/#a", "http://", "/a", "", "a b"] {
            let rule = parse(url).unwrap_err();
            assert!(!rule.contains("u:p"), "{rule}");
        }
    }
}
