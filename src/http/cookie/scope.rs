//! The scope of a cookie: domains, public suffixes and paths.

use std::borrow::Cow;
use std::net::IpAddr;

use url::Host;

/// Whether a host is a domain or one of its subdomains (RFC 6265 §5.1.3). Both are in the form of a URL's host.
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    let Some(above) = host.strip_suffix(domain) else {
        return false;
    };
    above.is_empty() || above.ends_with('.') && !is_address(host)
}

/// Whether a URL's path matches a cookie's path: it is equal or below it (RFC 6265 §5.1.4).
pub(super) fn path_matches(path: &str, cookie_path: &str) -> bool {
    let Some(rest) = path.strip_prefix(cookie_path) else {
        return false;
    };
    rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/')
}

/// The path of a cookie without a Path attribute: that of the URL, up to its last slash (RFC 6265 §5.1.4).
pub(super) fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(_) if !path.starts_with('/') => "/",
        Some(at) => &path[..at],
    }
}

/// Whether a domain is a public suffix, below which names have different owners (RFC 6265 §5.3, step 5): `com`,
/// `co.uk`, `github.io`, and any name of one label.
pub(super) fn is_public(domain: &str) -> bool {
    !is_address(domain) && psl::domain(domain.as_bytes()).is_none()
}

/// The site of a host: the public suffix and one label before it, or else the host itself. No cookie is shared
/// between sites.
pub(super) fn site(host: &str) -> &str {
    if is_address(host) {
        return host;
    }
    let length = psl::domain(host.as_bytes()).map(|domain| domain.as_bytes().len());
    let start = length.and_then(|length| host.len().checked_sub(length));
    start.and_then(|start| host.get(start..)).unwrap_or(host)
}

/// A domain in the form of a URL's host, without a leading dot; `None` if it is not a valid host.
pub(super) fn canonical(domain: &str) -> Option<String> {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    if is_address(domain) {
        return domain
            .parse()
            .ok()
            .map(|address: IpAddr| address.to_string());
    }
    let host = match Host::parse(domain).ok()? {
        Host::Domain(name) => name,
        address => address.to_string(),
    };
    Some(bare(&host).to_owned())
}

/// A host without the brackets of IPv6.
pub(super) fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// The text in ASCII lower case, without an allocation if it is so already.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_matches_its_domain_and_those_above_it_at_a_dot() {
        for (host, domain) in [("a.b", "a.b"), ("x.a.b", "a.b"), ("127.0.0.1", "127.0.0.1")] {
            assert!(domain_matches(host, domain), "{host} {domain}");
        }
        for (host, domain) in [
            ("a.b", "x.a.b"),
            ("xa.b", "a.b"),
            ("127.0.0.1", "0.0.1"),
            ("127.0.0.1", "1"),
            ("::1", "1"),
            ("a.b.", "a.b"),
        ] {
            assert!(!domain_matches(host, domain), "{host} {domain}");
        }
    }

    #[test]
    fn a_path_matches_what_lies_above_it_at_a_slash() {
        for (path, above) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a", "/a"),
            ("/a/b", "/a"),
            ("/a/b", "/a/"),
        ] {
            assert!(path_matches(path, above), "{path} {above}");
        }
        for (path, above) in [
            ("/", "/a"),
            ("/ab", "/a"),
            ("/a", "/a/"),
            ("/A", "/a"),
            ("/b", "/a"),
        ] {
            assert!(!path_matches(path, above), "{path} {above}");
        }
    }

    #[test]
    fn the_default_path_ends_before_the_last_slash() {
        for (path, expected) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a/", "/a"),
            ("/a/b/c", "/a/b"),
            ("", "/"),
            ("x/y", "/"),
        ] {
            assert_eq!(default_path(path), expected, "{path}");
        }
    }

    #[test]
    fn public_suffixes_are_nobodys() {
        for domain in [
            "com",
            "co.uk",
            "github.io",
            "localhost",
            "intranet",
            "xn--p1ai",
            "ck",
            "x.ck",
        ] {
            assert!(is_public(domain), "{domain}");
        }
        for domain in [
            "a.com",
            "a.co.uk",
            "a.github.io",
            "host.intranet",
            "www.ck",
            "127.0.0.1",
            "::1",
        ] {
            assert!(!is_public(domain), "{domain}");
        }
    }

    #[test]
    fn a_site_is_what_one_owner_has() {
        for (host, expected) in [
            ("a.b.example.com", "example.com"),
            ("a.b.co.uk", "b.co.uk"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
        ] {
            assert_eq!(site(host), expected);
        }
    }

    #[test]
    fn domains_are_written_as_urls_write_them() {
        for (domain, expected) in [
            ("Example.COM", Some("example.com")),
            (".example.com", Some("example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("[::1]", Some("::1")),
            ("0:0::1", Some("::1")),
            ("127.1", Some("127.0.0.1")),
            ("", None),
            ("a b", None),
            ("a/b", None),
        ] {
            assert_eq!(canonical(domain).as_deref(), expected, "{domain}");
        }
    }
}
