//! Location (`http::redirect`): it leads to a URL of http or https that carries no userinfo and can
//! be sent, or nowhere.

use gannet::error::Fault;
use gannet::http::{Method, Origin};
use gannet::internals::http::Target;
use gannet::internals::http::redirect::target;
use gannet::internals::http1::encode;
use url::Url;

/// Takes where the redirect comes from, if that is an http URL, on the first line, and the Location behind it.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == b'\n');
    let first = parts.next().unwrap_or_default();
    let location = parts.next().unwrap_or(first);
    let from = str::from_utf8(first)
        .ok()
        .and_then(|text| Url::parse(text).ok());
    let from = from
        .filter(|url| Origin::of(url).is_ok())
        .unwrap_or_else(|| Url::parse("http://u:p@h:8080/a/b?c#d").expect("a URL"));
    match target(&from, location, false) {
        Ok(url) => {
            assert_fit(&url);
            let again = target(&from, url.as_str().as_bytes(), false);
            assert_eq!(again.ok().as_ref(), Some(&url));
        }
        Err(Fault::BadRedirect(reason)) => {
            assert!(!reason.contains(char::is_control), "{reason:?}");
            assert!(reason.len() < 200, "{reason:?}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// The next request can be made of it.
fn assert_fit(url: &Url) {
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.username().is_empty() && url.password().is_none());
    let origin = Origin::of(url).expect("an origin");
    let authority = origin.authority();
    let root = Url::parse(&format!("{}://{authority}/", origin.scheme.as_str()));
    let named = root.ok().and_then(|root| Origin::of(&root).ok());
    // A zone is not sent.
    let sent = Origin {
        zone: None,
        ..origin.clone()
    };
    assert_eq!(named.as_ref(), Some(&sent));
    let mut head = Vec::new();
    let fields = [("Host", authority.as_str())];
    encode(
        &mut head,
        Method::Get,
        Target::of(&origin, url).path(),
        fields.into_iter(),
    )
    .expect("it can be sent");
}
