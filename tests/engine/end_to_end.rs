//! The engine against a scripted server, every test under both loops, edge- and level-triggered.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gannet::error::{Fault, Timeout};
use gannet::multi::{Easy, Options, TlsOptions, TrustRoots};

use super::loops::{EventLoop, Fetched, PlainPoll, Reactor};
use crate::harness::{Ca, Dir, Leaf, noise};
use crate::server::{Gate, Port, Script, Server};

/// Makes two tests of each case, one for each loop.
macro_rules! under_both_loops {
    ($($case:ident),+ $(,)?) => {
        mod under_edges {
            $(#[test] fn $case() { super::$case::<super::Reactor>(); })+
        }
        mod under_levels {
            $(#[test] fn $case() { super::$case::<super::PlainPoll>(); })+
        }
    };
}

pub(super) use under_both_loops;

under_both_loops![
    many_transfers_share_few_connections,
    redirects_lead_to_the_final_answer,
    an_error_status_fails_one_transfer_and_no_other,
    cut_bodies_are_truncated,
    every_framing_comes_whole,
    a_stall_is_ended_by_its_clock,
    a_slow_transfer_is_ended_by_the_clock_of_the_whole,
    a_connection_that_never_comes_is_ended_by_its_clock,
    a_dead_port_refuses,
    an_unknown_host_has_no_address,
    localhost_is_looked_up_and_overridden_names_are_not,
    many_transfers_come_over_tls,
    an_unknown_authority_is_not_trusted,
    tls_that_is_cut_is_not_the_end_of_a_body,
    stale_connections_are_replaced_unnoticed,
    bodies_larger_than_a_turn_come_whole_side_by_side,
    a_large_body_comes_whole_over_tls,
    rate_limits_slow_down_and_lose_nothing,
    an_origin_is_never_asked_for_more_at_once_than_its_cap,
    a_delayed_transfer_starts_by_itself,
    a_body_over_its_limit_is_refused,
];

fn easy(url: &str) -> Easy<Vec<u8>> {
    Easy::new(url.parse().expect("a URL"), Vec::new())
}

/// One transfer with the default options.
fn fetch_one<L: EventLoop>(easy: Easy<Vec<u8>>) -> Fetched {
    L::run(Options::default(), vec![easy]).remove(0)
}

fn capped(per_origin: usize) -> Options {
    let mut options = Options::default();
    options.limits.per_origin = per_origin;
    options
}

fn many_transfers_share_few_connections<L: EventLoop>() {
    let server = Server::start(|s| {
        for at in 0..100 {
            s.get(&format!("/{at}")).body(noise(at * 37));
        }
    });
    let easies = (0..100).map(|at| easy(&server.url(&format!("/{at}"))));
    let fetched = L::run(capped(4), easies.collect());
    for (at, fetched) in fetched.iter().enumerate() {
        assert_eq!(fetched.outcome().received, at as u64 * 37);
        assert_eq!(fetched.body, noise(at * 37));
    }
    assert!(server.connections() <= 4);
    let reused = fetched.iter().filter(|fetched| fetched.outcome().is_reused);
    assert_eq!(reused.count(), 100 - server.connections());
}

fn redirects_lead_to_the_final_answer<L: EventLoop>() {
    let target = Server::start(|s| {
        s.get("/end").body(b"the end");
    });
    let end = target.url("/end");
    let server = Server::start(|s| {
        s.get("/a").redirect(301, "b?x=1");
        s.get("/b").redirect(307, &end);
        s.get("/loop").redirect(302, "/loop");
    });
    let easies = vec![easy(&server.url("/a")), easy(&server.url("/loop"))];
    let fetched = L::run(Options::default(), easies);
    assert_eq!(fetched[0].body, b"the end");
    assert_eq!(fetched[0].outcome().redirects, 2);
    let last = fetched[0]
        .outcome()
        .final_url
        .as_ref()
        .map(|url| url.as_str());
    assert_eq!(last, Some(&*end));
    assert!(matches!(
        fetched[1].error().fault(),
        Fault::TooManyRedirects(20)
    ));
}

fn an_error_status_fails_one_transfer_and_no_other<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/ok").body(b"ok");
        s.get("/busy").status(503).retry_after("7").body(b"later");
    });
    let urls = ["/ok", "/none", "/busy", "/ok"].map(|path| easy(&server.url(path)));
    let fetched = L::run(capped(1), urls.into());
    assert_eq!(
        (&*fetched[0].body, &*fetched[3].body),
        (&b"ok"[..], &b"ok"[..])
    );
    assert_eq!(fetched[1].error().status(), Some(404));
    assert!(fetched[2].error().is_retryable());
    assert_eq!((fetched[1].body.len(), server.connections()), (0, 1));
}

fn cut_bodies_are_truncated<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/length").body(noise(5000)).cut_at(3000);
        s.get("/chunks")
            .body(noise(5000))
            .chunked(1000)
            .cut_at(2500);
        s.get("/nothing").raw(b"");
        s.get("/reset").body(noise(5000)).cut_rst_at(0);
    });
    let urls = ["/length", "/chunks", "/nothing", "/reset"].map(|path| easy(&server.url(path)));
    let fetched = L::run(Options::default(), urls.into());
    let expected = Fault::Truncated {
        received: 3000,
        expected: Some(5000),
    };
    assert_eq!(fetched[0].error().fault().to_string(), expected.to_string());
    assert!(matches!(
        fetched[1].error().fault(),
        Fault::Truncated { expected: None, .. }
    ));
    assert!(matches!(fetched[2].error().fault(), Fault::NoAnswer));
    assert!(matches!(
        fetched[3].error().fault(),
        Fault::ConnectionLost(_)
    ));
    assert!(fetched.iter().all(|fetched| fetched.error().is_retryable()));
}

fn every_framing_comes_whole<L: EventLoop>() {
    let body = noise(70_000);
    let server = Server::start(|s| {
        s.get("/length").body(&body);
        s.get("/chunked")
            .body(&body)
            .chunked_with_trailers(999, "X-Sum: 1\r\n");
        s.get("/close").body(&body).no_length();
        s.get("/http10").body(&body).http10();
        s.get("/interim")
            .body(&body)
            .interim(b"HTTP/1.1 103 Early Hints\r\n\r\n");
        s.get("/empty").body(b"");
        s.get("/204").status(204);
    });
    let whole = ["/length", "/chunked", "/close", "/http10", "/interim"];
    let paths = whole.iter().chain(&["/empty", "/204"]);
    let easies = paths.map(|path| easy(&server.url(path))).collect();
    let fetched = L::run(capped(2), easies);
    for (fetched, path) in fetched.iter().zip(whole) {
        assert!(
            fetched.outcome().received == 70_000 && fetched.body == body,
            "{path}"
        );
    }
    assert_eq!(fetched[5].outcome().received, 0);
    assert_eq!(fetched[6].outcome().status, 204);
}

fn is_timeout(fetched: &Fetched, wanted: Timeout) -> bool {
    matches!(fetched.error().fault(), Fault::Timeout { kind, .. } if *kind == wanted)
}

const MOMENT: Option<Duration> = Some(Duration::from_millis(20));

fn a_stall_is_ended_by_its_clock<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/stall").body(noise(1000)).stall_at(10);
    });
    let mut stalled = easy(&server.url("/stall"));
    stalled.stall_timeout = MOMENT;
    assert!(is_timeout(&fetch_one::<L>(stalled), Timeout::Stall));
}

fn a_slow_transfer_is_ended_by_the_clock_of_the_whole<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/slow")
            .body(noise(1000))
            .pace(1, Duration::from_millis(2));
    });
    let mut slow = easy(&server.url("/slow"));
    slow.timeout = MOMENT;
    assert!(is_timeout(&fetch_one::<L>(slow), Timeout::Total));
}

fn a_connection_that_never_comes_is_ended_by_its_clock<L: EventLoop>() {
    let (full, silent) = (Port::full(), Port::silent());
    // Loopback connects within the limit of one second, even on a busy machine; the handshake never comes.
    let limits = [MOMENT, Some(Duration::from_secs(2))];
    let urls = [full.url("/"), silent.https_url("/")];
    let easies = urls.iter().zip(limits).map(|(url, connect_timeout)| Easy {
        connect_timeout,
        ..easy(url)
    });
    let options = Options {
        tls: TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        },
        ..Options::default()
    };
    let fetched = L::run(options, easies.collect());
    for (fetched, kind) in fetched.iter().zip([Timeout::Connect, Timeout::Handshake]) {
        assert!(is_timeout(fetched, kind), "{fetched:?}");
    }
}

fn a_dead_port_refuses<L: EventLoop>() {
    let dead = Port::dead();
    let fetched = fetch_one::<L>(easy(&dead.url("/")));
    assert!(matches!(fetched.error().fault(), Fault::Connect(_)));
    assert_eq!(fetched.error().address(), Some(dead.address()));
}

fn an_unknown_host_has_no_address<L: EventLoop>() {
    let fetched = fetch_one::<L>(easy("http://host.invalid/"));
    assert!(
        matches!(fetched.error().fault(), Fault::Resolve { host, .. } if host == "host.invalid")
    );
}

fn localhost_is_looked_up_and_overridden_names_are_not<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/").body(b"found");
    });
    let name = ("anywhere.test".to_owned(), server.port());
    let options = Options {
        overrides: HashMap::from([(name, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])]),
        ..Options::default()
    };
    let urls = ["localhost", "anywhere.test"].map(|host| easy(&server.url_as("http", host, "/")));
    for fetched in L::run(options, urls.into()) {
        assert_eq!(fetched.body, b"found");
    }
}

/// A TLS server, and options that trust it. The folder keeps the authority's certificate.
fn tls(write: impl FnOnce(&mut Script)) -> (Dir, Server, Options) {
    let (dir, ca) = (Dir::new(), Ca::new());
    let server = Server::start_tls(&ca.issue().config(), write);
    let mut options = capped(2);
    options.tls.roots = TrustRoots::Given {
        file: Some(ca.write(&dir)),
        folder: None,
    };
    (dir, server, options)
}

fn many_transfers_come_over_tls<L: EventLoop>() {
    let (_dir, server, options) = tls(|s| {
        s.get("/").body(noise(20_000));
    });
    let easies = (0..20).map(|_| easy(&server.url("/")));
    for fetched in L::run(options, easies.collect()) {
        assert_eq!(fetched.body, noise(20_000));
    }
    assert!(server.connections() <= 2);
}

fn an_unknown_authority_is_not_trusted<L: EventLoop>() {
    let (_dir, _server, options) = tls(|_| {});
    let stranger = Server::start_tls(&Leaf::self_signed().config(), |_| {});
    let fetched = L::run(options, vec![easy(&stranger.url("/"))]);
    assert!(matches!(fetched[0].error().fault(), Fault::Certificate(_)));
    assert!(!fetched[0].error().is_retryable());
}

fn tls_that_is_cut_is_not_the_end_of_a_body<L: EventLoop>() {
    let (_dir, server, options) = tls(|s| {
        s.get("/cut").body(noise(100)).no_length().no_close_notify();
        s.get("/end").body(noise(100)).no_length();
    });
    let urls = ["/cut", "/end"].map(|path| easy(&server.url(path)));
    let fetched = L::run(options, urls.into());
    assert!(matches!(
        fetched[0].error().fault(),
        Fault::TlsTruncated { received: 100 }
    ));
    assert_eq!(fetched[1].body, noise(100));
}

fn stale_connections_are_replaced_unnoticed<L: EventLoop>() {
    let server = Server::start(|s| {
        s.stale_after(2);
        s.get("/").body(b"fresh");
    });
    let easies = (0..6).map(|_| easy(&server.url("/")));
    for fetched in L::run(capped(1), easies.collect()) {
        assert_eq!(fetched.body, b"fresh");
    }
    assert_eq!(server.connections(), 3);
}

/// E1, K7: a body of more than one turn, so that the last edge comes long before the rest is read.
fn bodies_larger_than_a_turn_come_whole_side_by_side<L: EventLoop>() {
    let body = noise(6 << 20);
    let server = Server::start(|s| {
        s.get("/large").body(&body);
        s.get("/small").body(b"small");
    });
    let urls = ["/large", "/large", "/small"].map(|path| easy(&server.url(path)));
    let fetched = L::run(Options::default(), urls.into());
    assert!(fetched[0].body == body && fetched[1].body == body);
    assert_eq!(fetched[2].body, b"small");
}

fn a_large_body_comes_whole_over_tls<L: EventLoop>() {
    let body = noise(3 << 20);
    let (_dir, server, options) = tls(|s| {
        s.get("/large").body(&body);
    });
    let fetched = L::run(options, vec![easy(&server.url("/large"))]);
    assert!(fetched[0].outcome().received == 3 << 20 && fetched[0].body == body);
}

fn rate_limits_slow_down_and_lose_nothing<L: EventLoop>() {
    let body = noise(60_000);
    let server = Server::start(|s| {
        s.get("/").body(&body);
    });
    let mut limited = easy(&server.url("/"));
    limited.max_recv_speed = Some(250_000);
    let fetched = fetch_one::<L>(limited);
    assert_eq!(fetched.body, body);
    // The bytes of two tenths of a second come at once, the rest later.
    assert!(fetched.outcome().elapsed > Duration::from_millis(5));
    let options = Options {
        max_recv_speed: Some(800_000),
        ..Options::default()
    };
    let easies = (0..2).map(|_| easy(&server.url("/")));
    for fetched in L::run(options, easies.collect()) {
        assert_eq!(fetched.body, body);
    }
}

/// L2, L3: the gate holds the requests until as many have begun as the limit allows.
fn an_origin_is_never_asked_for_more_at_once_than_its_cap<L: EventLoop>() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/").body(b"held").wait_for(&gate);
    });
    let fetched = std::thread::scope(|scope| {
        let easies = (0..8).map(|_| easy(&server.url("/"))).collect();
        let client = scope.spawn(|| {
            L::run(capped(3), easies)
                .iter()
                .filter(|fetched| fetched.result.is_ok())
                .count()
        });
        server.wait_for_in_flight(3);
        gate.open();
        client.join().expect("a client")
    });
    assert_eq!((fetched, server.in_flight_max()), (8, 3));
}

fn a_delayed_transfer_starts_by_itself<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/").body(b"later");
    });
    let mut later = easy(&server.url("/"));
    later.delay = MOMENT;
    assert_eq!(fetch_one::<L>(later).body, b"later");
}

fn a_body_over_its_limit_is_refused<L: EventLoop>() {
    let server = Server::start(|s| {
        s.get("/said").body(noise(2000));
        s.get("/unsaid").body(noise(2000)).chunked(100);
    });
    let urls = ["/said", "/unsaid"].map(|path| Easy {
        max_size: Some(1999),
        ..easy(&server.url(path))
    });
    for fetched in L::run(Options::default(), urls.into()) {
        assert!(matches!(
            fetched.error().fault(),
            Fault::TooLarge { limit: 1999 }
        ));
    }
}
