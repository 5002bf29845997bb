//! --range: a byte range as a file, and answers that are never taken for that range.

use std::time::Duration;

use crate::harness::coding::gzip;
use crate::harness::{self, Dir, Nginx, Output, digest_field, noise, sha256};
use crate::server::{Request, Script, Server};

const SIZE: usize = 300_000;

/// Fetches a part of `/a`, with these flags.
fn fetch(dir: &Dir, server: &Server, range: &str, flags: &str) -> Output {
    dir.fetch(&format!("--range {range} {flags}"), server.url("/a"))
}

/// Fetches a part of `/a`, which must succeed, and asserts its bytes.
fn lands(range: &str, part: &[u8], flags: &str, write: impl FnOnce(&mut Script)) -> Server {
    harness::lands(&format!("--range {range} {flags}"), part, write)
}

/// Fetches a part of `/a`, which must fail at the first try and leave nothing.
fn fails(code: i32, range: &str, write: impl FnOnce(&mut Script)) -> Output {
    let out = harness::fails(&format!("--range {range}"), code, write);
    assert_eq!(out.failure().tries, 1, "{out}");
    out
}

/// A server that knows ranges.
fn ranges(s: &mut Script) {
    s.get("/a").etag("\"v1\"").ranges().body(noise(SIZE));
}

/// What a request asks for: Range and If-Range.
fn asked(request: &Request) -> (Option<&str>, Option<&str>) {
    (request.header("Range"), request.header("If-Range"))
}

#[test]
fn the_file_has_exactly_the_bytes_that_were_asked_for() {
    let body = noise(SIZE);
    for (range, part) in [
        ("0-0", &body[..1]),
        ("0-99", &body[..100]),
        ("100-199999", &body[100..200_000]),
        ("299999-299999", &body[SIZE - 1..]),
        ("250000-", &body[250_000..]),
        ("0-", &body[..]),
        ("-1", &body[SIZE - 1..]),
        ("-100000", &body[SIZE - 100_000..]),
    ] {
        let server = lands(range, part, "-t 0 -s 4 --min-split 1K", ranges);
        let sent = format!("bytes={range}");
        assert_eq!(asked(&server.request("/a")), (Some(sent.as_str()), None));
    }
}

#[test]
fn a_file_that_ends_before_has_what_there_is() {
    let body = noise(SIZE);
    lands("299990-400000", &body[299_990..], "-t 0", ranges);
    lands("-400000", &body, "-t 0", ranges);
}

#[test]
fn a_part_behind_the_end_is_an_error_status_in_words() {
    let out = fails(8, "300000-", ranges);
    out.complains("416").complains("range not satisfiable");
    out.complains("300000 bytes");
}

#[test]
fn the_whole_is_not_taken_for_a_part() {
    for range in ["0-99", "100-199", "250000-", "-5"] {
        let out = fails(10, range, |s| {
            s.get("/a").body(noise(SIZE));
        });
        out.complains("the server ignored the range");
    }
}

#[test]
fn the_whole_is_taken_where_it_is_all_that_was_asked_for() {
    let body = noise(500);
    for range in ["0-", "0-499", "0-5000", "-500", "-501"] {
        lands(range, &body, "-t 0", |s| {
            s.get("/a").body(&body);
        });
    }
    lands("0-", &body, "-t 0", |s| {
        s.get("/a").body(&body).chunked(70);
    });
    // Such a server sends no rest either: each try begins anew.
    let server = lands("0-", &noise(SIZE), "", |s| {
        let route = s.get("/a").etag("\"v1\"").body(noise(SIZE));
        route.cut_at(1000).times(4).then();
        s.get("/a").etag("\"v1\"").body(noise(SIZE));
    });
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| asked(request) == (Some("bytes=0-"), None))
    );
}

#[test]
fn another_part_is_a_malformed_answer() {
    for (field, length) in [
        ("bytes 100-198/300000", 99),
        ("bytes 99-199/300000", 101),
        ("bytes 100-200/300000", 101),
        ("bytes 200-299/300000", 100),
        ("bytes 100-150/*", 51),
        ("lines 100-199/300000", 100),
        ("", 100),
    ] {
        let out = fails(7, "100-199", |s| {
            let route = s.get("/a").status(206).body(noise(length));
            if !field.is_empty() {
                route.header("Content-Range", field);
            }
        });
        out.complains("another range than the requested one");
    }
}

#[test]
fn a_part_whose_unit_is_misspelled_is_taken() {
    for unit in ["bytes: ", "bytes=", ""] {
        let field = format!("{unit}100-199/300000");
        lands("100-199", &noise(100), "-t 0", |s| {
            let route = s.get("/a").status(206).body(noise(100));
            route.header("Content-Range", &field);
        });
    }
}

/// As in test 1117 of curl.
#[test]
fn a_part_whose_end_is_miscounted_is_taken_by_its_length() {
    for field in ["bytes 100-150/300000", "bytes 100-200/300000"] {
        lands("100-199", &noise(100), "-t 0", |s| {
            let route = s.get("/a").status(206).body(noise(100));
            route.header("Content-Range", field);
        });
    }
    // The connection ends before the part does.
    let out = fetch(
        &Dir::new(),
        &Server::start(|s| {
            let route = s.get("/a").status(206).body(noise(100)).cut_at(51);
            route.header("Content-Range", "bytes 100-150/300000");
        }),
        "100-199",
        "-t 0",
    );
    out.code(4);
}

#[test]
fn several_urls_have_the_same_part_taken() {
    let server = Server::start(|s| {
        for path in ["/a", "/b"] {
            s.get(path).etag("\"v1\"").ranges().body(noise(SIZE));
        }
    });
    let dir = Dir::new();
    let urls = ["/none", "/a", "/b"].map(|path| server.url(path));
    let out = dir.gannet().flags("--range 100-199 -t 0").args(urls).run();
    out.code(8);
    for name in ["a", "b"] {
        dir.assert_file(name, &noise(SIZE)[100..200]);
    }
}

#[test]
fn a_part_is_as_long_as_it_says_whoever_frames_it() {
    for flags in ["-t 1", "-t 1 -o -"] {
        for (length, code) in [(99, 4), (100, 0), (101, 7)] {
            let server = Server::start(|s| {
                let route = s.get("/a").status(206).body(noise(length)).chunked(10);
                route.header("Content-Range", "bytes 100-199/300000");
            });
            let dir = Dir::new();
            fetch(&dir, &server, "100-199", flags).code(code);
            assert_eq!(dir.has("a"), code == 0 && flags == "-t 1");
        }
    }
}

#[test]
fn a_retry_goes_on_where_the_part_was_cut() {
    let body = noise(SIZE);
    for (range, rest) in [
        ("100000-199999", "bytes=130000-199999"),
        ("100000-", "bytes=130000-299999"),
        ("-200000", "bytes=130000-299999"),
    ] {
        let end = if rest.ends_with("199999") {
            200_000
        } else {
            SIZE
        };
        let server = lands(range, &body[100_000..end], "", |s| {
            let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
            route
                .cut_at(30_000)
                .then()
                .etag("\"v1\"")
                .ranges()
                .body(&body);
        });
        let requests = server.requests();
        assert_eq!(asked(&requests[1]), (Some(rest), Some("\"v1\"")));
    }
}

#[test]
fn a_part_of_a_file_that_changed_is_never_spliced() {
    let other: Vec<u8> = noise(SIZE).iter().map(|byte| !byte).collect();
    let server = lands("100000-199999", &other[100_000..200_000], "", |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(noise(SIZE));
        route
            .cut_at(30_000)
            .then()
            .etag("\"v2\"")
            .ranges()
            .body(&other);
    });
    let range = "bytes=100000-199999";
    let requests = server.requests();
    let last = requests.last().expect("a request");
    assert_eq!(asked(last), (Some(range), None));
    // Without a strong validator each try has all of it.
    let server = lands("100000-199999", &other[100_000..200_000], "", |s| {
        let route = s.get("/a").ranges().body(noise(SIZE)).cut_at(30_000);
        route.then().ranges().body(&other);
    });
    assert!(
        server
            .requests()
            .iter()
            .all(|request| asked(request) == (Some(range), None))
    );
}

#[test]
fn another_run_does_not_go_on_with_a_part_nor_a_part_with_what_another_has_left() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        let cut = |s: &mut Script, at: usize| {
            let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
            route.cut_at(at).then();
        };
        cut(s, 30_000);
        cut(s, 250_000);
        s.get("/a").etag("\"v1\"").ranges().body(&body);
    });
    let dir = Dir::new();
    fetch(&dir, &server, "100000-199999", "-t 0").code(4);
    dir.assert_names(&[]);
    let whole = dir.gannet().flags("-t 0").arg(server.url("/a"));
    whole.run().code(4);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    fetch(&dir, &server, "100000-199999", "-t 0").ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", &body[100_000..200_000]);
    // Nothing says that the part is the file.
    let out = dir.fetch("-t 0", server.url("/a"));
    assert_eq!(out.ok().completion().word, "done", "{out}");
    dir.assert_file("a", &body);
    let out = fetch(&dir, &server, "0-9", "-t 0");
    assert_eq!(out.ok().completion().word, "done", "{out}");
    dir.assert_file("a", &body[..10]);
}

#[test]
fn a_digest_that_is_asked_for_is_the_part_s() {
    let body = noise(SIZE);
    let part = &body[100_000..200_000];
    let flags = format!("--checksum {}", sha256(part));
    lands("100000-199999", part, &flags, ranges);
    // Of the first try, and of what a second has brought behind it.
    lands("100000-199999", part, &flags, |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
        route
            .cut_at(30_000)
            .then()
            .etag("\"v1\"")
            .ranges()
            .body(&body);
    });
    let server = Server::start(ranges);
    let dir = Dir::new();
    let flags = format!("--checksum {}", sha256(&body));
    fetch(&dir, &server, "100000-199999", &flags).code(9);
    dir.assert_names(&[]);
}

#[test]
fn what_the_server_says_of_the_whole_s_digest_is_not_said_of_the_part() {
    let body = noise(SIZE);
    lands("5-9", &body[5..10], "-t 0", |s| {
        let route = s.get("/a").ranges().body(&body);
        route.header("Repr-Digest", &digest_field(&body));
    });
    // What it says of the answer is.
    let server = lands("5-9", &body[5..10], "", |s| {
        let route = s.get("/a").ranges().body(&body).announcing(noise(SIZE + 1));
        route.then().ranges().body(&body).announcing(&body);
    });
    assert_eq!(server.requests().len(), 2);
    let server = Server::start(|s| {
        let route = s.get("/a").ranges().body(&body);
        route.announcing(noise(SIZE + 1));
    });
    let dir = Dir::new();
    fetch(&dir, &server, "5-9", "-t 0 -o -").code(9);
}

#[test]
fn a_part_goes_to_standard_output_too_and_comes_along_redirects() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b");
        s.get("/b").ranges().body(&body);
    });
    let dir = Dir::new();
    let out = fetch(&dir, &server, "-77", "-o -");
    assert_eq!(out.ok().stdout_bytes(), &body[SIZE - 77..]);
    assert_eq!(asked(&server.request("/b")), (Some("bytes=-77"), None));
}

#[test]
fn the_limit_of_a_file_s_size_is_that_of_the_part() {
    let body = noise(SIZE);
    lands("0-999", &body[..1000], "--max-filesize 1000", ranges);
    let server = Server::start(ranges);
    let dir = Dir::new();
    fetch(&dir, &server, "0-1000", "--max-filesize 1000").code(1);
    dir.assert_names(&[]);
}

#[test]
fn a_large_part_comes_over_one_connection() {
    let body = noise(4 << 20);
    let part = &body[1 << 20..3 << 20];
    let server = lands("1048576-3145727", part, "-s 4 --min-split 100K", |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
        route.pace(100_000, Duration::from_millis(1));
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_coded_part_is_stored_as_it_is_sent() {
    let coded = gzip(&noise(SIZE));
    lands("10-99", &coded[10..100], "-t 0", |s| {
        let route = s.get("/a").ranges().body(&coded);
        route.header("Content-Encoding", "gzip");
    });
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let dir = Dir::new();
    let run = |flags: &str| dir.gannet().flags(flags).arg("http://127.0.0.1:1/a").run();
    for (range, why) in [
        ("0-1,5-6", "only one range can be requested"),
        ("9-5", "ends before it begins"),
        ("-0", "at least one byte"),
        ("5", "is not a byte range"),
        ("bytes=0-5", "is not a byte range"),
        ("99999999999999999999-", "is not a byte range"),
    ] {
        let out = run(&format!("--range {range}"));
        out.code(2).complains("--range").complains(why);
    }
    for flags in [
        "-i list",
        "-c",
        "-N",
        "--compressed",
        "--lock l",
        "--failed f",
    ] {
        run(&format!("--range 0-5 {flags}")).code(2);
    }
    dir.assert_names(&[]);
}

#[test]
fn a_range_that_is_asked_for_by_a_header_is_refused_with_a_hint() {
    let server = Server::start(ranges);
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-H").arg("Range: bytes=0-9");
    let out = gannet.arg(server.url("/a")).run();
    out.code(7)
        .complains("a part of the file (status 206)")
        .complains("use --range");
    dir.assert_names(&[]);
}

#[test]
fn nginx_sends_parts() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let body = noise(2 << 20);
    dir.write("www/a", &body);
    let run = |range: &str, url: &str| {
        let gannet = dir.gannet().flags("-t 0 --exists overwrite -d out");
        let gannet = gannet.arg("--cacert").arg(&nginx.cacert);
        gannet.args(["--range", range]).arg(url).run()
    };
    for url in [nginx.url("/a"), nginx.https_url("/a")] {
        for (range, part) in [
            ("0-0", &body[..1]),
            ("1000-1500000", &body[1000..1_500_001]),
            ("2000000-9999999", &body[2_000_000..]),
            ("-1000000", &body[body.len() - 1_000_000..]),
        ] {
            run(range, &url).ok();
            dir.assert_file("out/a", part);
        }
        run("2097152-", &url).code(8).complains("2097152 bytes");
    }
}
