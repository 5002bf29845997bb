//! [`Credentials`] for Basic authentication (RFC 7617), and [`masked`] URLs for output.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

/// A user and a password. Bytes, because a URL may percent-encode any byte. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// Credentials of a user and a password; both may be empty. The user must not contain a colon: the server
    /// would split there (RFC 7617 §2).
    pub fn new(user: Vec<u8>, password: Vec<u8>) -> Self {
        Self { user, password }
    }

    /// Parses `user:password`, split at the first colon (RFC 7617 §2). Without a colon the password is empty.
    pub fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self {
            user: user.into(),
            password: password.into(),
        }
    }

    /// The userinfo of a URL, percent-decoded; `None` if the URL has none (RFC 3986 §3.2.1).
    pub fn from_url(url: &Url) -> Option<Self> {
        has_userinfo(url).then(|| Self {
            user: percent_decode_str(url.username()).collect(),
            password: percent_decode_str(url.password().unwrap_or_default()).collect(),
        })
    }

    /// The user.
    pub(crate) fn user(&self) -> &[u8] {
        &self.user
    }

    /// The password; may be empty.
    pub(crate) fn password(&self) -> &[u8] {
        &self.password
    }

    /// Replaces the password.
    pub(super) fn with_password(self, password: Vec<u8>) -> Self {
        Self { password, ..self }
    }

    /// The value of an Authorization field: `Basic` and the credentials in base64 (RFC 7617 §2).
    pub fn basic(&self) -> String {
        let joined = [&self.user[..], &self.password[..]].join(&b':');
        format!("Basic {}", STANDARD.encode(joined))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// The URL for logs, messages and state files: its userinfo is replaced by `***@`.
///
/// ```
/// use gannet::http::masked;
/// assert_eq!(masked(&"https://me:secret@example.com/a?b".parse()?), "https://***@example.com/a?b");
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn masked(url: &Url) -> String {
    if !has_userinfo(url) {
        return url.as_str().to_owned();
    }
    let before = &url[..Position::BeforeUsername];
    let after = &url[Position::BeforeHost..];
    format!("{before}***@{after}")
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn basic_is_the_rfcs_own_example() {
        let credentials = Credentials::parse("Aladdin:open sesame");
        assert_eq!(credentials.basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn the_first_colon_divides_user_and_password() {
        assert_eq!(
            Credentials::parse("u:p:q").basic(),
            format!("Basic {}", STANDARD.encode("u:p:q"))
        );
        assert_eq!(Credentials::parse("u"), Credentials::parse("u:"));
        assert_eq!(
            Credentials::parse("u").basic(),
            format!("Basic {}", STANDARD.encode("u:"))
        );
    }

    #[test]
    fn userinfo_is_percent_decoded() {
        let expected = Credentials::parse("a@b:p:é");
        assert_eq!(
            Credentials::from_url(&url("http://a%40b:p%3A%C3%A9@h/")),
            Some(expected)
        );
        assert_eq!(
            Credentials::from_url(&url("http://u@h/")),
            Some(Credentials::parse("u"))
        );
        assert_eq!(
            Credentials::from_url(&url("http://:p@h/")),
            Some(Credentials::parse(":p"))
        );
        assert_eq!(Credentials::from_url(&url("http://h/a@b")), None);
        let bytes = Credentials::from_url(&url("http://%FF@h/")).unwrap();
        assert_eq!(
            bytes.basic(),
            format!("Basic {}", STANDARD.encode(b"\xff:"))
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(
            format!("{:?}", Credentials::parse("user:hunter2")),
            "Credentials(***)"
        );
        for (given, expected) in [
            ("http://u:p@h:81/a?b#c", "http://***@h:81/a?b#c"),
            ("http://u@h/", "http://***@h/"),
            ("http://:p@[::1]/", "http://***@[::1]/"),
            ("http://h/a@b:c", "http://h/a@b:c"),
            ("ftp://u:p@h/", "ftp://***@h/"),
        ] {
            assert_eq!(masked(&url(given)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_password_never_shows(password in "[a-zA-Z0-9%@:/ ]{1,20}") {
            let mut url = url("http://host.example/path");
            url.set_password(Some(&password)).unwrap();
            prop_assert_eq!(masked(&url), "http://***@host.example/path");
        }
    }
}
