//! What a failed, stopped or killed run leaves, and how the next one goes on with it: never by splicing two versions.

use std::fs::File;

use crate::harness::{Dir, Output, noise, other_noise};
use crate::server::{Gate, Request, Route, Script, Server};

const SIZE: usize = 300_000;
const CUT: usize = 120_000;
const MONDAY: &str = "Mon, 10 Sep 2001 01:46:40 GMT";
const MONDAY_LATER: &str = "Mon, 10 Sep 2001 01:46:41 GMT";

/// The first answer is cut; the rest is scripted by `then`.
fn cut(first: impl FnOnce(&mut Route), then: impl FnOnce(&mut Route)) -> Server {
    Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).ranges().cut_at(CUT);
        first(route);
        then(route.then().body(noise(SIZE)).ranges());
    })
}

/// A run that is cut, and one that goes on.
fn twice(server: &Server, dir: &Dir, flags: &str) -> Output {
    let run = |flags: &str| {
        let zero = if flags.contains("-t") { "" } else { "-t 0" };
        let out = dir.gannet().flags(zero).flags(flags);
        out.arg(server.url("/a")).run()
    };
    let first = flags.matches("--content-disposition").next();
    run(first.unwrap_or_default()).code(4);
    assert!(!dir.has("a"));
    run(flags)
}

/// A run that waits for next to nothing between its tries.
fn once(server: &Server, dir: &Dir, flags: &str) -> Output {
    let gannet = dir.gannet().flags("--retry-delay 1ms").flags(flags);
    gannet.arg(server.url("/a")).run()
}

/// The values of Range and If-Range in the last request.
fn last_asked(server: &Server) -> (Option<String>, Option<String>) {
    let requests = server.requests();
    let last = requests.last().expect("a request");
    let header = |name| last.header(name).map(str::to_owned);
    (header("Range"), header("If-Range"))
}

fn asked(range: &str, validator: &str) -> (Option<String>, Option<String>) {
    (Some(range.to_owned()), Some(validator.to_owned()))
}

#[test]
fn a_date_counts_beside_an_entity_tag_without_quotes() {
    let body = noise(300_000);
    let server = Server::start(|s| {
        s.get("/a")
            .body(&body)
            .etag("12ab-34")
            .header("Last-Modified", "Mon, 10 Sep 2001 01:46:40 GMT")
            .header("Date", "Tue, 11 Sep 2001 01:46:40 GMT")
            .cut_at(200_000)
            .then()
            .body(&body)
            .header("Last-Modified", "Mon, 10 Sep 2001 01:46:40 GMT")
            .header("Date", "Tue, 11 Sep 2001 01:46:40 GMT")
            .ranges();
    });
    let dir = Dir::new();
    dir.fetch("-t 0", server.url("/a")).code(4);
    dir.fetch("-t 0", server.url("/a")).ok();
    dir.assert_file("a", &body);
    let requests = server.requests();
    assert_eq!(
        requests[1].header("if-range"),
        Some("Mon, 10 Sep 2001 01:46:40 GMT")
    );
}

#[test]
fn the_next_run_goes_on_where_the_last_one_failed() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    let out = twice(&server, &dir, "");
    out.ok();
    assert_eq!(out.completion().columns[0], "206", "{out}");
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
    assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
}

#[test]
fn a_failed_run_leaves_the_part_and_its_state() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    let run = dir.gannet().flags("-t 0").arg(server.url("/a"));
    run.run().code(4);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    dir.assert_file("a.part", &noise(SIZE)[..CUT]);
}

#[test]
fn a_strong_date_is_as_good_as_a_tag() {
    let dated = |route: &mut Route| {
        route
            .header("Last-Modified", MONDAY)
            .header("Date", MONDAY_LATER);
    };
    let server = cut(dated, dated);
    let dir = Dir::new();
    twice(&server, &dir, "").ok();
    dir.assert_file("a", noise(SIZE));
    assert_eq!(last_asked(&server), asked("bytes=120000-", MONDAY));
}

#[test]
fn without_a_strong_validator_it_starts_over() {
    let weak: [fn(&mut Route); 4] = [
        |_| {},
        |route| {
            route.etag("W/\"v1\"");
        },
        |route| {
            route.header("Last-Modified", MONDAY).header("Date", MONDAY);
        },
        |route| {
            route
                .etag("W/\"v1\"")
                .header("Last-Modified", MONDAY)
                .header("Date", MONDAY_LATER);
        },
    ];
    for validators in weak {
        let server = cut(validators, |route| {
            route.body(other_noise(SIZE));
            validators(route);
        });
        let dir = Dir::new();
        twice(&server, &dir, "").ok();
        dir.assert_file("a", other_noise(SIZE));
        dir.assert_names(&["a"]);
        assert_eq!(last_asked(&server), (None, None));
    }
}

#[test]
fn a_file_that_changed_between_two_runs_is_fetched_anew_not_spliced() {
    let server = cut(Route::tagged, |route| {
        route.body(other_noise(SIZE)).etag("\"v2\"");
    });
    let dir = Dir::new();
    let out = twice(&server, &dir, "");
    out.ok().complains("the file changed");
    dir.assert_file("a", other_noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_file_that_became_shorter_leaves_no_old_tail() {
    let server = cut(Route::tagged, |route| {
        route.body(other_noise(70_000)).etag("\"v2\"");
    });
    let dir = Dir::new();
    twice(&server, &dir, "").ok();
    dir.assert_file("a", other_noise(70_000));
    dir.assert_names(&["a"]);
}

#[test]
fn a_server_that_ignores_ranges_sends_the_whole() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
        route.then().body(noise(SIZE)).etag("\"v1\"");
    });
    let dir = Dir::new();
    twice(&server, &dir, "").ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_retry_keeps_the_bytes_it_has() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    let out = dir.fetch("-t 1", server.url("/a"));
    out.ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
    assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
}

#[test]
fn a_file_whose_tag_is_another_each_time_is_taken_whole_as_long_as_there_are_tries() {
    let server = Server::start(|s| {
        let mut route = s.get("/a").body(noise(SIZE)).etag("\"v0\"").ranges();
        for version in 1..6 {
            let tag = format!("\"v{version}\"");
            route = route.cut_at(CUT).then();
            route.body(noise(SIZE)).etag(&tag).ranges();
        }
    });
    let dir = Dir::new();
    // The second change shows that ranges are of no use, and the fourth try is the last.
    once(&server, &dir, "-t 3").code(4).complains("changed");
    let requests = server.requests();
    let ranges: Vec<_> = requests
        .iter()
        .map(|r| r.header("Range").is_some())
        .collect();
    assert_eq!(ranges, [false, true, true, false]);
    // The next run asks for a range again, and has no more luck with it.
    once(&server, &dir, "-t 1").ok();
    assert_eq!(server.requests().len(), 6);
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

/// What it is, and the script of it.
type Lie = (&'static str, fn(&mut Route));

/// Answers to the request for the rest that must not be believed: what becomes of the file is the same with all.
fn lies() -> Vec<Lie> {
    fn part(route: &mut Route, range: &str, length: usize) {
        route
            .status(206)
            .header("Content-Range", range)
            .body(other_noise(length));
    }
    let rest = SIZE - CUT;
    assert_eq!(rest, 180_000);
    vec![
        ("a wrong start", |r| {
            part(r, "bytes 119999-299999/300000", 180_001)
        }),
        ("the first bytes", |r| {
            part(r, "bytes 0-179999/300000", 180_000)
        }),
        ("a wrong end", |r| {
            part(r, "bytes 120000-299998/300000", 180_000)
        }),
        ("an end behind the end", |r| {
            part(r, "bytes 120000-300000/300000", 180_001)
        }),
        ("a wrong total", |r| {
            part(r, "bytes 120000-299999/300001", 180_000)
        }),
        ("no total", |r| part(r, "bytes 120000-299999/*", 180_000)),
        ("no range", |r| {
            r.status(206).body(other_noise(180_000));
        }),
        ("two ranges", |r| {
            r.header("Content-Range", "bytes 120000-299999/300000");
            part(r, "bytes 0-299999/300000", 180_000);
        }),
        ("several parts", |r| {
            r.status(206)
                .header("Content-Type", "multipart/byteranges; boundary=x")
                .body(other_noise(180_200));
        }),
        ("too many bytes", |r| {
            part(r, "bytes 120000-299999/300000", 190_000);
            r.chunked(5000);
        }),
        ("a coded part", |r| {
            r.header("Content-Encoding", "gzip");
            part(r, "bytes 120000-299999/300000", 180_000);
        }),
        ("a part that calls itself the whole", |r| {
            r.body(other_noise(180_000));
        }),
        ("less than the rest as the whole", |r| {
            r.body(other_noise(100_000));
        }),
        ("a whole that says it is a part", |r| {
            r.header("Content-Range", "bytes 120000-299999/300000")
                .body(other_noise(SIZE));
        }),
        ("an error that says nothing", |r| {
            r.status(416);
        }),
        ("an error with another size", |r| {
            r.status(416).header("Content-Range", "bytes */300001");
        }),
    ]
}

/// Statuses that say nothing of the part that was asked for.
fn evasions() -> Vec<Lie> {
    vec![
        ("nothing", |r| {
            r.status(204);
        }),
        ("another success", |r| {
            r.status(203).body(other_noise(SIZE));
        }),
        ("no change", |r| {
            r.status(304);
        }),
        ("a bad request", |r| {
            r.status(400);
        }),
        ("a condition that failed", |r| {
            r.status(412);
        }),
        ("fields that are too long", |r| {
            r.status(431);
        }),
        ("something that is not implemented", |r| {
            r.status(501);
        }),
    ]
}

#[test]
fn no_answer_that_lies_about_its_range_is_believed() {
    for (lie, script) in lies().into_iter().chain(evasions()) {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            let lying = route.then().etag("\"v1\"");
            script(lying);
            lying.then().body(noise(SIZE)).etag("\"v1\"");
        });
        let dir = Dir::new();
        let out = twice(&server, &dir, "");
        assert_eq!(out.exit_code(), Some(0), "{lie}: {out}");
        assert_eq!(server.requests().len(), 3, "{lie}: {out}");
        out.complains("starting over");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_server_that_refuses_parts_with_whatever_status_is_asked_for_the_whole_in_any_run() {
    for status in [403, 404, 405, 410, 406, 413, 422, 500, 502, 503, 505, 520] {
        for is_later in [false, true] {
            let server = Server::start(|s| {
                let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
                let whole = cut.then().body(noise(SIZE)).etag("\"v1\"");
                whole.refuses_ranges(status);
            });
            let dir = Dir::new();
            let flags = if is_later { "-t 0" } else { "-t 2" };
            if is_later {
                once(&server, &dir, flags).code(4);
            }
            let out = once(&server, &dir, flags);
            out.ok().complains("the server refused the range");
            assert_eq!(last_asked(&server), (None, None), "{status}");
            let is_tried_again = !is_later && [500, 502, 503].contains(&status);
            let requests = if is_tried_again { 4 } else { 3 };
            assert_eq!(server.requests().len(), requests, "{status}: {out}");
            dir.assert_file("a", noise(SIZE));
            dir.assert_names(&["a"]);
        }
    }
}

#[test]
fn a_server_that_fails_on_ranges_alone_is_probed_and_one_that_recovers_keeps_the_part() {
    for recovers in [false, true] {
        let server = Server::start(|s| {
            let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            let probed = cut.then().status(503).times(2).then();
            let probed = probed.body(noise(SIZE)).etag("\"v1\"").then();
            let last = if recovers {
                probed
            } else {
                probed.status(503).then()
            };
            last.body(noise(SIZE)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        let out = dir.fetch("--retry-delay 1ms", server.url("/a"));
        out.ok();
        let requests = server.requests();
        let ranges = requests.iter().map(|r| r.header("Range").is_some());
        let asked: Vec<_> = ranges.collect();
        let (last, notice) = if recovers {
            (&[true][..], false)
        } else {
            (&[true, false][..], true)
        };
        assert_eq!(asked[..4], [false, true, true, false], "{out}");
        assert_eq!(&asked[4..], last, "{out}");
        let has_notice = out.stderr().contains("the server refused the range");
        assert_eq!(has_notice, notice, "{out}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_part_stays_where_the_whole_is_refused_too() {
    for (status, flags, times) in [
        (404, "-t 9", 2),
        (403, "-t 9", 2),
        (500, "-t 1", 3),
        (503, "-t 0", 2),
    ] {
        let server = Server::start(|s| {
            let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            let refused = cut.then().status(status).times(times);
            refused.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        let out = twice(&server, &dir, &format!("{flags} --retry-delay 1ms"));
        out.code(8);
        assert!(!out.stderr().contains("starting over"), "{out}");
        assert_eq!(last_asked(&server), (None, None), "{status}");
        assert_eq!(server.requests().len(), 1 + times, "{status}: {out}");
        dir.assert_file("a.part", &noise(SIZE)[..CUT]);
        dir.fetch("", server.url("/a")).ok();
        assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
        dir.assert_file("a", noise(SIZE));
    }
}

#[test]
fn a_server_that_asks_for_time_is_not_asked_for_the_whole_instead() {
    let server = Server::start(|s| {
        let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
        let busy = cut.then().status(503).retry_after("999");
        busy.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    twice(&server, &dir, "").code(8);
    assert_eq!(server.requests().len(), 2);
    dir.assert_file("a.part", &noise(SIZE)[..CUT]);
}

/// A web page that is no file.
fn login(route: &mut Route) -> &mut Route {
    let route = route.body(b"<html>Who are you?</html>");
    route.header("Content-Type", "text/html; charset=utf-8")
}

#[test]
fn a_login_page_does_not_replace_what_was_promised() {
    type Change = fn(&mut Route);
    let (nothing, refusal): (Change, Change) = (
        |_| {},
        |route| {
            route.refuses_ranges(403);
        },
    );
    let chunked: Change = |route| {
        route.chunked(10);
    };
    for (change, flags) in [
        (nothing, "-t 0"),
        (nothing, "-t 5"),
        (chunked, "-t 0"),
        (refusal, "-t 0"),
    ] {
        let server = Server::start(|s| {
            let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            change(login(cut.then()));
        });
        let dir = Dir::new();
        let out = twice(&server, &dir, flags);
        out.code(10)
            .complains("a small web page")
            .complains("--no-resume");
        dir.assert_names(&["a.part", "a.part.gannet"]);
        dir.assert_file("a.part", &noise(SIZE)[..CUT]);
        dir.fetch("--no-resume", server.url("/a")).ok();
        dir.assert_file("a", b"<html>Who are you?</html>");
        dir.assert_names(&["a"]);
    }
}

/// Seed 200274 of the simulated login pages: the page was larger than what had come of a file of unknown size.
#[test]
fn a_login_page_does_not_replace_a_file_of_unknown_size_of_which_less_has_come() {
    let server = Server::start(|s| {
        let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").chunked(10);
        login(cut.cut_at(20).then());
    });
    let dir = Dir::new();
    let out = twice(&server, &dir, "-t 0");
    out.code(10).complains("a small web page");
    dir.assert_names(&["a.part", "a.part.gannet"]);
}

#[test]
fn a_login_page_of_a_retry_is_a_failure_too_though_nothing_can_be_gone_on_from() {
    let server = Server::start(|s| {
        let cut = s.get("/a").body(noise(SIZE)).cut_at(CUT);
        login(cut.then());
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 1 --retry-delay 1ms", server.url("/a"));
    out.code(10).complains("a small web page");
    dir.assert_names(&[]);
}

#[test]
fn a_page_that_may_be_the_file_is_taken() {
    type Change = fn(&mut Route);
    // The file began as a page; the page is as large as the file; the page has a strong validator.
    let cases: [(Change, Change); 3] = [
        (
            |first| {
                first.header("Content-Type", "text/html");
            },
            |_| {},
        ),
        (
            |_| {},
            |then| {
                then.body(noise(SIZE + 1));
            },
        ),
        (
            |_| {},
            |then| {
                then.etag("\"v2\"");
            },
        ),
    ];
    for (first, then) in cases {
        let server = Server::start(|s| {
            let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            first(cut);
            then(login(cut.then()));
        });
        let dir = Dir::new();
        twice(&server, &dir, "").ok();
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_whole_that_is_as_long_as_the_rest_is_asked_for_again() {
    let server = cut(Route::tagged, |route| {
        // Without a word of its version it may well be the rest.
        route.body(other_noise(SIZE - CUT)).honours_no_range();
        route.then().body(other_noise(1000)).etag("\"v2\"");
    });
    let dir = Dir::new();
    twice(&server, &dir, "").ok();
    assert_eq!(server.requests().len(), 3);
    dir.assert_file("a", other_noise(1000));
    dir.assert_names(&["a"]);
}

#[test]
fn a_body_that_ends_with_its_connection_has_the_size_that_was_announced_of_its_version() {
    for (version, length, is_whole) in [
        ("\"v1\"", SIZE - 9, false),
        ("\"v1\"", SIZE, true),
        ("\"v2\"", SIZE - 9, true),
    ] {
        let whole = noise(SIZE);
        let body = &whole[..length];
        let server = cut(Route::tagged, |route| {
            route
                .body(body)
                .etag(version)
                .no_length()
                .honours_no_range();
            route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        let out = twice(&server, &dir, "-t 1 --retry-delay 1ms");
        out.ok();
        dir.assert_file("a", if is_whole { body } else { &whole });
        dir.assert_names(&["a"]);
        let requests = server.requests().len();
        assert_eq!(requests, if is_whole { 2 } else { 3 }, "{version}: {out}");
    }
}

#[test]
fn a_server_that_cuts_the_whole_each_time_is_given_up() {
    let size = 3 << 20;
    let server = Server::start(|s| {
        let whole = s.get("/a").body(noise(size)).etag("\"v1\"");
        let cut = whole.cut_at(size / 2).then();
        cut.body(&noise(size)[9..]).etag("\"v1\"").no_length();
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-s 1 -t 3 --retry-delay 1ms");
    gannet.arg(server.url("/a")).run().code(4);
    assert_eq!(server.requests().len(), 4);
    assert!(!dir.has("a"));
}

/// `whole` in answers that are cut after `each` bytes.
fn cut_each(s: &mut Script, whole: &[u8], each: usize) {
    let route = s.get("/a").body(whole).etag("\"v1\"").ranges();
    route.cut_at(each).times(100);
}

#[test]
fn tries_that_bring_much_are_counted_anew() {
    let whole = noise(9 << 20);
    for (each, flags, is_enough) in [
        (3 << 19, "-s 1 -t 1", true),
        (3 << 19, "-s 2 -t 1", true),
        (1 << 19, "-s 1 -t 3", false),
    ] {
        let server = Server::start(|s| cut_each(s, &whole, each));
        let dir = Dir::new();
        let gannet = dir.gannet().flags(flags).flags("--retry-delay 1ms");
        let out = gannet.arg(server.url("/a")).run();
        if is_enough {
            out.ok();
            dir.assert_file("a", &whole);
        } else {
            out.code(4).complains("(4 tries)");
        }
    }
}

#[test]
fn no_try_is_counted_anew_where_nothing_was_to_be_tried_again() {
    let server = Server::start(|s| cut_each(s, &noise(9 << 20), 3 << 20));
    let dir = Dir::new();
    let out = dir.fetch("-s 1 -t 0", server.url("/a"));
    out.code(4).complains("(1 try)");
}

#[test]
fn a_server_that_lies_each_time_is_not_asked_for_parts_again() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
        let lying = route.then().status(206).etag("\"v1\"");
        let whole = lying.body(other_noise(SIZE)).then();
        let cut = whole.body(noise(SIZE)).etag("\"v1\"").cut_at(CUT).times(2);
        cut.then().body(noise(SIZE)).etag("\"v1\"");
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 3", server.url("/a"));
    out.ok();
    let ranges = |request: &Request| request.header("Range").is_some();
    let asked: Vec<_> = server.requests().iter().map(ranges).collect();
    assert_eq!(asked, [false, true, false, false, false], "{out}");
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_server_that_refuses_every_part_is_asked_for_the_whole_from_then_on() {
    for range in ["bytes */300000", "bytes */x"] {
        let server = Server::start(|s| {
            let cut = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
            let refusal = cut.then().status(416).header("Content-Range", range);
            let cuts = refusal.then().body(noise(SIZE)).etag("\"v1\"");
            let cuts = cuts.cut_at(CUT).times(3).then();
            cuts.body(noise(SIZE)).etag("\"v1\"");
        });
        let dir = Dir::new();
        let out = dir.fetch("-t 9", server.url("/a"));
        out.ok();
        dir.assert_file("a", noise(SIZE));
        let requests = server.requests();
        let parts = requests.iter().filter(|r| r.header("Range").is_some());
        assert_eq!(parts.count(), 1, "{range}");
    }
}

#[test]
fn a_server_that_takes_its_size_back_is_asked_for_the_whole() {
    let server = Server::start(|s| {
        // No length, in one chunk with a head of seven bytes: the size is what the part says, a
        // byte more than there is.
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").chunked(SIZE);
        let part = route.cut_at(CUT).then().status(206).etag("\"v1\"");
        let part = part.header("Content-Range", "bytes 119993-299999/300001");
        let none = part.body(&noise(SIZE)[CUT - 7..]).then().status(416);
        let whole = none.header("Content-Range", "bytes */300000").then();
        whole.body(noise(SIZE)).etag("\"v1\"");
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 2", server.url("/a"));
    out.ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_part_of_another_version_is_not_put_beside_the_first() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route
            .cut_at(CUT)
            .then()
            .status(206)
            .etag("\"v2\"")
            .header("Content-Range", "bytes 120000-299999/300000")
            .body(&other_noise(SIZE)[CUT..])
            .then()
            .body(other_noise(SIZE))
            .etag("\"v2\"");
    });
    let dir = Dir::new();
    let out = twice(&server, &dir, "");
    out.ok().complains("the file changed");
    dir.assert_file("a", other_noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_part_that_is_shorter_than_asked_for_is_gone_on_from() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
        let short = route.then().status(206).etag("\"v1\"");
        short
            .header("Content-Range", "bytes 120000-199999/300000")
            .body(&noise(SIZE)[CUT..200_000]);
        short.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    twice(&server, &dir, "-t 1 --retry-delay 1ms").ok();
    assert_eq!(last_asked(&server), asked("bytes=200000-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_stopped_run_is_gone_on_from() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.stall_at(CUT).then();
            route.body(noise(SIZE)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        // The tests may run with SIGHUP ignored, as under nohup, and the program would inherit that.
        let gannet = dir
            .gannet()
            .shell(r#"exec env --default-signal=HUP "$0" "$@""#);
        let running = gannet.arg(server.url("/a")).spawn();
        server.wait_for_stalls(1);
        dir.wait_for_size("a.part", CUT);
        running.signal(signal);
        running.finish().code(code);
        dir.assert_names(&["a.part", "a.part.gannet"]);
        dir.fetch("", server.url("/a")).ok();
        assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_killed_run_is_gone_on_from_with_no_more_than_a_moment_lost() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.drip(CUT, &gate).then();
        route.body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let running = dir.gannet().arg(server.url("/a")).spawn();
    gate.let_one_through();
    // It is written down within a second or so, without being asked for.
    dir.wait_for_size("a.part.gannet", 1);
    running.signal("KILL");
    running.finish();
    dir.assert_names(&["a.part", "a.part.gannet"]);
    dir.fetch("", server.url("/a")).ok();
    assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_digest_is_that_of_the_whole_though_only_the_rest_came() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    let mut input = sum.stdin.take().expect("a pipe");
    input.write_all(&noise(SIZE)).expect("written");
    drop(input);
    let said = sum.wait_with_output().expect("sha256sum").stdout;
    let digest = String::from_utf8_lossy(&said[..64]).into_owned();
    for (digest, code) in [(digest, 0), ("0".repeat(64), 9)] {
        let server = cut(Route::tagged, Route::tagged);
        let dir = Dir::new();
        let out = twice(&server, &dir, &format!("--checksum sha256:{digest}"));
        out.code(code);
        // Where it is wrong, what the first run has left may be to blame.
        let rest = asked("bytes=120000-", "\"v1\"");
        let wanted = if code == 0 { rest } else { (None, None) };
        assert_eq!(last_asked(&server), wanted);
        dir.assert_names(if code == 0 { &["a"] } else { &[] });
    }
}

#[test]
fn a_state_tells_no_secret_of_the_url() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
    });
    let dir = Dir::new();
    let url = server
        .url("/a?key=hush")
        .replace("http://", "http://me:hush@");
    dir.fetch("-t 0", url).code(4);
    let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
    assert!(state.contains("/a") && !state.contains("hush"), "{state}");
}

#[test]
fn a_state_that_does_not_fit_starts_over_and_says_so() {
    let state = |ranges: &str| {
        format!(r#"{{"version":1,"url":"URL","size":300000,"etag":"\"v1\"","ranges":{ranges}}}"#)
    };
    let cases = [
        ("{\"version\":1,", "damaged"),
        ("", "damaged"),
        ("{\"version\":99}", "another version"),
        (&state("[[0,500000]]"), "damaged"),
        (&state("[[0,100],[50,120]]"), "damaged"),
        (&state("[[0,200000]]"), "shorter"),
        (
            &state("[[0,100000]]").replace("URL", "http://other/a"),
            "another URL",
        ),
        (&" ".repeat(2 << 20), "cannot be read"),
    ]
    .map(|(state, why)| (state.to_owned(), why));
    for (state, why) in cases {
        let server = Server::start(|s| {
            s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        dir.write("a.part", other_noise(CUT));
        dir.write("a.part.gannet", state.replace("URL", &server.url("/a")));
        let out = dir.fetch("", server.url("/a"));
        out.ok().complains("starting over").complains(why);
        assert_eq!(last_asked(&server), (None, None), "{why}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_url_that_was_signed_again_goes_on_if_the_same_strong_tag_proves_the_version() {
    type Change = fn(&mut Route);
    let same: Change = Route::tagged;
    let other: Change = |route| {
        route.body(other_noise(SIZE)).etag("\"v2\"");
    };
    let untagged: Change = |_| {};
    let dated: Change = |route| {
        route
            .header("Last-Modified", MONDAY)
            .header("Date", MONDAY_LATER);
    };
    let longer: Change = |route| {
        route.body([noise(SIZE), noise(1)].concat()).etag("\"v1\"");
    };
    for (first, then, goes_on) in [
        (same, same, true),
        (same, other, false),
        (same, untagged, false),
        (same, longer, false),
        (dated, dated, false),
    ] {
        for flags in ["-t 0", "-t 0 -c"] {
            let server = cut(first, |route| {
                then(route);
                // What was not proved is asked for again, without a range.
                then(route.then().body(noise(SIZE)).ranges());
            });
            let dir = Dir::new();
            let urls = ["/a?signature=old", "/a?signature=new"].map(|path| server.url(path));
            let [old, new] = urls.map(|url| dir.gannet().flags(flags).arg(url).run());
            old.code(4);
            new.ok();
            let out = new;
            let is_new = last_asked(&server) == asked("bytes=120000-", "\"v1\"");
            let is_one = server.requests().len() == 2;
            assert_eq!(
                is_new && is_one && !out.stderr().contains("starting over"),
                goes_on,
                "{out}"
            );
            let body = dir.read("a");
            let whole = [
                noise(SIZE),
                other_noise(SIZE),
                [noise(SIZE), noise(1)].concat(),
            ];
            assert!(whole.contains(&body), "{out}");
            dir.assert_names(&["a"]);
        }
    }
}

#[test]
fn starting_over_is_said_where_the_new_answer_is_divided() {
    let server = cut(Route::tagged, |route| {
        route.body(other_noise(SIZE)).etag("\"v2\"");
        route.pace(5_000, std::time::Duration::from_millis(5));
    });
    let dir = Dir::new();
    let out = twice(&server, &dir, "-s 4 --min-split 10K");
    out.ok()
        .complains("starting over")
        .complains("the file changed");
    assert!(server.requests().len() > 3, "it was divided: {out}");
    dir.assert_file("a", other_noise(SIZE));
}

#[test]
fn a_part_without_a_state_is_not_believed() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    dir.write("a.part", other_noise(CUT));
    dir.note("a.part", b"part\n");
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_part_that_has_another_name_too_is_not_emptied_under_it() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    dir.write("theirs", other_noise(CUT));
    dir.note("theirs", b"part\n");
    std::fs::hard_link(dir.join("theirs"), dir.join("a.part")).unwrap();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_file("theirs", other_noise(CUT));
    dir.assert_names(&["a", "theirs"]);
}

/// Found by the simulation of disks, seed 50021506: a run had linked a complete part to its final name, because the
/// file system refused the rename, and could not remove `a.part`. The next run resumed it, and wrote into the complete
/// file.
#[test]
fn a_part_that_has_another_name_too_is_not_resumed_under_it() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    dir.gannet()
        .flags("-t 0")
        .arg(server.url("/a"))
        .run()
        .code(4);
    std::fs::hard_link(dir.join("a.part"), dir.join("theirs")).unwrap();
    let before = dir.read("theirs");
    let out = dir.gannet().arg(server.url("/a")).run();
    out.ok().complains("hard link");
    assert_eq!(last_asked(&server), (None, None));
    dir.assert_file("a", noise(SIZE));
    dir.assert_file("theirs", before);
    dir.assert_names(&["a", "theirs"]);
}

/// Found by the simulation of disks, seed 70017610: the limit of the range that was refused was still in force, and the
/// file that is kept was taken for a body without bytes, in every try.
#[test]
fn a_file_that_is_complete_is_kept_after_its_part_was_started_over() {
    let server = Server::start(|s| {
        let complete = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
        let cut = complete.then().body(noise(SIZE)).etag("\"v1\"").cut_at(CUT);
        let long = cut.then().status(206).etag("\"v1\"").honours_no_range();
        let range = format!("bytes {CUT}-{}/{SIZE}", SIZE - 1);
        long.header("Content-Range", &range)
            .body(noise(SIZE - CUT + 10))
            .chunked(9000);
        long.then().body(noise(SIZE)).etag("\"v1\"").conditional();
    });
    let dir = Dir::new();
    let url = server.url("/a");
    dir.gannet().arg(&url).run().ok();
    dir.gannet()
        .flags("-t 0 --exists overwrite")
        .arg(&url)
        .run()
        .code(4);
    dir.assert_names(&["a", "a.part", "a.part.gannet"]);
    dir.gannet().flags("-t 0").arg(&url).run().ok();
    assert_eq!(server.requests().len(), 4);
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

/// Found by the simulation of mirrors, seed 50001148: the state was removed, and the part file stayed for ever.
#[test]
fn a_wrong_body_without_bytes_leaves_no_part_of_an_earlier_run() {
    let server = cut(Route::tagged, |route| {
        route.body(b"").etag("\"v2\"");
    });
    let dir = Dir::new();
    let url = server.url("/a");
    dir.gannet().flags("-t 0").arg(&url).run().code(4);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    let digest = "0".repeat(64);
    let out = dir
        .gannet()
        .flags("-t 0")
        .arg(format!("{url}#sha256={digest}"))
        .run();
    out.code(9);
    dir.assert_names(&[]);
}

#[test]
fn what_a_killed_run_has_left_does_not_outlive_a_small_body_that_comes_at_once() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(50_000)).etag("\"v1\"").ranges();
    });
    for flags in ["", "--no-resume", "-c", "--exists overwrite"] {
        for left in [
            &["a.part"][..],
            &["a.part.gannet"],
            &["a.part", "a.part.gannet"],
        ] {
            let dir = Dir::new();
            for name in left {
                dir.write(name, noise(100));
                dir.note(name, b"part\n");
            }
            let out = dir.fetch(flags, server.url("/a"));
            out.ok();
            dir.assert_file("a", noise(50_000));
            dir.assert_names(&["a"]);
        }
    }
}

#[test]
fn a_state_without_its_part_is_cleared_away() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    dir.fetch("-t 0", server.url("/a")).code(4);
    std::fs::remove_file(dir.join("a.part")).expect("a part");
    let out = dir.fetch("", server.url("/a"));
    out.ok();
    assert_eq!(last_asked(&server), (None, None), "{out}");
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_body_that_was_whole_but_not_renamed_costs_one_byte() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    dir.fetch("-t 0", server.url("/a")).code(4);
    dir.write("a.part", noise(SIZE));
    let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
    dir.write("a.part.gannet", state.replace("[0,120000]", "[0,300000]"));
    dir.fetch("", server.url("/a")).ok();
    assert_eq!(last_asked(&server), asked("bytes=299999-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn an_error_behind_all_that_there_is_of_an_endless_body_is_success() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"");
        route.chunked(10_000).cut_at(300_000 + 30 * 8);
        route
            .then()
            .status(416)
            .header("Content-Range", "bytes */300000");
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 1", server.url("/a"));
    out.ok();
    assert_eq!(last_asked(&server), asked("bytes=300000-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn what_a_server_has_named_keeps_that_name_when_another_run_goes_on_with_it() {
    let name = ("Content-Disposition", "attachment; filename=\"given\"");
    let other = ("Content-Disposition", "attachment; filename=\"other\"");
    for (second, expected) in [
        (None, "given"),
        (Some(name), "given"),
        (Some(other), "other"),
    ] {
        let first = |route: &mut Route| {
            route.etag("\"v1\"").header(name.0, name.1);
        };
        let then = |route: &mut Route| {
            route.etag("\"v1\"");
            if let Some((field, value)) = second {
                route.header(field, value);
            }
        };
        let server = cut(first, then);
        let dir = Dir::new();
        twice(&server, &dir, "--content-disposition").ok();
        dir.assert_file(expected, noise(SIZE));
        dir.assert_names(&[expected]);
    }
}

#[test]
fn starting_over_can_be_asked_for() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    twice(&server, &dir, "--no-resume").ok();
    assert_eq!(last_asked(&server), (None, None));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn what_failed_for_good_keeps_what_another_run_can_use() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.cut_at(CUT).then().status(404).times(2).then();
        route.body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let run = || {
        let gannet = dir.gannet().flags("-t 1 --retry-delay 1ms");
        gannet.arg(server.url("/a")).run()
    };
    run().code(8);
    assert_eq!(last_asked(&server), (None, None), "the whole was asked for");
    assert_eq!(server.requests().len(), 3);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    run().ok();
    assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_part_that_another_run_writes_is_left_to_it() {
    let server = cut(Route::tagged, Route::tagged);
    let dir = Dir::new();
    dir.fetch("-t 0", server.url("/a")).code(4);
    let first = File::options().write(true).open(dir.join("a.part"));
    let first = first.expect("a part");
    first.lock().expect("a lock");
    let out = dir.fetch("", server.url("/a"));
    out.code(3).complains("another process").complains("a.part");
    dir.assert_names(&["a.part", "a.part.gannet"]);
    dir.assert_file("a.part", &noise(SIZE)[..CUT]);
    drop(first);
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_mirror_that_had_begun_goes_on() {
    let server = Server::start(|s| {
        s.get("/dead").status(404);
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.cut_at(CUT).then();
        route.body(noise(SIZE)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let list = format!("{}\t{}\n  out=a\n", server.url("/dead"), server.url("/a"));
    let run = || dir.fetch_list("-t 0", &list);
    run().code(4);
    run().ok();
    assert_eq!(server.paths(), ["/dead", "/a", "/a"]);
    assert_eq!(last_asked(&server), asked("bytes=120000-", "\"v1\""));
    dir.assert_file("a", noise(SIZE));
}

#[test]
fn a_file_of_another_tool_is_continued_where_that_is_asked_for() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).ranges();
    });
    let dir = Dir::new();
    dir.write("a", &noise(SIZE)[..CUT]);
    dir.fetch("-c", server.url("/a")).ok();
    let (range, validator) = last_asked(&server);
    assert_eq!((range.as_deref(), validator), (Some("bytes=120000-"), None));
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_file_of_another_tool_that_is_whole_is_kept() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(SIZE)).ranges();
    });
    let dir = Dir::new();
    dir.write("a", noise(SIZE));
    let out = dir.fetch("-c", server.url("/a"));
    out.ok();
    assert_eq!(out.completion().word, "kept", "{out}");
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_file_of_another_tool_that_is_too_large_is_fetched_anew() {
    for has_ranges in [true, false] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE));
            if has_ranges {
                route.ranges();
            }
        });
        let dir = Dir::new();
        dir.write("a", other_noise(SIZE + 1));
        dir.fetch("-c", server.url("/a")).ok();
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn what_was_continued_stands_at_the_final_name_no_more_until_it_is_whole() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).ranges();
        route.drip(30_000, &gate);
    });
    let dir = Dir::new();
    dir.write("a", &noise(SIZE)[..CUT]);
    let running = dir.gannet().flags("-c").arg(server.url("/a")).spawn();
    dir.wait_for_size("a.part", CUT);
    running.signal("KILL");
    running.finish();
    dir.assert_names(&["a.part", "a.part.gannet"]);
    gate.open();
    dir.fetch("-c", server.url("/a")).ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}

#[test]
fn a_file_of_another_tool_is_left_alone_where_the_server_fails() {
    let server = Server::start(|_| {});
    let dir = Dir::new();
    dir.write("a", &noise(SIZE)[..CUT]);
    let out = dir.fetch("-c", server.url("/a"));
    out.code(8);
    dir.assert_names(&["a"]);
    dir.assert_file("a", &noise(SIZE)[..CUT]);
}

#[test]
fn a_file_that_may_not_grow_is_gone_on_from_when_it_may() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(2_000_000)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let limited = dir.gannet().shell("ulimit -f 200");
    limited.flags("-t 0").arg(server.url("/a")).run().code(3);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    dir.fetch("", server.url("/a")).ok();
    let (range, _) = last_asked(&server);
    assert!(range.is_some_and(|range| range != "bytes=0-"));
    dir.assert_file("a", noise(2_000_000));
    dir.assert_names(&["a"]);
}
