//! Tunnels through proxies that do anything: CONNECT and SOCKS5, cut, refused, malformed, stalled.

use std::net::SocketAddr;

use crate::harness::{Ca, Dir, Output, noise};
use crate::server::{Client, H2Server, ProxyServer, Server};

fn origin() -> Server {
    Server::serving("/a", noise(300_000))
}

/// Asks for a tunnel to some host, with one try, and gives what came of it.
fn refused(serve: impl Fn(&mut Client<'_>) + Send + Sync + 'static) -> Output {
    let proxy = ProxyServer::start(serve);
    asked(&proxy, "http", "-t 0 --connect-timeout 500ms")
}

fn asked(proxy: &ProxyServer, scheme: &str, flags: &str) -> Output {
    let dir = Dir::new();
    let url = proxy.url(scheme, "me:hunter2");
    let gannet = dir.gannet().flags(flags).args(["-p", &url, "-k"]);
    let out = gannet.arg("https://some.host.test/a").run();
    out.never_says("hunter2");
    if out.exit_code() != Some(0) {
        out.complains(&format!("the proxy {scheme}://{}", proxy.address()));
        dir.assert_names(&[]);
    }
    out
}

#[test]
fn a_refusal_names_the_proxy_and_the_status() {
    for (status, code, tries) in [(403, 4, 1), (407, 6, 1), (502, 4, 2), (302, 4, 1)] {
        let proxy = ProxyServer::start(move |client| {
            client.read_head();
            let head = format!(
                "HTTP/1.1 {status} No\r\nLocation: http://a/\r\nContent-Length: 5\r\n\r\nsorry"
            );
            client.write(head);
        });
        let out = asked(&proxy, "http", "-t 1 --retry-delay 1ms");
        out.code(code).complains(&format!("status {status}"));
        assert_eq!(out.failure().tries, tries, "{out}");
        let login = "Proxy-Authorization: Basic bWU6aHVudGVyMg==\r\n";
        assert!(proxy.heads()[0].contains(login), "{:?}", proxy.heads());
    }
}

#[test]
fn an_answer_that_is_cut_is_a_network_failure() {
    for head in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n\r",
    ] {
        let out = refused(move |client| {
            client.read_head();
            client.write(head);
        });
        out.code(4)
            .complains("closed the connection before its response was complete");
    }
}

#[test]
fn an_answer_that_is_not_http_is_malformed() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\x05\x00",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
    ] {
        refused(move |client| {
            client.read_head();
            client.write(answer);
            client.stall();
        })
        .code(7)
        .complains("malformed response");
    }
}

#[test]
fn an_endless_answer_is_given_up() {
    let out = refused(|client| {
        client.read_head();
        client.write("HTTP/1.1 200 OK\r\nX: ");
        for _ in 0..64 {
            client.write([b'a'; 8192]);
        }
        client.stall();
    });
    out.code(7).complains("response head over 256 KiB");
    let out = refused(|client| {
        client.read_head();
        for _ in 0..1000 {
            client.write("HTTP/1.1 100 Continue\r\n\r\n");
        }
        client.stall();
    });
    out.code(7).complains("too many interim responses");
}

#[test]
fn a_proxy_that_says_nothing_is_a_timeout_that_says_so() {
    let silent = |client: &mut Client<'_>| client.stall();
    for scheme in ["http", "socks5h"] {
        let proxy = ProxyServer::start(silent);
        let out = asked(&proxy, scheme, "-t 0 --connect-timeout 200ms");
        out.code(28)
            .complains("connecting through the proxy timed out");
    }
    // Half an answer is no better.
    refused(|client| {
        client.read_head();
        client.write("HTTP/1.1 200 OK\r\n");
        client.stall();
    })
    .code(28);
}

/// Fetches `url` through a proxy, and compares.
fn arrives(proxy: &ProxyServer, scheme: &str, url: &str, flags: &str, body: &[u8]) {
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 -k -o a").flags(flags);
    let gannet = gannet.args(["-p", &proxy.url(scheme, "")]);
    gannet.arg(url).run().ok();
    dir.assert_file("a", body);
}

#[test]
fn an_answer_may_come_in_any_pieces_and_with_anything_before_it() {
    let ca = Ca::new();
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(noise(300_000));
    });
    let address = origin.address();
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\n\r\n",
        "HTTP/1.1 204 No Content\n\n",
    ] {
        let proxy = ProxyServer::start(move |client| {
            client.read_head();
            client.drip(head);
            client.relay(address);
        });
        arrives(&proxy, "http", &origin.url("/a"), "", &noise(300_000));
    }
}

#[test]
fn bytes_right_behind_the_answer_are_the_origin_s() {
    // A server of HTTP/2 may speak first: its settings come along with the proxy's answer.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ANSWER: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\x01\0\0\0\x01hello";
    for scheme in ["http", "socks5h"] {
        let proxy = ProxyServer::start(move |client| {
            if scheme == "http" {
                client.read_head();
                client.write([b"HTTP/1.1 200 OK\r\n\r\n", &SETTINGS[..]].concat());
            } else {
                client.socks_request();
                client.write([b"\x05\0\0\x01\0\0\0\0\0\0", &SETTINGS[..]].concat());
            }
            // The preface, then the client's frames up to its request.
            client.read(24);
            loop {
                let head = client.read(9);
                let [a, b, c, kind, ..] = head[..] else {
                    return;
                };
                client.read(u32::from_be_bytes([0, a, b, c]) as usize);
                if kind == 1 {
                    break;
                }
            }
            client.write(ANSWER);
            client.stall();
        });
        arrives(
            &proxy,
            scheme,
            "http://some.host.test/a",
            "--http2",
            b"hello",
        );
    }
}

#[test]
fn an_answer_to_nothing_behind_a_socks_reply_does_not_hang() {
    let proxy = ProxyServer::start(|client| {
        client.socks_request();
        client.write(b"\x05\0\0\x01\0\0\0\0\0\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
        client.stall();
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 --stall-timeout 5s");
    let gannet = gannet.args(["-p", &proxy.url("socks5h", "")]);
    let out = gannet.arg("http://some.host.test/a").run();
    assert!(out.exit_code() != Some(28), "{out}");
}

#[test]
fn http_2_is_agreed_on_within_the_tunnel() {
    let ca = Ca::new();
    let origin = H2Server::start_tls(&ca.issue().config(), |talk| {
        talk.greet(&[]);
        talk.answer_all(&noise(60_000));
    });
    let address: SocketAddr = origin.address();
    for scheme in ["http", "socks5h"] {
        let proxy = ProxyServer::start(move |client| match scheme {
            "http" => client.tunnel(address),
            _ => client.socks(address),
        });
        arrives(&proxy, scheme, &origin.url("/a"), "--http2", &noise(60_000));
    }
}

#[test]
fn a_login_never_goes_through_the_tunnel() {
    let ca = Ca::new();
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(b"1");
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.tunnel(address));
    let dir = Dir::new();
    dir.gannet()
        .args(["-k", "-p", &proxy.url("http", "me:hunter2")])
        .args(["-H", "Proxy-Authorization: Basic hunter3"])
        .arg(origin.url("/a"))
        .run()
        .ok();
    assert_eq!(origin.request("/a").header("proxy-authorization"), None);
    let heads = proxy.heads();
    assert!(heads[0].contains("Basic bWU6aHVudGVyMg=="), "{heads:?}");
}

#[test]
fn a_socks_reply_is_told_in_words() {
    for (reply, words, code) in [
        (1, "general failure", 4),
        (2, "its rules do not allow it", 4),
        (3, "the network is unreachable", 4),
        (4, "the host is unreachable", 4),
        (5, "the host refused the connection", 4),
        (6, "the time to live ran out", 4),
        (7, "it does not know the command", 4),
        (8, "it does not know that kind of address", 4),
        (99, "SOCKS reply 99", 4),
    ] {
        let proxy = ProxyServer::start(move |client| {
            client.socks_request();
            client.write([5, reply, 0, 1]);
        });
        let out = asked(&proxy, "socks5h", "-t 1 --retry-delay 1ms");
        out.code(code).complains(words);
        let tries = if [2, 7, 8].contains(&reply) { 1 } else { 2 };
        assert_eq!(out.failure().tries, tries, "{out}");
    }
}

#[test]
fn what_is_not_socks5_is_malformed() {
    for answer in [
        &b"\x04\0"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x05\x03",
    ] {
        let proxy = ProxyServer::start(move |client| {
            client.read(2);
            client.write(answer);
            client.stall();
        });
        let out = asked(
            &proxy,
            "socks5",
            "-t 0 --resolve some.host.test:443:127.0.0.1",
        );
        out.code(7).complains("not SOCKS5");
    }
    let proxy = ProxyServer::start(|client| {
        client.socks_request();
        client.write([5, 0, 0, 9]);
    });
    asked(&proxy, "socks5h", "-t 0").code(7);
}

#[test]
fn a_socks_proxy_that_wants_another_login_is_not_asked_twice() {
    let proxy = ProxyServer::start(|client| {
        client.read(4);
        client.write([5, 0xff]);
    });
    let out = asked(&proxy, "socks5h", "-t 3");
    out.code(6).complains("does not accept the login");
    assert_eq!(out.failure().tries, 1, "{out}");
    let proxy = ProxyServer::start(|client| {
        client.read(4);
        client.drip([5, 2]);
        client.read(12);
        client.drip([1, 1]);
    });
    asked(&proxy, "socks5h", "-t 3").code(6);
    assert_eq!(proxy.heard()[1], b"\x01\x02me\x07hunter2");
}

#[test]
fn names_are_looked_up_here_or_by_the_proxy_as_the_scheme_says() {
    let origin = origin();
    let address = origin.address();
    let url = origin.url_as("http", "some.host.test", "/a");
    let resolve = format!("--resolve some.host.test:{}:127.0.0.1", origin.port());
    let port = origin.port().to_be_bytes();
    let named = [&b"\x05\x01\0\x03\x0esome.host.test"[..], &port].concat();
    let numbered = [&b"\x05\x01\0\x01\x7f\0\0\x01"[..], &port].concat();
    for (scheme, wanted) in [("socks5h", named), ("socks5", numbered)] {
        let proxy = ProxyServer::start(move |client| client.socks(address));
        arrives(&proxy, scheme, &url, &resolve, &noise(300_000));
        // The greeting is heard in two parts.
        assert_eq!(proxy.heard()[2..].concat(), wanted, "{scheme}");
    }
}

#[test]
fn a_proxy_that_cannot_reach_one_address_is_told_the_next() {
    let origin = origin();
    let address = origin.address();
    let url = origin.url_as("http", "some.host.test", "/a");
    let resolve = format!("--resolve some.host.test:{}:::1,127.0.0.1", origin.port());
    let proxy = ProxyServer::start(move |client| {
        let request = client.socks_request();
        if request.get(3) == Some(&4) {
            client.write([5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
            return;
        }
        client.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        client.relay(address);
    });
    arrives(&proxy, "socks5", &url, &resolve, &noise(300_000));
    // Those of the family asked for, and no others.
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 -p").arg(proxy.url("socks5", ""));
    let out = gannet.flags(&resolve).arg("-6").arg(&url).run();
    out.code(4);
}

#[test]
fn a_tunnel_that_dies_while_idle_is_replaced_without_anyone_noticing() {
    let ca = Ca::new();
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        s.stale_after(1);
        for name in ["/a", "/b", "/c"] {
            s.get(name).body(name);
        }
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.tunnel(address));
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 -j 1 -k -p");
    gannet
        .arg(proxy.url("http", ""))
        .args(["/a", "/b", "/c"].map(|name| origin.url(name)))
        .run()
        .ok();
    assert_eq!(proxy.heads().len(), 3);
}

#[test]
fn many_rows_of_a_host_that_the_proxy_cannot_reach_end_together() {
    let proxy = ProxyServer::start(|client| {
        client.read_head();
        client.write("HTTP/1.1 504 Gateway Timeout\r\n\r\n");
    });
    let dir = Dir::new();
    let list: String = (0..300)
        .map(|at| format!("https://some.host.test/{at}\n"))
        .collect();
    let gannet = dir.gannet().flags("-t 0 -i - -p").input(list);
    let out = gannet.arg(proxy.url("http", "")).run();
    out.code(4);
    assert_eq!(out.failures().len(), 300);
    let asked = proxy.heads().len();
    assert!(asked < 300, "{asked} tunnels were asked for");
}

#[test]
fn a_tunnel_is_made_to_who_stands_in_for_the_origin() {
    let origin = origin();
    let address = origin.address();
    let dir = Dir::new();
    for (scheme, wanted) in [
        (
            "http",
            &b"CONNECT b.test:81 HTTP/1.1\r\nHost: b.test:81\r\n\r\n"[..],
        ),
        ("socks5h", b"\x05\x01\0\x03\x06b.test\0\x51"),
    ] {
        let proxy = ProxyServer::start(move |client| match scheme {
            "http" => client.tunnel(address),
            _ => client.socks(address),
        });
        let gannet = dir.gannet().flags("--connect-to a.test:80:b.test:81 -p");
        let gannet = gannet
            .arg(proxy.url(scheme, ""))
            .flags("--exists overwrite");
        gannet.arg("http://a.test/a").run().ok();
        dir.assert_file("a", noise(300_000));
        assert!(proxy.heard().concat().ends_with(wanted), "{scheme}");
    }
    let hosts = origin.requests();
    assert!(
        hosts
            .iter()
            .all(|request| request.header("host") == Some("a.test"))
    );
}

#[test]
fn a_certificate_within_the_tunnel_is_the_origin_s() {
    let (ca, other) = (Ca::new(), Ca::new());
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(b"1");
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.tunnel(address));
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 --cacert").arg(other.write(&dir));
    let gannet = gannet.args(["-p", &proxy.url("http", "")]);
    let out = gannet.arg(origin.url("/a")).run();
    out.code(5).complains("certificate not accepted: its ");
}

#[test]
fn a_proxy_is_tried_by_all_its_addresses() {
    let origin = origin();
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.socks(address));
    let port = proxy.address().port();
    let resolve = format!("--resolve a.proxy.test:{port}:::1,127.0.0.2,127.0.0.1");
    let dir = Dir::new();
    dir.gannet()
        .flags(&resolve)
        .args(["-p", &format!("socks5h://a.proxy.test:{port}")])
        .arg(origin.url("/a"))
        .run()
        .ok();
}
