//! The demo page, which is part of the binary.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use xxhash_rust::xxh3::xxh3_64;

use crate::site::Behind;

/// Nothing but the page's own files and its own server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The page where an upstream answers: a chat would find no methods.
const UPSTREAM: &[u8] = include_bytes!("page/upstream.html");

/// Path, media type, content.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../../web/dist/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_bytes!("../../web/dist/app.js")),
    ("/style.css", "text/css; charset=utf-8", include_bytes!("../../web/dist/style.css")),
    ("/favicon.svg", "image/svg+xml", include_bytes!("../../web/dist/favicon.svg")),
];

/// The file at a path, or 304 where the browser has it.
pub fn file(behind: Behind, path: &str, request: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    let (_, media_type, content) = FILES.iter().find(|(own, ..)| *own == path)?;
    let content = match behind {
        Behind::Upstream if path == "/" => UPSTREAM,
        Behind::MessageService | Behind::Upstream => *content,
    };
    let tag = format!("\"{:016x}\"", xxh3_64(content));
    let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let mut response = Response::new(Full::new(Bytes::from_static(content)));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Full::default();
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
        .insert(ETAG, HeaderValue::try_from(tag).expect("hexadecimal digits in quotes are a header value"));
    // Kept by the browser, but asked for each time: a new release is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_tag_by_which_it_is_not_sent_again() {
        let first = file(Behind::MessageService, "/app.js", &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].clone();

        for known in
            [tag.clone(), HeaderValue::from_str(&format!("\"x\", W/{}", tag.to_str().unwrap())).unwrap()]
        {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, known)]);
            assert_eq!(
                file(Behind::MessageService, "/app.js", &request).unwrap().status(),
                StatusCode::NOT_MODIFIED
            );
        }
        let other = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]);
        assert_eq!(file(Behind::MessageService, "/app.js", &other).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn only_the_four_files_are_there() {
        for path in ["/", "/app.js", "/style.css", "/favicon.svg"] {
            assert!(file(Behind::MessageService, path, &HeaderMap::new()).is_some(), "{path}");
        }
        for path in ["", "/index.html", "/app.js/", "/../Cargo.toml", "/favicon.ico"] {
            assert!(file(Behind::MessageService, path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn with_an_upstream_the_page_says_so() {
        assert_ne!(tag_of(Behind::Upstream, "/"), tag_of(Behind::MessageService, "/"));
        assert_eq!(tag_of(Behind::Upstream, "/style.css"), tag_of(Behind::MessageService, "/style.css"));
    }

    fn tag_of(behind: Behind, path: &str) -> HeaderValue {
        file(behind, path, &HeaderMap::new()).unwrap().headers()[ETAG].clone()
    }

    #[test]
    fn the_page_holds_nothing_that_its_policy_refuses() {
        let html = [FILES[0].2, UPSTREAM].map(String::from_utf8_lossy).concat();
        for refused in ["<script>", "<style", " style=", "javascript:", "http://", "https://"] {
            assert!(!html.contains(refused), "index.html holds {refused:?}");
        }
    }
}
