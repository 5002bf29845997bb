//! [`SetCookie`]: a parsed Set-Cookie field (RFC 6265 §5.2), and the cookie that it sets for a URL (§5.3).

use url::Url;

use super::{Cookie, is_sendable, scope};
use crate::http::date;

/// The most bytes of name and value together (RFC 6265bis §5.7).
const LONGEST: usize = 4096;

/// The most bytes of an attribute's value (RFC 6265bis §5.6).
const LONGEST_ATTRIBUTE: usize = 1024;

/// A parsed Set-Cookie field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SetCookie<'f> {
    name: &'f str,
    value: &'f str,
    /// Of a repeated attribute the last one counts, here and below.
    domain: Option<&'f str>,
    path: Option<&'f str>,
    expires: Option<i64>,
    /// In seconds.
    max_age: Option<i64>,
    is_secure: bool,
}

impl<'f> SetCookie<'f> {
    /// Parses a field's value. `None` if it must be ignored: it has no name, has control characters, is not UTF-8, or
    /// is too long.
    pub fn parse(field: &'f [u8]) -> Option<Self> {
        let text = str::from_utf8(field).ok()?;
        // A tab is whitespace (RFC 6265bis §5.6, step 1).
        if text
            .bytes()
            .any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            return None;
        }
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (trim(name), trim(value));
        let is_long = name.len() + value.len() > LONGEST;
        if name.is_empty() || is_long || !is_sendable(name) || !is_sendable(value) {
            return None;
        }
        let mut cookie = Self {
            name,
            value,
            ..Self::default()
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.set(trim(key), trim(value));
        }
        Some(cookie)
    }

    /// Applies an attribute (RFC 6265 §5.2.1 to §5.2.5). Unknown and invalid attributes are ignored.
    fn set(&mut self, key: &str, value: &'f str) {
        if value.len() > LONGEST_ATTRIBUTE {
            return;
        }
        if key.eq_ignore_ascii_case("Expires") {
            self.expires = date::parse_cookie(value).or(self.expires);
        } else if key.eq_ignore_ascii_case("Max-Age") {
            self.max_age = seconds(value).or(self.max_age);
        } else if key.eq_ignore_ascii_case("Domain") {
            // A leading dot has no meaning (§5.2.3).
            let value = value.strip_prefix('.').unwrap_or(value);
            self.domain = Some(value).filter(|value| !value.is_empty());
        } else if key.eq_ignore_ascii_case("Path") {
            self.path = Some(value).filter(|value| value.starts_with('/'));
        } else if key.eq_ignore_ascii_case("Secure") {
            self.is_secure = true;
        }
    }

    /// The cookie that this field sets in a response for `url`. `None` if the server may not set it.
    pub fn cookie(&self, url: &Url, now: i64) -> Option<Cookie> {
        let host = scope::bare(url.host_str()?);
        let is_tls = url.scheme() == "https";
        let named = match self.domain {
            Some(domain) => Some(scope::canonical(domain)?),
            None => None,
        };
        // A host that is a public suffix may set a cookie for itself only (§5.3, step 5).
        let domain = named.filter(|domain| !(scope::is_public(domain) && domain == host));
        let may_be_set = domain
            .as_deref()
            .is_none_or(|domain| scope::domain_matches(host, domain) && !scope::is_public(domain));
        let path = self.path.unwrap_or(scope::default_path(url.path()));
        let meets_prefix = self.meets_prefix(domain.is_none(), path);
        if !may_be_set || !meets_prefix || self.is_secure && !is_tls {
            return None;
        }
        Some(Cookie {
            name: self.name.to_owned(),
            value: self.value.to_owned(),
            is_host_only: domain.is_none(),
            domain: domain.unwrap_or_else(|| host.to_owned()),
            path: path.to_owned(),
            is_secure: self.is_secure,
            expires: match self.max_age {
                Some(age) if age <= 0 => Some(i64::MIN),
                Some(age) => Some(now.saturating_add(age)),
                None => self.expires,
            },
        })
    }

    /// Whether it meets the conditions of a `__Host-` or `__Secure-` prefix; the case is ignored (RFC 6265bis §4.1.3).
    fn meets_prefix(&self, is_host_only: bool, path: &str) -> bool {
        let name = scope::lower(self.name);
        if name.starts_with("__host-") {
            self.is_secure && is_host_only && path == "/"
        } else {
            self.is_secure || !name.starts_with("__secure-")
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The value of Max-Age; a number that does not fit becomes the largest or smallest one.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let most = if text.len() > digits.len() {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(text.parse().unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn cookie(url: &str, field: &str) -> Option<Cookie> {
        SetCookie::parse(field.as_bytes())?.cookie(&url.parse().unwrap(), NOW)
    }

    fn is_taken(url: &str, field: &str) -> bool {
        cookie(url, field).is_some()
    }

    /// Name, value, domain, path.
    fn shown(cookie: &Cookie) -> [&str; 4] {
        [&cookie.name, &cookie.value, &cookie.domain, &cookie.path]
    }

    #[test]
    fn a_field_is_a_pair_and_attributes() {
        let found = cookie(
            "https://www.example.com/a/b",
            " SID = 31d4=x \"y\" ; Domain=.Example.com;path=/a ; SECURE; HttpOnly; SameSite=Lax; x",
        );
        let found = found.unwrap();
        assert_eq!(shown(&found), ["SID", "31d4=x \"y\"", "example.com", "/a"]);
        assert!(found.is_secure && !found.is_host_only);
        assert_eq!(found.expires, None);

        let bare = cookie("http://www.example.com/a/b?c", "a=").unwrap();
        assert_eq!(shown(&bare), ["a", "", "www.example.com", "/a"]);
        assert!(!bare.is_secure && bare.is_host_only);
    }

    #[test]
    fn what_is_no_cookie_is_ignored() {
        let long = format!("a={}", "x".repeat(LONGEST));
        for field in [
            "",
            "a",
            "=b",
            " \t=b",
            ";a=b",
            "a\0=b",
            "a=b\x7f",
            "a=b\r\nc",
            "a=b\x01;x",
            &long,
        ] {
            assert!(SetCookie::parse(field.as_bytes()).is_none(), "{field:?}");
        }
        assert!(SetCookie::parse(b"a=\xff").is_none());
        assert!(SetCookie::parse("a=é".as_bytes()).is_some());
        assert!(SetCookie::parse(&long.as_bytes()[..long.len() - 1]).is_some());
        // A tab is blank around a value, and a control character in one.
        assert!(SetCookie::parse(b"a=\tb").is_some() && SetCookie::parse(b"a=b\tc").is_none());
    }

    #[test]
    fn the_last_attribute_of_a_kind_counts() {
        let url = "http://www.example.com/a/b";
        let found = cookie(
            url,
            "a=b; Domain=other.com; Domain=example.com; Path=/x; Path=/y",
        )
        .unwrap();
        assert_eq!(shown(&found)[2..], ["example.com", "/y"]);
        let found = cookie(url, "a=b; Domain=example.com; Domain=; Path=/x; Path=y").unwrap();
        assert_eq!(shown(&found)[2..], ["www.example.com", "/a"]);
        let long = format!("a=b; Path=/x; Path=/{}", "y".repeat(LONGEST_ATTRIBUTE));
        assert_eq!(cookie(url, &long).unwrap().path, "/x");
    }

    #[test]
    fn max_age_goes_before_expires() {
        let expires = |field: &str| {
            cookie("http://h/", &format!("a=b; {field}"))
                .unwrap()
                .expires
        };
        assert_eq!(expires("Max-Age=10"), Some(NOW + 10));
        assert_eq!(
            expires("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:10 GMT"),
            Some(NOW + 10)
        );
        assert_eq!(expires("Expires=Thu, 01 Jan 1970 00:00:10 GMT"), Some(10));
        assert_eq!(expires("Expires=Thu, 01-Jan-70 00:00:10 UTC"), Some(10));
        assert_eq!(expires("Expires=soon"), None);
        assert_eq!(expires("Max-Age=1h; Max-Age="), None);
        assert_eq!(expires("Max-Age=0"), Some(i64::MIN));
        assert_eq!(expires("Max-Age=-99999999999999999999"), Some(i64::MIN));
        assert_eq!(expires("Max-Age=99999999999999999999"), Some(i64::MAX));
    }

    #[test]
    fn a_server_sets_cookies_for_itself_and_what_it_lies_below() {
        let url = "http://a.b.example.co.uk/";
        for domain in [
            "a.b.example.co.uk",
            "b.example.co.uk",
            "example.co.uk",
            "EXAMPLE.co.uk",
        ] {
            assert!(is_taken(url, &format!("a=b; Domain={domain}")), "{domain}");
        }
        for domain in [
            "co.uk",
            "uk",
            "x.a.b.example.co.uk",
            "ample.co.uk",
            "other.co.uk",
            "example.co.uk.",
            "a b",
            "*",
            "127.0.0.1",
        ] {
            assert!(!is_taken(url, &format!("a=b; Domain={domain}")), "{domain}");
        }
    }

    #[test]
    fn a_name_that_is_a_public_suffix_has_cookies_of_its_own_alone() {
        for host in ["localhost", "github.io", "com"] {
            let found = cookie(&format!("http://{host}/"), &format!("a=b; Domain={host}"));
            assert!(found.is_some_and(|cookie| cookie.is_host_only), "{host}");
        }
        assert!(!is_taken("http://a.github.io/", "a=b; Domain=github.io"));
        assert!(!is_taken("http://a.localhost/", "a=b; Domain=localhost"));
        for address in ["127.0.0.1", "[::1]"] {
            let url = format!("http://{address}/");
            assert!(
                is_taken(&url, &format!("a=b; Domain={address}")),
                "{address}"
            );
        }
        assert!(!is_taken("http://127.0.0.1/", "a=b; Domain=0.0.1"));
    }

    #[test]
    fn only_tls_sets_what_is_secure() {
        assert!(is_taken("https://h/", "a=b; Secure"));
        assert!(!is_taken("http://h/", "a=b; Secure"));
    }

    #[test]
    fn a_prefix_is_a_promise() {
        let url = "https://www.example.com/a/b";
        assert!(is_taken(url, "__Secure-a=b; Secure"));
        assert!(is_taken(url, "__Host-a=b; Secure; Path=/"));
        for field in [
            "__Secure-a=b",
            "__secure-a=b",
            "__Host-a=b; Secure",
            "__Host-a=b; Path=/",
            "__HOST-a=b; Secure; Path=/; Domain=www.example.com",
        ] {
            assert!(!is_taken(url, field), "{field}");
        }
    }
}
