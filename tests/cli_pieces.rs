//! Digests of pieces, as metalinks have them: a wrong piece is fetched again, and nothing else.

use std::time::Duration;

use crate::harness::{Dir, Gannet, noise, sha256_hex};
use crate::server::{Gate, Script, Server};

const SIZE: usize = 1_000_000;
const PIECE: usize = 30_000;

/// What a document says of a file beside its URLs.
fn pieces(body: &[u8], length: usize) -> String {
    let hashes: String = body
        .chunks(length)
        .map(|piece| format!("<hash>{}</hash>", sha256_hex(piece)))
        .collect();
    format!(r#"<pieces length="{length}" type="sha-256">{hashes}</pieces>"#)
}

fn metalink(facts: &str, urls: &[String]) -> String {
    let urls: String = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    format!(
        r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a">{facts}{urls}</file></metalink>"#
    )
}

/// The document of a file at one URL of which all is said.
fn described(body: &[u8], url: String) -> String {
    let (size, digest, pieces) = (body.len(), sha256_hex(body), pieces(body, PIECE));
    let facts = format!(r#"<size>{size}</size><hash type="sha-256">{digest}</hash>{pieces}"#);
    metalink(&facts, &[url])
}

fn fetch(dir: &Dir, flags: &str, document: impl AsRef<[u8]>) -> Gannet {
    dir.gannet()
        .flags("-i - --min-split 50K --retry-delay 1ms")
        .flags(flags)
        .input(document)
}

fn damaged(body: &[u8], places: &[usize]) -> Vec<u8> {
    let mut damaged = body.to_vec();
    places.iter().for_each(|&place| damaged[place] ^= 1);
    damaged
}

/// The file is served damaged once, in these places, and then as it is.
fn serve(s: &mut Script, body: &[u8], places: &[usize]) {
    let route = s.get("/a").body(damaged(body, places)).ranges();
    route.etag("\"v1\"").then().body(body).ranges();
    route.etag("\"v1\"");
}

/// What was asked for, request by request: a path with a range, if there is one.
fn asked(server: &Server) -> Vec<String> {
    let asked = server.requests().into_iter().map(|request| {
        let range = request.header("Range").unwrap_or("all");
        format!("{} {range}", request.target)
    });
    asked.collect()
}

#[test]
fn only_the_piece_with_a_bad_byte_is_fetched_again() {
    for (size, place, range) in [
        (1000, 500, "0-999"),
        (50_000, 0, "0-29999"),
        (200_000, 95_000, "90000-119999"),
        (SIZE, 0, "0-29999"),
        (SIZE, SIZE - 1, "990000-999999"),
        (5_000_000, 4_000_000, "3990000-4019999"),
    ] {
        let body = noise(size);
        let server = Server::start(|s| serve(s, &body, &[place]));
        for facts in [true, false] {
            let server = if facts {
                &server
            } else {
                &Server::start(|s| serve(s, &body, &[place]))
            };
            let dir = Dir::new();
            let document = if facts {
                described(&body, server.url("/a"))
            } else {
                metalink(&pieces(&body, PIECE), &[server.url("/a")])
            };
            let out = fetch(&dir, "", document).run();
            out.ok().complains("the digest of bytes ");
            dir.assert_file("a", &body);
            dir.assert_names(&["a"]);
            let again = match size {
                // There is nothing to put it beside.
                1000 => "/a all".to_owned(),
                _ if place == size - 1 => format!("/a bytes={}-", size / PIECE * PIECE),
                _ => format!("/a bytes={range}"),
            };
            assert_eq!(asked(server), ["/a all".to_owned(), again], "{out}");
        }
    }
}

#[test]
fn pieces_far_apart_are_fetched_again_one_by_one() {
    let body = noise(SIZE);
    let places = [10, 40_000, 500_000, 900_001];
    for (flags, etag) in [
        ("-s 1", "\"v1\""),
        ("-s 1 -t 0", "W/\"v1\""),
        ("", "\"v1\""),
    ] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(damaged(&body, &places)).ranges();
            route.etag(etag).then().body(&body).ranges().etag(etag);
        });
        let dir = Dir::new();
        let out = fetch(&dir, flags, described(&body, server.url("/a"))).run();
        out.ok();
        dir.assert_file("a", &body);
        let ranges = ["0-59999", "480000-509999", "900000-929999"];
        let again = ranges.map(|range| format!("/a bytes={range}"));
        assert_eq!(asked(&server)[1..], again, "{out}");
    }
}

#[test]
fn a_mirror_that_lies_in_one_piece_is_made_up_for_by_another() {
    let body = noise(SIZE);
    let script = |s: &mut Script| {
        s.get("/liar/a")
            .body(damaged(&body, &[100]))
            .ranges()
            .etag("\"liar\"");
        s.get("/good/a").body(&body).ranges().etag("\"good\"");
    };
    for flags in ["-s 1", "-s 4"] {
        let server = Server::start(script);
        let dir = Dir::new();
        let facts = pieces(&body, PIECE);
        let urls = ["/liar/a", "/good/a"].map(|path| server.url(path));
        let out = fetch(&dir, flags, metalink(&facts, &urls)).run();
        out.ok().complains("/liar/a");
        dir.assert_file("a", &body);
        dir.assert_names(&["a"]);
        let all = asked(&server);
        let good = all.iter().filter(|line| line.starts_with("/good"));
        let mut good: Vec<_> = good.map(String::as_str).collect();
        if flags == "-s 4" {
            // With several connections it brings other shares too.
            good.drain(..good.len() - 1);
        }
        assert_eq!(good, ["/good/a bytes=0-29999"], "{out}");
    }
}

#[test]
fn mirrors_that_lie_in_different_pieces_make_up_for_each_other() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        for (path, places) in [("/x", [100, 500_000]), ("/y", [500_001, 600_000])] {
            s.get(path).body(damaged(&body, &places)).ranges();
        }
        s.get("/z").status(404);
        s.get("/w").body(&body);
    });
    let dir = Dir::new();
    let urls = ["/x", "/y", "/z", "/w"].map(|path| server.url(path));
    let out = fetch(&dir, "-s 1", metalink(&pieces(&body, PIECE), &urls)).run();
    out.ok();
    dir.assert_file("a", &body);
    let wanted = [
        "/x all",
        "/y bytes=0-29999",
        "/y bytes=480000-509999",
        "/z bytes=480000-509999",
        "/w bytes=480000-509999",
    ];
    assert_eq!(asked(&server), wanted, "{out}");
}

#[test]
fn a_lie_that_stays_fails_and_costs_the_next_run_that_piece_alone() {
    for flags in ["-s 1", "-s 4"] {
        let body = noise(SIZE);
        let wrong = damaged(&body, &[400_000]);
        let server = Server::start(|s| {
            let route = s.get("/a").body(&wrong).ranges().etag("\"v1\"");
            route.pace(20_000, Duration::from_millis(2));
            s.get("/later").body(&body).ranges().etag("\"v1\"");
        });
        let dir = Dir::new();
        let document = described(&body, server.url("/a"));
        let out = fetch(&dir, flags, &document).run();
        let (found, expected) = (
            sha256_hex(&wrong[390_000..420_000]),
            sha256_hex(&body[390_000..420_000]),
        );
        out.code(9)
            .complains("bytes 390000-419999")
            .complains(&found)
            .complains(&expected);
        dir.assert_names(&["a.part", "a.part.gannet"]);
        let all = asked(&server);
        let again = all.iter().filter(|line| line.ends_with("=390000-419999"));
        assert_eq!(again.count(), 2, "{out}");
        // The server mends its file.
        let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
        dir.write("a.part.gannet", state.replace("/a\"", "/later\""));
        let document = described(&body, server.url("/later"));
        fetch(&dir, flags, document).run().ok();
        dir.assert_file("a", &body);
        dir.assert_names(&["a"]);
        let last = asked(&server).pop();
        assert_eq!(last.as_deref(), Some("/later bytes=390000-419999"));
    }
}

#[test]
fn pieces_are_judged_though_they_come_over_several_connections() {
    let body = noise(SIZE);
    let wrong = damaged(&body, &[200_000, 800_000]);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&wrong).ranges().etag("\"v1\"");
        route.pace(10_000, Duration::from_millis(2)).times(4);
        route.then().body(&body).ranges().etag("\"v1\"");
    });
    let dir = Dir::new();
    let document = described(&body, server.url("/a"));
    let out = fetch(&dir, "-s 4 --min-split 200K", document).run();
    out.ok();
    dir.assert_file("a", &body);
    dir.assert_names(&["a"]);
    let mut again = asked(&server).split_off(4);
    again.sort_unstable();
    let wanted = ["/a bytes=180000-209999", "/a bytes=780000-809999"];
    assert_eq!(again, wanted, "{out}");
}

#[test]
fn what_a_killed_run_has_left_is_judged_by_its_pieces() {
    let body = noise(SIZE);
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(damaged(&body, &[70_000])).ranges();
        route.etag("\"v1\"").drip(200_000, &gate);
        route.then().body(&body).ranges().etag("\"v1\"");
    });
    let dir = Dir::new();
    let document = described(&body, server.url("/a"));
    dir.write("list", &document);
    let running = dir.gannet().flags("-i list").spawn();
    gate.let_one_through();
    dir.wait_for_size("a.part.gannet", 1);
    running.signal("KILL");
    running.finish();
    let out = fetch(&dir, "", &document).run();
    out.ok();
    dir.assert_file("a", &body);
    dir.assert_names(&["a", "list"]);
    let wanted = ["/a all", "/a bytes=200000-", "/a bytes=60000-89999"];
    assert_eq!(asked(&server), wanted, "{out}");
}

#[test]
fn a_server_that_sends_no_parts_sends_the_whole_again() {
    let body = noise(SIZE);
    for (etag, code) in [(Some("\"v1\""), 0), (None, 0), (None, 9)] {
        let server = Server::start(|s| {
            let mut route = s.get("/a").body(damaged(&body, &[70_000]));
            if let Some(etag) = etag {
                route = route.etag(etag);
            }
            if code == 0 {
                route.then().body(&body);
            }
        });
        let dir = Dir::new();
        let out = fetch(&dir, "", described(&body, server.url("/a"))).run();
        out.code(code);
        assert_eq!(server.requests().len(), if code == 0 { 2 } else { 3 });
        if code == 0 {
            dir.assert_file("a", &body);
            dir.assert_names(&["a"]);
        } else {
            dir.assert_names(&[]);
        }
    }
}

#[test]
fn right_pieces_do_not_make_up_for_a_wrong_whole() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        s.get("/a").body(&body).ranges().etag("\"v1\"");
    });
    let dir = Dir::new();
    let facts = format!(
        r#"<hash type="sha-256">{}</hash>{}"#,
        sha256_hex(b"another"),
        pieces(&body, PIECE)
    );
    let out = fetch(&dir, "", metalink(&facts, &[server.url("/a")])).run();
    out.code(9)
        .complains(&sha256_hex(&body))
        .complains(&sha256_hex(b"another"));
    assert_eq!(server.requests().len(), 1);
    dir.assert_names(&[]);
}

#[test]
fn pieces_that_cannot_be_the_file_are_an_error() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        s.get("/a").body(&body).ranges();
    });
    let short = pieces(&body[..SIZE - 20_000], PIECE);
    let dir = Dir::new();
    let sized = format!("<size>{SIZE}</size>{short}");
    let out = fetch(&dir, "", metalink(&sized, &[server.url("/a")])).run();
    out.code(2).complains("33 <pieces> of 30000 bytes");
    assert_eq!(server.connections(), 0);
    let out = fetch(&dir, "", metalink(&short, &[server.url("/a")])).run();
    out.code(9).complains("33 pieces of 30000 bytes");
    dir.assert_names(&[]);
}

#[test]
fn a_file_that_stands_there_is_known_by_its_pieces() {
    let body = noise(SIZE);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let document = metalink(&pieces(&body, PIECE), &[server.url("/a")]);
    dir.write("a", &body);
    let out = fetch(&dir, "", &document).run();
    assert_eq!(out.completion().word, "kept", "{out}");
    assert_eq!(server.connections(), 0);
    dir.write("a", damaged(&body, &[SIZE / 2]));
    let out = fetch(&dir, "", &document).run();
    assert_eq!(out.completion().word, "done", "{out}");
    dir.assert_file("a", &body);
}

/// The state then names the version of the mirror that brought the piece, and the other bytes are of another version.
#[test]
fn what_another_mirror_has_mended_is_not_gone_on_with_unless_a_digest_is_asked_for() {
    let body = noise(SIZE);
    let server = Server::start(|s| {
        let bad = damaged(&body, &[0, 5 * PIECE]);
        let first = s.get("/first").body(bad).ranges().etag("\"first\"");
        first.then().status(404);
        let second = s.get("/second").body(&body).ranges();
        second.etag("\"second\"").then().status(404);
    });
    let urls = [server.url("/first"), server.url("/second")];
    let dir = Dir::new();
    let document = metalink(&pieces(&body, PIECE), &urls);
    fetch(&dir, "-s 1 -t 0", document).run().code(8);
    let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
    assert!(state.contains("\"second\\\""), "{state}");
    let list = format!("{}\n  out=a\n", urls.join("\t"));
    let out = fetch(&dir, "-s 1 -t 0", list).run();
    out.complains("no digest to check it");
    assert!(!dir.has("a"), "{out}");
}
