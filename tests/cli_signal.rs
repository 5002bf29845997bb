//! SIGINT and SIGTERM: what is complete stays, the rest is named unfinished, and the exit code tells which it was.

use crate::harness::{Dir, Output, noise};
use crate::server::{Gate, Server};

/// Fetches one file that comes and one that stalls, then sends signals.
fn interrupted(flags: &str, signals: &[&str]) -> (Output, Dir) {
    let server = Server::start(|s| {
        s.get("/a").body(b"whole");
        s.get("/stuck").body(noise(100_000)).stall_at(1000);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags(flags)
        .args([server.url("/a"), server.url("/stuck")])
        .spawn();
    running.wait_for_line(&server.url("/a"));
    server.wait_for_stalls(1);
    for signal in signals {
        running.signal(signal);
    }
    let out = running.finish();
    dir.assert_file("a", b"whole");
    assert!(!dir.has("stuck"), "{out}");
    (out, dir)
}

#[test]
fn an_interrupt_keeps_what_is_complete_and_names_the_rest() {
    let (out, _dir) = interrupted("", &["INT"]);
    out.code(130);
    assert!(out.both().contains("unfinished"), "{out}");
    assert_eq!(out.completions().len(), 1, "{out}");
}

#[test]
fn a_termination_has_its_own_code() {
    let (out, _dir) = interrupted("", &["TERM"]);
    out.code(143);
    assert!(out.both().contains("unfinished"), "{out}");
}

#[test]
fn a_hangup_that_is_ignored_as_under_nohup_stops_nothing() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").wait_for(&gate).body(b"whole");
    });
    let dir = Dir::new();
    let gannet = dir.gannet().shell("trap '' HUP");
    let running = gannet.arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    running.signal("HUP");
    gate.open();
    running.finish().ok();
    dir.assert_file("a", b"whole");
}

#[test]
fn an_interrupt_wins_over_failures() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("-j 2")
        .args([server.url("/gone"), server.url("/stuck")])
        .spawn();
    server.wait_for_stalls(1);
    server.wait_for_requests(2);
    running.signal("INT");
    running.finish().code(130);
}

#[test]
fn an_interrupt_is_heard_while_a_list_is_waited_for() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
    });
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i -").spawn();
    running.write(format!("{}\n", server.url("/a")).as_bytes());
    running.wait_for_line(&server.url("/a"));
    running.signal("INT");
    running.end().code(130);
    dir.assert_file("a", b"1");
}

#[test]
fn an_interrupt_is_heard_while_tries_are_waited_for() {
    let server = Server::start(|s| {
        s.get("/a").status(503).retry_after("60");
    });
    let dir = Dir::new();
    let running = dir.gannet().arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    running.signal("INT");
    running.finish().code(130);
}

#[test]
fn an_interrupt_stops_the_list_too() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
        s.get("/a").body(b"1");
    });
    let dir = Dir::new();
    let list: String = std::iter::once(server.url("/stuck"))
        .chain((0..50).map(|_| server.url("/a")))
        .map(|url| url + "\n")
        .collect();
    let mut running = dir.gannet().flags("-i - -j 1").spawn();
    running.write(list.as_bytes());
    server.wait_for_stalls(1);
    running.signal("INT");
    running.end().code(130);
    assert_eq!(server.paths(), ["/stuck"]);
}

#[test]
fn a_second_signal_ends_it_all_the_same() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let running = dir.gannet().arg(server.url("/stuck")).spawn();
    server.wait_for_stalls(1);
    running.signal_if_there("INT");
    running.signal_if_there("INT");
    let out = running.finish();
    // By its own exit, or by the signal when the second came very soon.
    assert!(out.exit_code().is_none_or(|code| code == 130), "{out}");
}

#[test]
fn an_interrupt_stops_a_run_whose_output_nobody_reads() {
    let server = Server::start(|s| {
        s.get("/big").body(noise(4 << 20));
    });
    // A pipe that is open at both ends, and read at neither.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("-o - --stall-timeout 20s")
        .arg(server.url("/big"))
        .stdout_to(std::os::fd::OwnedFd::from(writer).into())
        .spawn();
    server.wait_for_requests(1);
    running.signal("INT");
    running.finish().code(130);
    drop(reader);
}
