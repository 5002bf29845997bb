//! -p, --noproxy and the variables: which requests take which proxy, and many files through real
//! ones, every byte compared.

use std::sync::Arc;

use crate::harness::{Ca, Dir, Gannet, Microsocks, Nginx, Tinyproxy, noise};
use crate::server::{Port, ProxyServer, Script, Server};

const FILES: usize = 200;

fn size(at: usize) -> usize {
    3000 + at * 97
}

/// Writes files for nginx to serve, and their lists.
fn publish(dir: &Dir, nginx: &Nginx) {
    let (mut plain, mut tls) = (String::new(), String::new());
    for at in 0..FILES {
        dir.write(&format!("www/{at}.bin"), noise(size(at)));
        plain += &format!("{}\n", nginx.url(&format!("/{at}.bin")));
        tls += &format!("{}\n", nginx.https_url(&format!("/{at}.bin")));
    }
    dir.write("plain", plain);
    dir.write("tls", tls);
}

/// Fetches a list through a proxy, and compares.
fn fetch(dir: &Dir, nginx: &Nginx, list: &str, proxy: &str, flags: &str) {
    let gannet = dir.gannet().flags("-d out --exists overwrite -j 16 -t 0");
    let out = gannet
        .args(["-i", list, "-p", proxy, "--cacert"])
        .arg(&nginx.cacert)
        .flags(flags)
        .run();
    out.ok();
    assert_eq!(out.completions().len(), FILES, "{out}");
    for at in 0..FILES {
        dir.assert_file(&format!("out/{at}.bin"), noise(size(at)));
        std::fs::remove_file(dir.join(format!("out/{at}.bin"))).expect("a file");
    }
}

#[test]
fn many_files_arrive_through_a_real_http_proxy() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let Some(proxy) = Tinyproxy::start(&dir, "") else {
        return;
    };
    publish(&dir, &nginx);
    fetch(&dir, &nginx, "plain", &proxy.url(""), "");
    assert_eq!(proxy.requests("GET"), FILES);
    fetch(&dir, &nginx, "tls", &proxy.url(""), "--http1.1");
    let tunnels = proxy.requests("CONNECT");
    assert!((1..=16).contains(&tunnels), "{tunnels} tunnels");
    // HTTP/2 within the tunnel: many files over very few of them.
    fetch(&dir, &nginx, "tls", &proxy.url(""), "--http2");
    let tunnels = proxy.requests("CONNECT") - tunnels;
    assert!((1..=4).contains(&tunnels), "{tunnels} tunnels");
}

#[test]
fn many_files_arrive_through_a_real_socks_proxy() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let Some(proxy) = Microsocks::start(&dir, &["-u", "me", "-P", "p:w"]) else {
        return;
    };
    publish(&dir, &nginx);
    let mut before = 0;
    for scheme in ["socks5", "socks5h"] {
        let url = proxy.url(scheme, "me:p%3Aw");
        for (list, flags) in [("plain", ""), ("tls", "--http1.1"), ("tls", "--http2")] {
            fetch(&dir, &nginx, list, &url, flags);
            let made = proxy.connections() - before;
            before += made;
            assert!(
                (1..=16).contains(&made),
                "{made} connections for {list} {flags}"
            );
        }
    }
}

#[test]
fn large_files_are_moved_and_divided_through_a_tunnel() {
    const SIZE: usize = 24 << 20;
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let Some(proxy) = Microsocks::start(&dir, &[]) else {
        return;
    };
    let body = noise(SIZE);
    dir.write("www/large", &body);
    for (flags, name) in [("", "one"), ("-s 4 --min-split 2M", "four")] {
        dir.gannet()
            .args(["-p", &proxy.url("socks5h", ""), "-o", name])
            .flags(flags)
            .arg(nginx.url("/large"))
            .run()
            .ok();
        dir.assert_file(name, &body);
    }
    assert!(proxy.connections() >= 4);
}

#[test]
fn a_real_proxy_s_login_is_asked_for_and_given() {
    let dir = Dir::new();
    let origin = Server::serving("/a", b"hello");
    if let Some(proxy) = Tinyproxy::start(&dir, "BasicAuth me hunter2") {
        let gannet = |login| dir.gannet().flags("-t 0").args(["-p", &proxy.url(login)]);
        gannet("me:hunter2").arg(origin.url("/a")).run().ok();
        // It takes a wrong password for one of the origin's, and says 401.
        let out = gannet("me:hunter3").arg(origin.url("/a")).run();
        out.code(6).complains("the proxy").never_says("hunter3");
        let out = gannet("").arg(origin.url("/a")).run();
        out.code(6).complains("proxy authentication required");
        // In a tunnel it is said before the origin is reached at all.
        let out = gannet("me:hunter3").arg("https://127.0.0.1:1/a").run();
        out.code(6)
            .complains("asks for a login")
            .never_says("hunter3");
    }
    if let Some(proxy) = Microsocks::start(&dir, &["-u", "me", "-P", "hunter2"]) {
        let gannet = |login| {
            let url = proxy.url("socks5h", login);
            dir.gannet().flags("-t 0 -o b").args(["-p", &url])
        };
        gannet("me:hunter2").arg(origin.url("/a")).run().ok();
        let out = gannet("me:hunter3").arg(origin.url("/a")).run();
        out.code(6).complains("does not accept the login");
        out.never_says("hunter3");
        let out = gannet("").arg(origin.url("/a")).run();
        out.code(6).complains("asks for a login");
    }
}

/// A server that stands for a proxy: it answers for this URL.
fn forwarder(url: &str) -> Server {
    let url = url.to_owned();
    Server::start(move |s: &mut Script| {
        s.get(&url).body(b"by proxy");
    })
}

#[test]
fn plain_requests_are_given_to_the_proxy_whole_and_without_userinfo() {
    let proxy = forwarder("http://some.host.test:81/a");
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-vv")
        .args(["-p", &proxy.url("/").replace("//", "//me:hunter2@")])
        .arg("http://u:hunter3@some.host.test:81/a?b=c#d")
        .run();
    out.ok().never_says("hunter2").never_says("hunter3");
    out.traces('>', "GET http://some.host.test:81/a?b=c HTTP/1.1");
    dir.assert_file("a", b"by proxy");
    let request = &proxy.requests()[0];
    assert_eq!(request.target, "http://some.host.test:81/a?b=c");
    assert_eq!(request.header("host"), Some("some.host.test:81"));
    let login = request.header("proxy-authorization");
    assert_eq!(login, Some("Basic bWU6aHVudGVyMg=="));
    let authorization = request.header("authorization");
    assert_eq!(authorization, Some("Basic dTpodW50ZXIz"));
}

#[test]
fn a_connection_to_the_proxy_is_used_again() {
    let proxy = Server::start(|s| {
        for name in ["a", "b", "c"] {
            s.get(&format!("http://some.host.test/{name}")).body(name);
        }
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1")
        .args(["-p", &proxy.url("")])
        .args(["a", "b", "c"].map(|name| format!("http://some.host.test/{name}")))
        .run()
        .ok();
    assert_eq!((proxy.connections(), proxy.requests().len()), (1, 3));
}

/// A call with these variables; says whether the proxy was asked.
fn is_asked(variables: &[(&str, &str)], flags: &[&str]) -> bool {
    let origin = Server::serving("/a", b"straight");
    let proxy = forwarder(&origin.url("/a"));
    let fill = |text: &str| text.replace("PROXY", &proxy.address().to_string());
    let dir = Dir::new();
    let mut gannet = dir.gannet().args(flags.iter().map(|flag| fill(flag)));
    for (name, value) in variables {
        gannet = gannet.env(name, fill(value));
    }
    gannet.arg(origin.url("/a")).run().ok();
    assert_eq!(proxy.requests().len() + origin.requests().len(), 1);
    proxy.requests().len() == 1
}

#[test]
fn the_environment_names_the_proxy_unless_a_flag_does() {
    let by = |name| (name, "http://PROXY/");
    assert!(is_asked(&[by("http_proxy")], &[]));
    assert!(is_asked(&[by("all_proxy")], &[]));
    assert!(is_asked(&[by("ALL_PROXY")], &[]));
    assert!(is_asked(&[("http_proxy", "PROXY")], &[]));
    assert!(is_asked(
        &[("http_proxy", "dead.invalid:1")],
        &["-p", "PROXY"]
    ));
    assert!(is_asked(&[("http_proxy", ""), by("all_proxy")], &[]));
    // A CGI program's caller would choose this one.
    assert!(!is_asked(&[by("HTTP_PROXY")], &[]));
    assert!(!is_asked(&[by("https_proxy")], &[]));
    assert!(!is_asked(&[by("http_proxy"), by("all_proxy")], &["-p", ""]));
}

#[test]
fn exempt_hosts_are_reached_straight() {
    let proxy = ("http_proxy", "PROXY");
    for list in ["127.0.0.1", "*", "10.0.0.0/8,127.0.0.0/8", "x, 127.0.0.1 y"] {
        assert!(!is_asked(&[proxy, ("no_proxy", list)], &[]), "{list}");
        assert!(!is_asked(&[proxy, ("NO_PROXY", list)], &[]), "{list}");
        assert!(!is_asked(&[proxy], &["--noproxy", list]), "{list}");
        assert!(
            !is_asked(&[], &["-p", "PROXY", "--noproxy", list]),
            "{list}"
        );
    }
    assert!(is_asked(&[proxy, ("no_proxy", "*")], &["--noproxy", ""]));
    assert!(is_asked(
        &[proxy, ("no_proxy", "*")],
        &["--noproxy", "example.com"]
    ));
    assert!(is_asked(&[proxy, ("no_proxy", ""), ("NO_PROXY", "a")], &[]));
}

#[test]
fn https_takes_the_https_proxy() {
    let ca = Ca::new();
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(b"hello");
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.tunnel(address));
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy"] {
        let dir = Dir::new();
        dir.gannet()
            .env(name, proxy.url("http", ""))
            .env("http_proxy", "dead.invalid:1")
            .arg("--cacert")
            .arg(ca.write(&dir))
            .arg(origin.url("/a"))
            .run()
            .ok();
        dir.assert_file("a", b"hello");
    }
    let head = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    assert_eq!(proxy.heads(), [&*head; 3]);
}

#[test]
fn what_names_no_proxy_ends_the_run_before_anything_is_fetched() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    for bad in [
        "socks4://me:hunter2@h:1",
        "ftp://h",
        "http://me:hunter2@",
        "http://h:x",
    ] {
        let out = dir.gannet().args(["-p", bad]).arg(server.url("/a")).run();
        out.code(2).complains("--proxy").never_says("hunter2");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_variable_that_names_no_proxy_fails_the_rows_that_need_it_and_no_other() {
    let server = Server::serving("/a", b"1");
    for bad in ["gopher://me:hunter2@h:1", "http://me:hunter2@"] {
        let dir = Dir::new();
        let gannet = dir.gannet().env("all_proxy", bad);
        let out = gannet.arg(server.url("/a")).run();
        out.code(2).complains("all_proxy").never_says("hunter2");
        dir.assert_names(&[]);
        for other in [("no_proxy", "127.0.0.0/8"), ("https_proxy", bad)] {
            let gannet = dir.gannet().env(other.0, other.1);
            let gannet = gannet.env("https_proxy", bad).flags("--exists overwrite");
            gannet.arg(server.url("/a")).run().ok();
        }
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn socks_is_socks5_with_names_looked_up_by_the_proxy() {
    let origin = Server::serving("/a", b"hello");
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.socks(address));
    let dir = Dir::new();
    let variable = proxy.url("socks", "") + "/";
    let gannet = dir.gannet().env("ALL_PROXY", variable);
    gannet.arg("http://some.host.test/a").run().ok();
    dir.assert_file("a", b"hello");
}

#[test]
fn a_redirect_chooses_the_proxy_anew_and_logins_stay_where_they_belong() {
    let straight = Server::serving("/b", b"straight");
    let target = straight.url("/b");
    let proxy = Server::start(|s| {
        s.get("http://some.host.test/a").redirect(302, &target);
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-u me:hunter2 --noproxy 127.0.0.1 -o b")
        .args(["-p", &proxy.url("").replace("//", "//you:hunter3@")])
        .arg("http://some.host.test/a")
        .run()
        .ok();
    dir.assert_file("b", b"straight");
    assert!(proxy.requests()[0].header("authorization").is_some());
    let request = straight.request("/b");
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("proxy-authorization"), None);
}

#[test]
fn a_proxy_has_its_own_certificate_which_no_pin_is_about() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (leaf, shown) = (ca.issue(), ca.issue());
    let origin = Server::start_tls(&leaf.config(), |s| {
        s.get("/a").body(b"hello");
    });
    let address = origin.address();
    let proxy = ProxyServer::start_tls(&shown.config(), move |client| client.tunnel(address));
    let dir = Dir::new();
    let gannet = |ca: &Ca| -> Gannet {
        let gannet = dir.gannet().flags("-t 0 --exists overwrite");
        let gannet = gannet.args(["-p", &proxy.url("https", "")]);
        gannet.arg("--cacert").arg(ca.write(&dir))
    };
    gannet(&ca)
        .args(["--pinnedpubkey", &leaf.pin()])
        .arg(origin.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", b"hello");
    let out = gannet(&ca)
        .args(["--pinnedpubkey", &shown.pin()])
        .arg(origin.url("/a"))
        .run();
    out.code(5);
    let out = gannet(&other).arg(origin.url("/a")).run();
    out.code(5)
        .complains("certificate not accepted: the proxy's");
}

#[test]
fn a_proxy_over_tls_is_given_plain_requests() {
    let ca = Ca::new();
    let config = Arc::clone(&ca.issue().config());
    let proxy = Server::start_tls(&config, |s| {
        s.get("http://some.host.test/a").body(noise(300_000));
    });
    let dir = Dir::new();
    dir.gannet()
        .args(["-p", &proxy.url(""), "--cacert"])
        .arg(ca.write(&dir))
        .arg("http://some.host.test/a")
        .run()
        .ok();
    dir.assert_file("a", noise(300_000));
}

#[test]
fn a_proxy_that_is_not_there_is_named_as_what_it_is() {
    let dead = Port::dead();
    for scheme in ["http", "https", "socks5h"] {
        let proxy = format!("{scheme}://me:hunter2@{}", dead.address());
        for url in ["http://some.host.test/a", "https://some.host.test/a"] {
            let dir = Dir::new();
            let gannet = dir.gannet().flags("-t 1 --retry-delay 1ms -k");
            let out = gannet.args(["-p", &proxy, url]).run();
            out.code(4).complains(url).never_says("hunter2");
            out.complains(&format!("[{0}, the proxy {scheme}://{0}]", dead.address()));
            assert_eq!(out.failure().tries, 2, "{out}");
        }
    }
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-t 0 -p http://proxy.invalid:1");
    let out = gannet.arg("http://some.host.test/a").run();
    out.code(4).complains("proxy.invalid");
}

#[test]
fn a_proxy_s_host_may_be_given_its_address() {
    let proxy = forwarder("http://some.host.test/a");
    let port = proxy.port();
    let dir = Dir::new();
    dir.gannet()
        .args(["-p", &format!("a.proxy.test:{port}")])
        .args(["--resolve", &format!("a.proxy.test:{port}:127.0.0.1")])
        .arg("http://some.host.test/a")
        .run()
        .ok();
}

#[test]
fn what_the_proxy_answers_in_an_origin_s_place_is_an_answer_like_any_other() {
    let proxy = Server::start(|s| {
        s.get("http://some.host.test/a")
            .status(502)
            .then()
            .body(b"1");
        s.get("http://some.host.test/b").status(407);
    });
    let dir = Dir::new();
    let gannet = || {
        dir.gannet()
            .flags("--retry-delay 1ms")
            .args(["-p", &proxy.url("")])
    };
    gannet().arg("http://some.host.test/a").run().ok();
    let out = gannet().arg("http://some.host.test/b").run();
    out.code(6).complains("proxy authentication required");
    assert_eq!(out.failure().tries, 1, "{out}");
}
