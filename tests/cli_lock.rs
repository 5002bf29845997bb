//! --lock writes down what was fetched from where, --locked insists on it.

use crate::harness::{Dir, noise};
use crate::server::Server;

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
    let run = || {
        dir.gannet()
            .flags("-i - -d out --lock lock")
            .input(&list)
            .run()
    };
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
        let out = dir
            .gannet()
            .flags("--lock lock -d out")
            .arg(server.url(path))
            .run();
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
    dir.gannet()
        .flags("--lock lock -d one")
        .arg(server.url("/a"))
        .run()
        .ok();
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
    let out = dir
        .gannet()
        .flags("--lock lock --locked -d six -i -")
        .input(named)
        .run();
    out.code(9).complains("has it as 'a'");
    // What is there and right needs no request.
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
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
    });
    let dir = Dir::new();
    dir.write("bad", b"{}");
    for flags in ["--lock bad", "--lock missing --locked", "--locked"] {
        let out = dir.gannet().flags(flags).arg(server.url("/a")).run();
        out.code(if flags == "--locked" { 2 } else { 3 });
    }
    assert_eq!(server.connections(), 0);
    dir.assert_file("bad", b"{}");
}
