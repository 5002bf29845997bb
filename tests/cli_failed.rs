//! --failed: the rows that failed, as a list that is read again.

use crate::harness::{Dir, noise};
use crate::server::Server;

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
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("--failed no/folder/again")
        .arg(server.url("/a"))
        .run();
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
