//! --failed: the rows that failed, as a list that is read again.

use crate::harness::{Dir, noise};
use crate::server::{Gate, Server};

#[test]
fn what_failed_is_fetched_again_with_all_its_options() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").status(404).then().body(b"b");
        s.get("/c").status(404).then().body(b"c");
        s.get("/mirror").status(404);
    });
    let dir = Dir::new();
    let digest = "md5:92eb5ffee6ae2fec3ad71c777531578f";
    dir.write(
        "list",
        format!(
            "{}\n{}\t{}\n  out=named\n  dir=sub\n  header=X-One: 1\n  checksum={digest}\n{}\n",
            server.url("/a"),
            server.url("/b"),
            server.url("/mirror"),
            server.url("/c")
        ),
    );
    let out = dir.gannet().flags("-i list -d out --failed again").run();
    out.code(8);
    dir.assert_names(&["again", "list", "out/a"]);
    let again = String::from_utf8(dir.read("again")).expect("text");
    assert!(again.contains(&server.url("/mirror")), "{again}");
    let out = dir.gannet().flags("-i again -d out --failed again").run();
    out.ok();
    assert_eq!(out.completions().len(), 2, "{out}");
    dir.assert_names(&["again", "list", "out/a", "out/c", "out/sub/named"]);
    let requests = server.requests();
    let mut asked = requests.iter().filter(|request| request.target == "/b");
    assert!(asked.all(|request| request.header("x-one") == Some("1")));
    dir.assert_file("again", b"");
}

#[test]
fn a_wrong_digest_and_a_file_that_exists_are_failures_too() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    dir.write("b", b"old");
    let wrong = format!("{}#md5={}", server.url("/a"), "0".repeat(32));
    dir.gannet()
        .flags("--exists error --failed again")
        .args([&wrong, &server.url("/b")])
        .run()
        .code(9);
    let again = String::from_utf8(dir.read("again")).expect("text");
    assert!(
        again.contains(&wrong) && again.contains(&server.url("/b")),
        "{again}"
    );
}

#[test]
fn what_a_signal_interrupts_is_to_be_fetched_again() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("--failed again")
        .args([server.url("/a"), server.url("/stuck")])
        .spawn();
    running.wait_for_line(&server.url("/a"));
    server.wait_for_stalls(1);
    running.signal("INT");
    running.finish().code(130);
    dir.assert_file("again", format!("{}\n", server.url("/stuck")));
}

#[test]
fn a_list_that_cannot_be_written_ends_the_run() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let out = dir.fetch("--failed no/folder/again", server.url("/a"));
    out.code(3).complains("no/folder/again");
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_was_typed_of_a_single_file_is_written_too() {
    let server = Server::start(|s| {
        s.get("/a").status(404).then().body(b"b");
    });
    let dir = Dir::new();
    let digest = "md5:92eb5ffee6ae2fec3ad71c777531578f";
    let run = dir.gannet().flags("-d out -o sub/named --failed again");
    let run = run.args(["--checksum", digest]).arg(server.url("/a"));
    run.run().code(8);
    let again = String::from_utf8(dir.read("again")).expect("text");
    assert!(again.contains(digest), "{again}");
    dir.gannet().flags("-i again -d out").run().ok();
    dir.assert_names(&["again", "out/sub/named"]);
}

/// The lines of the list `again`.
fn again(dir: &Dir) -> Vec<String> {
    let text = String::from_utf8(dir.read("again")).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// A server: `/stuck/0` to `/stuck/39` never end, and the other paths have a body.
fn stuck() -> Server {
    Server::start(|s| {
        for path in ["/a", "/b", "/c", "/d"] {
            s.get(path).body(b"1");
        }
        for at in 0..40 {
            let route = s.get(&format!("/stuck/{at}"));
            route.body(noise(1000)).stall_at(10);
        }
    })
}

#[test]
fn rows_that_a_signal_kept_from_beginning_are_in_the_list() {
    let server = stuck();
    let dir = Dir::new();
    let typed: Vec<_> = (0..4)
        .map(|at| server.url(&format!("/stuck/{at}")))
        .collect();
    let one = "a\n  out=sub/x\n  checksum=md5:c4ca4238a0b923820dcc509a6f75849b\n# none\nnonsense one two\n";
    dir.write("one", one);
    dir.write("two", format!("{}\n", server.url("/b")));
    let base = server.url("/");
    let run = dir
        .gannet()
        .flags("-j 1 -i one -i two -i gone -d out --failed again");
    let running = run.args(["--base", &base]).args(&typed).spawn();
    server.wait_for_stalls(1);
    running.signal("INT");
    running.finish().code(130);
    let rows = [
        server.url("/a"),
        "  out=sub/x".into(),
        "  checksum=md5:c4ca4238a0b923820dcc509a6f75849b".into(),
        "nonsense one two".into(),
        server.url("/b"),
    ];
    let wanted = typed.iter().chain(&rows);
    let found = again(&dir);
    assert!(found.iter().take(9).eq(wanted), "{found:#?}");
    assert!(
        found.len() == 10 && found[9].contains("cannot read gone"),
        "{found:#?}"
    );
}

#[test]
fn a_long_list_is_kept_to_its_end_however_long_it_is() {
    let server = stuck();
    let dir = Dir::new();
    // More than is read from a pipe that never ends.
    let padding = "x".repeat(8000);
    let rows = (0..40).map(|at| format!("{}\n", server.url(&format!("/stuck/{at}"))));
    let more = (0..2500).map(|at| format!("{}?{padding}\n", server.url(&format!("/row{at}"))));
    let rows: String = rows.chain(more).collect();
    dir.write("list", &rows);
    let running = dir.gannet().flags("-q -j 2 -i list --failed again").spawn();
    server.wait_for_stalls(2);
    running.signal("INT");
    running.finish().code(130);
    let all: Vec<_> = rows.lines().collect();
    assert!(again(&dir) == all, "{} of {}", again(&dir).len(), all.len());
}

#[test]
fn a_shard_leaves_its_own_rows_alone() {
    let server = stuck();
    let dir = Dir::new();
    let urls: Vec<_> = (0..40)
        .map(|at| server.url(&format!("/stuck/{at}")))
        .collect();
    dir.write("list", urls.join("\n"));
    let mut found = Vec::new();
    for shard in ["1/2", "2/2"] {
        let run = dir.gannet().flags("-j 1 -i list -d out --failed again");
        let stalls = server.requests().len();
        let running = run.args(["--shard", shard]).spawn();
        server.wait_for_requests(stalls + 1);
        running.signal("INT");
        running.finish().code(130);
        found.extend(again(&dir));
    }
    found.sort();
    let mut urls = urls;
    urls.sort();
    assert_eq!(found, urls);
}

#[test]
fn a_run_that_its_first_failure_ends_leaves_every_other_row_in_the_list() {
    let server = stuck();
    for (flags, bad, code) in [("--fail-fast", "/gone", 8), ("--strict", "bad row", 2)] {
        let dir = Dir::new();
        let bad = if bad.starts_with('/') {
            server.url(bad)
        } else {
            bad.into()
        };
        let rest = ["/b", "/c", "/d"].map(|path| server.url(path));
        dir.write(
            "list",
            format!("{}\n{bad}\n{}\n", server.url("/a"), rest.join("\n")),
        );
        let run = dir
            .gannet()
            .flags("-j 1 -t 0 -i list -d out --failed again");
        run.flags(flags).run().code(code);
        let mut found = again(&dir);
        found.sort();
        // What had begun by then may be done.
        for (path, url) in ["out/a", "out/b", "out/c", "out/d"].iter().zip([
            &server.url("/a"),
            &rest[0],
            &rest[1],
            &rest[2],
        ]) {
            assert_ne!(dir.has(path), found.contains(url), "{flags}: {found:#?}");
        }
        assert!(found.contains(&bad), "{flags}: {found:#?}");
        assert!(!dir.has("out/d"), "{flags}: {found:#?}");
    }
}

#[test]
fn a_bad_row_fails_again() {
    let server = stuck();
    let sums = format!("{}  /absolute\n{}  d\n", "0".repeat(32), "1".repeat(31));
    let unknown = format!("{}\n  out=x\n  nonsense=1\n  dir=y\n", server.url("/a"));
    let cases = [
        ("nonsense\n".to_owned(), 1),
        (unknown, 1),
        ("{\"url\": 1}\n{\"urls\": []}\n".to_owned(), 2),
        (sums, 2),
        (
            "<metalink><file name=\"a\"></file></metalink>".to_owned(),
            1,
        ),
        ("\u{1b}binary\n".to_owned(), 1),
        ("one\n".to_owned() + &"x".repeat(70_000) + "\n", 2),
    ];
    for (list, bad) in cases {
        let dir = Dir::new();
        dir.write("list", &list);
        let run = |list: &str| {
            let run = dir.gannet().flags("-d out --failed again -i").arg(list);
            run.args([server.url("/a"), server.url("/gone")])
                .flags("-t 0")
                .run()
        };
        run("list").code(8);
        let first = again(&dir);
        assert_eq!(
            first
                .iter()
                .filter(|line| **line == server.url("/gone"))
                .count(),
            1
        );
        // The rows that stand beside it are read as what they are.
        let out = dir
            .gannet()
            .flags("-t 0 -i again -d out --failed again")
            .run();
        out.code(8).complains("not found");
        assert_eq!(out.failures().len(), bad + 1, "{list:?}: {first:#?} {out}");
        let mut second = again(&dir);
        let mut first = first;
        first.sort();
        second.sort();
        assert_eq!(first, second, "{list:?}");
    }
}

#[test]
fn a_bad_url_that_was_typed_fails_again() {
    let dir = Dir::new();
    dir.gannet()
        .flags("--failed again")
        .arg("ftp://h/a")
        .run()
        .code(2);
    assert_eq!(again(&dir), ["ftp://h/a"]);
    dir.gannet().flags("-i again --failed again").run().code(2);
    assert_eq!(again(&dir), ["ftp://h/a"]);
}

#[test]
fn two_rows_of_one_name_are_not_lost() {
    let server = stuck();
    let dir = Dir::new();
    let rows = ["/a", "/b"].map(|path| format!("{}\n  out=x\n", server.url(path)));
    let run = dir.gannet().flags("-j 1 -i - -d out --failed again");
    run.input(rows.concat()).run().code(2);
    dir.assert_file("again", &rows[1]);
}

#[test]
fn a_list_that_cannot_be_read_fails_again() {
    let server = stuck();
    let dir = Dir::new();
    dir.write("one", server.url("/a"));
    let run = |lists: &str| {
        dir.gannet()
            .flags(lists)
            .flags("-d out --failed again")
            .run()
    };
    run("-i one -i gone").code(3).complains("cannot read gone");
    assert_eq!(again(&dir).len(), 1);
    run("-i again").code(2).complains("cannot read gone");
    // One that breaks off in the middle, and one that is no file.
    run("-i /proc/self/mem").code(3);
    assert!(
        again(&dir)[0].contains("/proc/self/mem"),
        "{:?}",
        again(&dir)
    );
    // What is not there does not come to be by it.
    std::fs::remove_file(dir.join("again")).expect("removed");
    run("-i again").code(3).complains("cannot write again");
    assert!(!dir.has("again"));
}

#[test]
fn a_run_that_cannot_begin_leaves_every_row_in_the_list() {
    let server = stuck();
    let rows = format!("{}\n  out=x\n{}\n", server.url("/a"), server.url("/b"));
    for limit in 3..16 {
        let dir = Dir::new();
        dir.write("list", &rows);
        let run = dir.gannet().shell(&format!("ulimit -n {limit}"));
        let out = run.flags("-t 0 -i list --failed list -d out").run();
        let left = String::from_utf8(dir.read("list")).expect("text");
        for (path, url) in [("out/x", server.url("/a")), ("out/b", server.url("/b"))] {
            assert_ne!(dir.has(path), left.contains(&url), "{limit}: {left} {out}");
        }
        assert_eq!(
            out.exit_code() == Some(0),
            left.is_empty(),
            "{limit}: {left} {out}"
        );
        assert!(!dir.has("list.part"), "{limit}");
    }
}

#[test]
fn what_the_run_itself_needs_and_cannot_have_costs_no_row() {
    let server = stuck();
    let dir = Dir::new();
    dir.write("bad", "{}");
    let rows = ["/a", "/b"]
        .map(|path| format!("{}\n", server.url(path)))
        .concat();
    dir.write("list", &rows);
    let gone = server.url("/gone");
    for (flag, value) in [
        ("--lock", "bad"),
        ("--checksums", "missing"),
        ("--checksums", "bad"),
        ("--checksums", gone.as_str()),
    ] {
        for list in ["list", "-"] {
            // A pipe that has all of it before the program starts.
            let pipe = "mkfifo p && exec 9<>p && cat list >&9 && exec <p 9>&- && rm p";
            let run = dir
                .gannet()
                .shell(pipe)
                .flags("-t 0 -d out --failed again")
                .args([flag, value]);
            let out = run.args(["-i", list]).run();
            assert_ne!(out.exit_code(), Some(0), "{flag} {value}");
            assert_eq!(
                dir.read("again"),
                rows.as_bytes(),
                "{flag} {value} {list}: {out}"
            );
        }
    }
    assert!(!dir.has("out"), "nothing was fetched");
}

#[test]
fn what_a_pipe_would_still_bring_is_said() {
    let server = stuck();
    let dir = Dir::new();
    let mut running = dir
        .gannet()
        .flags("-i - --fail-fast -t 0 -j 1 --failed again")
        .spawn();
    let rows = ["/gone", "/b", "/c"].map(|path| server.url(path));
    running.write(format!("{}\n", rows.join("\n")).as_bytes());
    let out = running.end();
    out.code(8)
        .complains("standard input was not read to its end");
    let found = again(&dir);
    assert_eq!(found.first(), Some(&rows[0]), "{found:#?}");
    assert!(found.contains(&rows[2]), "{found:#?}");
    let last = found.last().map_or("", String::as_str);
    assert!(
        last.contains("standard input was not read to its end"),
        "{found:#?}"
    );
}

#[test]
fn a_list_that_another_run_writes_is_an_error_before_anything_is_fetched() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/slow").status(404).wait_for(&gate);
        s.get("/a").body(b"a");
    });
    let dir = Dir::new();
    for flag in ["--failed", "--report", "--events"] {
        let run = |path: &str| {
            dir.gannet()
                .flags("-t 0")
                .args([flag, "again"])
                .arg(server.url(path))
        };
        let before = server.requests().len();
        let first = run("/slow").spawn();
        server.wait_for_requests(before + 1);
        let out = run("/a").run();
        out.code(3)
            .complains("again")
            .complains("another process is writing it");
        assert_eq!(server.requests().len(), before + 1, "{flag}");
        first.signal("INT");
        first.finish().code(130);
        assert!(
            String::from_utf8_lossy(&dir.read("again")).contains("/slow") || flag == "--report"
        );
        // What a killed run has left does not stand in the way.
        let left = dir.write("again.part", "left");
        let left = std::fs::File::open(left).expect("left");
        assert!(
            gannet::internals::sys::note(&left, b"output\n"),
            "no attributes here"
        );
        run("/a").run().ok();
        std::fs::remove_file(dir.join("a")).expect("removed");
        if flag != "--events" {
            assert!(!dir.has("again.part"), "{flag}");
        }
    }
    gate.open();
}

#[test]
fn a_list_that_cannot_be_written_to_its_end_leaves_the_old_one() {
    let server = stuck();
    let dir = Dir::new();
    let rows: String = (0..200)
        .map(|at| format!("{}\n", server.url(&format!("/gone?{at}"))))
        .collect();
    dir.write("list", &rows);
    // Of 512 or of 1024 bytes, whichever the shell counts in; the signal is ignored, so writing fails.
    let limited = dir.gannet().shell("trap '' XFSZ; ulimit -f 3");
    let out = limited.flags("-q -t 0 -i list --failed list").run();
    out.code(3).complains("cannot write list");
    dir.assert_file("list", &rows);
    dir.assert_names(&["list"]);
    let full = dir
        .gannet()
        .flags("-q -t 0 -i list --failed /dev/full")
        .run();
    full.code(12).complains("cannot write /dev/full");
}

#[test]
fn a_link_is_followed_and_stays_and_a_stream_is_written_to() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let server = stuck();
    let dir = Dir::new();
    let gone = server.url("/gone");
    let run = |shell: &str, to: &str| {
        let run = dir.gannet().shell(shell).flags("-q -t 0 --failed").arg(to);
        run.arg(&gone).run()
    };
    dir.make_dir("sub");
    symlink("sub/target", dir.join("link")).expect("a link");
    symlink("link", dir.join("far")).expect("a link");
    // A target that is not there yet, and then one that is.
    for _ in 0..2 {
        run(":", "far").code(8);
        dir.assert_file("sub/target", format!("{gone}\n"));
        dir.assert_names(&["far", "link", "sub/target"]);
    }
    let mode = std::fs::metadata(dir.join("sub/target"))
        .expect("it")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    symlink("circle", dir.join("circle")).expect("a link");
    run(":", "circle").code(3).complains("symbolic links");
    // A descriptor that the shell has opened: a pipe, and a file that is added to.
    assert_eq!(run("exec 5>&1", "/dev/fd/5").stdout(), format!("{gone}\n"));
    run("echo before >added; exec 5>>added", "/dev/fd/5").code(8);
    dir.assert_file("added", format!("before\n{gone}\n"));
    assert_eq!(run(":", "-").stdout(), format!("{gone}\n"));
    assert!(!dir.has("-"));
}

#[test]
fn digests_of_pieces_are_written_too() {
    let server = stuck();
    let dir = Dir::new();
    let pieces = format!(
        "<pieces length=\"10\" type=\"md5\"><hash>{}</hash></pieces>",
        "0".repeat(32)
    );
    let url = format!("<url>{}</url>", server.url("/a"));
    dir.write(
        "list",
        format!("<metalink><file name=\"a\"><size>1</size>{pieces}{url}</file></metalink>"),
    );
    let run = |list: &str| {
        dir.gannet()
            .flags("-t 0 -d out --failed again -i")
            .arg(list)
            .run()
    };
    run("list").code(9);
    let first = again(&dir);
    assert!(
        first.iter().any(|line| line.contains("pieces=md5:10 0000")),
        "{first:#?}"
    );
    run("again").code(9);
    assert_eq!(again(&dir), first);
}

#[test]
fn a_row_that_has_another_name_than_its_url_keeps_it() {
    let server = Server::start(|s| {
        s.get("/one/x").body(b"one");
        s.get("/stuck").body(noise(1000)).stall_at(10);
        s.get("/two/x").status(404).then().body(b"two");
        s.get("/three/x").body(b"three");
    });
    let dir = Dir::new();
    // Another row had the name of the second and of the third, of which the run begins one.
    let urls = ["/one/x", "/two/x", "/stuck", "/three/x"].map(|path| server.url(path));
    let run = dir.gannet().flags("-j 1 -t 0 -d out --failed again");
    let running = run.args(&urls).spawn();
    server.wait_for_stalls(1);
    running.signal("INT");
    running.finish().code(130);
    let mut found = again(&dir);
    found.sort();
    let mut wanted = vec![urls[1].clone(), urls[2].clone(), urls[3].clone()];
    wanted.extend(["  out=x.1".into(), "  out=x.2".into()]);
    wanted.sort();
    assert_eq!(found, wanted);
    let text = String::from_utf8(dir.read("again")).expect("text");
    dir.write("again", text.replace(&format!("{}\n", urls[2]), ""));
    dir.gannet().flags("-i again -d out").run().ok();
    dir.assert_file("out/x", b"one");
    dir.assert_file("out/x.1", b"two");
    dir.assert_file("out/x.2", b"three");
}

#[test]
fn a_name_after_a_template_is_kept() {
    let server = stuck();
    let dir = Dir::new();
    let urls = ["/a", "/gone", "/b"].map(|path| server.url(path));
    let list = format!("{}\n{}\n  dir=sub\n{}\n", urls[0], urls[1], urls[2]);
    let run = dir
        .gannet()
        .flags("-i - -j 1 -t 0 -d out --fail-fast --failed again");
    run.args(["--name", "{index}/{name}"])
        .input(list)
        .run()
        .code(8);
    let first = format!("{}\n  out=2/gone\n  dir=sub\n", urls[1]);
    let text = String::from_utf8(dir.read("again")).expect("text");
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains("out=3/b") || dir.has("out/3/b"), "{text}");
}
