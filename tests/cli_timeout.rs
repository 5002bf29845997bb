//! The clocks: no byte for too long, connecting, the whole transfer. None runs while a transfer waits for its turn.

use std::thread;
use std::time::Duration;

use crate::harness::{Ca, Dir, noise};
use crate::server::{Gate, Port, Server};

#[test]
fn a_stalled_body_is_fetched_again() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        s.get("/a").body(&body).stall_at(1000).then().body(&body);
    });
    let dir = Dir::new();
    dir.fetch("--stall-timeout 200ms", server.url("/a")).ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", &body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_stall_is_a_timeout_with_its_own_words() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(100_000)).stall_at(1000);
    });
    for flag in ["-T", "--stall-timeout"] {
        let dir = Dir::new();
        let out = dir
            .gannet()
            .args([flag, "200ms", "-t", "0"])
            .arg(server.url("/a"))
            .run();
        out.code(28).complains("stall");
        assert!(!dir.has("a"), "{out}");
    }
}

#[test]
fn an_answer_that_never_begins_is_a_stall() {
    let silent = Port::silent();
    let out = Dir::new().fetch("--stall-timeout 200ms -t 0", silent.url("/a"));
    out.code(28)
        .complains(&silent.address().to_string())
        .complains("waiting for the response timed out after 200ms");
}

#[test]
fn a_head_that_stops_in_the_middle_is_a_stall() {
    let server = Server::start(|s| {
        s.get("/a")
            .raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-")
            .stall_at(1000);
    });
    Dir::new()
        .fetch("--stall-timeout 200ms -t 0", server.url("/a"))
        .code(28);
}

#[test]
fn the_whole_transfer_has_its_time() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(noise(100))
            .pace(1, Duration::from_millis(50));
    });
    let dir = Dir::new();
    let out = dir.fetch("--timeout 300ms -t 0", server.url("/a"));
    out.code(28);
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn a_connection_that_does_not_come_is_a_timeout() {
    let full = Port::full();
    let out = Dir::new().fetch("--connect-timeout 200ms -t 0", full.url("/a"));
    out.code(28)
        .complains(&full.address().to_string())
        .complains("connecting timed out after 200ms");
}

#[test]
fn a_handshake_that_does_not_come_is_a_timeout() {
    let silent = Port::silent();
    let out = Dir::new().fetch("--connect-timeout 200ms -t 0 -k", silent.https_url("/a"));
    out.code(28)
        .complains("the TLS handshake timed out after 200ms");
}

#[test]
fn one_that_stalls_does_not_hold_up_the_others() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/stuck").body(b"late").wait_for(&gate);
        for at in 0..20 {
            s.get(&format!("/{at}")).body(b"x");
        }
    });
    let dir = Dir::new();
    let mut urls = vec![server.url("/stuck")];
    urls.extend((0..20).map(|at| server.url(&format!("/{at}"))));
    let running = dir.gannet().flags("-j 2").args(urls).spawn();
    for at in 0..20 {
        running.wait_for_line(&(server.url(&format!("/{at}")) + " "));
    }
    gate.open();
    let out = running.finish();
    out.ok();
    assert_eq!(
        out.completions().last().map(|line| line.url.clone()),
        Some(server.url("/stuck")),
        "{out}"
    );
}

#[test]
fn durations_are_written_as_people_do() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    for duration in ["500ms", "10s", "5m", "1h 30m", "2min"] {
        dir.gannet()
            .args(["--timeout", duration, "--stall-timeout", duration])
            .arg(server.url("/a"))
            .run()
            .ok();
    }
    for flag in [
        "--timeout",
        "--stall-timeout",
        "--connect-timeout",
        "--retry-delay",
    ] {
        for duration in ["", "soon", "-1s", "5 parsecs"] {
            dir.gannet()
                .arg(format!("{flag}={duration}"))
                .arg(server.url("/a"))
                .run()
                .code(2);
        }
    }
}

#[test]
fn a_stalled_tls_body_is_a_timeout() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(noise(100_000)).stall_at(5000);
    });
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    let out = dir
        .gannet()
        .flags("--stall-timeout 300ms -t 0 --cacert")
        .arg(cacert)
        .arg(server.url("/a"))
        .run();
    out.code(28);
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn what_came_while_the_program_was_stopped_counts_before_the_clock() {
    let gate = Gate::new();
    let body = noise(100_000);
    let server = Server::start(|s| {
        s.get("/a").body(&body).drip(50_000, &gate);
        s.get("/b").body(&body).drip(50_000, &gate);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("-t 0 --stall-timeout 1500ms")
        .args([server.url("/a"), server.url("/b")])
        .spawn();
    server.wait_for_requests(2);
    running.signal("STOP");
    gate.open();
    thread::sleep(Duration::from_millis(1700));
    running.signal("CONT");
    running.finish().ok();
    dir.assert_file("a", &body);
    dir.assert_file("b", &body);
}

#[test]
fn a_transfer_that_is_too_slow_is_a_timeout() {
    let server = Server::start(|s| {
        let route = s.get("/slow").body(noise(200));
        route.pace(1, Duration::from_millis(20));
    });
    let dir = Dir::new();
    let out = dir.fetch("--min-speed 2K:300ms -t 0", server.url("/slow"));
    out.code(28).complains("too slow and timed out after 300ms");
    assert!(!dir.has("slow"), "{out}");
    for bad in ["", "1K", "0:1s", "1K:0s", "x:1s"] {
        let gannet = dir.gannet().arg(format!("--min-speed={bad}"));
        gannet.arg("http://127.0.0.1:1/").run().code(2);
    }
}
