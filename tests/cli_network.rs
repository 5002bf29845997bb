//! Hosts and ports: dead, unknown, closing; --resolve; the two families.

use std::os::unix::net::UnixListener;

use crate::harness::{Ca, Dir, noise};
use crate::server::{FullQueue, H2Server, Port, Server, UnixRelay};

#[test]
fn connections_use_the_interface_or_the_address_that_is_given() {
    let server = Server::serving("/a", b"1");
    for (name, code, words) in [
        ("lo", 0, ""),
        ("127.0.0.2", 0, ""),
        ("nowhere0", 4, "No such device"),
        ("192.0.2.1", 4, "Cannot assign requested address"),
    ] {
        let dir = Dir::new();
        let out = dir.fetch(&format!("-t 0 --interface {name}"), server.url("/a"));
        out.code(code);
        assert!(out.stderr().contains(words), "{out}");
    }
}

#[test]
fn an_address_with_a_zone_connects_and_the_zone_is_not_sent() {
    let server = Server::start_ipv6(|s| {
        s.get("/a").body(b"1");
    });
    let port = server.port();
    let dir = Dir::new();
    dir.fetch("", format!("http://[::1%25lo]:{port}/a")).ok();
    let request = server.request("/a");
    assert_eq!(request.header("Host"), Some(&*format!("[::1]:{port}")));
    let out = dir.fetch("-t 0", format!("http://[::1%25nowhere0]:{port}/a"));
    out.code(4).complains("No such device");
}

#[test]
fn connections_lead_to_the_unix_socket_that_is_given() {
    let body = noise(5_000_000);
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").redirect(302, "http://other.test/c");
        s.get("/c").body(b"c");
        s.get("/cut").body(&body).ranges().tagged();
        s.get("/big").body(&body).ranges().tagged();
    });
    let dir = Dir::new();
    let relay = UnixRelay::start(&dir.join("socket"), server.address());
    for (flags, url) in [
        ("", "http://example.test:8080/a"),
        ("--interface lo", "http://example.test/a"),
        // None of them has a say.
        ("-p http://127.0.0.1:1", "http://example.test/a"),
        ("-p socks5://127.0.0.1:1", "http://example.test/a"),
        ("--connect-to ::127.0.0.1:1", "http://example.test/a"),
        (
            "--resolve example.test:80:127.0.0.1 -6",
            "http://example.test/a",
        ),
        ("", "http://example.test/b"),
        ("-s 4 --min-split 1M", "http://example.test/big"),
    ] {
        let before = relay.connections();
        let flags = format!("-t 0 --exists overwrite --unix-socket socket {flags}");
        let gannet = dir.gannet().env("http_proxy", "http://127.0.0.1:1");
        let out = gannet.flags(&flags).arg(url).run();
        if flags.contains("interface") {
            out.code(2).complains("--interface");
        } else {
            out.ok();
            assert!(relay.connections() > before, "{out}");
        }
    }
    let requests = server.requests();
    assert_eq!(requests[0].header("Host"), Some("example.test:8080"));
    let other = requests.iter().find(|request| request.path() == "/c");
    assert_eq!(
        other.and_then(|request| request.header("Host")),
        Some("other.test")
    );
    let segments = requests.iter().filter(|request| request.path() == "/big");
    assert!(segments.count() > 1);
    dir.assert_file("big", &body);

    // The rest of a file comes over it too.
    dir.write("cut", &body[..1_000_000]);
    let out = dir.fetch("-c --unix-socket socket -v", "http://example.test/cut");
    out.ok().traces('*', "connected to socket");
    assert_eq!(
        server.request("/cut").header("Range"),
        Some("bytes=1000000-")
    );
    dir.assert_file("cut", &body);
}

#[test]
fn tls_and_http2_work_over_a_unix_socket() {
    let ca = Ca::new();
    let dir = Dir::new();
    ca.write(&dir);
    let leaf = ca.issue_for(&["example.test"]);
    let server = H2Server::start_tls(&leaf.config(), |talk| {
        talk.greet(&[]);
        talk.answer_all(b"hello");
    });
    let relay = UnixRelay::start(&dir.join("tls"), server.address());
    let flags = "-t 0 --cacert ca.pem --unix-socket tls";
    dir.fetch(flags, "https://example.test/a").ok();
    dir.assert_file("a", b"hello");
    let out = dir.fetch(flags, "https://other.test/b");
    out.code(5).complains("other.test");
    assert_eq!(relay.connections(), 2);

    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        talk.answer_all(b"hello");
    });
    let relay = UnixRelay::start(&dir.join("plain"), server.address());
    let out = dir
        .gannet()
        .flags("-j 2 --http2 --unix-socket plain -o x")
        .arg("http://example.test/c")
        .run();
    out.ok();
    assert_eq!(relay.connections(), 1);
}

#[test]
fn a_unix_socket_that_cannot_be_used_is_named() {
    let dir = Dir::new();
    dir.write("file", "");
    drop(UnixListener::bind(dir.join("dead")).expect("a socket"));
    let long = "a/".repeat(53) + "ab";
    for (path, code, words) in [
        ("gone", 4, "cannot connect: gone: No such file or directory"),
        ("file", 4, "cannot connect: file: Connection refused"),
        ("dead", 4, "cannot connect: dead: Connection refused"),
        (&long[1..], 4, "No such file or directory"),
        (&long, 2, "at most 107 bytes"),
    ] {
        let out = dir.fetch(
            &format!("-t 0 --unix-socket {path}"),
            "http://example.test/a",
        );
        out.code(code).complains(words).never_says("os error");
    }
}

#[test]
fn a_unix_socket_whose_queue_is_full_is_waited_for() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let full = FullQueue::start(&dir.join("socket"));
    let url = "http://example.test/a";
    let out = dir.fetch("-t 0 --connect-timeout 200ms --unix-socket socket", url);
    out.code(28).complains("connecting timed out");
    let running = dir.gannet().shell("exec 2>&1");
    let running = running
        .flags("-t 0 -v --unix-socket socket")
        .arg(url)
        .spawn();
    running.wait_for_line("connecting to socket");
    let _relay = full.serve(server.address());
    running.finish().ok();
    dir.assert_file("a", b"1");
}

#[test]
fn messages_have_no_numbers_of_the_system() {
    let dir = Dir::new();
    for flags in [
        &["-t", "0", "http://127.0.0.1:1/a"][..],
        &["-i", "nowhere"],
        &["--netrc=nowhere", "http://127.0.0.1:1/a"],
        &["--cookies", "nowhere", "http://127.0.0.1:1/a"],
        &["-d", "/proc/nowhere", "http://127.0.0.1:1/a"],
        &["--cacert", "nowhere", "-t", "0", "https://127.0.0.1:1/a"],
    ] {
        let out = dir.gannet().args(flags).run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        out.never_says("os error");
    }
}

#[test]
fn a_dead_port_is_a_network_failure_that_names_the_address() {
    let dead = Port::dead();
    let dir = Dir::new();
    let out = dir.fetch("-t 0", dead.url("/a"));
    out.code(4).complains(&dead.url("/a")).complains("refused");
    let failure = out.failure();
    assert_eq!(failure.tries, 1, "{out}");
    assert!(
        failure.text.starts_with(&dead.url("/a")),
        "the URL comes first: {out}"
    );
    dir.assert_names(&[]);
}

#[test]
fn a_dead_port_is_tried_again() {
    let dead = Port::dead();
    let out = Dir::new().fetch("-t 3", dead.url("/a"));
    out.code(4);
    assert_eq!(out.failure().tries, 4, "{out}");
}

#[test]
fn an_unknown_host_is_a_network_failure_that_names_it() {
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-t 0")
        .arg("http://nonexistent.invalid/a")
        .run();
    out.code(4).complains("http://nonexistent.invalid/a");
    dir.assert_names(&[]);
}

#[test]
fn an_unknown_host_does_not_hold_up_the_others() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.gannet()
        .flags("-t 0")
        .args(["http://nonexistent.invalid/b", &server.url("/a")])
        .run()
        .code(4);
    dir.assert_names(&["a"]);
}

#[test]
fn a_port_that_closes_at_once_is_a_network_failure() {
    let server = Server::start(|s| s.close_on_accept());
    let out = Dir::new().fetch("-t 2", server.url("/a"));
    out.code(4);
    assert_eq!(out.failure().tries, 3, "{out}");
    // A fresh connection that dies is a try, not something to be replaced without anyone noticing.
    assert_eq!(server.connections(), 3, "{out}");
}

#[test]
fn a_reset_in_the_body_is_a_network_failure() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(noise(100_000))
            .no_length()
            .cut_rst_at(50_000);
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 0", server.url("/a"));
    out.code(4);
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn a_host_can_be_given_its_address() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let resolve = format!("some.host.test:{}:127.0.0.1", server.port());
    dir.gannet()
        .args(["--resolve", &resolve])
        .arg(server.url_as("http", "some.host.test", "/a"))
        .run()
        .ok();
    dir.assert_file("a", b"1");
    let host = format!("some.host.test:{}", server.port());
    assert_eq!(server.request("/a").header("host"), Some(host.as_str()));
}

#[test]
fn connections_go_elsewhere_and_all_else_stays() {
    let ca = Ca::new();
    let leaf = ca.issue_for(&["some.host.test"]);
    let server = Server::start_tls(&leaf.config(), |s| {
        s.get("/a")
            .body(b"1")
            .then()
            .redirect(302, "https://other.test/a");
    });
    let rule = format!("some.host.test:443:127.0.0.1:{}", server.port());
    let dir = Dir::new();
    let gannet = || {
        let gannet = dir.gannet().flags("-t 0 --exists overwrite --cacert");
        let gannet = gannet.arg(ca.write(&dir)).args(["--connect-to", &rule]);
        gannet.arg("https://some.host.test/a")
    };
    gannet().run().ok();
    dir.assert_file("a", b"1");
    assert_eq!(server.request("/a").header("host"), Some("some.host.test"));
    // It is for that host alone, after a redirect too.
    let out = gannet()
        .arg("--resolve")
        .arg("other.test:443:127.0.0.2")
        .run();
    out.code(4).complains("[127.0.0.2:443]");
    for bad in ["x", "a:1:b", "a:0:b:1"] {
        let out = gannet().args(["--connect-to", bad]).run();
        out.code(2).complains("--connect-to");
    }
}

#[test]
fn an_address_is_for_its_host_and_port_only() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let resolve = format!("nonexistent.invalid:{}:127.0.0.1", server.port() ^ 1);
    let url = server.url_as("http", "nonexistent.invalid", "/a");
    dir.gannet()
        .args(["-t", "0", "--resolve", &resolve])
        .arg(&url)
        .run()
        .code(4);
    let resolve = format!("nonexistent2.invalid:{}:127.0.0.1", server.port());
    dir.gannet()
        .args(["-t", "0", "--resolve", &resolve])
        .arg(&url)
        .run()
        .code(4);
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_address_for_every_host_is_for_those_without_one_of_their_own() {
    let server = Server::serving("/a", b"1");
    let any = format!("*:{}:127.0.0.2", server.port());
    let own = format!("+own.invalid:{}:127.0.0.1", server.port());
    for (host, code, address) in [("own", 0, "127.0.0.1"), ("other", 4, "127.0.0.2")] {
        let dir = Dir::new();
        let gannet = dir.gannet().args(["-t", "0", "-v", "--resolve", &any]);
        let gannet = gannet.args(["--resolve", &own]);
        let url = server.url_as("http", &format!("{host}.invalid"), "/a");
        let out = gannet.arg(url).run();
        out.code(code)
            .complains(&format!("{address}:{}", server.port()));
    }
}

#[test]
fn a_bad_address_for_a_host_is_a_usage_error() {
    for resolve in [
        "",
        "host",
        "host:80",
        "host:80:",
        "host:x:127.0.0.1",
        "host:80:not-an-address",
        ":80:127.0.0.1",
    ] {
        Dir::new()
            .gannet()
            .args(["--resolve", resolve])
            .arg("http://127.0.0.1:1/")
            .run()
            .code(2);
    }
}

#[test]
fn localhost_is_resolved() {
    for host in ["localhost", "a.localhost"] {
        let server = Server::serving("/a", b"1");
        let dir = Dir::new();
        dir.fetch("-t 0", server.url_as("http", host, "/a")).ok();
        dir.assert_file("a", b"1");
    }
}

#[test]
fn ipv6_addresses_are_spoken_to() {
    let server = Server::start_ipv6(|s| {
        s.get("/a").body(b"1");
        s.get("/b").body(b"2");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.fetch("-6", server.url("/b")).ok();
    let host = format!("[::1]:{}", server.port());
    assert_eq!(server.request("/a").header("host"), Some(host.as_str()));
}

#[test]
fn one_family_can_be_insisted_on() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
        s.get("/b").body(b"2");
    });
    let dir = Dir::new();
    dir.fetch("-4", server.url_as("http", "localhost", "/a"))
        .ok();
    let out = dir.fetch("-6 -t 0", server.url("/b"));
    assert_ne!(out.exit_code(), Some(0), "{out}");
    dir.assert_names(&["a"]);

    let server = Server::start_ipv6(|s| {
        s.get("/a").body(b"1");
    });
    let out = dir.fetch("-4 -t 0 -o x", server.url("/a"));
    assert_ne!(out.exit_code(), Some(0), "{out}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_thousand_dead_rows_end_in_good_time() {
    let dead = Port::dead();
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let mut list: String = (0..1000)
        .map(|at| dead.url(&format!("/{at}")) + "\n")
        .collect();
    list += &server.url("/a");
    let out = dir.fetch_list("-t 0", list);
    out.code(4);
    assert_eq!(out.failures().len(), 1000);
    dir.assert_names(&["a"]);
}
