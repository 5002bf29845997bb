//! --lock writes down what was fetched from where, --locked insists on it.

use crate::harness::{Dir, noise};
use crate::server::{Gate, Server};

const SHA256_OF_A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

fn lock(dir: &Dir) -> String {
    String::from_utf8(dir.read("lock")).expect("text")
}

#[test]
fn what_was_fetched_is_written_down() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a").etag("\"v1\"").conditional();
        s.get("/b").body(noise(3_000_000));
    });
    let dir = Dir::new();
    let list = format!("{}\n  out=sub/x\n{}\n", server.url("/a"), server.url("/b"));
    let run = || dir.fetch_list("-d out --lock lock", &list);
    run().ok();
    let first = lock(&dir);
    let expected = format!(
        "{{\n  \"version\": 1,\n  \"files\": [\n    {{\n      \"url\": \"{}\",\n      \"out\": \"sub/x\",\n      \"size\": 1,\n      \
         \"sha256\": \"{SHA256_OF_A}\",\n      \"etag\": \"\\\"v1\\\"\"\n    }},\n",
        server.url("/a")
    );
    assert!(first.starts_with(&expected), "{first}\n{expected}");
    assert!(
        first.contains("\"out\": \"b\"") && first.contains("\"size\": 3000000"),
        "{first}"
    );
    // What is kept is as well known as what is fetched.
    std::fs::remove_file(dir.join("lock")).expect("removed");
    let out = run();
    out.ok();
    assert!(
        out.completions().iter().any(|line| line.word == "kept"),
        "{out}"
    );
    assert_eq!(lock(&dir), first);
}

#[test]
fn what_it_held_of_other_urls_stays() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    for path in ["/a", "/b", "/none"] {
        let out = dir.fetch("--lock lock -d out", server.url(path));
        out.code(if path == "/none" { 8 } else { 0 });
    }
    let text = lock(&dir);
    assert!(
        text.contains(&server.url("/a")) && text.contains(&server.url("/b")),
        "{text}"
    );
    assert!(!text.contains("/none"), "{text}");
}

#[test]
fn locked_refuses_what_differs() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"a")
            .then()
            .body(b"a")
            .then()
            .body(b"x")
            .then()
            .body(b"aa");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    dir.fetch("--lock lock -d one", server.url("/a")).ok();
    let before = lock(&dir);
    let locked = |folder: &str, path: &str| {
        dir.gannet()
            .args(["--lock", "lock", "--locked", "-d", folder])
            .arg(server.url(path))
            .run()
    };
    locked("two", "/a").ok();
    dir.assert_file("two/a", b"a");
    // Another body of the same size, and one of another.
    locked("three", "/a").code(9).complains(SHA256_OF_A);
    locked("four", "/a").code(9).complains("2 bytes, not 1");
    locked("five", "/b").code(9).complains("not in lock");
    assert!(!server.paths().contains(&"/b".to_owned()));
    let named = format!("{}\n  out=other\n", server.url("/a"));
    let out = dir.fetch_list("--lock lock --locked -d six", named);
    out.code(9).complains("has it as 'a'");
    // A file that stands and fits the lock needs no request.
    let asked = server.requests().len();
    let out = locked("one", "/a");
    out.ok();
    assert_eq!(
        (out.completion().word.as_str(), server.requests().len()),
        ("kept", asked)
    );
    assert_eq!(lock(&dir), before);
    dir.assert_names(&["lock", "one/a", "two/a"]);
}

#[test]
fn a_lock_that_cannot_be_read_ends_the_run() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    dir.write("bad", b"{}");
    for flags in ["--lock bad", "--lock missing --locked", "--locked"] {
        let out = dir.fetch(flags, server.url("/a"));
        out.code(if flags == "--locked" { 2 } else { 3 });
    }
    assert_eq!(server.connections(), 0);
    dir.assert_file("bad", b"{}");
}

#[test]
fn locked_holds_a_file_to_its_name_however_that_is_asked_for() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let run = |flags: &str, options: &str| {
        let list = format!("{}\n{options}", server.url("/a"));
        dir.gannet().flags(flags).flags("-i -").input(list).run()
    };
    run("-d one --lock lock", "  dir=sub\n  out=x\n").ok();
    for right in [
        "",
        "  dir=sub\n",
        "  out=sub/x\n",
        "  out=./sub/x\n",
        "  dir=sub\n  out=x\n",
    ] {
        let flags = "-d two --exists overwrite --lock lock --locked";
        run(flags, right).ok();
        dir.assert_names(&["lock", "one/sub/x", "two/sub/x"]);
    }
    for wrong in ["  dir=other\n", "  out=x\n", "  dir=sub\n  out=y\n"] {
        run("-d three --lock lock --locked", wrong)
            .code(9)
            .complains("has it as 'sub/x'");
    }
    for (typed, code) in [("sub/x", 0), ("x", 9), ("sub/y", 9), ("../x", 9)] {
        let out = dir
            .gannet()
            .flags("-d two --exists overwrite --lock lock --locked -o");
        out.arg(typed).arg(server.url("/a")).run().code(code);
    }
    dir.assert_names(&["lock", "one/sub/x", "two/sub/x"]);
}

#[test]
fn the_server_does_not_name_a_file_that_is_locked() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(b"a");
        let route = route.header("Content-Disposition", "attachment; filename=x");
        let route = route.then().body(b"a");
        route.header("Content-Disposition", "attachment; filename=y");
    });
    let dir = Dir::new();
    for flags in ["", "--locked -d two"] {
        let run = dir.gannet().flags("--lock lock --content-disposition");
        run.flags(flags).arg(server.url("/a")).run().ok();
    }
    dir.assert_names(&["lock", "two/x", "x"]);
}

#[test]
fn no_credentials_are_written_down_and_a_fragment_is_no_other_url() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let host = format!("user:secret@127.0.0.1:{}", server.port());
    let url = format!("http://{host}/a#sha256={SHA256_OF_A}");
    let run = |flags: &str, url: &str| dir.fetch(flags, url);
    run("--lock lock", &url).ok();
    let text = lock(&dir);
    assert!(
        text.contains(&format!("\"{}\"", server.url("/a"))),
        "{text}"
    );
    for url in [&server.url("/a"), &url] {
        run("--lock lock --locked -d other", url).ok();
    }
}

#[test]
fn a_file_is_known_by_its_first_url_though_another_went_on_with_it() {
    let server = Server::start(|s| {
        s.get("/a").status(404);
        let route = s.get("/b").body(noise(300_000)).etag("\"v1\"").ranges();
        let route = route.cut_at(100_000).then();
        route.body(noise(300_000)).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let list = format!("{}\t{}\n", server.url("/a"), server.url("/b"));
    let run = || {
        let run = dir.gannet().flags("-t 0 --lock lock --failed again -i -");
        run.input(&list).run()
    };
    run().code(4);
    assert_eq!(dir.read("again"), list.as_bytes());
    run().ok();
    assert_eq!(server.requests().len(), 3);
    let text = lock(&dir);
    assert!(text.contains(&server.url("/a")) && !text.contains(&server.url("/b")));
}

#[test]
fn lists_that_cannot_be_written_leave_nothing_beside() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(b"a").wait_for(&gate);
    });
    let dir = Dir::new();
    let run = dir.gannet().flags("--lock lock --failed failed");
    let running = run.arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    dir.make_dir("lock");
    dir.make_dir("failed");
    gate.open();
    let out = running.finish();
    out.code(3).complains("lock").complains("failed");
    dir.assert_names(&["a"]);
}

#[test]
fn a_url_that_is_fetched_twice_is_locked_twice() {
    let server = Server::serving("/a", b"1");
    let (a, list) = (server.url("/a"), "{}\n  out=x\n{}\n  out=y\n");
    for list in [
        list,
        "{}\n{}\n",
        "{}\n  out=x\n{}\n{}\n",
        "{}\n{}\n  out=A\n",
    ] {
        let dir = Dir::new();
        let run = |flags: &str| {
            let run = dir.gannet().flags("-i - --lock lock").flags(flags);
            run.input(list.replace("{}", a.as_str())).run()
        };
        run("").ok();
        let names = dir.names();
        run("--locked").ok();
        assert_eq!(dir.names(), names);
        // What is fetched again takes the place of what was known, and adds nothing to it.
        let lock = dir.read("lock");
        run("").ok();
        assert_eq!(dir.read("lock"), lock);
    }
}

#[test]
fn runs_that_share_a_lock_file_lose_nothing() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        for at in 0..8 {
            s.get(&format!("/{at}")).body(b"1").wait_for(&gate);
        }
    });
    let dir = Dir::new();
    // All of them have read the file before any of them writes it.
    let run = |at: usize| {
        let run = dir.gannet().flags("--lock lock -d out");
        run.arg(server.url(&format!("/{at}"))).spawn()
    };
    let running: Vec<_> = (0..8).map(run).collect();
    server.wait_for_requests(8);
    gate.open();
    for one in running {
        one.finish().ok();
    }
    let text = lock(&dir);
    for at in 0..8 {
        assert!(
            text.contains(&server.url(&format!("/{at}"))),
            "{at}: {text}"
        );
    }
    assert!(!dir.has("lock.part"));
}

#[test]
fn what_another_run_added_meanwhile_stays_beside_what_was_fetched_anew() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        let route = s.get("/a").body(b"1").then().body(b"2").wait_for(&gate);
        route.then().body(b"3");
    });
    let dir = Dir::new();
    let run = |name: &str| {
        let run = dir.gannet().flags("--lock lock -o").arg(name);
        run.arg(server.url("/a"))
    };
    run("x").run().ok();
    let slow = run("y").spawn();
    server.wait_for_requests(2);
    run("z").run().ok();
    gate.open();
    slow.finish().ok();
    let text = lock(&dir);
    let has = |name: &str| text.contains(&format!("\"out\": \"{name}\""));
    assert!(!has("x") && has("y") && has("z"), "{text}");
}

#[test]
fn the_digest_of_a_body_that_was_thrown_away_is_not_noted() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(b"new");
        route.header("Content-Disposition", "attachment; filename=x");
    });
    let dir = Dir::new();
    dir.write("x", b"old");
    let flags = "--exists skip --content-disposition --lock lock";
    let out = dir.fetch(flags, server.url("/a"));
    out.ok();
    assert_eq!(out.completion().word, "kept", "{out}");
    dir.assert_file("x", b"old");
    assert!(!lock(&dir).contains("sha256"), "{}", lock(&dir));
}

#[test]
fn a_lock_file_may_be_a_link_and_nothing_but_a_file() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    dir.make_dir("sub");
    std::os::unix::fs::symlink("sub/target", dir.join("lock")).expect("a link");
    std::os::unix::fs::symlink("real", dir.join("out")).expect("a link");
    let run = |flags: &str| dir.fetch(flags, server.url("/a"));
    run("--lock lock -o out").ok();
    dir.assert_names(&["lock", "out", "real", "sub/target"]);
    // A file is known by the name that the link leads to.
    run("--lock lock --locked -o out --exists overwrite").ok();
    for stream in ["-", "/dev/stdout"] {
        run(&format!("--lock {stream}"))
            .code(2)
            .complains("--lock -");
    }
    run("--lock /dev/null")
        .code(3)
        .complains("not a plain file");
}
