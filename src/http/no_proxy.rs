//! [`NoProxy`]: the hosts that are reached without a proxy, as `no_proxy` lists them.

use std::net::IpAddr;

use url::Host;

use super::origin::Origin;

/// A list of hosts, with the syntax of curl and wget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Rule>);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    /// If set, the rule applies to this port only.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A domain and its subdomains.
    Domain(String),
    /// A network: an address and the length of its prefix in bits.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Parses entries separated by commas or whitespace. A name, with or without a leading dot, matches itself and
    /// its subdomains. An address may have a prefix length (`10.0.0.0/8`); every other entry may have a port. `*`
    /// matches everything. An invalid entry matches nothing, as in curl.
    pub fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(rule).collect())
    }

    /// Whether an origin is reached without a proxy.
    pub fn has(&self, origin: &Origin) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = origin.ip();
        self.0.iter().any(|rule| {
            let is_host = match (&rule.hosts, address) {
                (Hosts::All, _) => true,
                (Hosts::Network(network, bits), Some(address)) => {
                    first_bits(*network, *bits) == first_bits(address, *bits)
                }
                (Hosts::Domain(domain), None) => is_below(&origin.host, domain),
                _ => false,
            };
            is_host && rule.port.is_none_or(|port| port == origin.port)
        })
    }
}

impl Hosts {
    fn on_any_port(self) -> Rule {
        Rule {
            hosts: self,
            port: None,
        }
    }
}

fn rule(entry: &str) -> Option<Rule> {
    if entry.is_empty() {
        return None;
    }
    if entry == "*" {
        return Some(Hosts::All.on_any_port());
    }
    if let Some((address, bits)) = entry.split_once('/') {
        let address: IpAddr = bare(address).parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
        return Some(Hosts::Network(address, bits).on_any_port());
    }
    if let Ok(address) = bare(entry).parse() {
        return Some(Hosts::Network(address, width(address)).on_any_port());
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let host = host.strip_prefix('*').unwrap_or(host);
    let host = host.strip_prefix('.').unwrap_or(host);
    let hosts = match Host::parse(host).ok()? {
        Host::Domain(name) => Hosts::Domain(name.trim_end_matches('.').to_owned()),
        Host::Ipv4(address) => Hosts::Network(address.into(), 32),
        Host::Ipv6(address) => Hosts::Network(address.into(), 128),
    };
    Some(Rule { hosts, port })
}

/// An address without its brackets.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('[');
    inner
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text)
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The family of an address and its first `bits` bits, shifted to the right.
fn first_bits(address: IpAddr, bits: u32) -> (bool, u128) {
    let value = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let rest = width(address).saturating_sub(bits);
    (address.is_ipv4(), value.checked_shr(rest).unwrap_or(0))
}

/// Whether a name is `domain` or one of its subdomains.
fn is_below(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.');
    let rest = name.strip_suffix(domain);
    !domain.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::Url;

    fn has(list: &str, url: &str) -> bool {
        NoProxy::parse(list).has(&Origin::of(&Url::parse(url).unwrap()).unwrap())
    }

    #[test]
    fn a_name_is_for_itself_and_what_is_below_it() {
        for list in [
            "example.com",
            ".example.com",
            "*.example.com",
            "EXAMPLE.com.",
            "a, example.com",
            "a example.com\tb",
            "a,,example.com,",
        ] {
            for url in [
                "http://example.com/",
                "https://www.example.com:8443/",
                "http://a.b.example.com./",
            ] {
                assert!(has(list, url), "{list} {url}");
            }
            for url in [
                "http://notexample.com/",
                "http://example.com.evil.test/",
                "http://com/",
                "http://127.0.0.1/",
            ] {
                assert!(!has(list, url), "{list} {url}");
            }
        }
        assert!(has("bücher.example", "http://xn--bcher-kva.example/"));
    }

    #[test]
    fn an_asterisk_is_for_all_and_nothing_for_nobody() {
        for url in ["http://example.com/", "http://[::1]/", "http://10.0.0.1/"] {
            assert!(has("*", url) && has("a, *", url), "{url}");
            assert!(!has("", url) && !has(" , ", url), "{url}");
        }
    }

    #[test]
    fn addresses_and_networks_are_for_literal_addresses() {
        for (list, inside, outside) in [
            ("127.0.0.1", "http://127.1/", "http://127.0.0.2/"),
            ("10.0.0.0/8", "http://10.200.3.4/", "http://11.0.0.1/"),
            (
                "192.168.1.77/24",
                "http://192.168.1.1/",
                "http://192.168.2.1/",
            ),
            ("0.0.0.0/0", "http://8.8.8.8/", "http://[::1]/"),
            ("::1", "http://[::1]/", "http://[::2]/"),
            ("[::1]", "http://[::1]:81/", "http://127.0.0.1/"),
            ("fd00::/8", "http://[fd12::1]/", "http://[fe80::1]/"),
            ("::/0", "http://[fe80::1]/", "http://127.0.0.1/"),
        ] {
            assert!(has(list, inside), "{list} {inside}");
            assert!(!has(list, outside), "{list} {outside}");
            assert!(!has(list, "http://example.com/"), "{list}");
        }
    }

    #[test]
    fn a_port_is_for_that_port() {
        assert!(has("example.com:8080", "http://www.example.com:8080/"));
        assert!(!has("example.com:8080", "http://www.example.com/"));
        assert!(has("[::1]:80", "http://[::1]/"));
        assert!(!has("127.0.0.1:81", "http://127.0.0.1/"));
    }

    #[test]
    fn what_is_no_host_matches_nothing() {
        for list in [
            "10.0.0.0/33",
            "::/129",
            "10/8",
            "a/b",
            "a:b",
            "<local>",
            ".",
            "*.",
            "1.2.3.4/-1",
        ] {
            assert!(!has(list, "http://10.0.0.1/"), "{list}");
            assert!(!has(list, "http://a/"), "{list}");
        }
    }

    proptest! {
        #[test]
        fn any_list_can_be_read(list in "[ ,.:/*a-f0-9\\[\\]é]{0,40}") {
            let rules = NoProxy::parse(&list);
            prop_assert!(rules.0.len() <= list.len() + 1);
            for url in ["http://a.b/", "http://10.0.0.1/", "http://[fd00::1]:81/"] {
                rules.has(&Origin::of(&Url::parse(url).unwrap()).unwrap());
            }
        }
    }
}
