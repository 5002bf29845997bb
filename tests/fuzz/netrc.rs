//! netrc files (`http::Netrc`): the same logins however lines end, each for the host that is named;
//! what cannot be understood is named by a line that there is, and not repeated.

use gannet::http::{Credentials, Netrc};

/// Takes a file.
pub fn run(bytes: &[u8]) {
    let netrc = match Netrc::parse(bytes) {
        Ok(netrc) => netrc,
        Err(error) => {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            assert!((1..=lines).contains(&error.line), "{error:?}");
            assert!(error.to_string().len() < 100, "{error}");
            return;
        }
    };
    assert_eq!(format!("{netrc:?}"), "Netrc(***)");
    let hosts = ["h", "i", "example.org", "example.com", "::1", "nowhere"];
    for host in hosts {
        let given = netrc.of_host(host);
        if let Some(named) = netrc.named(host) {
            assert_eq!(given, Some(named));
        }
        let user = Credentials::parse("u");
        let (before, after) = (user.basic(), netrc.complete(host, user).basic());
        assert!(after.len() >= before.len(), "it keeps its user");
    }
    // A file with its lines ended in the other way says the same. A carriage return may stand in quotes.
    if !bytes.contains(&b'\r') {
        let text = bytes.split(|&byte| byte == b'\n');
        let other = text.collect::<Vec<_>>().join(&b"\r\n"[..]);
        let other = Netrc::parse(&other).expect("the same words");
        for host in hosts {
            assert_eq!(other.of_host(host), netrc.of_host(host));
        }
    }
}
