//! [`Target`]: what a request asks for, in the characters that are sent.

use std::borrow::Cow;

use url::{Position, Url};

use super::{Origin, typed_path};

/// The target of a request (RFC 9110 §7.1): an origin, and a path with its query. How a URL is written in a request is
/// decided here, for every version of HTTP.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    origin: &'a Origin,
    path: Cow<'a, str>,
}

/// How a request line of HTTP/1.1 contains its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Path and query, for the origin itself (RFC 9112 §3.2.1).
    Origin,
    /// A URL, for a proxy that makes the request (RFC 9112 §3.2.2).
    Absolute,
}

impl<'a> Target<'a> {
    /// The target with this path and query, which are sent as they are.
    pub fn new(origin: &'a Origin, path: &'a str) -> Self {
        let path = Cow::Borrowed(path);
        Self { origin, path }
    }

    /// The target of a URL with this origin. The fragment is not sent (RFC 9110 §7.1).
    pub fn of(origin: &'a Origin, url: &'a Url) -> Self {
        let path = match &url[Position::BeforePath..Position::AfterQuery] {
            "" => "/",
            path => path,
        };
        Self::new(origin, path)
    }

    /// The target of a URL with this origin: its path as it was typed, if the URL has that too.
    pub fn as_typed(origin: &'a Origin, url: &'a Url) -> Self {
        match typed_path::of(url) {
            Some(path) => Self {
                origin,
                path: Cow::Owned(path),
            },
            None => Self::of(origin, url),
        }
    }

    /// The origin that the request is for.
    pub fn origin(&self) -> &'a Origin {
        self.origin
    }

    /// Path and query: the pseudo-field `:path` (RFC 9113 §8.3.1).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of the Host field, and of the pseudo-field `:authority`.
    pub fn authority(&self) -> String {
        self.origin.authority()
    }

    /// The target as a request line of HTTP/1.1 contains it. It never has userinfo (RFC 9110 §4.2.4).
    pub fn form(&self, form: Form) -> Cow<'_, str> {
        match form {
            Form::Origin => Cow::Borrowed(&self.path),
            Form::Absolute => {
                let scheme = self.origin.scheme.as_str();
                Cow::Owned(format!("{scheme}://{}{}", self.authority(), self.path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_path_and_query_without_the_fragment() {
        for (url, path, absolute) in [
            ("http://h", "/", "http://h/"),
            ("http://h#f", "/", "http://h/"),
            ("http://h?q", "/?q", "http://h/?q"),
            (
                "http://h/a b/é?x=y z#sha256=00",
                "/a%20b/%C3%A9?x=y%20z",
                "http://h/a%20b/%C3%A9?x=y%20z",
            ),
            ("http://h//a/../b", "//b", "http://h//b"),
            ("http://u:p@h:80/a", "/a", "http://h/a"),
            ("http://[::1]:8080/", "/", "http://[::1]:8080/"),
            ("https://h:443/?", "/?", "https://h/?"),
            (
                "https://bücher.example:80/",
                "/",
                "https://xn--bcher-kva.example:80/",
            ),
        ] {
            let url = Url::parse(url).unwrap();
            let origin = Origin::of(&url).unwrap();
            let target = Target::of(&origin, &url);
            assert_eq!(target.path(), path, "{url}");
            assert_eq!(target.form(Form::Origin), path, "{url}");
            assert_eq!(target.form(Form::Absolute), absolute, "{url}");
            assert!(absolute.contains(&format!("//{}{path}", target.authority())));
        }
    }

    #[test]
    fn a_given_path_is_sent_as_it_is() {
        let origin = Origin::of(&Url::parse("http://h:81/").unwrap()).unwrap();
        let target = Target::new(&origin, "/a/../b");
        assert_eq!(target.form(Form::Origin), "/a/../b");
        assert_eq!(target.form(Form::Absolute), "http://h:81/a/../b");
        assert_eq!(target.origin(), &origin);
    }
}
