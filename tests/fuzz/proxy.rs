//! URLs of proxies and lists of hosts without one (`http::Proxy`, `http::NoProxy`): what is shown of
//! a proxy names the same one, without its login; a list has the hosts that stand in it.

use gannet::http::{NoProxy, Origin, Proxy, Scheme};

/// Takes the value of a variable.
pub fn run(value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    let list = NoProxy::parse(&text);
    let Ok(proxy) = text.parse::<Proxy>() else {
        return;
    };
    let shown = proxy.to_string();
    let same = Proxy {
        credentials: None,
        ..proxy.clone()
    };
    assert_eq!(shown.parse::<Proxy>().as_ref(), Ok(&same));
    let origin = Origin {
        zone: None,
        scheme: Scheme::Http,
        host: proxy.host,
        port: proxy.port,
    };
    list.has(&origin);
    let is_plain = !origin.host.contains([',', '*']);
    if is_plain && origin.host.contains(|c: char| c.is_ascii_alphanumeric()) {
        for entry in [origin.host.clone(), origin.authority()] {
            assert!(NoProxy::parse(&entry).has(&origin), "{entry}");
        }
    }
}
