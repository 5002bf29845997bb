//! Redirects: all five kinds, relative and absolute, how many, and where they may not lead.

use crate::harness::Dir;
use crate::server::{Script, Server};

/// A chain `/r0` → `/r1` → … with this number of redirects.
fn chain(s: &mut Script, redirects: usize) {
    for at in 0..redirects {
        s.get(&format!("/r{at}"))
            .redirect(302, &format!("/r{}", at + 1));
    }
    s.get(&format!("/r{redirects}")).body(b"the end");
}

#[test]
fn all_five_kinds_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(|s| {
            s.get("/from").redirect(status, "/to");
            s.get("/to").body(b"hello");
        });
        let dir = Dir::new();
        let out = dir.fetch("-o x", server.url("/from"));
        out.ok();
        dir.assert_names(&["x"]);
        dir.assert_file("x", b"hello");
        assert_eq!(server.paths(), ["/from", "/to"]);
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.method == "GET")
        );
        assert_eq!(out.completion().columns[0], "200", "{out}");
    }
}

#[test]
fn a_location_is_resolved_against_the_url_it_came_from() {
    for (location, wanted) in [
        ("b", "/x/y/b"),
        ("../b", "/x/b"),
        ("/b", "/b"),
        ("?q", "/x/y/a"),
        ("./b#part", "/x/y/b"),
        ("/b%20c", "/b%20c"),
        ("/b c", "/b%20c"),
    ] {
        let server = Server::start(|s| {
            s.get("/x/y/a").redirect(302, location).then().body(b"ok");
            s.get(wanted).body(b"ok");
        });
        let dir = Dir::new();
        dir.fetch("-o x", server.url("/x/y/a")).ok();
        assert_eq!(server.paths(), ["/x/y/a", wanted], "{location}");
        assert!(!server.requests()[1].target.contains('#'));
    }
}

#[test]
fn a_failure_names_where_the_redirects_led_without_its_password_and_the_address() {
    let server = Server::start(|s| {
        s.get("/gone").status(404);
    });
    let address = server.url("").replace("http://", "");
    let first = Server::start(|s| {
        let to = format!("http://someone:secret@{address}/gone");
        s.get("/from").redirect(302, &to);
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 0", first.url("/from"));
    out.code(8);
    let wanted = format!("{}: not found at ", first.url("/from"));
    assert!(out.stderr().contains(&wanted), "{out}");
    let end = format!("{address}/gone (1 try) [{address}]");
    assert!(out.stderr().contains(&end), "{out}");
    assert!(!out.stderr().contains("secret"), "{out}");
}

#[test]
fn a_location_may_have_no_scheme_or_name_another_origin() {
    let other = Server::serving("/b", b"other");
    for location in [
        other.url("/b"),
        other.url("/b").replace("http:", ""),
        other.url("/b").replace("http:", "HTTP:"),
    ] {
        let server = Server::start(|s| {
            s.get("/a").redirect(301, &location);
        });
        let dir = Dir::new();
        dir.fetch("", server.url("/a")).ok();
        dir.assert_file(&dir.names()[0], b"other");
    }
    let host = other.requests()[0].header("host").map(str::to_owned);
    assert_eq!(host, Some(other.address().to_string()));
}

#[test]
fn the_name_comes_from_the_url_that_was_given() {
    let server = Server::start(|s| {
        s.get("/wanted").redirect(302, "/elsewhere");
        s.get("/elsewhere").body(b"1");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/wanted")).ok();
    dir.assert_names(&["wanted"]);
}

#[test]
fn twenty_redirects_are_followed_and_no_more() {
    let server = Server::start(|s| chain(s, 20));
    let dir = Dir::new();
    dir.fetch("", server.url("/r0")).ok();
    dir.assert_file("r0", b"the end");

    let server = Server::start(|s| chain(s, 21));
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/r0"));
    out.code_in(&[1, 7]).complains("redirect");
    assert_eq!(server.requests().len(), 21);
    dir.assert_names(&[]);
}

#[test]
fn the_number_of_redirects_can_be_set() {
    for flag in ["--max-redirs", "--max-redirects"] {
        let server = Server::start(|s| chain(s, 3));
        let dir = Dir::new();
        dir.gannet()
            .args([flag, "3"])
            .arg(server.url("/r0"))
            .run()
            .ok();
        dir.gannet()
            .args([flag, "2", "-o", "x"])
            .arg(server.url("/r0"))
            .run()
            .code_in(&[1, 7]);
        dir.gannet()
            .args([flag, "0", "-o", "x"])
            .arg(server.url("/r0"))
            .run()
            .code_in(&[1, 7]);
        dir.assert_names(&["r0"]);
        assert_eq!(server.requests().len(), 4 + 3 + 1);
    }
}

#[test]
fn a_loop_ends() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/a");
        s.get("/b").redirect(307, "/c");
        s.get("/c").redirect(307, "/b");
    });
    let dir = Dir::new();
    dir.gannet()
        .args([server.url("/a"), server.url("/b")])
        .run()
        .code_in(&[1, 7]);
    assert!(
        server.requests().len() <= 42,
        "{} requests",
        server.requests().len()
    );
    dir.assert_names(&[]);
}

#[test]
fn other_schemes_are_not_followed() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "javascript:alert(1)",
        "data:,x",
        "gopher://x/",
    ] {
        let server = Server::start(|s| {
            s.get("/a").redirect(302, location);
        });
        let dir = Dir::new();
        let out = dir.fetch("", server.url("/a"));
        assert!(
            out.exit_code().is_some_and(|code| code != 0),
            "{location}: {out}"
        );
        assert_eq!(out.failure().tries, 1, "{out}");
        dir.assert_names(&[]);
    }
}

#[test]
fn a_redirect_without_a_location_or_with_a_bad_one_is_a_failure() {
    for location in [
        None,
        Some("http://"),
        Some("http://[::1"),
        Some("http://127.0.0.1:99999/"),
    ] {
        let server = Server::start(|s| {
            let route = s.get("/a").status(302).body(b"nowhere");
            if let Some(location) = location {
                route.header("Location", location);
            }
        });
        let dir = Dir::new();
        let out = dir.fetch("", server.url("/a"));
        assert!(
            out.exit_code().is_some_and(|code| code != 0),
            "{location:?}: {out}"
        );
        dir.assert_names(&[]);
    }
}

#[test]
fn a_redirect_to_a_failure_is_that_failure() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/missing");
    });
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a"));
    out.code(8);
    assert_eq!(out.failure().status, "404", "{out}");
    dir.assert_names(&[]);
}

#[test]
fn the_body_of_a_redirect_is_never_in_the_file() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b").chunked(3);
        s.get("/b").redirect(302, "/c").no_length();
        s.get("/c").redirect(302, "/d").body([b'x'; 300_000]);
        s.get("/d").body(b"the body");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", b"the body");
}

#[test]
fn a_choice_is_followed_where_the_server_has_made_it() {
    let server = Server::start(|s| {
        s.get("/a").redirect(300, "/b").body(b"a list of choices");
        s.get("/b").body(b"the one it prefers");
        s.get("/c").status(300).body(b"a list of choices");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", b"the one it prefers");
    let out = dir.fetch("", server.url("/c"));
    out.code(7).complains("status 300");
    dir.assert_names(&["a"]);
}

#[test]
fn the_kinds_that_are_no_redirects_are_not_followed() {
    for status in [304, 305, 306] {
        let server = Server::start(|s| {
            s.get("/a").status(status).header("Location", "/b");
            s.get("/b").body(b"wrong");
        });
        let dir = Dir::new();
        dir.fetch("", server.url("/a"));
        assert_eq!(server.paths(), ["/a"], "{status}");
    }
}
