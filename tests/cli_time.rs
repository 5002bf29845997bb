//! Times: -N fetches only what is newer, --remote-time keeps the server's; and --fsync.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::{Dir, Nginx, noise};
use crate::server::Server;

const MODIFIED: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

fn time_of(dir: &Dir, name: &str) -> SystemTime {
    let metadata = dir.join(name).metadata().expect("a file");
    metadata.modified().expect("a time")
}

fn set_time(dir: &Dir, name: &str, time: SystemTime) {
    let file = File::options().write(true).open(dir.join(name));
    file.and_then(|file| file.set_modified(time)).expect("set");
}

#[test]
fn a_file_gets_the_servers_time() {
    for size in [0, 1000, 100_000, 3_000_000] {
        let server = Server::start(|s| {
            s.get("/a")
                .body(noise(size))
                .header("Last-Modified", MODIFIED);
            s.get("/b").body(noise(size));
            s.get("/c")
                .body(noise(size))
                .header("Last-Modified", "yesterday");
        });
        let dir = Dir::new();
        let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
        let before = SystemTime::now() - Duration::from_secs(60);
        dir.gannet().flags("--remote-time").args(&urls).run().ok();
        assert_eq!(time_of(&dir, "a"), modified());
        assert!(time_of(&dir, "b") > before && time_of(&dir, "c") > before);
        dir.gannet().flags("-d own").args(urls).run().ok();
        assert!(time_of(&dir, "own/a") > before);
    }
}

#[test]
fn a_time_in_another_zone_or_form_is_the_same_time() {
    for date in [
        "Sun, 09 Sep 2001 01:46:40 UTC",
        "Sun, 9 Sep 2001 01:46:40 GMT",
        "Sat, 08 Sep 2001 18:46:40 -0700",
        "Sunday, 09-Sep-01 01:46:40 GMT",
        "Sun Sep  9 01:46:40 2001",
    ] {
        let server = Server::start(|s| {
            s.get("/a").body(b"a").header("Last-Modified", date);
        });
        let dir = Dir::new();
        dir.fetch("--remote-time", server.url("/a")).ok();
        assert_eq!(time_of(&dir, "a"), modified(), "{date}");
    }
}

#[test]
fn a_file_with_the_servers_time_is_still_known() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(noise(100_000))
            .header("Last-Modified", MODIFIED)
            .etag("\"v1\"")
            .conditional();
    });
    let dir = Dir::new();
    for word in ["done", "kept"] {
        let out = dir.fetch("--remote-time", server.url("/a"));
        out.ok();
        assert_eq!(out.completion().word, word, "{out}");
    }
}

#[test]
fn only_what_is_newer_is_fetched() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "if_modified_since before;") else {
        return;
    };
    dir.write("www/a", b"remote");
    set_time(&dir, "www/a", modified());
    dir.make_dir("out");
    let fetch = |flags: &str| {
        let out = dir.fetch(flags, nginx.url("/a"));
        out.ok();
        out.completion().word
    };
    // Another tool made it: newer than the server's, and then older.
    dir.write("out/a", b"local");
    assert_eq!(fetch("-N -d out"), "kept");
    dir.assert_file("out/a", b"local");
    set_time(&dir, "out/a", modified() - Duration::from_secs(1));
    assert_eq!(fetch("-N -d out"), "done");
    dir.assert_file("out/a", b"remote");
    assert_eq!(fetch("--timestamping -d out"), "kept");
    // Without -N the time of a file proves nothing.
    dir.make_dir("plain");
    dir.write("plain/a", b"local");
    assert_eq!(fetch("-d plain"), "done");
    dir.assert_file("plain/a", b"remote");
}

#[test]
fn what_a_server_without_conditions_sends_is_not_taken_unless_newer() {
    for size in [1000, 3_000_000] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(size));
            route.header("Last-Modified", MODIFIED);
        });
        let local = vec![b'x'; size];
        let second = Duration::from_secs(1);
        // Which time a file has that another tool made, what it holds, and whether it stays.
        for (time, body, word) in [
            (modified() + second, &local[..], "kept"),
            (modified(), &local, "kept"),
            (modified() - second, &local, "done"),
            (modified() + second, &local[..size - 1], "done"),
        ] {
            let dir = Dir::new();
            dir.write("a", body);
            set_time(&dir, "a", time);
            let out = dir.fetch("-N", server.url("/a"));
            assert_eq!(out.ok().completion().word, word, "{out}");
            let remote = noise(size);
            dir.assert_file("a", if word == "kept" { body } else { &remote });
            dir.assert_names(&["a"]);
            let out = dir.fetch("-N", server.url("/a"));
            assert_eq!(out.ok().completion().word, "kept", "{out}");
        }
    }
}

#[test]
fn a_large_file_of_the_same_tag_is_not_fetched_though_the_server_sends_it() {
    let body = noise(20_000_000);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v1\"").then();
        let weak = route.body(&body).etag("\"v1\"").then();
        weak.body(&body).etag("W/\"v1\"");
    });
    let dir = Dir::new();
    for word in ["done", "kept", "done"] {
        let out = dir.fetch("", server.url("/a"));
        assert_eq!(out.ok().completion().word, word, "{out}");
        dir.assert_names(&["a"]);
    }
    assert!(server.sent() < 2 * body.len() + body.len() / 2);
}

#[test]
fn newer_only_and_exists_do_not_go_together() {
    Dir::new()
        .gannet()
        .flags("-N --exists skip http://127.0.0.1:1/a")
        .run()
        .code(2);
}

#[test]
fn a_run_that_syncs_ends_with_the_same_files() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(1000));
        s.get("/b").body(noise(3_000_000));
    });
    for flags in [
        "--fsync file -d file",
        "--fsync batch -d batch",
        "--fsync none -d none",
    ] {
        let dir = Dir::new();
        let urls = ["/a", "/b"].map(|path| server.url(path));
        dir.gannet().flags(flags).args(urls).run().ok();
        let folder = flags.rsplit(' ').next().expect("a folder");
        dir.assert_names(&[&format!("{folder}/a"), &format!("{folder}/b")]);
    }
}
