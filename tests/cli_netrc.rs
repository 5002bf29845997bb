//! `--netrc`: each host has the login that a file has for it, and no other.

use crate::harness::{Ca, Dir, Nginx};
use crate::server::{BASIC, Script, Server};

const OTHER: &str = "Basic b3RoZXI6d29yZA==";

/// What came of the only request of a path.
fn sent(server: &Server, path: &str) -> Option<String> {
    server
        .request(path)
        .header("authorization")
        .map(str::to_owned)
}

#[test]
fn the_file_is_that_of_the_home_or_of_the_environment_or_the_one_that_is_named() {
    let right = "machine 127.0.0.1 login user password pass\n";
    let wrong = "machine 127.0.0.1 login user password wrong\n";
    for (home, variable, named) in [
        (Some(right), None, None),
        (Some(wrong), Some(right), None),
        (Some(wrong), Some(wrong), Some(right)),
        (None, None, Some(right)),
    ] {
        let server = Server::start(Script::guarded);
        let dir = Dir::new();
        let mut gannet = dir.gannet().env("HOME", dir.make_dir("home"));
        if let Some(home) = home {
            dir.write("home/.netrc", home);
        }
        if let Some(variable) = variable {
            gannet = gannet.env("NETRC", dir.write("variable", variable));
        }
        gannet = match named {
            Some(named) => {
                dir.write("named", named);
                gannet.arg("--netrc=named")
            }
            None => gannet.arg("--netrc"),
        };
        gannet.arg(server.url("/a")).run().ok();
        dir.assert_file("a", b"secret");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn without_the_flag_no_file_is_read() {
    let server = Server::start(Script::guarded);
    let dir = Dir::new();
    dir.write(".netrc", "machine 127.0.0.1 login user password pass\n");
    let gannet = dir.gannet().env("HOME", dir.path());
    gannet.arg(server.url("/a")).run().code(6);
    assert_eq!(sent(&server, "/a"), None);
}

#[test]
fn a_file_that_is_named_must_be_there_and_that_of_the_home_need_not() {
    let server = Server::serving("/a", b"open");
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--netrc=nowhere");
    let out = gannet.arg(server.url("/a")).run();
    out.code(2).complains("nowhere");
    let gannet = dir.gannet().flags("--netrc").env("NETRC", "lost");
    gannet.arg(server.url("/a")).run().code(2).complains("lost");
    let gannet = dir.gannet().flags("--netrc").env("NETRC", "");
    gannet.arg(server.url("/a")).run().ok();
    dir.make_dir("home/.netrc");
    let gannet = dir.gannet().flags("--netrc").env("HOME", dir.join("home"));
    let out = gannet.arg(server.url("/a")).run();
    out.code(2).complains(".netrc");
}

#[test]
fn what_cannot_be_understood_is_named_by_file_and_line_and_not_repeated() {
    let dir = Dir::new();
    for (file, line) in [
        ("machine h\r\nlogin u\r\npassword \"hunter2\r\n", ":3:"),
        ("hunter2", ":1:"),
    ] {
        dir.write("netrc", file);
        let gannet = dir.gannet().args(["--netrc=netrc", "http://127.0.0.1:1/"]);
        let out = gannet.run();
        out.code(2)
            .complains(&format!("netrc{line}"))
            .never_says("hunter2");
    }
    dir.write("large", vec![b'\n'; 1024 * 1024 + 1]);
    let gannet = dir.gannet().args(["--netrc=large", "http://127.0.0.1:1/"]);
    gannet.run().code(2).complains("larger than 1 MiB");
    // The file is a part of the word, or there is none.
    let out = dir.gannet().args(["--netrc", "ftp://x/"]).run();
    out.code(2).complains("ftp");
}

#[test]
fn unknown_words_are_warned_of_and_end_nothing() {
    let server = Server::start(Script::guarded);
    let dir = Dir::new();
    dir.write(
        "netrc",
        "machine api.heroku.com\n  login a\n  password b\n  method interactive\n\
         machine imap.example login a password hunter2 hunter3\n\
         machine 127.0.0.1 protocol http login user password pass\n",
    );
    let gannet = dir.gannet().arg("--netrc=netrc");
    let out = gannet.arg(server.url("/a")).run();
    out.ok();
    assert!(out.stderr().contains("netrc:5: unknown word"), "{out}");
    assert!(!out.stderr().contains("netrc:4"), "{out}");
    out.never_says("hunter3");
    dir.assert_file("a", b"secret");
}

#[test]
fn a_password_without_a_login_is_for_the_user_of_the_url() {
    let server = Server::start(Script::guarded);
    let dir = Dir::new();
    dir.write(
        "netrc",
        "machine 127.0.0.1 password no login unknown\nmachine 127.0.0.1 password pass\n",
    );
    let url = server.url("/a").replace("//", "//user@");
    dir.gannet().arg("--netrc=netrc").arg(url).run().ok();
    dir.assert_file("a", b"secret");
}

#[test]
fn what_is_typed_goes_before_the_file() {
    let server = Server::start(|s| {
        for path in ["/user", "/url", "/header", "/row", "/none"] {
            s.get(path).body(b"1");
        }
    });
    let dir = Dir::new();
    dir.write("netrc", "machine 127.0.0.1 login other password word\n");
    let gannet = || dir.gannet().arg("--netrc=netrc");
    let gannet_user = gannet().args(["-u", "user:pass"]);
    gannet_user.arg(server.url("/user")).run().ok();
    let url = server.url("/url").replace("://", "://user:pass@");
    gannet().arg(url).run().ok();
    let header = gannet().args(["-H", &format!("Authorization: {BASIC}")]);
    header.arg(server.url("/header")).run().ok();
    let row = format!("{}\n  header=Authorization: {BASIC}", server.url("/row"));
    gannet().flags("-i -").input(row).run().ok();
    for path in ["/user", "/url", "/header", "/row"] {
        assert_eq!(sent(&server, path).as_deref(), Some(BASIC), "{path}");
    }
    gannet().arg(server.url("/none")).run().ok();
    assert_eq!(sent(&server, "/none").as_deref(), Some(OTHER));
}

#[test]
fn a_user_without_a_password_gets_the_password_of_that_user() {
    let server = Server::start(|s| {
        s.get("/first").body(b"1");
        s.get("/second").body(b"1");
        s.get("/third").body(b"1");
    });
    let dir = Dir::new();
    let file =
        "machine 127.0.0.1 login user password pass\nmachine 127.0.0.1 login other password word\n";
    dir.write("netrc", file);
    let url = |path: &str, user: &str| server.url(path).replace("://", &format!("://{user}@"));
    let gannet = dir.gannet().arg("--netrc=netrc");
    let urls = [
        url("/first", "user"),
        url("/second", "othe%72"),
        url("/third", "third"),
    ];
    gannet.args(urls).run().ok();
    assert_eq!(sent(&server, "/first").as_deref(), Some(BASIC));
    assert_eq!(sent(&server, "/second").as_deref(), Some(OTHER));
    assert_eq!(sent(&server, "/third").as_deref(), Some("Basic dGhpcmQ6"));
}

#[test]
fn a_redirect_to_another_host_gets_that_hosts_login_and_never_the_firsts() {
    let server = Server::start(|s| {
        for path in ["/known", "/unknown", "/named"] {
            s.get(path).body(b"1");
        }
    });
    let front = Server::start(|s| {
        let to = |host, path| server.url_as("http", host, path);
        s.get("/a").redirect(302, &to("b.test", "/known"));
        s.get("/b").redirect(302, &to("c.test", "/unknown"));
        s.get("/c").redirect(302, &to("bare.test", "/named"));
    });
    for first in [
        "machine 127.0.0.1 login user password pass",
        "default login user password pass",
    ] {
        let dir = Dir::new();
        let file = format!("{first}\nmachine b.test login other password word\nmachine bare.test");
        dir.write("netrc", file);
        let gannet = dir.gannet().flags("--netrc=netrc -j 1");
        let gannet = gannet.args(server.resolving(&["b.test", "c.test", "bare.test"]));
        let urls = ["/a", "/b", "/c"].map(|path| front.url(path));
        gannet.args(urls).run().ok();
    }
    assert!(
        front
            .requests()
            .iter()
            .all(|request| given(request) == Some(BASIC))
    );
    for (path, expected) in [
        ("/known", Some(OTHER)),
        ("/unknown", None),
        ("/named", None),
    ] {
        let mut requests = server.requests();
        requests.retain(|request| request.path() == path);
        let logins: Vec<_> = requests.iter().map(given).collect();
        assert_eq!(logins, [expected; 2], "{path}");
    }
}

fn given(request: &crate::server::Request) -> Option<&str> {
    request.header("authorization")
}

#[test]
fn what_was_typed_for_the_first_host_leaves_the_second_its_own() {
    let server = Server::serving("/b", b"1");
    let front = Server::start(|s| {
        s.get("/a")
            .redirect(302, &server.url_as("http", "b.test", "/b"));
    });
    let dir = Dir::new();
    dir.write("netrc", "machine b.test login other password word");
    let header = format!("Authorization: {BASIC}");
    for way in [["-u", "user:pass"], ["-H", &header]] {
        let gannet = dir.gannet().flags("--netrc=netrc --exists overwrite");
        let gannet = gannet.args(server.resolving(&["b.test"])).args(way);
        gannet.arg(front.url("/a")).run().ok();
    }
    for (at, request) in server.requests().iter().enumerate() {
        assert_eq!(given(request), Some(OTHER), "{at}");
        assert_eq!(given(&front.requests()[at]), Some(BASIC), "{at}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn nobody_logs_in_in_the_clear_after_https() {
    let ca = Ca::new();
    let back = Server::start(|s| {
        s.get("/b").body(b"open");
        s.get("/d").body(b"open");
    });
    let plain = Server::start(|s| {
        s.get("/c").redirect(302, &back.url("/d"));
    });
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").redirect(302, &back.url("/b"));
        // Nor behind a second redirect in the clear.
        s.get("/x").redirect(302, &plain.url("/c"));
    });
    let dir = Dir::new();
    dir.write("netrc", "machine 127.0.0.1 login user password pass");
    let gannet = dir.gannet().arg("--netrc=netrc");
    let gannet = gannet.arg("--cacert").arg(ca.write(&dir));
    let out = gannet.args(["/a", "/x"].map(|path| server.url(path))).run();
    out.ok();
    assert_eq!(sent(&server, "/a").as_deref(), Some(BASIC));
    for (server, path) in [(&back, "/b"), (&plain, "/c"), (&back, "/d")] {
        assert_eq!(sent(server, path), None, "{path}");
    }
}

#[test]
fn many_files_of_many_hosts_have_each_its_own_login() {
    let server = Server::start(|s| {
        for at in 0..40 {
            s.get(&format!("/{at}")).body(b"1");
        }
    });
    let names: Vec<String> = (0..4).map(|at| format!("h{at}.test")).collect();
    let dir = Dir::new();
    let mut file = String::new();
    for name in &names[..3] {
        file += &format!("machine {name}\n  login {name}\n  password p\n");
    }
    dir.write("netrc", file);
    let urls = (0..40).map(|at| server.url_as("http", &names[at % 4], &format!("/{at}")));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let gannet = dir.gannet().arg("--netrc=netrc");
    gannet.args(server.resolving(&names)).args(urls).run().ok();
    let basic = [
        Some("Basic aDAudGVzdDpw"),
        Some("Basic aDEudGVzdDpw"),
        Some("Basic aDIudGVzdDpw"),
        None,
    ];
    for request in server.requests() {
        let at: usize = request.path()[1..].parse().expect("a number");
        assert_eq!(given(&request), basic[at % 4], "{at}");
    }
}

#[test]
fn nginx_opens_its_door_over_either_version_of_http() {
    let dir = Dir::new();
    let users = dir.write("users", "me:{PLAIN}pass \"word\"\n");
    let guard = format!("auth_basic a; auth_basic_user_file {};", users.display());
    let Some(nginx) = Nginx::start(&dir, &guard) else {
        return;
    };
    for at in 0..20 {
        dir.write(&format!("www/{at}"), format!("file {at}"));
    }
    dir.write(
        "netrc",
        "# mine\r\nmachine 127.0.0.1\r\nlogin me password \"pass \\\"word\\\"\"\r\n",
    );
    for flags in ["--http1.1", "--http2"] {
        let gannet = || dir.gannet().flags(flags).arg("--cacert").arg(&nginx.cacert);
        let urls = || (0..20).map(|at| nginx.https_url(&format!("/{at}")));
        gannet().args(urls()).run().code(6);
        let out = gannet()
            .args(["--netrc=netrc", "-vv", "-d", "out", "--exists", "overwrite"])
            .args(urls())
            .run();
        out.ok().never_says("pass \"word\"").never_says("bWU6");
        for at in 0..20 {
            dir.assert_file(&format!("out/{at}"), format!("file {at}"));
        }
    }
}
