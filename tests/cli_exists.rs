//! What happens when the final name is taken already: --exists in its five values.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use crate::harness::{Dir, Output, noise};
use crate::server::{Gate, Request, Server};

#[test]
fn skip_keeps_the_file_and_asks_no_server() {
    let server = Server::serving("/a", b"new");
    let dir = Dir::new();
    dir.write("a", b"old");
    let out = dir.fetch("--exists skip", server.url("/a"));
    out.ok();
    assert_eq!(out.completion().word, "kept", "{out}");
    assert_eq!(server.connections(), 0);
    dir.assert_names(&["a"]);
    dir.assert_file("a", b"old");
}

#[test]
fn error_keeps_the_file_and_fails() {
    let server = Server::serving("/a", b"new");
    let dir = Dir::new();
    dir.write("a", b"old");
    let out = dir.fetch("--exists error", server.url("/a"));
    out.code(11).complains(&server.url("/a"));
    dir.assert_names(&["a"]);
    dir.assert_file("a", b"old");
}

#[test]
fn error_is_no_error_for_a_new_file() {
    let server = Server::serving("/a", b"new");
    let dir = Dir::new();
    dir.fetch("--exists error", server.url("/a")).ok();
    dir.assert_file("a", b"new");
}

#[test]
fn overwrite_replaces_the_file_and_leaves_no_old_tail() {
    let server = Server::serving("/a", b"new");
    let dir = Dir::new();
    dir.write("a", noise(1000));
    dir.fetch("--exists overwrite", server.url("/a")).ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", b"new");
}

#[test]
fn rename_keeps_both() {
    let server = Server::serving("/a", b"new");
    let dir = Dir::new();
    dir.write("a", b"old");
    dir.write("a.1", b"older");
    let out = dir.fetch("--exists rename", server.url("/a"));
    out.ok();
    dir.assert_names(&["a", "a.1", "a.2"]);
    dir.assert_file("a", b"old");
    dir.assert_file("a.2", b"new");
    assert!(out.completion().path.ends_with("a.2"), "{out}");
}

#[test]
fn a_folder_is_in_the_way_as_a_file_is() {
    let server = Server::serving("/a", b"new");
    for (exists, code) in [
        ("rename", 0),
        ("error", 11),
        ("verify", 3),
        ("overwrite", 3),
        ("skip", 3),
    ] {
        let dir = Dir::new();
        dir.make_dir("a");
        let out = dir.gannet().args(["--exists", exists]);
        out.arg(server.url("/a")).run().code(code);
        assert_eq!(dir.has("a.1"), code == 0, "{exists}");
    }
}

#[test]
fn verify_is_the_default_and_replaces_what_differs() {
    for flags in ["", "--exists verify"] {
        let server = Server::serving("/a", b"new");
        let dir = Dir::new();
        dir.write("a", b"old");
        dir.fetch(flags, server.url("/a")).ok();
        dir.assert_names(&["a"]);
        dir.assert_file("a", b"new");
    }
}

#[test]
fn verify_replaces_a_file_of_another_size() {
    let server = Server::serving("/a", noise(5000));
    let dir = Dir::new();
    dir.write("a", noise(70_000));
    dir.fetch("", server.url("/a")).ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", noise(5000));
}

#[test]
fn verify_run_twice_ends_with_the_same_file() {
    let server = Server::start(|s| {
        s.get("/a").body(b"hello").etag("\"v1\"").conditional();
    });
    let dir = Dir::new();
    for _ in 0..2 {
        dir.fetch("", server.url("/a")).ok();
        dir.assert_names(&["a"]);
        dir.assert_file("a", b"hello");
    }
}

#[test]
fn a_failed_replacement_leaves_the_old_file_alone() {
    for flags in ["--exists overwrite", "--exists verify"] {
        let server = Server::start(|s| {
            s.get("/a").body(noise(5000)).cut_at(2000);
        });
        let dir = Dir::new();
        dir.write("a", b"old");
        let out = dir
            .gannet()
            .flags(flags)
            .flags("-t 0")
            .arg(server.url("/a"))
            .run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        dir.assert_file("a", b"old");
    }
}

#[test]
fn the_old_file_stands_until_the_new_one_is_whole() {
    let body = noise(40_000);
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(&body).drip(20_000, &gate);
    });
    let dir = Dir::new();
    dir.write("a", b"old");
    let running = dir
        .gannet()
        .flags("--exists overwrite")
        .arg(server.url("/a"))
        .spawn();
    server.wait_for_requests(1);
    gate.let_one_through();
    dir.assert_file("a", b"old");
    gate.open();
    running.finish().ok();
    dir.assert_file("a", &body);
    dir.assert_names(&["a"]);
}

#[test]
fn a_name_taken_in_this_run_is_not_one_that_exists() {
    let server = Server::start(|s| {
        s.get("/x/a").body(b"1");
        s.get("/y/a").body(b"2");
    });
    for flags in ["--exists skip", "--exists overwrite", "--exists error"] {
        let dir = Dir::new();
        dir.gannet()
            .flags(flags)
            .flags("-j 1")
            .args([server.url("/x/a"), server.url("/y/a")])
            .run()
            .ok();
        dir.assert_names(&["a", "a.1"]);
        dir.assert_file("a.1", b"2");
    }
}

/// A run that has written a state; before its body ends, `put` changes the folder.
fn with_something_in_the_way(flags: &str, put: impl FnOnce(&Dir)) -> (Dir, Output) {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(300_000)).etag("\"v1\"");
        route.drip(200_000, &gate);
    });
    let dir = Dir::new();
    let running = dir.gannet().flags(flags).arg(server.url("/a")).spawn();
    gate.let_one_through();
    dir.wait_for_size("a.part.gannet", 1);
    put(&dir);
    gate.open();
    let out = running.finish();
    (dir, out)
}

#[test]
fn a_name_that_is_taken_meanwhile_leaves_nothing_else_behind() {
    let taken = |dir: &Dir| drop(dir.write("a", b"other"));
    let (dir, out) = with_something_in_the_way("--exists rename", taken);
    out.ok();
    dir.assert_names(&["a", "a.1"]);
    dir.assert_file("a.1", noise(300_000));
    let (dir, out) = with_something_in_the_way("--exists skip", taken);
    out.ok();
    assert_eq!(out.completion().word, "kept", "{out}");
    dir.assert_names(&["a"]);
    dir.assert_file("a", b"other");
    for flags in ["", "--exists overwrite"] {
        let (dir, out) = with_something_in_the_way(flags, taken);
        out.ok();
        assert!(out.completion().is_renamed, "{out}");
        dir.assert_names(&["a", "a.1"]);
        dir.assert_file("a", b"other");
        dir.assert_file("a.1", noise(300_000));
        let (dir, out) = with_something_in_the_way(&format!("{flags} -o a"), taken);
        out.code(11).complains("another row or program");
        dir.assert_file("a", b"other");
    }
    let (dir, out) = with_something_in_the_way("--exists error", taken);
    out.code(11);
    dir.assert_file("a", b"other");
}

#[test]
fn what_came_meanwhile_and_is_the_same_is_kept() {
    let same = |dir: &Dir| drop(dir.write("a", noise(300_000)));
    for flags in ["", "-o a"] {
        let (dir, out) = with_something_in_the_way(flags, same);
        out.ok();
        assert_eq!(out.completion().word, "kept", "{out}");
        dir.assert_names(&["a"]);
    }
}

/// What is equal is kept, whether its body arrives at once, in pieces, without a length, or has no byte.
#[test]
fn what_is_equal_is_kept_however_it_arrives() {
    let gate = Gate::new();
    gate.open();
    let server = Server::start(|s| {
        s.get("/once").body(noise(5000));
        s.get("/cut").body(noise(5000)).drip(700, &gate);
        s.get("/chunked").body(noise(5000)).chunked(700);
        s.get("/large").body(noise(1 << 20));
        s.get("/empty").body(b"");
        s.get("/larger").body(noise((1 << 20) + 1));
    });
    let dir = Dir::new();
    for (name, size) in [
        ("once", 5000),
        ("cut", 5000),
        ("chunked", 5000),
        ("large", 1 << 20),
        ("empty", 0),
    ] {
        let path = dir.write(name, noise(size));
        let before = inode(&path);
        let out = dir.fetch("", server.url(&format!("/{name}")));
        out.ok();
        assert_eq!(out.completion().word, "kept", "{name}: {out}");
        assert_eq!(inode(&path), before, "{name}");
    }
    dir.assert_names(&["chunked", "cut", "empty", "large", "once"]);
    dir.write("larger", noise((1 << 20) + 1));
    let out = dir.fetch("", server.url("/larger"));
    assert_eq!(out.completion().word, "done", "{out}");
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").ino()
}

/// A tree that another tool has written is compared once, and from then on the server says what has changed.
#[test]
fn a_file_that_was_compared_has_a_record() {
    let gate = Gate::new();
    gate.open();
    let server = Server::start(|s| {
        s.get("/once").body(b"hello").etag("\"v1\"").conditional();
        let cut = s.get("/cut").body(noise(5000)).etag("\"v1\"");
        cut.drip(700, &gate).conditional();
    });
    let dir = Dir::new();
    let (once, cut) = (dir.write("once", b"hello"), dir.write("cut", noise(5000)));
    for path in [&once, &cut] {
        fs::set_permissions(path, Permissions::from_mode(0o444)).expect("permissions");
    }
    fetch_both(&dir, &server);
    for path in [&once, &cut] {
        assert_eq!(mode(path), 0o444);
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("permissions");
    }
    let asked = fetch_both(&dir, &server);
    assert!(
        !asked.iter().any(is_conditional),
        "a read-only file has no record"
    );
    let asked = fetch_both(&dir, &server);
    assert_eq!(asked.len(), 6);
    assert!(asked[4..].iter().all(is_conditional));
    fs::write(&once, b"jello").expect("a change");
    let asked = fetch_both(&dir, &server);
    let again = asked[6..].iter().find(|request| request.path() == "/once");
    assert!(!is_conditional(again.expect("a request")), "it was changed");
    dir.assert_file("once", b"hello");
}

/// All requests so far, with those of another run for both files.
fn fetch_both(dir: &Dir, server: &Server) -> Vec<Request> {
    let urls = ["/once", "/cut"].map(|path| server.url(path));
    dir.gannet().args(urls).run().ok();
    server.requests()
}

fn is_conditional(request: &Request) -> bool {
    request.header("If-None-Match").is_some()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// Writes a file that is stamped later than now: the clock that stamps files may be some milliseconds behind.
fn write_later(dir: &Dir, name: &str, bytes: &[u8]) {
    let now = SystemTime::now();
    let is_later = |found: fs::Metadata| found.modified().is_ok_and(|at| at > now);
    while !fs::metadata(dir.write(name, bytes)).is_ok_and(is_later) {
        thread::yield_now();
    }
}

/// A run of one row after the other, during which a neighbour puts a file at the name of the last one before that
/// begins.
fn with_a_neighbour(flags: &str) -> (Dir, Output) {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/first").body(noise(40_000)).drip(20_000, &gate);
        s.get("/second").body(b"2");
        s.get("/x/a").body(b"mine");
    });
    let dir = Dir::new();
    dir.write("old", b"the folder is not empty");
    dir.write("a.0", b"");
    let urls = ["/first", "/second", "/x/a"].map(|path| server.url(path));
    let running = dir.gannet().flags("-j 1").flags(flags).args(urls).spawn();
    gate.let_one_through();
    server.wait_for_requests(1);
    write_later(&dir, "a", b"the neighbour's");
    gate.open();
    (dir, running.finish())
}

#[test]
fn a_file_that_a_neighbour_has_put_there_since_the_run_began_is_not_replaced() {
    for flags in ["", "--exists overwrite", "--exists rename"] {
        let (dir, out) = with_a_neighbour(flags);
        out.ok();
        dir.assert_file("a", b"the neighbour's");
        dir.assert_file("a.1", b"mine");
    }
    let (dir, out) = with_a_neighbour("--exists skip");
    out.ok();
    dir.assert_file("a", b"the neighbour's");
    assert!(!dir.has("a.1"), "{out}");
    let (dir, out) = with_a_neighbour("--exists error");
    out.code(11);
    dir.assert_file("a", b"the neighbour's");
}

#[test]
fn two_processes_in_one_folder_replace_nothing_of_each_other() {
    let gates = [Gate::new(), Gate::new()];
    let server = Server::start(|s| {
        s.get("/x/a").body(noise(40_000)).drip(20_000, &gates[0]);
        s.get("/y/b").body(noise(30_000)).drip(20_000, &gates[1]);
        s.get("/y/a").body(b"small");
    });
    let dir = Dir::new();
    let first = dir.gannet().flags("-d out").arg(server.url("/x/a")).spawn();
    let second = dir.gannet().flags("-d out -j 1");
    let second = second.args(["/y/b", "/y/a"].map(|path| server.url(path)));
    let second = second.spawn();
    server.wait_for_requests(2);
    gates[0].open();
    first.finish().ok();
    gates[1].open();
    second.finish().ok();
    dir.assert_names(&["out/a", "out/a.1", "out/b"]);
    dir.assert_file("out/a", noise(40_000));
    dir.assert_file("out/a.1", b"small");
}

/// Fetches what its server names `a`, where a file `a` of an earlier run stands.
fn with_a_given_name(exists: &str) -> (Dir, Output) {
    let server = Server::start(|s| {
        let route = s.get("/x").body(b"new");
        route.header("Content-Disposition", "attachment; filename=a");
    });
    let dir = Dir::new();
    dir.write("a", b"old");
    let out = dir.gannet().flags("--content-disposition");
    let out = out.args(["--exists", exists]).arg(server.url("/x")).run();
    (dir, out)
}

#[test]
fn a_name_from_the_server_that_is_taken_is_dealt_with_as_any_other() {
    for (exists, code, names, held) in [
        ("verify", 0, &["a"][..], "new"),
        ("overwrite", 0, &["a"], "new"),
        ("skip", 0, &["a"], "old"),
        ("rename", 0, &["a", "a.1"], "old"),
        ("error", 11, &["a"], "old"),
    ] {
        let (dir, out) = with_a_given_name(exists);
        out.code(code);
        dir.assert_names(names);
        dir.assert_file("a", held);
    }
}

#[test]
fn a_part_that_somebody_else_changed_does_not_become_the_file() {
    let set_len = |dir: &Dir, size| {
        let part = File::options().write(true).open(dir.join("a.part"));
        part.and_then(|part| part.set_len(size)).expect("resized");
    };
    let put_other = |dir: &Dir| {
        fs::remove_file(dir.join("a.part")).expect("removed");
        dir.write("a.part", b"other");
    };
    type Change<'a> = (&'a dyn Fn(&Dir), &'a [&'a str]);
    let changes: [Change<'_>; 5] = [
        (
            &|dir| fs::remove_file(dir.join("a.part")).expect("removed"),
            &[],
        ),
        (&put_other, &["a.part"]),
        // The one that was written is still there, under another name.
        (
            &|dir| {
                fs::hard_link(dir.join("a.part"), dir.join("kept")).expect("linked");
                put_other(dir);
            },
            &["a.part", "kept"],
        ),
        (&|dir| set_len(dir, 400_000), &[]),
        (&|dir| set_len(dir, 100_000), &[]),
    ];
    for (change, left) in changes {
        let (dir, out) = with_something_in_the_way("", change);
        out.code(3)
            .complains("a.part: another program has changed it");
        dir.assert_names(left);
        if left.contains(&"a.part") {
            dir.assert_file("a.part", b"other");
        }
    }
}

#[test]
fn an_unknown_value_is_a_usage_error() {
    let server = Server::serving("/a", b"new");
    Dir::new()
        .fetch("--exists perhaps", server.url("/a"))
        .code(2);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_file_that_is_kept_has_nothing_of_another_version_beside_it() {
    let server = Server::start(|s| {
        s.get("/a").body(b"whole").etag("\"v1\"").conditional();
    });
    let digest = "5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099";
    for flags in [String::new(), format!("--checksum sha256:{digest}")] {
        let dir = Dir::new();
        let fetch = || dir.fetch(&flags, server.url("/a"));
        fetch().ok();
        dir.write("a.part", b"some of anoth");
        dir.write("a.part.gannet", b"{}");
        let out = fetch();
        assert_eq!(out.completion().word, "kept", "{out}");
        dir.assert_names(&["a"]);
    }
}

/// Where a file is looked at and written again, Linux stamps it and all after it by a finer clock.
#[test]
fn a_file_is_known_again_whatever_clock_stamps_it() {
    let server = Server::start(|s| {
        s.get("/a").body(b"whole").etag("\"v1\"").conditional();
    });
    let dir = Dir::new();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let other = File::create(dir.join("other")).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                other.write_all_at(b"x", 0).unwrap();
                other.metadata().unwrap();
            }
        });
        let fetch = || dir.fetch("-d in", server.url("/a"));
        let fetch_anew = || {
            let _ = fs::remove_file(dir.join("in/a"));
            [fetch(), fetch()]
        };
        let outs: Vec<_> = (0..12).map(|_| fetch_anew()).collect();
        is_over.store(true, Ordering::Relaxed);
        for [first, second] in outs {
            assert_eq!(first.completion().word, "done");
            assert_eq!(second.completion().word, "kept", "{second}");
        }
    });
}
