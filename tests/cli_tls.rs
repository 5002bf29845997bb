//! TLS: which certificates are trusted, and bodies that end without a close_notify.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::harness::{Ca, Dir, Gannet, Leaf, Output, noise};
use crate::server::{Script, Server};

/// A call of the program that trusts this certificate alone.
fn trusting(certificate: &Path, dir: &Dir) -> Gannet {
    dir.gannet().arg("--cacert").arg(certificate)
}

/// A certificate that must not be accepted: exit 5, one try, no request, no file; and `-k` accepts it.
fn refused(ca: &Ca, config: &Arc<ServerConfig>) -> Output {
    let server = Server::start_tls(config, Script::hello);
    let dir = Dir::new();
    let out = trusting(&ca.write(&dir), &dir)
        .flags("--retry-delay 1ms -d out")
        .arg(server.url("/a"))
        .run();
    out.code(5)
        .complains("certificate")
        .complains(&server.url("/a"));
    assert_eq!(out.failure().tries, 1, "{out}");
    assert_eq!(server.requests().len(), 0, "{out}");
    assert_eq!(server.connections(), 1, "{out}");
    dir.assert_names(&["ca.pem"]);
    for (flag, folder) in [("-k", "short"), ("--insecure", "long")] {
        dir.gannet()
            .args([flag, "-d", folder])
            .arg(server.url("/a"))
            .run()
            .ok();
    }
    out
}

#[test]
fn an_authority_named_by_cacert_is_trusted() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    trusting(&ca.write(&dir), &dir)
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", b"hello");
    let url = server.url_as("https", "localhost", "/a");
    dir.fetch("-o b --cacert ca.pem", url).ok();
    dir.assert_file("b", b"hello");
}

#[test]
fn an_authority_named_by_the_environment_is_trusted() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    dir.gannet()
        .env("SSL_CERT_FILE", cacert)
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", b"hello");
}

#[test]
fn an_authority_that_is_not_named_is_not_trusted() {
    let ca = Ca::new();
    refused(&Ca::new(), &ca.issue().config());
}

#[test]
fn the_system_does_not_trust_strangers() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let out = Dir::new().fetch("", server.url("/a"));
    // 5, or whatever a machine without any authorities says.
    assert!(out.exit_code().is_some_and(|code| code != 0), "{out}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_self_signed_certificate_is_refused() {
    refused(&Ca::new(), &Leaf::self_signed().config());
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let ca = Ca::new();
    refused(&ca, &ca.issue_for(&["other.example", "192.0.2.1"]).config());
}

#[test]
fn a_certificate_for_the_name_is_not_one_for_the_address() {
    let ca = Ca::new();
    refused(&ca, &ca.issue_for(&["localhost"]).config());
}

#[test]
fn an_expired_certificate_is_refused() {
    let ca = Ca::new();
    refused(&ca, &ca.issue_expired().config());
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    let ca = Ca::new();
    refused(&ca, &ca.issue_too_early().config());
}

#[test]
fn tls_1_2_is_spoken() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config_tls12(), Script::hello);
    let dir = Dir::new();
    trusting(&ca.write(&dir), &dir)
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", b"hello");
}

#[test]
fn a_large_body_arrives_whole_over_both_versions() {
    let ca = Ca::new();
    let leaf = ca.issue();
    let body = noise(3 * 1024 * 1024 + 1);
    for config in [leaf.config(), leaf.config_tls12()] {
        let server = Server::start_tls(&config, |s| {
            s.get("/a").body(&body);
            s.get("/b").body(&body).chunked(10_000);
        });
        let dir = Dir::new();
        trusting(&ca.write(&dir), &dir)
            .args([server.url("/a"), server.url("/b")])
            .run()
            .ok();
        dir.assert_file("a", &body);
        dir.assert_file("b", &body);
    }
}

#[test]
fn tls_connections_are_kept_and_used_again() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |s| {
        for at in 0..20 {
            s.get(&format!("/{at}")).body(noise(at));
        }
    });
    let dir = Dir::new();
    let urls = (0..20).map(|at| server.url(&format!("/{at}")));
    trusting(&ca.write(&dir), &dir)
        .flags("-j 2 -d out")
        .args(urls)
        .run()
        .ok();
    assert!(
        server.connections() <= 2,
        "{} connections",
        server.connections()
    );
    for at in 0..20 {
        dir.assert_file(&format!("out/{at}"), noise(at));
    }
}

#[test]
fn a_stale_tls_connection_is_replaced_without_anyone_noticing() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.stale_after(2);
        for at in 0..7 {
            s.get(&format!("/{at}")).body(noise(at));
        }
    });
    let dir = Dir::new();
    let urls = (0..7).map(|at| server.url(&format!("/{at}")));
    trusting(&ca.write(&dir), &dir)
        .flags("-j 1 -t 0 -d out")
        .args(urls)
        .run()
        .ok();
    assert_eq!(dir.names().len(), 8);
}

/// Fetches `/a` from a server that ends its connections without close_notify.
fn without_notify(write: impl FnOnce(&mut Script)) -> (Output, Dir) {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), write);
    let dir = Dir::new();
    let out = trusting(&ca.write(&dir), &dir)
        .flags("-t 0")
        .arg(server.url("/a"))
        .run();
    (out, dir)
}

#[test]
fn a_body_that_ends_without_close_notify_is_not_whole() {
    let (out, dir) = without_notify(|s| {
        s.get("/a").body(noise(5000)).no_length().no_close_notify();
    });
    out.code_in(&[4, 5, 7]);
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn a_length_or_chunks_say_it_all_without_close_notify() {
    let body = noise(5000);
    let (out, dir) = without_notify(|s| {
        s.get("/a").body(&body).no_close_notify().close_after();
    });
    out.ok();
    dir.assert_file("a", &body);
    let (out, dir) = without_notify(|s| {
        s.get("/a")
            .body(&body)
            .chunked(100)
            .no_close_notify()
            .close_after();
    });
    out.ok();
    dir.assert_file("a", &body);
}

#[test]
fn a_body_that_ends_with_close_notify_is_whole() {
    let body = noise(5000);
    let (out, dir) = without_notify(|s| {
        s.get("/a").body(&body).no_length();
    });
    out.ok();
    dir.assert_file("a", &body);
}

#[test]
fn what_is_damaged_behind_a_whole_body_does_not_cost_it() {
    let ca = Ca::new();
    for config in [ca.issue().config(), ca.issue().config_tls12()] {
        let server = Server::start_tls(&config, |s| {
            s.get("/a").body(noise(5000)).damage_at(5000, b"not TLS");
        });
        let dir = Dir::new();
        let cacert = ca.write(&dir);
        let list = format!("{}\n", server.url("/a")).repeat(20);
        dir.write("list", list);
        // Most of the time both come at once.
        let gannet = dir.gannet().flags("-t 0 -i list -d out --cacert");
        gannet.arg(cacert).run().ok();
        dir.assert_file("out/a", noise(5000));
        dir.assert_file("out/a.19", noise(5000));
    }
}

#[test]
fn a_cut_under_a_length_is_a_cut_with_close_notify_or_without() {
    for notify in [true, false] {
        let (out, dir) = without_notify(|s| {
            let route = s.get("/a").body(noise(5000)).cut_at(3000);
            if !notify {
                route.no_close_notify();
            }
        });
        out.code_in(&[4, 5, 7]);
        assert!(!dir.has("a"), "{out}");
    }
}

#[test]
fn a_cut_tls_body_is_fetched_again() {
    let ca = Ca::new();
    let body = noise(50_000);
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a")
            .body(&body)
            .no_close_notify()
            .cut_at(30_000)
            .then()
            .body(&body)
            .cut_rst_at(40_000)
            .then()
            .body(&body);
    });
    let dir = Dir::new();
    trusting(&ca.write(&dir), &dir)
        .flags("--retry-delay 1ms")
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", &body);
}

#[test]
fn plain_http_on_the_tls_port_is_an_error() {
    let server =
        Server::start(|s| s.greeting(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    let dir = Dir::new();
    let out = dir.fetch("-t 0 -k", server.url_as("https", "127.0.0.1", "/a"));
    out.code_in(&[4, 5, 7]).complains("TLS");
    dir.assert_names(&[]);
}

#[test]
fn tls_on_the_plain_port_is_an_error() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    dir.fetch("-t 0", server.url_as("http", "127.0.0.1", "/a"))
        .code_in(&[4, 7]);
    dir.assert_names(&[]);
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_an_error() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), Script::hello);
    let dir = Dir::new();
    dir.write("rubbish.pem", "no certificate in here\n");
    for file in ["nowhere.pem", "rubbish.pem"] {
        let out = dir
            .gannet()
            .args(["--cacert", file])
            .arg(server.url("/a"))
            .run();
        assert!(out.exit_code().is_some_and(|code| code != 0), "{out}");
        out.complains(file);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_self_signed_authority_that_is_named_is_trusted_as_a_server() {
    let leaf = Leaf::authority_for(&["localhost", "127.0.0.1"]);
    for config in [leaf.config(), leaf.config_tls12()] {
        let server = Server::start_tls(&config, Script::hello);
        let dir = Dir::new();
        trusting(&leaf.write(&dir), &dir)
            .arg(server.url("/a"))
            .run()
            .ok();
        dir.assert_file("a", b"hello");
    }
}

#[test]
fn a_self_signed_authority_vouches_for_its_own_names_and_for_no_stranger() {
    refused(&Ca::new(), &Leaf::authority_for(&["127.0.0.1"]).config());
    let leaf = Leaf::authority_for(&["other.example"]);
    let server = Server::start_tls(&leaf.config(), Script::hello);
    let dir = Dir::new();
    let out = trusting(&leaf.write(&dir), &dir)
        .arg(server.url("/a"))
        .run();
    out.code(5).complains("certificate");
    assert_eq!(server.requests().len(), 0);
}
