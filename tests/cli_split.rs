//! One file over several connections: every byte once, of one version, whatever the server makes of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::harness::{Dir, Gannet, Output, noise, other_noise};
use crate::server::{Gate, Request, Route, Server};

const SIZE: usize = 1_000_000;

/// A server of one file that is slow enough for several connections to have their share.
fn slow(version: impl Fn(&mut Route)) -> Server {
    Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).ranges();
        version(route);
        route.pace(10_000, Duration::from_millis(2));
    })
}

fn split(dir: &Dir, flags: &str) -> Gannet {
    dir.gannet()
        .flags("--min-split 50K --retry-delay 1ms")
        .flags(flags)
}

fn fetch(server: &Server, flags: &str) -> (Output, Dir) {
    let dir = Dir::new();
    let out = dir.fetch(&format!("--min-split 50K {flags}"), server.url("/a"));
    (out, dir)
}

/// First offset, and the one behind the last, of a request for a part.
fn range(request: &Request) -> Option<(usize, usize)> {
    let (first, last) = request
        .header("Range")?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let end = if last.is_empty() {
        SIZE
    } else {
        last.parse::<usize>().ok()? + 1
    };
    Some((first.parse().ok()?, end))
}

#[test]
fn a_file_comes_over_as_many_connections_as_are_asked_for() {
    let server = slow(Route::tagged);
    let (out, dir) = fetch(&server, "-s 4");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
    assert!(server.in_flight_max() >= 4, "{out}");
    let requests = server.requests();
    assert_eq!(range(&requests[0]), None);
    let mut first: Vec<_> = requests[1..4].iter().filter_map(range).collect();
    first.sort_unstable();
    let quarter = |n| (n * SIZE / 4, (n + 1) * SIZE / 4);
    assert_eq!(first, [quarter(1), quarter(2), quarter(3)]);
    for request in &requests[1..] {
        assert_eq!(request.header("If-Range"), Some("\"v1\""));
    }
}

#[test]
fn connections_are_there_before_the_first_head_where_their_number_was_given() {
    let gate = Gate::new();
    let server = slow(|route| {
        route.etag("\"v1\"").wait_for(&gate);
    });
    let dir = Dir::new();
    let run = split(&dir, "-s 4").arg(server.url("/a")).spawn();
    server.wait_for_connections(4);
    gate.open();
    run.finish().ok();
    dir.assert_file("a", noise(SIZE));
    let requests = server.requests();
    let mut early: Vec<_> = requests[..4].iter().map(|r| r.connection).collect();
    early.sort_unstable();
    assert_eq!(early, [1, 2, 3, 4], "one request over each: {requests:?}");
}

#[test]
fn what_was_connected_in_vain_does_no_harm() {
    let server = Server::start(|s| {
        s.get("/small").body("small");
        s.get("/elsewhere").redirect(302, "/a");
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(10_000, Duration::from_millis(2));
    });
    let dir = Dir::new();
    let run = |flags, path| split(&dir, flags).arg(server.url(path)).run();
    run("-s 8", "/small").ok();
    dir.assert_file("small", "small");
    run("-s 8", "/missing").code(8);
    run("-s 8 -x 2", "/elsewhere").ok();
    dir.assert_file("elsewhere", noise(SIZE));
}

#[test]
fn one_connection_is_one_request() {
    let server = slow(Route::tagged);
    let (out, dir) = fetch(&server, "-s 1");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_small_file_is_not_divided() {
    let server = slow(Route::tagged);
    let dir = Dir::new();
    let out = dir.fetch("-s 16", server.url("/a"));
    out.ok();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_row_can_have_its_own_number() {
    let server = slow(Route::tagged);
    let dir = Dir::new();
    let list = format!("{}\n  split=2\n", server.url("/a"));
    split(&dir, "-s 1 -i -").input(list).run().ok();
    dir.assert_file("a", noise(SIZE));
    assert!(server.requests().len() >= 2);
}

#[test]
fn without_a_strong_validator_a_file_is_one_stream() {
    let weak: [fn(&mut Route); 3] = [
        |_| {},
        |route| {
            route.etag("W/\"v1\"");
        },
        |route| {
            route.header("Last-Modified", "Mon, 10 Sep 2001 01:46:40 GMT");
        },
    ];
    for version in weak {
        let server = slow(version);
        let (out, dir) = fetch(&server, "-s 4");
        out.ok();
        dir.assert_file("a", noise(SIZE));
        assert_eq!(server.requests().len(), 1, "{out}");
    }
}

#[test]
fn a_server_without_parts_is_one_stream_and_no_error() {
    for accepts in [None, Some("none")] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
            if let Some(accepts) = accepts {
                route.header("Accept-Ranges", accepts);
            }
            route.pace(10_000, Duration::from_millis(2));
        });
        let (out, dir) = fetch(&server, "-s 4");
        out.ok();
        assert!(!out.stderr().contains("again"), "{out}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_file_that_changes_between_two_parts_is_not_spliced_and_the_first_answer_is_not_lost() {
    // The answers go out in the order of the requests; which part is which does not matter.
    let parts: [fn(&mut Route); 2] = [
        |route| {
            route.ranges();
        },
        |route| {
            route.status(200);
        },
    ];
    for part in parts {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.pace(10_000, Duration::from_millis(5));
            let route = route.then().body(other_noise(SIZE)).etag("\"v2\"");
            part(route);
            route.then().body(other_noise(SIZE)).etag("\"v2\"").ranges();
        });
        let (out, dir) = fetch(&server, "-s 4");
        out.ok();
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_file_that_changes_between_two_parts_is_fetched_anew_where_the_first_answer_is_cut() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(10_000, Duration::from_millis(5)).cut_at(100_000);
        route.then().body(other_noise(SIZE)).etag("\"v2\"").ranges();
    });
    let (out, dir) = fetch(&server, "-s 4 --retry-delay 1ms");
    out.ok().complains("the file changed");
    dir.assert_file("a", other_noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_file_of_which_no_two_answers_agree_comes_in_one_piece() {
    let server = Server::start(|s| {
        let mut route = s.get("/a");
        for version in 0..12 {
            let tag = format!("\"v{version}\"");
            route = route.body(noise(SIZE)).etag(&tag).ranges();
            route.pace(10_000, Duration::from_millis(5));
            route = route.then();
        }
        route.status(404);
    });
    let (out, dir) = fetch(&server, "-s 2");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    assert_eq!(server.requests().len(), 2, "{out}");
}

/// What it is, and the script of it.
type Lie = (&'static str, fn(&mut Route));

/// Answers to requests for parts that must not be believed.
fn lies() -> Vec<Lie> {
    fn part(route: &mut Route, range: &str, length: usize) {
        route
            .status(206)
            .etag("\"v1\"")
            .header("Content-Range", range)
            .body(&other_noise(SIZE)[..length]);
    }
    vec![
        ("the first bytes", |r| {
            part(r, "bytes 0-249999/1000000", 250_000)
        }),
        ("a wrong start", |r| {
            part(r, "bytes 499999-749999/1000000", 250_001)
        }),
        ("more than was asked for", |r| {
            part(r, "bytes 500000-999999/1000000", 500_000)
        }),
        ("no total", |r| part(r, "bytes 500000-749999/*", 250_000)),
        ("no range", |r| {
            r.status(206).etag("\"v1\"").body(other_noise(SIZE));
        }),
        ("several parts", |r| {
            r.status(206)
                .etag("\"v1\"")
                .header("Content-Type", "multipart/byteranges; boundary=x")
                .body(other_noise(SIZE));
        }),
        ("no validator", |r| {
            r.status(206)
                .header("Content-Range", "bytes 500000-749999/1000000")
                .body(&other_noise(SIZE)[..250_000]);
        }),
        ("too many bytes", |r| {
            part(r, "bytes 500000-749999/1000000", 300_000);
            r.chunked(5000);
        }),
        ("an error", |r| {
            r.status(416).header("Content-Range", "bytes */1000000");
        }),
        ("a refusal", |r| {
            r.status(403);
        }),
        ("the whole", |r| {
            r.status(200).etag("\"v1\"").body(noise(SIZE));
        }),
    ]
}

#[test]
fn no_part_that_lies_is_believed() {
    for (lie, script) in lies() {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
            route.pace(10_000, Duration::from_millis(3));
            script(route.then());
            route.times(3);
            route.then().body(noise(SIZE)).etag("\"v1\"");
        });
        let (out, dir) = fetch(&server, "-s 4");
        assert_eq!(out.exit_code(), Some(0), "{lie}: {out}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn parts_that_are_refused_are_left_to_the_first_answer_or_to_one_without_a_range() {
    for status in [400, 403, 404, 405, 410, 500] {
        for is_cut in [false, true] {
            let server = Server::start(|s| {
                let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
                route.pace(10_000, Duration::from_millis(2));
                if is_cut {
                    route.cut_at(100_000);
                }
                let whole = route.then().body(noise(SIZE)).etag("\"v1\"");
                whole.refuses_ranges(status);
            });
            let dir = Dir::new();
            let out = split(&dir, "-s 4 -t 1").arg(server.url("/a")).run();
            assert_eq!(out.exit_code(), Some(0), "{status}: {out}");
            dir.assert_file("a", noise(SIZE));
            dir.assert_names(&["a"]);
        }
    }
}

#[test]
fn login_pages_in_place_of_parts_do_not_cost_the_file() {
    for is_cut in [false, true] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
            route.pace(10_000, Duration::from_millis(2));
            if is_cut {
                route.cut_at(100_000);
            }
            let page = route.then().body(b"<html>Who are you?</html>");
            page.header("Content-Type", "text/html");
        });
        let dir = Dir::new();
        let out = split(&dir, "-s 4 -t 1").arg(server.url("/a")).run();
        if is_cut {
            out.code(10).complains("a small web page");
            dir.assert_names(&["a.part", "a.part.gannet"]);
        } else {
            out.ok();
            dir.assert_file("a", noise(SIZE));
        }
    }
}

#[test]
fn a_part_that_fails_is_fetched_again_and_the_others_are_kept() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(10_000, Duration::from_millis(4));
        let cut = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        cut.cut_rst_at(60_000).times(2);
        let rest = cut.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        rest.pace(10_000, Duration::from_millis(2));
    });
    let (out, dir) = fetch(&server, "-s 4");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    let resumed = server
        .requests()
        .iter()
        .filter_map(range)
        .any(|(first, _)| {
            // Where a cut part left off.
            first % 250_000 == 60_000
        });
    assert!(resumed, "{out}");
}

#[test]
fn an_origin_that_takes_one_connection_is_left_with_one() {
    let refusals: [fn(&mut Route); 5] = [
        |route| {
            route.cut_rst_at(0);
        },
        |route| {
            route.status(503);
        },
        |route| {
            route.status(429).header("Retry-After", "0");
        },
        // Nothing of the file waits for this: the first answer has it all.
        |route| {
            route.status(429).header("Retry-After", "100");
        },
        |route| {
            route.status(500);
        },
    ];
    for refusal in refusals {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.pace(10_000, Duration::from_millis(3));
            let route = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
            refusal(route);
        });
        let (out, dir) = fetch(&server, "-s 16 -t 2");
        out.ok();
        assert!(!out.stderr().contains("again"), "{out}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn parts_that_are_shorter_than_was_asked_for_are_no_failed_tries() {
    for lanes in ["-s 1", "-s 4"] {
        let server = Server::start(|s| {
            let etag = "\"v1\"";
            let mut route = s.get("/a").body(noise(SIZE)).etag(etag).ranges();
            route.cut_at(200_000);
            for start in (200_000..SIZE).step_by(100_000) {
                route = route.then();
                let range = format!("bytes {start}-{}/{SIZE}", start + 99_999);
                route.status(206).etag(etag).header("Content-Range", &range);
                route.body(&noise(SIZE)[start..start + 100_000]);
            }
        });
        let dir = Dir::new();
        let flags = format!("-t 1 --min-split 1M {lanes}");
        split(&dir, &flags).arg(server.url("/a")).run().ok();
        dir.assert_file("a", noise(SIZE));
    }
}

#[test]
fn connections_that_break_together_are_one_try() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.drip(20_000, &gate).cut_rst_at(20_000);
        let cut = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        cut.drip(20_000, &gate).cut_rst_at(20_000).times(7);
        cut.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let flags = "-s 8 -t 1 --retry-delay 200ms";
    let running = split(&dir, flags).arg(server.url("/a")).spawn();
    server.wait_for_requests(8);
    gate.open();
    running.finish().ok();
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_part_that_is_stuck_with_two_is_overtaken_by_a_third() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(10_000, Duration::from_millis(2));
        let stuck = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        stuck.stall_at(0).times(3);
        let good = stuck.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        good.pace(10_000, Duration::from_millis(1)).times(2);
        let stuck = good.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        stuck.stall_at(0).times(2);
        stuck.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let (out, dir) = fetch(&server, "-s 6");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    assert!(out.took() < Duration::from_secs(20), "{out}");
}

#[test]
fn a_part_that_is_stuck_is_overtaken() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.pace(20_000, Duration::from_millis(4));
        let stuck = route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        stuck.stall_at(10_000);
        stuck.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let (out, dir) = fetch(&server, "-s 4");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    assert!(out.took() < Duration::from_secs(20), "{out}");
}

#[test]
fn who_began_a_file_goes_on_with_it_until_another_has_begun_too() {
    let gate = Gate::new();
    let silences: [&dyn Fn(&mut Route); 2] = [
        &|route| {
            route.wait_for(&gate).status(403);
        },
        &|route| {
            route.body(noise(SIZE)).etag("\"v1\"").ranges().stall_at(0);
        },
    ];
    for silence in silences {
        let server = Server::start(|s| {
            // It is over with its share long before the others are refused, or given nothing.
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            silence(route.then());
        });
        let (out, dir) = fetch(&server, "-s 4 -t 0");
        out.ok();
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
        assert!(out.took() < Duration::from_secs(20), "{out}");
    }
    gate.open();
}

#[test]
fn no_more_connections_to_an_origin_than_are_allowed() {
    let server = slow(Route::tagged);
    let (out, dir) = fetch(&server, "-s 8 -x 2");
    out.ok();
    dir.assert_file("a", noise(SIZE));
    // The server may not have seen yet that a connection was closed when the next one comes.
    assert!(server.in_flight_max() <= 4, "{out}");
    assert!(!out.stderr().contains("again"), "{out}");
}

#[test]
fn a_file_counts_once_however_many_connections_it_has() {
    let server = Server::start(|s| {
        for path in ["/a", "/b", "/c"] {
            let route = s.get(path).body(noise(SIZE)).etag("\"v1\"").ranges();
            route.pace(10_000, Duration::from_millis(1));
        }
    });
    let dir = Dir::new();
    let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
    split(&dir, "-s 4 -j 1").args(urls).run().ok();
    // With one file at a time, what is asked of each comes in one piece.
    let mut paths = server.paths();
    paths.dedup();
    assert_eq!(paths, ["/a", "/b", "/c"]);
    for name in ["a", "b", "c"] {
        dir.assert_file(name, noise(SIZE));
    }
}

#[test]
fn a_stopped_run_with_parts_is_gone_on_from() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.drip(50_000, &gate);
    });
    let dir = Dir::new();
    let running = split(&dir, "-s 4").arg(server.url("/a")).spawn();
    server.wait_for_requests(4);
    for _ in 0..8 {
        gate.let_one_through();
    }
    dir.wait_for_size("a.part.gannet", 1);
    running.signal("INT");
    running.finish().code(130);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    let before = server.requests().len();
    gate.open();
    split(&dir, "-s 4").arg(server.url("/a")).run().ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
    let requests = server.requests();
    assert!(
        requests[before..]
            .iter()
            .all(|request| range(request).is_some())
    );
}

#[test]
fn runs_that_are_killed_anywhere_are_gone_on_from() {
    let seed = 0x6761_6e6e_6574_u64;
    println!("seed {seed:#x}");
    let mut random = seed;
    for (lanes, kills) in [(1, 4), (8, 6)] {
        let gate = Gate::new();
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.drip(20_000, &gate);
        });
        let dir = Dir::new();
        for _ in 0..kills {
            let asked = server.requests().len();
            let running = split(&dir, &format!("-s {lanes}"))
                .arg(server.url("/a"))
                .spawn();
            server.wait_for_requests(asked + 1);
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let pieces = NonZeroUsize::new((random >> 60) as usize).map_or(1, usize::from);
            (0..pieces).for_each(|_| gate.let_one_through());
            running.signal_if_there("KILL");
            running.finish();
        }
        gate.open();
        split(&dir, &format!("-s {lanes}"))
            .arg(server.url("/a"))
            .run()
            .ok();
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn connections_opened_early_go_with_a_file_that_is_whole_before_its_answer_is() {
    let body = noise(20_000);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v1\"").ranges();
        // All of the one chunk with its head of six bytes, but not the last one, which is empty.
        let rest = route.cut_at(5_000).then().status(206).etag("\"v1\"");
        let rest = rest.header("Content-Range", "bytes 5000-19999/20000");
        let rest = rest.body(&body[5_000..]).chunked(15_000);
        // On a machine that is busy it may come after its head, and be divided.
        let parts = rest.stall_at(15_006).then();
        parts.body(&body).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let run = |flags| dir.fetch(flags, server.url("/a"));
    run("-t 0 -s 1").code(4);
    run("-t 0 -s 4 --min-split 1K").ok();
    dir.assert_file("a", &body);
}

#[test]
fn a_digest_is_checked_though_the_parts_come_out_of_order() {
    let server = slow(Route::tagged);
    let wrong = "0".repeat(64);
    let (out, dir) = fetch(&server, &format!("-s 4 --checksum sha256:{wrong} -t 0"));
    out.code(9);
    dir.assert_names(&[]);
}
