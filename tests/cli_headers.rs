//! What a request says, and how the command line changes it.

use crate::harness::{Ca, Dir};
use crate::server::{H2Server, Request, Server};

/// The request that these flags make.
fn sent(flags: &[&str]) -> (Request, Server) {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.gannet().args(flags).arg(server.url("/a")).run().ok();
    (server.request("/a"), server)
}

fn count(request: &Request, name: &str) -> usize {
    request
        .headers
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .count()
}

#[test]
fn a_plain_request_names_host_and_agent_and_offers_no_coding() {
    let (request, server) = sent(&[]);
    assert_eq!(
        request.header("host"),
        Some(server.address().to_string().as_str())
    );
    assert!(
        request
            .header("user-agent")
            .is_some_and(|agent| agent.starts_with("gannet/")),
        "{request:?}"
    );
    assert!(
        request
            .header("accept-encoding")
            .is_none_or(|coding| coding == "identity"),
        "{request:?}"
    );
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("range"), None);
    assert_eq!(count(&request, "host"), 1);
}

#[test]
fn headers_are_added() {
    for flag in ["-H", "--header"] {
        let (request, _) = sent(&[flag, "X-One: 1", flag, "X-Two:2", flag, "X-One: again"]);
        assert_eq!(request.header("x-one"), Some("1"));
        assert_eq!(request.header("x-two"), Some("2"));
        assert_eq!(count(&request, "x-one"), 2);
    }
}

#[test]
fn a_header_given_replaces_the_default() {
    let (request, _) = sent(&[
        "-H",
        "Host: other.example",
        "-H",
        "accept: text/plain",
        "-H",
        "User-Agent: mine",
    ]);
    assert_eq!(request.header("host"), Some("other.example"));
    assert_eq!(request.header("accept"), Some("text/plain"));
    assert_eq!(request.header("user-agent"), Some("mine"));
    for name in ["host", "accept", "user-agent"] {
        assert_eq!(count(&request, name), 1, "{name}: {request:?}");
    }
}

/// Servers refuse a request with two (RFC 9112 §3.2).
#[test]
fn of_several_hosts_the_first_is_sent() {
    let (request, _) = sent(&["-H", "Host:", "-H", "Host: one", "-H", "host: two"]);
    assert_eq!(request.header("host"), Some("one"));
    assert_eq!(count(&request, "host"), 1, "{request:?}");
}

#[test]
fn a_header_without_a_value_removes_the_default() {
    let (request, _) = sent(&["-H", "User-Agent:", "-H", "Accept:"]);
    assert_eq!(request.header("user-agent"), None);
    assert_eq!(request.header("accept"), None);
}

#[test]
fn the_agent_can_be_named() {
    for flag in ["-U", "-A", "--user-agent"] {
        assert_eq!(
            sent(&[flag, "tern/2"]).0.header("user-agent"),
            Some("tern/2")
        );
    }
}

#[test]
fn the_referer_can_be_named() {
    assert_eq!(
        sent(&["--referer", "http://x.example/"])
            .0
            .header("referer"),
        Some("http://x.example/")
    );
}

#[test]
fn a_user_without_a_password_has_an_empty_one() {
    assert_eq!(
        sent(&["-u", "user"]).0.header("authorization"),
        Some("Basic dXNlcjo=")
    );
    assert_eq!(
        sent(&["-u", "user:a:b"]).0.header("authorization"),
        Some("Basic dXNlcjphOmI=")
    );
}

#[test]
fn a_header_that_would_break_the_request_is_a_usage_error() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    for header in [
        "no colon",
        ": nameless",
        "X: 1\r\nEvil: 2",
        "X: 1\nEvil: 2",
        "Bad Name: 1",
        "X\r\nY: 1",
        "Content-Length: 5",
        "transfer-encoding: chunked",
    ] {
        dir.gannet()
            .args(["-H", header])
            .arg(server.url("/a"))
            .run()
            .code(2);
    }
    dir.gannet()
        .args(["-A", "x\r\nEvil: 1"])
        .arg(server.url("/a"))
        .run()
        .code(2);
    dir.gannet()
        .args(["--referer", "x\r\nEvil: 1"])
        .arg(server.url("/a"))
        .run()
        .code(2);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_row_whose_header_would_break_the_request_is_refused() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let out = dir.fetch_list(
        "",
        format!("{}\n  header=X: 1\rEvil: 2\n", server.url("/a")),
    );
    assert_ne!(out.exit_code(), Some(0), "{out}");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("evil").is_none())
    );
}

#[test]
fn a_url_is_sent_in_the_form_that_the_wire_allows() {
    let server = Server::serving("/a%20b/%C3%A9", b"1");
    let dir = Dir::new();
    dir.fetch("", server.url("/a b/é")).ok();
    assert_eq!(server.paths(), ["/a%20b/%C3%A9"]);
}

#[test]
fn the_http_version_can_be_insisted_on() {
    let ca = Ca::new();
    let server = H2Server::start_tls(&ca.issue().config(), |talk| {
        if talk.is_http2() {
            talk.greet(&[]);
            talk.answer_all(b"HTTP/2");
        } else {
            talk.answer_all_in_http1("HTTP/1.1");
        }
    });
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    for (flags, version) in [
        ("", "HTTP/2"),
        ("--http2", "HTTP/2"),
        ("--http1.1", "HTTP/1.1"),
    ] {
        let gannet = dir.gannet().flags("-t 0 -o - --cacert").arg(&cacert);
        let out = gannet.flags(flags).arg(server.url("/a")).run();
        assert_eq!(out.ok().stdout(), version, "{flags:?}");
    }
}
