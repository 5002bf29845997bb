//! Zones of link-local addresses (RFC 6874): `http://[fe80::1%25eth0]/`.
//!
//! A [`Url`] has no zones, so the fragment, which is never sent, has it as the parameter `zone-id`.

use std::io;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use url::{Host, Url};

use super::url_parameter;

/// The parameter of the fragment.
const KEY: &str = "zone-id=";

/// Takes the zone out of a URL. Returns the rest of the text, and the zone. A percent sign that is not encoded is taken
/// too, as by curl.
pub(crate) fn split(text: &str) -> Option<(String, &str)> {
    let start = text.find("://").map_or(0, |colon| colon + 3);
    let authority = text[start..].split(['/', '\\', '?', '#']).next()?;
    let literal = &authority[authority.rfind('[')?..];
    let literal = &literal[..literal.find(']')?];
    let (address, zone) = literal.split_once('%')?;
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    is_zone(zone).then(|| (text.replacen(literal, address, 1), zone))
}

/// The zone of the host of a URL.
pub(crate) fn of(url: &Url) -> Option<&str> {
    let Some(Host::Ipv6(_)) = url.host() else {
        return None;
    };
    url_parameter::get(url, KEY).filter(|zone| is_zone(zone))
}

/// Adds the zone of the host to a URL.
pub(crate) fn keep(url: &mut Url, zone: &str) {
    if of(url).is_none() {
        url_parameter::add(url, KEY, zone);
    }
}

/// The scope of a zone: a number, or the index of the interface of that name.
///
/// # Errors
/// There is no interface of that name.
pub(crate) fn scope(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    Ok(name_to_index(any, zone)?)
}

fn is_zone(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_taken_out_of_the_address_only() {
        for (text, rest, zone) in [
            ("http://[fe80::1%25eth0]/a", "http://[fe80::1]/a", "eth0"),
            (
                "http://u:p@[fe80::1%252]:81/",
                "http://u:p@[fe80::1]:81/",
                "2",
            ),
            ("[fe80::1%en0.1]:81/x", "[fe80::1]:81/x", "en0.1"),
        ] {
            assert_eq!(split(text), Some((rest.to_owned(), zone)));
        }
        for text in [
            "http://[fe80::1]/[a%25b]",
            "http://[fe80::1%25]/",
            "http://[fe80::1%25a/b]/",
            "http://h/a%25b",
            "http://h%25x/",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn a_scope_is_a_number_or_an_interface() {
        assert_eq!(scope("7").unwrap(), 7);
        assert!(scope("lo").unwrap() > 0);
        assert!(scope("nowhere0").is_err());
    }

    #[test]
    fn only_ipv6_addresses_have_zones() {
        for (url, zone) in [
            ("http://[fe80::1]/#zone-id=eth0", Some("eth0")),
            ("http://[fe80::1]/#sha256=0&zone-id=2", Some("2")),
            ("http://[fe80::1]/#zone-id=a%20b", None),
            ("http://h/#zone-id=eth0", None),
            ("http://[fe80::1]/", None),
        ] {
            assert_eq!(of(&Url::parse(url).unwrap()), zone, "{url}");
        }
    }
}
