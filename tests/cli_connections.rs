//! How many at once, and how connections are kept, reused and replaced.

use std::collections::HashSet;
use std::time::Duration;

use crate::harness::{Ca, Dir, noise};
use crate::server::{Gate, Script, Server};

/// Routes `/0` to `/N-1`.
fn numbered(s: &mut Script, count: usize) {
    for at in 0..count {
        s.get(&format!("/{at}")).body(noise(100 + at));
    }
}

fn urls(server: &Server, count: usize) -> Vec<String> {
    (0..count).map(|at| server.url(&format!("/{at}"))).collect()
}

/// Fetches 12 files that the server holds until `at_once` requests have come, and gives the most at once.
fn most_at_once(flags: &str, at_once: usize) -> usize {
    let gate = Gate::new();
    let server = Server::start(|s| {
        for at in 0..12 {
            s.get(&format!("/{at}")).body(b"x").wait_for(&gate);
        }
    });
    let dir = Dir::new();
    let running = dir.gannet().flags(flags).args(urls(&server, 12)).spawn();
    server.wait_for_in_flight(at_once);
    gate.open();
    running.finish().ok();
    assert_eq!(dir.names().len(), 12);
    assert!(
        server.connections() <= at_once,
        "{} connections",
        server.connections()
    );
    server.in_flight_max()
}

#[test]
fn as_many_files_as_jobs_are_under_way_and_no_more() {
    assert_eq!(most_at_once("-j 1", 1), 1);
    assert_eq!(most_at_once("-j 3", 3), 3);
    assert_eq!(most_at_once("--jobs 5", 5), 5);
}

#[test]
fn sixteen_jobs_are_the_default() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        for at in 0..24 {
            s.get(&format!("/{at}")).body(b"x").wait_for(&gate);
        }
    });
    let dir = Dir::new();
    let running = dir.gannet().args(urls(&server, 24)).spawn();
    server.wait_for_in_flight(16);
    gate.open();
    running.finish().ok();
    assert_eq!(server.in_flight_max(), 16);
}

#[test]
fn an_origin_has_as_many_connections_as_it_may_and_no_more() {
    assert_eq!(most_at_once("-j 8 -x 1", 1), 1);
    assert_eq!(most_at_once("-j 8 -x 2", 2), 2);
    assert_eq!(most_at_once("-j 8 --per-host 3", 3), 3);
}

#[test]
fn the_cap_of_one_origin_is_not_anothers() {
    let gate = Gate::new();
    let servers = [0, 1].map(|_| {
        Server::start(|s| {
            for at in 0..4 {
                s.get(&format!("/{at}")).body(b"x").wait_for(&gate);
            }
        })
    });
    let dir = Dir::new();
    let list = servers.iter().flat_map(|server| urls(server, 4));
    let running = dir.gannet().flags("-j 8 -x 2").args(list).spawn();
    servers
        .iter()
        .for_each(|server| server.wait_for_in_flight(2));
    gate.open();
    running.finish().ok();
    assert_eq!(servers.each_ref().map(Server::in_flight_max), [2, 2]);
}

#[test]
fn a_bad_number_of_jobs_is_a_usage_error() {
    for jobs in ["0", "-1", "x", ""] {
        Dir::new()
            .gannet()
            .arg(format!("--jobs={jobs}"))
            .arg("http://127.0.0.1:1/")
            .run()
            .code(2);
    }
}

#[test]
fn connections_are_kept_and_used_again() {
    let server = Server::start(|s| numbered(s, 40));
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 2")
        .args(urls(&server, 40))
        .run()
        .ok();
    assert!(
        server.connections() <= 2,
        "{} connections",
        server.connections()
    );
    let used: HashSet<_> = server
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert!(used.len() <= 2);
    for at in 0..40 {
        dir.assert_file(&at.to_string(), noise(100 + at));
    }
}

#[test]
fn a_connection_said_to_close_is_not_used_again() {
    let server = Server::start(|s| {
        for at in 0..6 {
            s.get(&format!("/{at}")).body(noise(50)).close_after();
        }
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1 -t 0")
        .args(urls(&server, 6))
        .run()
        .ok();
    assert_eq!(server.connections(), 6);
}

#[test]
fn a_connection_of_http_1_0_is_not_used_again() {
    let server = Server::start(|s| {
        for at in 0..3 {
            s.get(&format!("/{at}")).body(noise(50)).http10();
        }
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1 -t 0")
        .args(urls(&server, 3))
        .run()
        .ok();
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_stale_connection_is_replaced_without_anyone_noticing() {
    let server = Server::start(|s| {
        s.stale_after(1);
        numbered(s, 6);
    });
    let dir = Dir::new();
    let out = dir.gannet().flags("-j 1 -t 0").args(urls(&server, 6)).run();
    out.ok();
    assert_eq!(out.completions().len(), 6, "{out}");
    assert!(!out.both().contains("tries"), "{out}");
    for at in 0..6 {
        dir.assert_file(&at.to_string(), noise(100 + at));
    }
}

#[test]
fn a_connection_closed_while_idle_is_replaced_without_anyone_noticing() {
    let server = Server::start(|s| {
        for at in 0..30 {
            s.get(&format!("/{at}")).body(noise(at)).close_silently();
        }
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-j 3 -t 0")
        .args(urls(&server, 30))
        .run();
    out.ok();
    for at in 0..30 {
        dir.assert_file(&at.to_string(), noise(at));
    }
}

#[test]
fn a_failure_does_not_cost_the_connection() {
    let server = Server::start(|s| {
        numbered(s, 1);
        s.get("/gone").status(404).body(noise(2000));
        s.get("/moved").redirect(302, "/0");
    });
    let dir = Dir::new();
    let list = ["/gone", "/moved", "/gone", "/0"].map(|path| server.url(path));
    dir.gannet().flags("-j 1").args(list).run().code(8);
    assert_eq!(server.connections(), 1);
}

#[test]
fn two_hundred_files_come_with_few_descriptors() {
    let server = Server::start(|s| numbered(s, 200));
    let dir = Dir::new();
    let out = dir
        .gannet()
        .shell("ulimit -n 32")
        .flags("-j 64 -t 0")
        .args(urls(&server, 200))
        .run();
    out.ok();
    for at in 0..200 {
        dir.assert_file(&at.to_string(), noise(100 + at));
    }
}

#[test]
fn many_origins_come_with_few_descriptors() {
    let servers: Vec<_> = (0..40)
        .map(|at| {
            Server::start(|s| {
                s.get(&format!("/{at}")).body(noise(at));
            })
        })
        .collect();
    let dir = Dir::new();
    let list = servers
        .iter()
        .enumerate()
        .map(|(at, server)| server.url(&format!("/{at}")));
    dir.gannet()
        .shell("ulimit -n 32")
        .flags("-j 64 -t 0")
        .args(list)
        .run()
        .ok();
    for at in 0..40 {
        dir.assert_file(&at.to_string(), noise(at));
    }
}

#[test]
fn a_soft_limit_of_descriptors_is_raised() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        for at in 0..60 {
            s.get(&format!("/{at}")).body(b"x").wait_for(&gate);
        }
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .shell("ulimit -Sn 40")
        .flags("-j 60")
        .args(urls(&server, 60))
        .spawn();
    server.wait_for_in_flight(60);
    gate.open();
    running.finish().ok();
}

#[test]
fn what_was_left_over_on_a_kept_connection_is_no_answer() {
    let server = Server::start(|s| {
        s.get("/0").body(b"0");
        s.get("/1")
            .raw(b"left over from the last body\r\n\r\n")
            .then()
            .body(b"1");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1 -t 0")
        .args(urls(&server, 2))
        .run()
        .ok();
    dir.assert_file("1", b"1");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_408_on_a_used_connection_is_its_end_and_no_answer() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
        s.get("/b").status(408).close_after().then().body(b"2");
    });
    let dir = Dir::new();
    let list = [server.url("/a"), server.url("/b")];
    dir.gannet().flags("-j 1 -t 0").args(list).run().ok();
    dir.assert_file("b", b"2");
}

#[test]
fn a_429_holds_back_the_whole_origin_and_no_other() {
    let server = Server::start(|s| {
        s.get("/a").status(429).retry_after("1").then().body(b"a");
        s.get("/b").body(b"b");
    });
    let other = Server::serving("/c", b"c");
    let dir = Dir::new();
    let list = [server.url("/a"), server.url("/b"), other.url("/c")];
    dir.gannet().flags("-j 1").args(list).run().ok();
    let asked = server.requests();
    assert_eq!(asked.len(), 3);
    let pause = asked[1].at.duration_since(asked[0].at);
    assert!(pause >= Duration::from_millis(950), "{pause:?}");
    assert!(other.request("/c").at < asked[1].at);
}

#[test]
fn a_held_origin_does_not_hold_up_a_longer_list() {
    let server = Server::start(|s| {
        s.get("/0").status(503).retry_after("2").then().body(b"0");
        for at in 1..20 {
            s.get(&format!("/{at}")).body(b"1");
        }
    });
    let other = Server::serving("/c", b"c");
    let dir = Dir::new();
    let list = urls(&server, 20).into_iter().chain([other.url("/c")]);
    dir.gannet().flags("-j 2").args(list).run().ok();
    let asked = server.requests();
    // What was asked for at once with the first may have left before its answer came.
    let after = asked
        .iter()
        .find(|request| request.at > asked[0].at + Duration::from_secs(1));
    let after = after.expect("one that was held").at;
    assert!(other.request("/c").at < after);
}

#[test]
fn an_error_on_a_used_connection_names_the_address() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
        s.get("/cut").body(noise(1000)).cut_at(10);
    });
    let dir = Dir::new();
    let list = [server.url("/a"), server.url("/cut")];
    let out = dir.gannet().flags("-j 1 -t 0").args(list).run();
    out.code(4).complains(&server.address().to_string());
}

/// Fetches 20 files, six at once, from a server that serves two connections at once and keeps them open: each transfer
/// ends without a stall.
fn fetch_from_a_full_server(dir: &Dir, server: &Server, flags: &[String]) {
    let limits = "-j 6 -t 1 --stall-timeout 20s --connect-timeout 20s";
    let run = dir.gannet().flags(limits).args(flags);
    run.args(urls(server, 20)).run().ok();
    assert_eq!(server.requests().len(), 20, "no request is sent twice");
}

#[test]
fn a_server_at_its_limit_of_connections_gets_room_for_those_that_wait() {
    let server = Server::start(|s| {
        s.serve_at_once(2);
        numbered(s, 20);
    });
    fetch_from_a_full_server(&Dir::new(), &server, &[]);
    assert_eq!(server.connections(), 6, "none is opened again");
}

#[test]
fn a_transfer_takes_an_idle_connection_where_its_own_is_not_established() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.serve_at_once(2);
        numbered(s, 20);
    });
    let dir = Dir::new();
    let trust = format!("--cacert={}", ca.write(&dir).display());
    fetch_from_a_full_server(&dir, &server, &[trust, "--http1.1".to_owned()]);
}
