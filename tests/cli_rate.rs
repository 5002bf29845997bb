//! --rate: how often transfers start. Nothing here is about how late they may be, only how early. --limit-rate of a
//! divided file.

use std::thread;
use std::time::Duration;

use crate::harness::{Dir, Output, json_lines, noise};
use crate::server::{Gate, Server};

/// What the program catches up with if it was late for a start.
const LATE: Duration = Duration::from_millis(20);

/// Asserts that a run took the time of this many starts: the first at once, each other one an interval later.
fn assert_spread(out: &Output, starts: usize, millis: u64) {
    let least = Duration::from_millis(millis * (starts as u64 - 1)) - LATE;
    assert!(out.took() >= least, "{starts} starts: {out}");
}

#[test]
fn transfers_start_no_oftener_than_is_asked_for() {
    let server = Server::start(|s| {
        for at in 0..40 {
            s.get(&format!("/{at}")).body(b"1");
        }
    });
    let dir = Dir::new();
    let urls = (0..40).map(|at| server.url(&format!("/{at}")));
    let out = dir.gannet().flags("--rate 50/s -j 40").args(urls).run();
    out.ok();
    assert_eq!(server.requests().len(), 40);
    assert_spread(&out, 40, 20);
}

#[test]
fn a_list_that_is_longer_than_what_is_looked_ahead_is_spread_too() {
    let server = Server::start(|s| {
        for at in 0..30 {
            s.get(&format!("/{at}")).body(b"1");
        }
    });
    let dir = Dir::new();
    let lines = (0..30).map(|at| server.url(&format!("/{at}\n")));
    dir.write("list", lines.collect::<String>());
    let out = dir.gannet().flags("--rate 100/s -j 2 -i list -d out").run();
    out.ok();
    assert_eq!(server.requests().len(), 30);
    assert_spread(&out, 30, 10);
}

#[test]
fn every_try_counts() {
    let server = Server::start(|s| {
        s.get("/a").status(500).times(3).then().body(b"1");
    });
    let dir = Dir::new();
    let flags = "--rate 10/s --retry-delay 0";
    let out = dir.fetch(flags, server.url("/a"));
    out.ok();
    assert_eq!(server.requests().len(), 4);
    assert_spread(&out, 4, 100);
}

#[test]
fn a_single_file_waits_for_nothing_and_is_not_divided() {
    let server = Server::start(|s| {
        s.get("/from").redirect(302, "/to");
        let to = s.get("/to").body(vec![7; 20_000_000]);
        to.etag("\"v\"").ranges();
    });
    let dir = Dir::new();
    // Were a redirect a start, or a part, this would take an hour.
    let gannet = dir.gannet().flags("--rate 1/h");
    gannet.arg(server.url("/from")).run().ok();
    assert_eq!(server.paths(), ["/from", "/to"]);
}

#[test]
fn parts_that_are_asked_for_count() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(vec![7; 2_000_000]).etag("\"v\"").ranges();
        route.pace(20_000, Duration::from_millis(5));
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--rate 20/s -s 4 --min-split 100K");
    let out = gannet.arg(server.url("/a")).run();
    out.ok();
    dir.assert_file("a", vec![7; 2_000_000]);
    let starts = server.requests().len();
    assert!(starts >= 2, "{out}");
    assert_spread(&out, starts, 50);
}

/// The first response has the limit to itself until the others begin, so that they seem slow.
#[test]
fn under_a_limit_of_speed_no_segment_is_fetched_twice() {
    let gate = Gate::new();
    let body = noise(13 << 20);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v\"").ranges();
        let later = route.then().body(&body).etag("\"v\"").ranges();
        later.wait_for(&gate);
    });
    let dir = Dir::new();
    let flags = "--json --limit-rate 4M -s 6 --min-split 1536K";
    let running = dir.gannet().flags(flags).arg(server.url("/a")).spawn();
    server.wait_for_requests(6);
    thread::sleep(Duration::from_millis(400));
    gate.open();
    let out = running.finish();
    out.ok();
    dir.assert_file("a", &body);
    assert_eq!(server.requests().len(), 6);
    // A segment may end within what one read has received.
    let received = json_lines(&out.stdout())[0]["bytes"].as_u64();
    let most = (body.len() + body.len() / 100) as u64;
    assert!(received.is_some_and(|bytes| bytes <= most), "{out}");
}

#[test]
fn a_run_that_waits_for_a_start_can_be_stopped() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
        s.get("/b").body(b"1");
    });
    let dir = Dir::new();
    let urls = ["/a", "/b"].map(|path| server.url(path));
    let running = dir.gannet().flags("--rate 1/h").args(urls).spawn();
    running.wait_for_completions(1);
    running.signal("INT");
    running.end().code(130).complains("1 unfinished");
    assert_eq!(server.paths(), ["/a"]);
}

#[test]
fn what_is_no_rate_is_a_usage_error() {
    for rate in ["5", "0/s", "5/d", "1.5/s", ""] {
        let dir = Dir::new();
        let gannet = dir.gannet().arg(format!("--rate={rate}"));
        let out = gannet.arg("http://h/a").run();
        out.code(2).complains("--rate <N/s>");
    }
}
