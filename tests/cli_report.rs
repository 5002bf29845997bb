//! What the program says: completion lines, failure lines, less with -q, more with -v, the summary, colour.

use crate::harness::sandbox::with_mounts;
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
    let out = dir.fetch("-d out", server.url("/300000"));
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
    let out = dir.fetch("", server.url("/gone"));
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
    let out = Dir::new().fetch("-v", server.url("/a"));
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
    let out = Dir::new().fetch("-vv", server.url("/a"));
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
        .fetch("--progress nonsense", server.url("/5"))
        .code(2);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let server = serving(&[5, 6]);
    let dir = Dir::new();
    let list = format!("{}\n  out=other\n{}\n", server.url("/5"), server.url("/6"));
    let out = dir.fetch_list("--dry-run -d sub", list);
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

#[test]
fn a_report_on_standard_output_is_alone_there() {
    let server = serving(&[5]);
    let dir = Dir::new();
    for to in ["-", "/dev/fd/1"] {
        let urls = [server.url("/5"), server.url("/gone")];
        let out = dir.gannet().flags("-t 0 --exists overwrite --report");
        let out = out.arg(to).args(urls).run();
        out.code(8).complains("done  200");
        let report: serde_json::Value = serde_json::from_slice(out.stdout_bytes()).expect("JSON");
        assert_eq!(report["files"].as_array().map(Vec::len), Some(2), "{out}");
    }
    dir.gannet()
        .flags("--report - --exists overwrite")
        .arg(server.url("/5"))
        .stdout_without_reader()
        .run()
        .ok();
    dir.assert_names(&["5"]);
}

#[test]
fn outputs_that_would_be_mixed_up_are_refused() {
    let server = serving(&[5]);
    let dir = Dir::new();
    dir.write("list", server.url("/5"));
    std::os::unix::fs::symlink("/dev/stdout", dir.join("link")).expect("a link");
    std::os::unix::fs::symlink("list", dir.join("alias")).expect("a link");
    std::os::unix::fs::symlink("new", dir.join("dangling")).expect("a link");
    std::fs::hard_link(dir.join("list"), dir.join("second")).expect("a link");
    dir.write("x.part", server.url("/5"));
    for flags in [
        "--report x --failed ./x",
        "--report new --lock dangling",
        "-d . -o x --events ./x",
        "-i list --report ./list",
        "-i ./list --events list",
        "-i list --events alias",
        "-i alias --lock list",
        "-i list --events second",
        "-i x.part --failed x",
        "-i ./x.part --report x",
        "--failed x --events x.part",
        "-o x.part --lock x",
        "-o - --report -",
        "-o - --failed /dev/stdout",
        "--events - --report -",
        "--events link --failed -",
        "--report - --failed -",
        "--json --report -",
        "--json --failed link",
        "--lock -",
        "--report x --failed x",
        "--report x --lock x",
        "-d sub -o x --report sub/x",
        "-i list --report list",
        "-i list --events list",
    ] {
        let out = dir.fetch(flags, server.url("/5"));
        out.code(2).complains("--");
    }
    assert_eq!(server.connections(), 0);
    let names = ["alias", "dangling", "link", "list", "second", "x.part"];
    dir.assert_names(&names);
    for list in ["list", "x.part"] {
        dir.assert_file(list, server.url("/5"));
    }
    let run = dir
        .gannet()
        .shell("exec <list")
        .flags("-i - --events alias");
    run.run().code(2).complains("would replace a list");
    // A device has room for both.
    let out = dir.gannet().flags("--report /dev/null --failed /dev/null");
    out.arg(server.url("/5")).run().ok();
}

#[test]
fn a_report_of_a_run_that_breaks_off_is_whole() {
    let server = serving(&[5]);
    let mut broken = 0;
    for limit in 5..12 {
        let dir = Dir::new();
        let run = dir.gannet().shell(&format!("ulimit -n {limit}"));
        let out = run.flags("-t 0 --report r").arg(server.url("/5")).run();
        if out.exit_code() == Some(0) {
            continue;
        }
        if let Ok(text) = std::fs::read(dir.join("r")) {
            let report: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(
                report["totals"]["exit"],
                out.exit_code().expect("a code"),
                "{out}"
            );
            broken += 1;
        }
        assert!(!dir.has("r.part"), "{out}");
    }
    assert!(broken > 0);
}

#[test]
fn a_report_takes_the_place_of_what_a_link_leads_to() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let server = serving(&[5]);
    let dir = Dir::new();
    dir.make_dir("sub");
    let target = dir.write("sub/target", b"old");
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).expect("set");
    symlink("sub/target", dir.join("r")).expect("a link");
    dir.fetch("--report r", server.url("/5")).ok();
    dir.assert_names(&["5", "r", "sub/target"]);
    assert!(dir.join("r").is_symlink());
    let found = std::fs::metadata(target).expect("it");
    assert_eq!(
        found.permissions().mode() & 0o777,
        0o640,
        "who may read it stays"
    );
}

#[test]
fn outputs_leave_the_devices_as_they_are() {
    let server = serving(&[5]);
    let dir = Dir::new();
    // A private `/dev`: a faulty program would replace the devices of the whole system.
    let script = "mount -t tmpfs none /dev && ln -s /proc/self/fd /dev/fd && mkfifo /dev/pipe
        ln -s /proc/self/fd/1 /dev/stdout; ln -s /proc/self/fd/2 /dev/stderr
        exec 9<>/dev/pipe; stat -c '%N %F' /dev/* >before
        \"$0\" \"$@\"; code=$?
        stat -c '%N %F' /dev/* >after; dd if=/dev/pipe iflag=nonblock of=piped status=none 2>errors
        exit $code";
    let body = noise(5);
    for (flag, path, code, wanted) in [
        ("--report", "/5", 0, &b"\"totals\""[..]),
        ("--events", "/5", 0, b"\"event\""),
        ("--failed", "/gone", 8, b"http"),
        ("-o", "/5", 0, &body),
    ] {
        for to in ["stdout", "stderr", "fd/1", "fd/2", "pipe"] {
            let Some(run) = with_mounts(&dir, script) else {
                return;
            };
            let run = run.flags("-qq -t 0 --exists overwrite");
            let run = run.args([flag, &format!("/dev/{to}")]);
            let out = run.arg(server.url(path)).run();
            out.code(code);
            assert_eq!(dir.read("before"), dir.read("after"), "{flag} {to}: {out}");
            let (stdout, piped) = (out.stdout_bytes(), dir.read("piped"));
            let said = match to {
                "stdout" | "fd/1" => stdout,
                "pipe" => &piped,
                // What is no text is not captured as it is.
                _ if flag == "-o" => continue,
                _ => out.stderr().as_bytes(),
            };
            let has = said.windows(wanted.len()).any(|part| part == wanted);
            assert!(has, "{flag} {to}: {out}");
        }
    }
}

#[test]
fn an_output_that_is_a_mount_is_written_where_it_stands() {
    let server = serving(&[5]);
    let rows = format!("{}\n{}\n", server.url("/gone"), server.url("/5"));
    // Beside the mount there is room for a temporary file, and then there is none.
    for folder in [":", "mount -o remount,ro,bind inside"] {
        let dir = Dir::new();
        let script = format!(
            "mount --bind inside inside
            for it in failed report lock; do mount --bind own/$it inside/$it; done
            {folder}; exec \"$0\" \"$@\""
        );
        let Some(run) = with_mounts(&dir, &script) else {
            return;
        };
        dir.make_dir("inside");
        dir.make_dir("own");
        for name in ["failed", "report", "lock"] {
            dir.write(&format!("inside/{name}"), "");
            dir.write(&format!("own/{name}"), &rows);
        }
        dir.write("own/lock", r#"{"version":1,"files":[]}"#);
        let run = run.flags("-q -t 0 -d out -i inside/failed");
        let run = run.flags("--failed inside/failed --report inside/report --lock inside/lock");
        let out = run.run();
        out.code(8);
        assert!(!out.stderr().contains("cannot write"), "{out}");
        dir.assert_file("own/failed", format!("{}\n", server.url("/gone")));
        let text = |name: &str| String::from_utf8(dir.read(name)).expect("text");
        let report = text("own/report");
        assert!(
            report.starts_with('{') && report.ends_with("}}\n"),
            "{report}"
        );
        assert!(text("own/lock").contains("\"sha256\""), "{out}");
        dir.assert_file("out/5", noise(5));
        assert!(!dir.has("inside/failed.part") && !dir.has("inside/lock.part"));
    }
}
