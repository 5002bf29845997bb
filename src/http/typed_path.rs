//! Paths as they were typed (`--path-as-is`).
//!
//! A [`Url`] has no dot segments and encodes some characters. Where a request contains another path than that, the
//! fragment of the URL, which is never sent, has it as the parameter `path-as-is`. So it stays with the URL in lists,
//! messages and retries.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::{Position, Url};

use super::url_parameter;

/// The parameter of the fragment.
const KEY: &str = "path-as-is=";

/// What cannot be sent in a path: blanks and control characters, beside what is not ASCII.
const UNSENDABLE: &AsciiSet = &CONTROLS.add(b' ');

/// What a parameter of a fragment cannot contain.
const IN_FRAGMENT: &AsciiSet = &UNSENDABLE
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'<')
    .add(b'>')
    .add(b'`');

/// Where one component of a reference ends.
const ENDS: [char; 3] = ['/', '\\', '?'];

/// Notes in a URL the path and query of the reference that it was made from, relative to `base`. A path that the
/// fragment has is kept.
pub(crate) fn keep(url: &mut Url, reference: &str, base: Option<&Url>) {
    if of(url).is_some() {
        return;
    }
    let Some(path) = typed(reference, base) else {
        return;
    };
    let path = utf8_percent_encode(&path, UNSENDABLE).to_string();
    if path == url[Position::BeforePath..Position::AfterQuery] {
        return;
    }
    let path = utf8_percent_encode(&path, IN_FRAGMENT).to_string();
    url_parameter::add(url, KEY, &path);
}

/// The path and query that the fragment of a URL has, if a request can contain them.
pub(crate) fn of(url: &Url) -> Option<String> {
    let path = percent_decode_str(url_parameter::get(url, KEY)?);
    let path = path.decode_utf8().ok()?;
    let is_sendable = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (path.starts_with('/') && is_sendable).then(|| path.into_owned())
}

/// Removes the path that the fragment of a URL has.
pub(crate) fn drop_from(url: &mut Url) {
    let Some(fragment) = url.fragment().filter(|fragment| fragment.contains(KEY)) else {
        return;
    };
    let parameters = fragment.split('&');
    let others: Vec<&str> = parameters
        .filter(|parameter| !parameter.starts_with(KEY))
        .collect();
    let others = others.join("&");
    url.set_fragment(Some(others.as_str()).filter(|others| !others.is_empty()));
}

/// Path and query of a reference (RFC 3986 §5.2, without the removal of dot segments).
fn typed(reference: &str, base: Option<&Url>) -> Option<String> {
    let reference = reference.trim_matches(' ');
    let reference = reference.split('#').next().unwrap_or_default();
    let after_scheme = match reference.split_once(':') {
        Some((scheme, rest)) if is_http(scheme) => Some(rest),
        _ => None,
    };
    let rest = after_scheme.unwrap_or(reference);
    if rest.len() > 1
        && rest.as_bytes()[..2]
            .iter()
            .all(|byte| b"/\\".contains(byte))
    {
        let rest = rest.trim_start_matches(['/', '\\']);
        let path = &rest[rest.find(ENDS).unwrap_or(rest.len())..];
        return Some(rooted(path));
    }
    if after_scheme.is_some() {
        return None;
    }
    let base = base?;
    let above = of(base).unwrap_or_else(|| base[Position::BeforePath..Position::AfterQuery].into());
    let path = above.split('?').next().unwrap_or_default();
    Some(match rest.chars().next() {
        None => above,
        Some('/' | '\\') => rooted(rest),
        Some('?') => format!("{path}{rest}"),
        Some(_) => format!("{}{rest}", &path[..=path.rfind('/')?]),
    })
}

/// A path and query that begin with a slash.
fn rooted(path: &str) -> String {
    format!("/{}", path.strip_prefix(['/', '\\']).unwrap_or(path))
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(reference: &str, base: Option<&str>) -> (String, Option<String>) {
        let base = base.map(|base| Url::parse(base).unwrap());
        let options = Url::options();
        let mut url = options.base_url(base.as_ref()).parse(reference).unwrap();
        keep(&mut url, reference, base.as_ref());
        let path = of(&url);
        (url.into(), path)
    }

    #[test]
    fn a_path_that_a_url_changes_is_kept_beside_it() {
        for (reference, path) in [
            ("http://h/a/../b", "/a/../b"),
            ("http://h/a/%2e%2E/b?x", "/a/%2e%2E/b?x"),
            ("http://h/./a/.", "/./a/."),
            ("HTTP://u:p@h:81/x?n='y'", "/x?n='y'"),
            ("http://h/../a b/é#f", "/../a%20b/%C3%A9"),
            ("http://h/a\\b", "/a\\b"),
            ("http://h/{1}\"<>`|^", "/{1}\"<>`|^"),
            ("http://h?'", "/?'"),
        ] {
            let (url, kept) = kept(reference, None);
            assert_eq!(kept.as_deref(), Some(path), "{reference}: {url}");
            let again = Url::parse(&url).unwrap();
            assert_eq!(of(&again).as_deref(), Some(path), "{url}");
        }
        assert_eq!(
            kept("http://h/a/../b?%20&#sha256=0", None).0,
            "http://h/b?%20&#sha256=0&path-as-is=/a/../b?%2520%26"
        );
    }

    #[test]
    fn other_urls_stay_as_they_are() {
        for reference in [
            "http://h",
            "http://h/",
            "http://h?",
            "http://h/a b/%7e?x=%2e#f",
            "http://h/a...b/..c/.d",
        ] {
            let parsed = Url::parse(reference).unwrap();
            assert_eq!(kept(reference, None), (parsed.into(), None), "{reference}");
        }
    }

    #[test]
    fn relative_references_follow_what_is_sent_for_the_base() {
        let base = "http://h/b/c?d#path-as-is=/a/../b/c?d";
        for (reference, path) in [
            ("../x", "/a/../b/../x"),
            ("x", "/a/../b/x"),
            ("?y", "/a/../b/c?y"),
            ("/y/../x", "/y/../x"),
            ("//o/y/../x", "/y/../x"),
            ("https://o/y/../x", "/y/../x"),
        ] {
            assert_eq!(kept(reference, Some(base)).1.as_deref(), Some(path));
        }
        assert_eq!(kept("/x", Some(base)), ("http://h/x".into(), None));
    }

    #[test]
    fn a_fragment_gives_no_path_that_cannot_be_sent() {
        for fragment in ["a", "", "/a%20b", "/a%0d%0aX:", "/%ff", "/%23", "/%C3%A9"] {
            let url = Url::parse(&format!("http://h/x#path-as-is={fragment}")).unwrap();
            assert_eq!(of(&url), None, "{fragment}");
        }
    }

    #[test]
    fn the_other_parameters_of_a_fragment_stay() {
        for (url, without) in [
            ("http://h/b#path-as-is=/a/../b", "http://h/b"),
            ("http://h/b#x=1&path-as-is=/a/../b&y", "http://h/b#x=1&y"),
            ("http://h/b#x", "http://h/b#x"),
        ] {
            let mut url = Url::parse(url).unwrap();
            drop_from(&mut url);
            assert_eq!(url.as_str(), without);
        }
    }
}
