//! Credentials: sent to their origin and to no other, and never printed.

use crate::harness::{Ca, Dir};
use crate::server::{BASIC, Script, Server};

#[test]
fn a_user_and_a_password_open_the_door() {
    let server = Server::start(Script::guarded);
    for flag in ["-u", "--user"] {
        let dir = Dir::new();
        dir.gannet()
            .args([flag, "user:pass"])
            .arg(server.url("/a"))
            .run()
            .ok();
        dir.assert_file("a", b"secret");
    }
}

#[test]
fn without_them_it_is_an_authentication_failure() {
    let server = Server::start(Script::guarded);
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a"));
    out.code(6);
    assert_eq!(
        (out.failure().status.as_str(), out.failure().tries),
        ("401", 1),
        "{out}"
    );
    dir.fetch("-u user:wrong", server.url("/a")).code(6);
    dir.assert_names(&[]);
}

#[test]
fn credentials_in_a_url_are_used_decoded_and_masked() {
    let server = Server::start(|s| {
        // `us:er` cannot be; `user` and `p@ss` can.
        s.get("/a").only_for("Basic dXNlcjpwQHNz").body(b"secret");
    });
    let dir = Dir::new();
    let url = server.url("/a").replace("http://", "http://user:p%40ss@");
    let out = dir
        .gannet()
        .flags("-vv")
        .args([
            &url,
            &server
                .url("/missing")
                .replace("http://", "http://user:p%40ss@"),
        ])
        .run();
    out.code(8);
    dir.assert_file("a", b"secret");
    out.never_says("p%40ss")
        .never_says("p@ss")
        .never_says("dXNlcjpwQHNz");
    assert_eq!(
        server.request("/a").header("host"),
        Some(server.address().to_string().as_str())
    );
}

#[test]
fn no_output_has_a_credential() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
        s.get("/gone").redirect(302, "/missing");
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-vv -u user:hunter2 --summary")
        .args([
            "-H",
            "Cookie: id=hunter3",
            "-H",
            "Proxy-Authorization: hunter4",
        ])
        .args([server.url("/a"), server.url("/gone")])
        .run();
    out.code(8);
    for secret in ["hunter2", "hunter3", "hunter4", "dXNlcjpodW50ZXIy"] {
        out.never_says(secret);
    }
    let dry = dir.fetch(
        "--dry-run",
        server.url("/a").replace("http://", "http://user:hunter2@"),
    );
    dry.ok().never_says("hunter2");
}

#[test]
fn a_bad_url_is_not_repeated_with_its_password() {
    let dir = Dir::new();
    for url in [
        "http://user:hunter2@/",
        "http://user:hunter2@host:99999/",
        "ftp://user:hunter2@127.0.0.1/",
    ] {
        let out = dir.fetch("", url);
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert!(!out.stderr().contains("hunter2"), "{out}");
    }
}

#[test]
fn credentials_stay_through_redirects_of_one_origin() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b");
        s.get("/b").only_for(BASIC).body(b"secret");
    });
    let dir = Dir::new();
    dir.fetch("-u user:pass", server.url("/a")).ok();
    dir.assert_file("a", b"secret");
}

#[test]
fn credentials_do_not_follow_to_another_origin() {
    let other = Server::serving("/b", b"open");
    let server = Server::start(|s| {
        s.get("/a").redirect(302, &other.url("/b"));
        // Another name with this port is another origin too.
        s.get("/c").redirect(307, "/d");
    });
    let dir = Dir::new();
    let ways: [&[&str]; 3] = [
        &["-u", "user:pass"],
        &["-H", "Authorization: Bearer x"],
        &["-H", "Cookie: id=1", "-H", "cookie: id=2"],
    ];
    for way in ways {
        dir.gannet()
            .args(["--exists", "overwrite", "-o", "x"])
            .args(way)
            .args(["-H", "X-Thing: 1"])
            .arg(server.url("/a"))
            .run()
            .ok();
    }
    dir.fetch(
        "--exists overwrite -o x",
        server.url("/a").replace("http://", "http://user:pass@"),
    )
    .ok();
    let sent = server.requests();
    assert!(
        sent.iter().all(|request| request
            .header("authorization")
            .or(request.header("cookie"))
            .is_some()),
        "{sent:?}"
    );
    let leaked = other.requests();
    assert_eq!(leaked.len(), 4);
    for request in &leaked {
        assert_eq!(request.header("authorization"), None, "{request:?}");
        assert_eq!(request.header("cookie"), None, "{request:?}");
    }
    assert_eq!(
        leaked[0].header("x-thing"),
        Some("1"),
        "headers that are no credentials go along"
    );
}

#[test]
fn credentials_do_not_follow_to_another_name_of_the_same_port() {
    let server = Server::serving("/b", b"open");
    let front = Server::start(|s| {
        s.get("/a")
            .redirect(302, &server.url_as("http", "other.test", "/b"));
    });
    let dir = Dir::new();
    let resolve = format!("other.test:{}:127.0.0.1", server.port());
    dir.gannet()
        .args(["--resolve", &resolve, "-u", "user:pass"])
        .arg(front.url("/a"))
        .run()
        .ok();
    assert_eq!(server.request("/b").header("authorization"), None);
}

#[test]
fn credentials_do_not_follow_from_https_to_http() {
    let ca = Ca::new();
    let plain = Server::serving("/b", b"open");
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").redirect(302, &plain.url("/b"));
    });
    let dir = Dir::new();
    let cacert = ca.write(&dir);
    // Whether it is followed bare or refused, the secret stays.
    dir.gannet()
        .arg("--cacert")
        .arg(cacert)
        .flags("-u user:pass -o x")
        .arg(server.url("/a"))
        .run();
    assert_eq!(server.request("/a").header("authorization"), Some(BASIC));
    assert!(
        plain
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn a_location_cannot_bring_credentials() {
    let server = Server::start(|s| {
        s.get("/a").redirect(302, "/b");
        s.get("/b").body(b"1");
    });
    let front = Server::start(|s| {
        s.get("/a").redirect(
            302,
            &server.url("/b").replace("http://", "http://evil:hunter2@"),
        );
    });
    let dir = Dir::new();
    let out = dir.fetch("-vv", front.url("/a"));
    out.never_says("hunter2");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn a_row_may_have_credentials_of_its_own() {
    let server = Server::start(|s| {
        s.get("/a").only_for(BASIC).body(b"1");
        s.get("/b").body(b"2");
    });
    let dir = Dir::new();
    let list = format!(
        "{}\n  header=Authorization: {BASIC}\n{}\n",
        server.url("/a"),
        server.url("/b")
    );
    dir.fetch_list("", list).ok();
    assert_eq!(server.request("/b").header("authorization"), None);
}

#[test]
fn a_token_from_the_environment_opens_the_door_and_is_shown_to_nobody() {
    let other = Server::serving("/b", b"2");
    let server = Server::start(|s| {
        s.get("/a").only_for("Bearer s3cret.t0ken").body(b"1");
        s.get("/away").redirect(302, &other.url("/b"));
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .env("TOKEN", "s3cret.t0ken")
        .flags("-vv --bearer-env TOKEN")
        .args([server.url("/a"), server.url("/away")])
        .run();
    out.ok().never_says("s3cret");
    dir.assert_file("a", b"1");
    assert_eq!(other.request("/b").header("Authorization"), None);
    for token in ["", "two words", "line\nbreak s3cret"] {
        let gannet = dir.gannet().env("TOKEN", token).flags("--bearer-env TOKEN");
        let out = gannet.arg(server.url("/a")).run();
        out.code(2).complains("TOKEN").never_says("s3cret");
    }
    let unset = dir.gannet().flags("--bearer-env NOWHERE");
    unset.arg(server.url("/a")).run().code(2);
}
