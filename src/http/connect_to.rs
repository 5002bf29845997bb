//! [`ConnectTo`]: a rule that redirects the connections of an origin to another host or port (`--connect-to`).
//! Requests, TLS names and credentials stay those of the origin.

use std::str::FromStr;

use url::Host;

use super::origin::Origin;

/// One rule. A missing `host` or `port` matches all origins; a missing `to_host` or `to_port` keeps the origin's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    /// The host that the rule matches, in the form of [`Origin::host`].
    host: Option<String>,
    port: Option<u16>,
    /// The host that connections go to.
    to_host: Option<String>,
    to_port: Option<u16>,
}

impl ConnectTo {
    /// The origin to connect to instead of `origin`, by the first rule that matches; `None` if it is unchanged.
    pub(crate) fn stand_in(rules: &[Self], origin: &Origin) -> Option<Origin> {
        let rule = rules.iter().find(|rule| rule.matches(origin))?;
        let stand_in = Origin {
            scheme: origin.scheme,
            host: rule.to_host.as_ref().unwrap_or(&origin.host).clone(),
            port: rule.to_port.unwrap_or(origin.port),
            zone: match rule.to_host {
                Some(_) => None,
                None => origin.zone.clone(),
            },
        };
        (stand_in != *origin).then_some(stand_in)
    }

    fn matches(&self, origin: &Origin) -> bool {
        let is_host = self.host.as_ref().is_none_or(|host| *host == origin.host);
        is_host && self.port.is_none_or(|port| port == origin.port)
    }
}

/// Parses `HOST1:PORT1:HOST2:PORT2`, the syntax of curl: each part may be empty, and IPv6 addresses are in brackets.
impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, rest) = host(text)?;
        let (own_port, rest) = rest.split_once(':').ok_or(SHAPE)?;
        let (to_host, rest) = self::host(rest)?;
        Ok(Self {
            host,
            port: port(own_port)?,
            to_host,
            to_port: port(rest)?,
        })
    }
}

const SHAPE: &str = "not of the form HOST1:PORT1:HOST2:PORT2";

/// The host at the start, if it is not empty, and the text after its colon.
fn host(text: &str) -> Result<(Option<String>, &str), String> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(SHAPE)? + 2,
        None => text.find(':').ok_or(SHAPE)?,
    };
    let (name, rest) = text.split_at(end);
    let rest = rest.strip_prefix(':').ok_or(SHAPE)?;
    if name.is_empty() {
        return Ok((None, rest));
    }
    let host = Host::parse(name).map_err(|error| format!("host '{name}': {error}"))?;
    let host = match host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok((Some(host), rest))
}

fn port(text: &str) -> Result<Option<u16>, String> {
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(port @ 1..) => Ok(Some(port)),
        _ => Err("a port is not a number from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn stand_in(rules: &[&str], url: &str) -> Option<String> {
        let rules = rules.iter().map(|rule| rule.parse().unwrap());
        let rules: Vec<ConnectTo> = rules.collect();
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        ConnectTo::stand_in(&rules, &origin).map(|stand_in| stand_in.host_and_port())
    }

    #[test]
    fn what_a_rule_leaves_open_is_any_or_the_origin_s_own() {
        for (rule, url, wanted) in [
            ("a.test:80:b.test:81", "http://A.test/", Some("b.test:81")),
            ("a.test:80:b.test:81", "http://a.test:82/", None),
            ("a.test:80:b.test:81", "http://b.test/", None),
            ("a.test::b.test:", "https://a.test:82/", Some("b.test:82")),
            (":443::8443", "https://a.test/", Some("a.test:8443")),
            (":::8080", "http://[::1]/", Some("[::1]:8080")),
            ("::[::1]:1", "http://a.test/", Some("[::1]:1")),
            ("[::1]:80:127.1:1", "http://[::1]/", Some("127.0.0.1:1")),
            (":::", "http://a.test/", None),
        ] {
            assert_eq!(stand_in(&[rule], url).as_deref(), wanted, "{rule} {url}");
        }
    }

    #[test]
    fn the_first_rule_that_is_about_an_origin_counts() {
        let rules = ["a.test:80::", "::b.test:1"];
        assert_eq!(stand_in(&rules, "http://a.test/"), None);
        let other = stand_in(&rules, "http://c.test/");
        assert_eq!(other.as_deref(), Some("b.test:1"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "a",
            "a:1",
            "a:1:b",
            "a:0:b:1",
            "a:1:b:x",
            "a:1:b:70000",
            "[::1:1:b:1",
            "[::1]1:b:1",
            "a b:1:c:1",
            "a:1:b:1:c",
        ] {
            assert!(text.parse::<ConnectTo>().is_err(), "{text}");
        }
    }
}
