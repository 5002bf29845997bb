//! Redirects: which responses are redirects, and the URL that a Location leads to. The caller decides how many are
//! followed and which credentials go along.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, percent_encode};
use url::Url;

use super::grammar::trim;
use super::{Response, typed_path, zone};
use crate::error::Fault;

/// Encodes no ASCII byte. The encoder always encodes bytes above 127.
const BEYOND_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// The most characters of a server's text that a message quotes.
const QUOTED: usize = 32;

/// Whether a response redirects a GET (RFC 9110 §15.4): 301, 302, 303, 307, 308, and a 300 with a Location, which
/// is the server's preferred choice (§15.4.1). 304 and 305 are no redirects.
pub fn is_redirect(response: &Response) -> bool {
    match response.status {
        300 => response.location().is_some(),
        status => matches!(status, 301 | 302 | 303 | 307 | 308),
    }
}

/// The URL that a Location leads to, resolved against `from` (RFC 9110 §10.2.2).
///
/// Parsed as browsers do (the URL Standard). A Location without a fragment inherits that of `from`. Bytes above 127
/// are read as UTF-8; if they are not valid UTF-8, each is percent-encoded. The result never has userinfo, neither
/// from the Location (a server must not choose our credentials) nor from `from`: the caller keeps credentials with
/// their origin. With `is_path_typed` the path is sent as the Location has it, as curl does with `--path-as-is`.
///
/// # Errors
///
/// [`Fault::BadRedirect`] if the Location is empty, has control characters, is no valid URL, or has another scheme
/// than http and https.
///
/// ```
/// use gannet::internals::http::redirect::target;
/// let from = "http://u:p@example.com/a/b?c#d".parse()?;
/// assert_eq!(target(&from, b"../e", false)?.as_str(), "http://example.com/e#d");
/// assert!(target(&from, b"file:///etc/passwd", false).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn target(from: &Url, location: &[u8], is_path_typed: bool) -> Result<Url, Fault> {
    let location = trim(location);
    if location.is_empty() {
        return Err(bad("the Location is empty"));
    }
    // The URL Standard would silently drop tabs and line ends.
    if location.iter().any(u8::is_ascii_control) {
        return Err(bad("the Location has control characters"));
    }
    let location = match str::from_utf8(location) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(percent_encode(location, BEYOND_ASCII).to_string()),
    };
    let (location, zone) = match zone::split(&location) {
        Some((text, zone)) => (Cow::Owned(text), Some(zone.to_owned())),
        None => (location, None),
    };
    let mut target = from
        .join(&location)
        .map_err(|error| bad(format!("the Location is not a valid URL: {error}")))?;
    let scheme = target.scheme();
    if !matches!(scheme, "http" | "https") {
        let scheme: String = scheme.chars().take(QUOTED).collect();
        return Err(bad(format!(
            "its scheme '{scheme}' is neither http nor https"
        )));
    }
    if target.set_username("").is_err() || target.set_password(None).is_err() {
        return Err(bad("the Location has no host"));
    }
    typed_path::drop_from(&mut target);
    if target.fragment().is_none() {
        target.set_fragment(from.fragment());
    }
    let near = Some(from).filter(|from| from.host() == target.host());
    if let Some(zone) = zone.as_deref().or_else(|| zone::of(near?)) {
        zone::keep(&mut target, zone);
    }
    typed_path::drop_from(&mut target);
    if is_path_typed {
        typed_path::keep(&mut target, &location, Some(from));
    }
    Ok(target)
}

fn bad(reason: impl Into<String>) -> Fault {
    Fault::BadRedirect(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Origin, Target};
    use proptest::prelude::*;

    fn from(url: &str, location: &[u8]) -> Result<String, String> {
        match target(&Url::parse(url).unwrap(), location, false) {
            Ok(url) => Ok(url.into()),
            Err(Fault::BadRedirect(reason)) => Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn five_statuses_are_redirects_and_a_sixth_that_says_where_to() {
        let redirects = |location: Option<&[u8]>| -> Vec<u16> {
            let mut response = Response::default();
            if let Some(location) = location {
                response.headers.push(b"Location", location);
            }
            let is_one = |status: &u16| {
                response.status = *status;
                is_redirect(&response)
            };
            (100..1000).filter(is_one).collect()
        };
        assert_eq!(redirects(None), [301, 302, 303, 307, 308]);
        assert_eq!(redirects(Some(b"/x")), [300, 301, 302, 303, 307, 308]);
    }

    #[test]
    fn references_are_resolved_against_where_they_came_from() {
        for (location, expected) in [
            ("https://other/x", "https://other/x"),
            ("/x?y", "http://h:8080/x?y"),
            ("x", "http://h:8080/a/x"),
            ("../../../x", "http://h:8080/x"),
            ("?q", "http://h:8080/a/b?q"),
            ("//other/x", "http://other/x"),
            ("HTTPS://OTHER", "https://other/"),
            (" \t/x \t", "http://h:8080/x"),
            ("/x y", "http://h:8080/x%20y"),
            ("/%7euser%zz", "http://h:8080/%7euser%zz"),
            // As browsers do: a backslash is a slash.
            ("\\\\other\\x", "http://other/x"),
        ] {
            assert_eq!(
                from("http://h:8080/a/b?c", location.as_bytes()).as_deref(),
                Ok(expected),
                "{location}"
            );
        }
    }

    #[test]
    fn an_address_keeps_its_zone_over_redirects() {
        let from = Url::parse("http://[fe80::1]/a#zone-id=eth0").unwrap();
        for (location, expected) in [
            (&b"/b"[..], "http://[fe80::1]/b#zone-id=eth0"),
            (b"http://[fe80::1]/b#f", "http://[fe80::1]/b#f&zone-id=eth0"),
            (b"http://[fe80::2%25lo]/#", "http://[fe80::2]/#zone-id=lo"),
        ] {
            assert_eq!(target(&from, location, false).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_path_is_kept_only_where_paths_are_sent_as_they_were_typed() {
        let from = Url::parse("http://h/b/c#x&path-as-is=/a/../b/c").unwrap();
        for (location, typed, expected) in [
            (&b"/d"[..], true, "http://h/d#x"),
            (b"../d", true, "http://h/d#x&path-as-is=/a/../b/../d"),
            (b"../d", false, "http://h/d#x"),
            (b"/d#path-as-is=/e", true, "http://h/d#x"),
            (b"/d#path-as-is=/e", false, "http://h/d#x"),
        ] {
            assert_eq!(target(&from, location, typed).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_fragment_is_inherited_unless_the_location_has_one() {
        assert_eq!(
            from("http://h/a#sha256=00", b"/b").as_deref(),
            Ok("http://h/b#sha256=00")
        );
        assert_eq!(
            from("http://h/a#old", b"/b#new").as_deref(),
            Ok("http://h/b#new")
        );
        assert_eq!(from("http://h/a", b"/b").as_deref(), Ok("http://h/b"));
    }

    #[test]
    fn bytes_above_127_are_utf8_or_sent_back_as_they_are() {
        assert_eq!(
            from("http://h/", "/é".as_bytes()).as_deref(),
            Ok("http://h/%C3%A9")
        );
        assert_eq!(
            from("http://h/", b"/\xe9?\xff").as_deref(),
            Ok("http://h/%E9?%FF")
        );
        assert!(from("http://h/", b"http://\xe9/").is_err());
    }

    #[test]
    fn userinfo_does_not_come_from_a_server_and_does_not_travel() {
        assert_eq!(
            from("http://h/", b"http://root:pw@h/x").as_deref(),
            Ok("http://h/x")
        );
        assert_eq!(from("http://u:p@h/", b"/x").as_deref(), Ok("http://h/x"));
    }

    #[test]
    fn only_http_and_https_are_followed() {
        for location in [
            "ftp://h/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "gopher://h:70/_x",
        ] {
            let scheme = location.split(':').next().unwrap();
            let reason = from("http://h/", location.as_bytes()).unwrap_err();
            assert!(reason.contains(&format!("'{scheme}'")), "{reason}");
        }
        let long = format!("{}:x", "a".repeat(10_000));
        assert!(from("http://h/", long.as_bytes()).unwrap_err().len() < 100);
    }

    #[test]
    fn empty_and_controlled_locations_are_refused() {
        for location in [
            &b""[..],
            b" \t ",
            b"/a\tb",
            b"/a\nb",
            b"/a\rb",
            b"/a\0",
            b"/\x7f",
            b"http://h\r\nX: y/",
        ] {
            assert!(from("http://h/", location).is_err(), "{location:?}");
        }
        for location in [
            &b"http://"[..],
            b"http://h:99999/",
            b"//[::1/",
            b"http://a b/",
        ] {
            assert!(from("http://h/", location).is_err(), "{location:?}");
        }
    }

    proptest! {
        #[test]
        fn any_location_leads_to_something_that_can_be_sent_or_nowhere(
            location in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "(https?:)?[/\\\\]{0,3}[a-z@:.]{0,5}[ -~é]{0,20}".prop_map(String::into_bytes),
            ]
        ) {
            let from = Url::parse("http://u:p@h/a#f").unwrap();
            if let Ok(url) = target(&from, &location, false) {
                prop_assert!(matches!(url.scheme(), "http" | "https"));
                prop_assert!(url.username().is_empty() && url.password().is_none());
                let origin = Origin::of(&url).unwrap();
                let target = Target::of(&origin, &url);
                prop_assert!(target.path().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(url.has_host());
            }
        }
    }
}
