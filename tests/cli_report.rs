//! What the program says: completion lines, failure lines, less with -q, more with -v, the summary, colour.

use crate::harness::{Dir, noise};
use crate::server::Server;

fn serving(sizes: &[usize]) -> Server {
    Server::start(|s| {
        for size in sizes {
            s.get(&format!("/{size}")).body(noise(*size));
        }
    })
}

/// Asserts a number with at most two decimals and one of these units behind it.
#[track_caller]
fn assert_quantity(column: &str, units: &[&str]) {
    let (number, unit) = column
        .split_once(' ')
        .unwrap_or_else(|| panic!("no unit in {column:?}"));
    assert!(
        number.parse::<f64>().is_ok_and(|number| number >= 0.0),
        "no number in {column:?}"
    );
    assert!(
        number
            .split_once('.')
            .is_none_or(|(_, decimals)| decimals.len() <= 2),
        "too exact: {column:?}"
    );
    assert!(units.contains(&unit), "{column:?} is in none of {units:?}");
}

#[test]
fn a_completion_line_has_its_columns() {
    let server = serving(&[300_000]);
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-d out")
        .arg(server.url("/300000"))
        .run();
    out.ok();
    assert_eq!(
        out.stdout().lines().count(),
        1,
        "one line for one file: {out}"
    );
    assert!(out.stdout().ends_with('\n'), "{out}");
    let line = out.completion();
    assert_eq!(line.word, "done", "{out}");
    assert_eq!(line.columns.len(), 4, "{out}");
    assert_eq!(line.columns[0], "200", "{out}");
    assert!(
        line.columns[1].ends_with(" KiB") && line.columns[1].starts_with("29"),
        "293 KiB: {out}"
    );
    assert_quantity(&line.columns[1], &["KiB"]);
    assert_quantity(&line.columns[2], &["s", "ms"]);
    assert_quantity(&line.columns[3], &["B/s", "KiB/s", "MiB/s", "GiB/s"]);
    assert_eq!(line.url, server.url("/300000"), "{out}");
    let found = dir
        .join(&line.path)
        .canonicalize()
        .expect("the path that was printed");
    assert_eq!(
        found,
        dir.join("out/300000").canonicalize().expect("the file"),
        "{out}"
    );
}

#[test]
fn sizes_have_fitting_units() {
    let server = serving(&[0, 5, 1023, 1024, 3 * 1024 * 1024]);
    let dir = Dir::new();
    let urls = ["/0", "/5", "/1023", "/1024", "/3145728"].map(|path| server.url(path));
    let out = dir.gannet().args(urls).run();
    out.ok();
    for (path, wanted) in [
        ("/0", "0 B"),
        ("/5", "5 B"),
        ("/1023", "1023 B"),
        ("/1024", "1.0 KiB"),
        ("/3145728", "3.0 MiB"),
    ] {
        let line = out
            .completions()
            .into_iter()
            .find(|line| line.url == server.url(path));
        assert_eq!(
            line.map(|line| line.columns[1].clone()).as_deref(),
            Some(wanted),
            "{out}"
        );
    }
}

#[test]
fn a_failure_line_is_on_standard_error_and_says_it_all() {
    let server = serving(&[]);
    let dir = Dir::new();
    let out = dir.gannet().arg(server.url("/gone")).run();
    out.code(8);
    assert_eq!(out.stdout(), "", "{out}");
    let wanted = format!("fail  404  {}: not found (1 try)", server.url("/gone"));
    assert!(
        out.stderr().lines().any(|line| line.starts_with(&wanted)),
        "no {wanted:?}: {out}"
    );
}

#[test]
fn completion_lines_come_in_the_order_of_completion() {
    let gate = crate::server::Gate::new();
    let server = Server::start(|s| {
        s.get("/late").body(b"1").wait_for(&gate);
        s.get("/soon").body(b"2");
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .args([server.url("/late"), server.url("/soon")])
        .spawn();
    running.wait_for_line(&server.url("/soon"));
    gate.open();
    let out = running.finish();
    out.ok();
    let order: Vec<_> = out.completions().into_iter().map(|line| line.url).collect();
    assert_eq!(order, [server.url("/soon"), server.url("/late")]);
}

#[test]
fn quiet_leaves_errors_only_and_twice_leaves_nothing() {
    let server = serving(&[5, 6]);
    let urls = ["/5", "/gone", "/6"].map(|path| server.url(path));
    for flag in ["-q", "--quiet"] {
        let dir = Dir::new();
        let out = dir.gannet().arg(flag).args(&urls).run();
        out.code(8);
        assert_eq!(out.stdout(), "", "{out}");
        assert_eq!(out.failures().len(), 1, "{out}");
        dir.assert_names(&["5", "6"]);
    }
    let out = Dir::new().gannet().arg("-qq").args(&urls).run();
    out.code(8);
    assert_eq!(out.both(), "", "{out}");
}

#[test]
fn verbose_shows_requests_and_answers() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b");
        s.get("/b").body(b"1").header("X-Answer", "yes");
    });
    let out = Dir::new()
        .gannet()
        .flags("-vv")
        .args(["-H", "X-Question: no"])
        .arg(server.url("/a"))
        .run();
    out.ok();
    out.traces('>', "GET /a HTTP/1.1")
        .traces('>', "X-Question: no")
        .traces('<', "HTTP/1.1 302");
    out.traces('>', "GET /b HTTP/1.1")
        .traces('<', "X-Answer: yes");
    let out = Dir::new().gannet().flags("-v").arg(server.url("/a")).run();
    out.ok().traces('*', "");
    assert_eq!(
        out.stdout().lines().count(),
        1,
        "what it does goes to standard error: {out}"
    );
}

#[test]
fn verbose_masks_credentials() {
    let server = serving(&[5]);
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-vv -u me:hunter2")
        .args(["-H", "Cookie: id=hunter3"])
        .arg(server.url("/5"))
        .run();
    // The base64 of me:hunter2.
    out.ok().never_says("hunter").never_says("bWU6aHVudGVyMg");
    assert!(server.request("/5").header("cookie").is_some());
}

#[test]
fn a_head_cannot_write_to_the_terminal() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"1")
            .header("X-Evil", "\u{1b}]0;title\u{7}\u{9b}2J");
    });
    let out = Dir::new().gannet().flags("-vv").arg(server.url("/a")).run();
    out.never_says("\u{1b}")
        .never_says("\u{7}")
        .never_says("\u{9b}");
}

#[test]
fn a_summary_ends_a_run_of_several() {
    let server = serving(&[5, 6]);
    let both = ["/5", "/6"].map(|path| server.url(path));
    let one = &both[..1];
    let summary = |flags: &str, urls: &[String]| {
        let out = Dir::new().gannet().flags(flags).args(urls).run();
        out.ok();
        out.other_lines()
    };
    assert!(summary("", one).is_empty(), "none for one file");
    assert!(
        summary("--no-summary", &both).is_empty(),
        "none when not wanted"
    );
    for lines in [
        summary("", &both),
        summary("--summary", one),
        summary("--summary", &both),
    ] {
        let line = lines.last().expect("a summary");
        assert!(line.contains("file") && line.contains(" B"), "{line}");
    }
}

#[test]
fn a_summary_counts_files_bytes_and_failures() {
    let server = serving(&[1000, 1048]);
    let urls = ["/1000", "/gone", "/1048"].map(|path| server.url(path));
    let out = Dir::new().gannet().args(urls).run();
    out.code(8);
    let summary = out.other_lines().pop().expect("a summary");
    assert!(
        summary.contains('2') && summary.contains("2.0 KiB") && summary.contains("1 fail"),
        "{summary}: {out}"
    );
}

#[test]
fn colour_is_for_those_who_ask() {
    let server = serving(&[5]);
    let run = |flags: &str, name: &str, value: &str| {
        let urls = [server.url("/5"), server.url("/gone")];
        let out = Dir::new()
            .gannet()
            .flags(flags)
            .env(name, value)
            .args(urls)
            .run();
        out.code(8);
        out.both().contains('\u{1b}')
    };
    assert!(run("--color always", "TERM", "xterm"));
    assert!(!run("--color never", "TERM", "xterm"));
    assert!(
        !run("--color auto", "TERM", "xterm"),
        "a pipe is no terminal"
    );
    assert!(!run("", "TERM", "xterm"), "a pipe is no terminal");
    assert!(!run("", "NO_COLOR", "1"));
}

#[test]
fn progress_is_plain_lines_or_none_off_a_terminal() {
    let server = serving(&[5]);
    for progress in ["auto", "plain", "none", "line", "bars"] {
        let out = Dir::new()
            .gannet()
            .args(["--progress", progress])
            .arg(server.url("/5"))
            .run();
        out.ok();
        assert_eq!(out.completions().len(), 1, "{out}");
    }
    Dir::new()
        .gannet()
        .flags("--progress nonsense")
        .arg(server.url("/5"))
        .run()
        .code(2);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let server = serving(&[5, 6]);
    let dir = Dir::new();
    let list = format!("{}\n  out=other\n{}\n", server.url("/5"), server.url("/6"));
    let out = dir
        .gannet()
        .flags("--dry-run -i - -d sub")
        .input(list)
        .run();
    out.ok();
    for part in [
        server.url("/5"),
        server.url("/6"),
        "sub/other".into(),
        "sub/6".into(),
    ] {
        assert!(out.stdout().contains(&part), "no {part:?}: {out}");
    }
    assert_eq!(server.connections(), 0);
    dir.assert_names(&[]);
    assert!(!dir.has("sub"), "a folder was made");
}

#[test]
fn the_first_failure_ends_a_run_that_says_so() {
    let server = serving(&[5, 6]);
    let dir = Dir::new();
    let mut urls = vec![server.url("/5"), server.url("/gone")];
    urls.extend((0..20).map(|_| server.url("/6")));
    let out = dir.gannet().flags("-j 1 --fail-fast").args(urls).run();
    out.code(8);
    dir.assert_names(&["5"]);
    // The next may have been asked for by the time the failure is read, the one after it not.
    assert!(server.requests().len() <= 3, "{:?} {out}", server.paths());
}

#[test]
fn the_first_failure_ends_what_is_under_way() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i - --fail-fast").spawn();
    running.write(format!("{}\n", server.url("/stuck")).as_bytes());
    server.wait_for_stalls(1);
    running.write(format!("{}\n", server.url("/gone")).as_bytes());
    let out = running.end();
    out.code(8);
    assert!(!dir.has("stuck"), "{out}");
}
