//! Exit codes: one a kind of failure, and with several the same whatever their order.

use crate::harness::{Ca, Dir, noise};
use crate::server::{Port, Server};

/// One of everything that can go wrong.
struct World {
    server: Server,
    stranger: Server,
    dead: Port,
}

impl World {
    fn new() -> Self {
        let config = Ca::new().issue().config();
        Self {
            server: Server::start(|s| {
                s.get("/fine").body(b"fine");
                s.get("/locked").status(401);
                s.get("/rubbish").raw(b"rubbish\r\n\r\n");
                s.get("/stall").body(noise(1000)).stall_at(10);
                s.get("/taken").body(b"new");
            }),
            stranger: Server::start_tls(&config, |s| {
                s.get("/a").body(b"1");
            }),
            dead: Port::dead(),
        }
    }

    /// The row that ends in this exit code.
    fn row(&self, code: i32) -> String {
        match code {
            0 => self.server.url("/fine"),
            3 => format!("{}\n  dir=file/below", self.server.url("/fine")),
            4 => self.dead.url("/a"),
            5 => self.stranger.url("/a"),
            6 => self.server.url("/locked"),
            7 => self.server.url("/rubbish"),
            8 => self.server.url("/missing"),
            11 => self.server.url("/taken"),
            28 => self.server.url("/stall"),
            _ => panic!("no row for {code}"),
        }
    }

    /// The exit code of a run of these rows.
    #[track_caller]
    fn assert_code(&self, rows: &[i32], wanted: i32) {
        let dir = Dir::new();
        dir.write("file", b"where a folder should be");
        dir.write("taken", b"old");
        let list: String = rows.iter().map(|&code| self.row(code) + "\n").collect();
        let flags = "-i - -t 0 --stall-timeout 150ms --exists error";
        let out = dir.gannet().flags(flags).input(list).run();
        assert_eq!(out.exit_code(), Some(wanted), "rows {rows:?}: {out}");
        let failures = rows.iter().filter(|&&code| code != 0).count();
        assert_eq!(out.failures().len(), failures, "a line a failure: {out}");
        assert_eq!(
            out.completions().len(),
            rows.len() - failures,
            "a line a success: {out}"
        );
    }
}

#[test]
fn every_kind_of_failure_has_its_code() {
    let world = World::new();
    for code in [0, 3, 4, 5, 6, 7, 8, 11, 28] {
        world.assert_code(&[code], code);
    }
}

#[test]
fn one_failure_among_successes_decides() {
    let world = World::new();
    world.assert_code(&[0, 8], 8);
    world.assert_code(&[8, 0], 8);
}

#[test]
fn the_order_of_failures_decides_nothing() {
    let world = World::new();
    // By CLI.md: 9, 12, 3, 5, 6, 10, 11, 7, 8, 28, 4, 1.
    let ranked = [3, 5, 6, 11, 7, 8, 28, 4];
    for pair in ranked.windows(2) {
        world.assert_code(&[pair[0], pair[1]], pair[0]);
        world.assert_code(&[pair[1], pair[0]], pair[0]);
    }
}

#[test]
fn all_failures_at_once_have_the_first_of_the_table() {
    let world = World::new();
    world.assert_code(&[4, 28, 8, 7, 11, 6, 5, 3], 3);
    world.assert_code(&[4, 28, 8, 7, 0, 11, 6, 5], 5);
}

#[test]
fn failures_that_come_in_another_order_than_their_rows_decide_the_same() {
    let world = World::new();
    // The stall ends last, wherever it stands.
    world.assert_code(&[28, 4, 4], 28);
    world.assert_code(&[4, 28, 4], 28);
    world.assert_code(&[28, 8, 4], 8);
}

#[test]
fn a_run_with_everything_in_it_ends_as_the_contract_says() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/301").redirect(301, "/a");
        s.get("/302").redirect(302, "/301");
        s.get("/500").status(500).then().body(b"at last");
        s.get("/cut").body(&body).cut_at(60_000).then().body(&body);
        s.get("/stall")
            .body(&body)
            .stall_at(1000)
            .then()
            .body(&body);
        s.get("/chunks").body(&body).chunked(777);
    });
    let dead = Port::dead();
    let dir = Dir::new();
    let good = ["a", "301", "302", "500", "cut", "stall", "chunks"];
    let mut rows: Vec<_> = good
        .iter()
        .map(|name| server.url(&format!("/{name}")))
        .collect();
    let bad = [
        server.url("/404"),
        dead.url("/dead"),
        "http://nonexistent.invalid/name".to_owned(),
    ];
    rows.extend(bad.clone());
    dir.write("list", rows.join("\n"));
    let out = dir
        .gannet()
        .flags("-i list -d out -t 2 --retry-delay 1ms --stall-timeout 300ms")
        .run();
    out.code(8);
    for (name, wanted) in good
        .iter()
        .zip([b"a", b"a", b"a", &b"at last"[..], &body, &body, &body])
    {
        dir.assert_file(&format!("out/{name}"), wanted);
    }
    assert_eq!(
        dir.names().len(),
        good.len() + 1,
        "nothing but the files and the list: {:?} {out}",
        dir.names()
    );
    let mut done: Vec<_> = out.completions().into_iter().map(|line| line.url).collect();
    done.sort();
    rows.truncate(good.len());
    rows.sort();
    assert_eq!(done, rows, "{out}");
    assert_eq!(out.failures().len(), bad.len(), "{out}");
    for (url, row) in bad.iter().zip(8..) {
        let line = out
            .failures()
            .into_iter()
            .find(|line| line.text.starts_with(url.as_str()));
        let line = line.unwrap_or_else(|| panic!("no failure of {url}: {out}"));
        assert_eq!(line.tries, if row == 8 { 1 } else { 3 }, "{url}: {out}");
        out.names_row("list", row);
    }
}

#[test]
fn a_failure_names_its_cause_and_the_flag_that_helps() {
    let server = Server::start(|s| {
        s.get("/loop").redirect(302, "/loop");
        s.get("/locked").status(403);
        s.get("/foo").header("Content-Encoding", "foo").body(b"foo");
        s.get("/gzip")
            .header("Content-Encoding", "gzip")
            .body(b"foo");
        s.get("/hello").body(b"hello");
        s.get("/stall").body(noise(1000)).stall_at(10);
        s.get("/silent").body(noise(1000)).stall_at(0);
        s.get("/part").status(206).body(b"hello");
    });
    let dir = Dir::new();
    dir.make_dir("folder");
    dir.write("sums", "");
    for (flags, url, words) in [
        ("", "/loop", "more than 20 redirects: see --max-redirs"),
        (
            "",
            "/locked",
            "forbidden: it may want a login (-u USER:PASS or --netrc)",
        ),
        (
            "--compressed",
            "/foo",
            "'foo': to store it as it is sent, run without --compressed",
        ),
        ("--compressed", "/gzip", "run without --compressed"),
        (
            "--max-filesize 2",
            "/hello",
            "the limit of 2 bytes: see --max-filesize",
        ),
        (
            "-T 200ms",
            "/stall",
            "timed out after 200ms: see --stall-timeout",
        ),
        (
            "-T 200ms",
            "/silent",
            "timed out after 200ms: see --stall-timeout",
        ),
        (
            "--timeout 200ms",
            "/silent",
            "timed out after 200ms: see --timeout",
        ),
        (
            "--range 1-2",
            "/hello",
            "the whole file: to fetch the whole file, run without --range",
        ),
        ("", "/part", "to fetch a range, use --range"),
        ("-6", "/hello", "run without -4 and -6"),
        ("-o folder", "/hello", "to store files in a folder, use -d"),
        (
            "--checksums sums",
            "/hello",
            "cannot read sums: no digests in it",
        ),
        (
            "",
            "x/y.z",
            "begin it with https://, or give its base with --base URL",
        ),
    ] {
        let url = if url.starts_with('/') {
            server.url(url)
        } else {
            url.to_owned()
        };
        let out = dir.fetch(&format!("-t 0 {flags}"), url);
        assert_ne!(out.exit_code(), Some(0), "{out}");
        out.complains(words);
    }
    let out = dir.fetch("-u me:pw", server.url("/locked"));
    out.code(8).never_says("--netrc");
}
