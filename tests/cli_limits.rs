//! --max-filesize: announced lengths are refused at once, others as soon as they are over.

use crate::harness::{Dir, Gannet, noise};
use crate::server::{Route, Script, Server};

/// Fetches `/a` under a limit, and says whether it arrived.
fn arrives(limit: &str, write: impl FnOnce(&mut Script)) -> bool {
    let server = Server::start(write);
    let dir = Dir::new();
    let out = dir
        .gannet()
        .args(["--max-filesize", limit])
        .flags("--retry-delay 1ms")
        .arg(server.url("/a"))
        .run();
    if out.exit_code() == Some(0) {
        dir.assert_names(&["a"]);
        return true;
    }
    out.complains("limit").complains(&server.url("/a"));
    assert_eq!(out.failure().tries, 1, "trying again does not help: {out}");
    assert!(!dir.has("a"), "{out}");
    false
}

#[test]
fn an_announced_length_is_held_to_the_limit() {
    let of = |size: usize| {
        move |s: &mut Script| {
            s.get("/a").body(noise(size));
        }
    };
    assert!(arrives("1000", of(1000)));
    assert!(!arrives("1000", of(1001)));
    assert!(arrives("1K", of(1024)));
    assert!(!arrives("1K", of(1025)));
    assert!(arrives("1M", of(1025)));
}

#[test]
fn chunks_are_held_to_the_limit() {
    let of = |size: usize| {
        move |s: &mut Script| {
            s.get("/a").body(noise(size)).chunked(999);
        }
    };
    assert!(arrives("10000", of(10_000)));
    assert!(!arrives("10000", of(10_001)));
}

#[test]
fn a_body_that_ends_with_the_connection_is_held_to_the_limit() {
    let of = |size: usize| {
        move |s: &mut Script| {
            s.get("/a").body(noise(size)).no_length();
        }
    };
    assert!(arrives("300000", of(300_000)));
    assert!(!arrives("300000", of(300_001)));
}

#[test]
fn an_announced_length_over_the_limit_needs_no_body() {
    assert!(!arrives("1K", |s| {
        s.get("/a").length(1 << 40).stall_at(0);
    }));
}

#[test]
fn what_is_gone_on_with_is_held_to_the_whole_limit() {
    let ignored: fn(&mut Route) = |_| {};
    let honoured: fn(&mut Route) = |route| {
        route.ranges();
    };
    for ranges in [ignored, honoured] {
        for (limit, code) in [("199999", 1), ("200000", 0)] {
            let server = Server::start(|s| {
                let route = s.get("/a").body(noise(200_000)).etag("\"v1\"");
                let route = route.cut_at(120_000).then();
                ranges(route.body(noise(200_000)).etag("\"v1\""));
            });
            let dir = Dir::new();
            let run = || dir.gannet().flags("-t 0").arg(server.url("/a"));
            run().run().code(4);
            let out = run().args(["--max-filesize", limit]).run();
            out.code(code);
            assert_eq!(server.requests().len(), 2, "{out}");
            if code == 0 {
                dir.assert_file("a", noise(200_000));
            } else {
                out.complains("the limit of 199999 bytes");
            }
        }
    }
}

#[test]
fn what_another_tool_has_left_is_held_to_the_whole_limit() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(200_000)).ranges();
    });
    let dir = Dir::new();
    dir.write("a", &noise(200_000)[..120_000]);
    let fetch = |limit: &str| {
        let run = dir.gannet().flags("-c --max-filesize").arg(limit);
        run.arg(server.url("/a")).run()
    };
    fetch("199999")
        .code(1)
        .complains("the limit of 199999 bytes");
    dir.assert_file("a", &noise(200_000)[..120_000]);
    fetch("200000").ok();
    dir.assert_file("a", noise(200_000));
}

#[test]
fn an_endless_body_is_cut_off() {
    assert!(!arrives("64K", |s| {
        s.get("/a")
            .body(noise(200_000))
            .chunked(1000)
            .stall_at(150_000);
    }));
}

#[test]
fn the_bodies_of_redirects_do_not_count() {
    assert!(arrives("1K", |s| {
        s.get("/a").redirect(302, "/b").body(noise(5000));
        s.get("/b").body(b"hello");
    }));
}

#[test]
fn a_length_that_no_disk_has_does_not_fill_it() {
    let server = Server::start(|s| {
        s.get("/a").body(b"hello").length(1 << 62).cut_at(5);
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 0", server.url("/a"));
    assert!(out.exit_code().is_some_and(|code| code != 0), "{out}");
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn a_bad_size_is_a_usage_error() {
    for size in ["", "x", "-1", "1Q", "99999999999999999999G"] {
        Dir::new()
            .gannet()
            .arg(format!("--max-filesize={size}"))
            .arg("http://127.0.0.1:1/")
            .run()
            .code(2);
    }
}

#[test]
fn a_size_has_the_same_forms_on_the_command_line_in_variables_in_the_configuration_and_in_lists() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(2000)).times(99);
    });
    let url = server.url("/a");
    for (size, fits) in [
        ("1K", false),
        ("1KB", false),
        ("1kib", false),
        ("1999B", false),
        ("2000b", true),
        ("2K", true),
        ("1.96KiB", true),
        ("1MB", true),
        ("0.5G", true),
        ("1T", true),
        ("1TiB", true),
    ] {
        let ends = |dir: &Dir, gannet: Gannet| {
            let out = gannet.flags("-t 0").run();
            assert_eq!(out.exit_code() == Some(0), fits, "{size}: {out}");
            assert_eq!(dir.has("a"), fits, "{size}: {out}");
        };
        let dir = Dir::new();
        ends(&dir, dir.gannet().args(["--max-filesize", size, &url]));
        let dir = Dir::new();
        let gannet = dir.gannet().env("GANNET_MAX_FILESIZE", size);
        ends(&dir, gannet.arg(&url));
        let dir = Dir::new();
        dir.make_dir("config");
        dir.make_dir("config/gannet");
        let file = format!("max-filesize = \"{size}\"\n");
        dir.write("config/gannet/gannet.toml", file);
        let gannet = dir.gannet().env("XDG_CONFIG_HOME", dir.join("config"));
        ends(&dir, gannet.arg(&url));
        let dir = Dir::new();
        dir.write("list", format!("{url}\n max-size={size}\n"));
        ends(&dir, dir.gannet().flags("-i list"));
    }
}
