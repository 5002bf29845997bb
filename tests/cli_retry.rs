//! Transient failures are tried again, others are not; what was cut is fetched whole.

use std::time::Duration;

use crate::harness::{Dir, json_lines, noise};
use crate::server::{Port, Request, Server};

#[test]
fn a_status_that_is_transient_is_tried_again() {
    for status in [202, 408, 425, 429, 500, 502, 503, 504, 522, 524] {
        let server = Server::start(|s| {
            s.get("/a")
                .status(status)
                .body(b"not now")
                .times(2)
                .then()
                .body(b"ok");
        });
        let dir = Dir::new();
        dir.fetch("", server.url("/a")).ok();
        dir.assert_names(&["a"]);
        dir.assert_file("a", b"ok");
        assert_eq!(server.requests().len(), 3, "{status}");
    }
}

#[test]
fn a_status_that_is_final_is_not_tried_again() {
    for (status, code) in [
        (400, 8),
        (401, 6),
        (403, 8),
        (404, 8),
        (407, 6),
        (410, 8),
        (416, 8),
        (451, 8),
        (501, 8),
        (599, 8),
    ] {
        let server = Server::start(|s| {
            s.get("/a")
                .status(status)
                .body(b"never")
                .then()
                .body(b"wrong");
        });
        let dir = Dir::new();
        let out = dir.fetch("", server.url("/a"));
        out.code(code);
        assert_eq!(
            (out.failure().status.as_str(), out.failure().tries),
            (status.to_string().as_str(), 1),
            "{out}"
        );
        assert_eq!(server.requests().len(), 1, "{status}");
        dir.assert_names(&[]);
    }
}

/// Without `-t`, a port that refuses connections is most likely a typo.
#[test]
fn rows_of_a_failing_server_keep_no_other_row_from_starting() {
    let server = Server::start(|s| {
        s.get("/a").status(503);
    });
    let dir = Dir::new();
    let mut list: String = (0..1500)
        .map(|n| format!("{} {n}\n", server.url("/a")))
        .collect();
    let other = Server::start(|s| {
        s.get("/b").body(b"ok");
    });
    list.push_str(&other.url("/b"));
    let list = dir.write("list", list);
    let run = dir.gannet().flags("-j 4 --retry-delay 1h -i").arg(list);
    let run = run.spawn();
    run.wait_for_completions(1);
    run.signal("INT");
    let out = run.finish();
    out.died_by(2);
    dir.assert_file("b", b"ok");
}

#[test]
fn a_silent_server_leaves_slots_for_others() {
    let (silent, server) = (
        Port::silent(),
        Server::start(|s| {
            s.get("/b").body(b"ok");
        }),
    );
    let mut list: String = (0..10)
        .map(|n| format!("{} {n}\n", silent.url("/a")))
        .collect();
    list.push_str(&server.url("/b"));
    let dir = Dir::new();
    let out = dir.fetch_list("-j 4 -t 0 --stall-timeout 1s --json", list);
    let statuses = json_lines(&out.stdout());
    let last = statuses
        .iter()
        .position(|line| line["url"] == server.url("/b"));
    assert!(last.is_some_and(|index| index < 8), "{out}");
    dir.assert_file("b", b"ok");
}

#[test]
fn a_server_that_never_answered_and_refuses_connections_fails_soon() {
    let dead = Port::dead();
    let dir = Dir::new();
    let out = dir.fetch("", dead.url("/a"));
    out.code(4).complains("refused");
    assert!(out.failure().tries < 40, "{out}");
    // A number is obeyed, and so is the wish to wait for a service that starts.
    for flags in ["-t 1", "-t 1 --retry-connrefused"] {
        let out = dir.fetch(flags, dead.url("/a"));
        assert_eq!(out.failure().tries, 2, "{out}");
    }
}

#[test]
fn a_number_of_tries_is_counted_after_the_first() {
    let server = Server::start(|s| {
        s.get("/a").status(500);
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 5", server.url("/a"));
    out.code(8);
    assert_eq!(server.requests().len(), 6);
    assert_eq!(out.failure().tries, 6, "{out}");
    dir.assert_names(&[]);
}

#[test]
fn the_number_of_tries_can_be_set() {
    for (flag, tries) in [("-t", 0), ("--retry", 2)] {
        let server = Server::start(|s| {
            s.get("/a").status(503);
        });
        let dir = Dir::new();
        let out = dir
            .gannet()
            .args([flag, &tries.to_string(), "--retry-delay", "1ms"])
            .arg(server.url("/a"))
            .run();
        out.code(8);
        assert_eq!(server.requests().len(), tries + 1);
        assert_eq!(out.failure().tries, tries + 1, "{out}");
    }
}

#[test]
fn the_last_failure_is_the_one_reported() {
    let server = Server::start(|s| {
        s.get("/a").status(500).then().status(404);
    });
    let out = Dir::new().fetch("", server.url("/a"));
    out.code(8).complains("not found (2 tries)");
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    let date = (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:38 GMT",
    );
    let server = Server::start(|s| {
        s.get("/seconds")
            .status(503)
            .retry_after("1")
            .then()
            .body(b"ok");
        s.get("/utc")
            .status(429)
            .header("Date", date.0)
            .retry_after("Sun, 6 Nov 1994 08:49:38 UTC")
            .then()
            .body(b"ok");
        s.get("/date")
            .status(429)
            .header("Date", date.0)
            .retry_after(date.1)
            .then()
            .body(b"ok");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("--retry-delay 1ms")
        .args(["/seconds", "/date", "/utc"].map(|path| server.url(path)))
        .run()
        .ok();
    for path in ["/seconds", "/date", "/utc"] {
        let at: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|request| request.target == path)
            .map(|request| request.at)
            .collect();
        let gap = at[1] - at[0];
        assert!(
            gap >= Duration::from_millis(950),
            "{path} was asked again after {gap:?}"
        );
    }
}

#[test]
fn who_gives_up_says_what_the_server_asked_for() {
    let server = Server::start(|s| {
        s.get("/long").status(503).retry_after("600");
        s.get("/date")
            .status(429)
            .retry_after("Fri, 31 Dec 9999 23:59:59 GMT");
    });
    let dir = Dir::new();
    for (path, words) in [
        ("/long", "the server asks to wait for 10m (1 try)"),
        (
            "/date",
            "the server asks to wait until 9999-12-31T23:59:59Z (1 try)",
        ),
    ] {
        let out = dir.fetch("", server.url(path));
        out.code(8).complains(words);
    }
}

#[test]
fn no_wait_is_a_wait_too() {
    let server = Server::start(|s| {
        s.get("/a").status(503).retry_after("0").then().body(b"ok");
        s.get("/b")
            .status(503)
            .retry_after("rubbish")
            .then()
            .body(b"ok");
        s.get("/c").status(503).retry_after("-5").then().body(b"ok");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("--retry-delay 1ms")
        .args(["/a", "/b", "/c"].map(|path| server.url(path)))
        .run()
        .ok();
    dir.assert_names(&["a", "b", "c"]);
}

#[test]
fn a_cut_body_is_fetched_again() {
    let body = noise(200_000);
    for cut in [0, 1, 1000, 199_999] {
        for reset in [false, true] {
            let server = Server::start(|s| {
                let route = s.get("/a").body(&body);
                if reset {
                    route.cut_rst_at(cut)
                } else {
                    route.cut_at(cut)
                }
                .then()
                .body(&body);
            });
            let dir = Dir::new();
            dir.fetch("", server.url("/a")).ok();
            dir.assert_names(&["a"]);
            dir.assert_file("a", &body);
        }
    }
}

#[test]
fn a_cut_body_is_fetched_again_from_a_server_that_has_ranges() {
    let body = noise(200_000);
    let server = Server::start(|s| {
        let route = s
            .get("/a")
            .body(&body)
            .etag("\"v1\"")
            .ranges()
            .cut_at(120_000);
        route.then().body(&body).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", &body);
    let ranges = |request: &Request| {
        let (range, validator) = (request.header("range"), request.header("if-range"));
        (range.map(str::to_owned), validator.map(str::to_owned))
    };
    let rest = (Some("bytes=120000-".to_owned()), Some("\"v1\"".to_owned()));
    let asked: Vec<_> = server.requests().iter().map(ranges).collect();
    assert_eq!(asked, [(None, None), rest]);
}

#[test]
fn a_file_that_changed_between_tries_is_never_spliced() {
    let (old, new) = (noise(200_000), noise(200_001)[1..].to_vec());
    for ranges in [false, true] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(&old).etag("\"v1\"").cut_at(120_000);
            if ranges {
                route.ranges();
            }
            let route = route.then().body(&new).etag("\"v2\"");
            if ranges {
                route.ranges();
            }
        });
        let dir = Dir::new();
        dir.fetch("", server.url("/a")).ok();
        dir.assert_file("a", &new);
    }
}

#[test]
fn a_shorter_second_answer_leaves_no_old_tail() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(noise(200_000))
            .cut_at(150_000)
            .then()
            .body(b"short");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", b"short");
}

#[test]
fn a_body_that_stays_cut_is_a_failure_without_a_file() {
    let body = noise(50_000);
    for framing in ["length", "chunked"] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(&body).cut_at(20_000);
            if framing == "chunked" {
                route.chunked(999);
            }
        });
        let dir = Dir::new();
        let out = dir.fetch("-t 2", server.url("/a"));
        out.code_in(&[4, 7]);
        assert_eq!(out.failure().tries, 3, "{out}");
        assert_eq!(server.requests().len(), 3);
        assert!(!dir.has("a"), "{out}");
    }
}

#[test]
fn a_connection_that_closes_without_an_answer_is_tried_again() {
    let server = Server::start(|s| {
        s.get("/a").raw(b"").times(2).then().body(b"ok");
        s.get("/b")
            .raw(b"HTTP/1.1 200 OK\r\nContent-Le")
            .then()
            .body(b"ok");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("--retry-delay 1ms")
        .args([server.url("/a"), server.url("/b")])
        .run()
        .ok();
    dir.assert_file("a", b"ok");
    dir.assert_file("b", b"ok");
}

#[test]
fn one_that_sleeps_between_tries_does_not_hold_up_the_others() {
    let server = Server::start(|s| {
        s.get("/slow")
            .status(503)
            .retry_after("1")
            .then()
            .body(b"ok");
        s.get("/a").body(b"a");
    });
    let dir = Dir::new();
    let other = Server::start(|s| {
        for at in 0..10 {
            s.get(&format!("/{at}")).body(b"x");
        }
    });
    let mut urls = vec![server.url("/slow")];
    urls.extend((0..10).map(|at| other.url(&format!("/{at}"))));
    let out = dir.gannet().flags("-j 2").args(urls).run();
    out.ok();
    let order = out.completions();
    assert_eq!(
        order.last().map(|line| line.url.clone()),
        Some(server.url("/slow")),
        "{out}"
    );
}

#[test]
fn a_redirect_is_walked_again_from_its_start() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b");
        s.get("/b").status(500).then().body(b"ok");
    });
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a"));
    out.ok();
    dir.assert_file("a", b"ok");
    assert_eq!(server.paths(), ["/a", "/b", "/a", "/b"]);
}

#[test]
fn a_signed_url_that_has_expired_is_asked_for_anew() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        let door = s.get("/door").redirect(302, "/signed-1");
        door.then().redirect(302, "/signed-2");
        let first = s.get("/signed-1").body(&body).cut_at(50_000);
        first.then().status(403);
        s.get("/signed-2").body(&body);
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--retry-delay 1ms");
    gannet.arg(server.url("/door")).run().ok();
    dir.assert_file("door", &body);
    assert_eq!(server.paths(), ["/door", "/signed-1", "/door", "/signed-2"]);
}

#[test]
fn a_signature_that_has_expired_in_mid_file_is_had_anew() {
    let body = noise(100_000);
    for flags in ["", "-s 4 --min-split 5K"] {
        let server = Server::start(|s| {
            let door = s.get("/door").redirect(302, "/old");
            // The door goes on handing the old one out for a while.
            let door = door.then().redirect(302, "/old").times(2);
            door.then().redirect(302, "/new");
            let old = s.get("/old").body(&body).etag("\"v1\"").ranges();
            old.cut_at(50_000).then().status(403);
            s.get("/new").body(&body).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        let gannet = dir.gannet().flags("--retry-delay 1ms").flags(flags);
        gannet.arg(server.url("/door")).run().ok();
        dir.assert_file("door", &body);
        let last = server.requests().pop().expect("a request");
        assert!(last.header("Range").is_some(), "{flags}");
    }
}

#[test]
fn another_run_asks_the_first_url_for_a_new_signature() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        let door = s.get("/door").redirect(302, "/old");
        door.then().redirect(302, "/new");
        let old = s.get("/old").body(&body).etag("\"v1\"").ranges();
        old.cut_at(50_000).then().status(403);
        s.get("/new").body(&body).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let run = || dir.fetch("-t 0", server.url("/door"));
    run().code(4);
    run().ok();
    dir.assert_file("door", &body);
    assert_eq!(server.paths(), ["/door", "/old", "/door", "/new"]);
}

#[test]
fn statuses_to_retry_can_be_named() {
    let server = Server::start(|s| {
        s.get("/a").status(404).then().body(b"1");
        s.get("/b").status(503).then().body(b"1");
    });
    let with = |path: &str| {
        let dir = Dir::new();
        let gannet = dir.gannet().flags("--retry-delay 1ms --retry-on 404,418");
        gannet.arg(server.url(path)).run().exit_code()
    };
    assert_eq!(with("/a"), Some(0));
    assert_eq!(with("/b"), Some(8));
    let dir = Dir::new();
    dir.gannet().flags("--retry-on 200 http://a/").run().code(2);
}

#[test]
fn retries_end_with_their_time() {
    let server = Server::start(|s| {
        s.get("/a").status(503).retry_after("1");
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--retry-max-time 500ms");
    let out = gannet.arg(server.url("/a")).run();
    out.code(8);
    assert_eq!(out.failure().tries, 1, "{out}");
    let gannet = dir.gannet().flags("--retry-max-time 1500ms");
    let out = gannet.arg(server.url("/a")).run();
    assert_eq!(out.failure().tries, 2, "{out}");
}
