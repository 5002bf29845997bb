//! The engine through proxies, every test under both loops: bytes that a proxy sends together with others must not
//! wait for another event.

use std::time::Duration;

use gannet::error::{Fault, Timeout};
use gannet::http::Proxies;
use gannet::multi::{Easy, Options, TlsOptions};

use super::end_to_end::under_both_loops;
use super::loops::{EventLoop, PlainPoll, Reactor};
use crate::harness::{Ca, noise};
use crate::server::{ProxyServer, Server};

under_both_loops![
    many_transfers_come_through_socks,
    tls_goes_through_a_tunnel_within_tls,
    an_end_right_behind_the_reply_is_not_waited_for,
    a_reply_that_comes_byte_by_byte_is_understood,
    a_tunnel_that_is_not_made_is_ended_by_its_clock,
];

fn easy(url: &str) -> Easy<Vec<u8>> {
    Easy::new(url.parse().expect("a URL"), Vec::new())
}

fn through(proxy: &ProxyServer, scheme: &str) -> Options {
    let proxy = proxy.url(scheme, "").parse().expect("a proxy");
    Options {
        proxies: Proxies::all(proxy),
        tls: TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        },
        ..Options::default()
    }
}

fn many_transfers_come_through_socks<L: EventLoop>() {
    let origin = Server::start(|s| {
        for at in 0..60 {
            s.get(&format!("/{at}")).body(noise(at * 997));
        }
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| client.socks(address));
    let mut options = through(&proxy, "socks5h");
    options.limits.per_origin = 4;
    let easies = (0..60).map(|at| easy(&origin.url(&format!("/{at}"))));
    for (at, fetched) in L::run(options, easies.collect()).iter().enumerate() {
        assert_eq!(fetched.outcome().address, Some(proxy.address()));
        assert_eq!(fetched.body, noise(at * 997));
    }
    assert!(origin.connections() <= 4);
}

fn tls_goes_through_a_tunnel_within_tls<L: EventLoop>() {
    let ca = Ca::new();
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        for at in 0..8 {
            s.get(&format!("/{at}")).body(noise(200_000 + at));
        }
    });
    let address = origin.address();
    let proxy = ProxyServer::start_tls(&ca.issue().config(), move |client| client.tunnel(address));
    let easies = (0..8).map(|at| easy(&origin.url(&format!("/{at}"))));
    let fetched = L::run(through(&proxy, "https"), easies.collect());
    for (at, fetched) in fetched.iter().enumerate() {
        assert!(fetched.outcome().status == 200 && fetched.body == noise(200_000 + at));
    }
}

fn an_end_right_behind_the_reply_is_not_waited_for<L: EventLoop>() {
    let proxy = ProxyServer::start(|client| {
        client.socks_request();
        client.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    });
    let fetched = L::run(through(&proxy, "socks5h"), vec![easy("http://a.test/")]);
    let fault = fetched[0].error().fault();
    let is_lost = matches!(fault, Fault::NoAnswer | Fault::ConnectionLost(_));
    assert!(is_lost, "{fault:?}");
    assert_eq!(fetched[0].error().proxy(), Some(&*proxy.url("socks5h", "")));
}

fn a_reply_that_comes_byte_by_byte_is_understood<L: EventLoop>() {
    let origin = Server::start(|s| {
        s.get("/a").body(noise(100_000));
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| {
        client.socks_request();
        client.drip(b"\x05\0\0\x03\x0esome.host.test\0\x50");
        client.relay(address);
    });
    let easies = vec![easy(&origin.url("/a"))];
    let fetched = L::run(through(&proxy, "socks5"), easies);
    assert_eq!(fetched[0].body, noise(100_000));
}

fn a_tunnel_that_is_not_made_is_ended_by_its_clock<L: EventLoop>() {
    let proxy = ProxyServer::start(|client| {
        client.read_head();
        client.write("HTTP/1.1 102 Processing\r\n\r\n");
        client.stall();
    });
    let mut easy = easy("https://a.test/");
    easy.connect_timeout = Some(Duration::from_secs(1));
    let fetched = L::run(through(&proxy, "http"), vec![easy]);
    let fault = fetched[0].error().fault();
    let is_proxy_s = matches!(
        fault,
        Fault::Timeout {
            kind: Timeout::Proxy,
            ..
        }
    );
    assert!(is_proxy_s, "{fault:?}");
}
