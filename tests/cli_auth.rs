//! Credentials: sent to their origin and to no other, and never printed.

use std::sync::atomic::{AtomicUsize, Ordering};

use gannet::http::Algorithm;

use crate::harness::{Ca, Dir, digest, noise};
use crate::server::{BASIC, Client, ProxyServer, Script, Server};

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

/// The value of a parameter in an Authorization field.
fn parameter<'a>(field: &'a str, name: &str) -> &'a str {
    let start = field.find(&format!(" {name}=")).expect(name) + name.len() + 2;
    let rest = field[start..].trim_start_matches('"');
    rest.split([',', '"']).next().unwrap_or_default()
}

fn md5(text: &str) -> String {
    digest(Algorithm::Md5, text.as_bytes())
        .to_string()
        .replace("md5:", "")
}

#[test]
fn a_digest_challenge_is_answered() {
    let challenge = "Digest realm=\"x\", nonce=\"abc\", qop=\"auth\", opaque=\"o\"";
    let server = Server::start(|s| {
        s.get("/a")
            .status(401)
            .header("WWW-Authenticate", "Basic realm=\"x\"")
            .header("WWW-Authenticate", challenge)
            .body(b"no")
            .then()
            .body(b"secret");
        s.get("/stale")
            .status(401)
            .header("WWW-Authenticate", challenge)
            .then()
            .status(401)
            .header(
                "WWW-Authenticate",
                "Digest realm=\"x\", nonce=\"def\", stale=true",
            )
            .then()
            .body(b"again");
        s.get("/never")
            .status(401)
            .header("WWW-Authenticate", challenge);
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-u me:pw -t 0 -j 1 -v");
    let paths = ["/a", "/stale", "/never"].map(|path| server.url(path));
    let out = gannet.args(paths).run();
    out.code(6).complains("the login was refused");
    dir.assert_file("a", b"secret");
    dir.assert_file("stale", b"again");
    let requests = server.requests();
    let sent: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.path(),
                request.header("authorization").expect("a login"),
            )
        })
        .collect();
    assert_eq!(sent.len(), 2 + 3 + 2, "{sent:?}");
    let field = sent[1].1;
    let (count, cnonce) = (parameter(field, "nc"), parameter(field, "cnonce"));
    let (key, request) = (md5("me:x:pw"), md5("GET:/a"));
    let response = md5(&format!("{key}:abc:{count}:{cnonce}:auth:{request}"));
    assert_eq!(parameter(field, "response"), response, "{field}");
    assert_eq!(parameter(sent[4].1, "nonce"), "def");
    out.never_says("pw");
}

#[test]
fn a_digest_challenge_of_a_proxy_is_answered() {
    let proxy = Server::start(|s| {
        s.get("http://some.host.test/a")
            .status(407)
            .header("Proxy-Authenticate", "Digest realm=\"x\", nonce=\"abc\"")
            .then()
            .body(b"1");
    });
    let dir = Dir::new();
    let url = proxy.url("").replace("//", "//me:pw@");
    let gannet = dir.gannet().args(["-p", &url]);
    gannet.arg("http://some.host.test/a").run().ok();
    dir.assert_file("a", b"1");
    let requests = proxy.requests();
    let field = requests[1].header("proxy-authorization").expect("a login");
    let response = md5(&format!("{}:abc:{}", md5("me:x:pw"), md5("GET:/a")));
    assert_eq!(parameter(field, "response"), response, "{field}");
}

/// Refuses a tunnel with this challenge.
fn challenge(client: &mut Client<'_>, challenge: &str) {
    client.write(format!(
        "HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm=\"x\", qop=\"auth\", {challenge}\r\n\
         Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nsorry"
    ));
}

#[test]
fn a_digest_challenge_to_a_tunnel_is_answered() {
    let (ca, body) = (Ca::new(), noise(100_000));
    let origin = Server::start_tls(&ca.issue().config(), |s| {
        for path in ["/a", "/b"] {
            s.get(path).body(&body).close_after();
        }
    });
    let address = origin.address();
    let proxy = ProxyServer::start(move |client| {
        let head = client.read_head();
        if !head.contains("Digest") {
            return challenge(client, "nonce=\"one\"");
        }
        if head.contains("nonce=\"one\"") && head.contains("nc=00000001") {
            return challenge(client, "nonce=\"two\", stale=TRUE");
        }
        client.write("HTTP/1.1 200 OK\r\n\r\n");
        client.relay(address);
    });
    let dir = Dir::new();
    ca.write(&dir);
    let gannet = dir.gannet().flags("-t 0 -j 1 --cacert ca.pem");
    let gannet = gannet.args(["-p", &proxy.url("http", "me:pw")]);
    let out = gannet.args([origin.url("/a"), origin.url("/b")]).run();
    out.ok().never_says("pw");
    dir.assert_file("a", &body);
    dir.assert_file("b", &body);
    let heads = proxy.heads();
    assert!(heads[0].contains("Basic"), "{heads:?}");
    // The second file's tunnel is asked for with the login at once.
    for (head, nonce, count) in [
        (&heads[1], "one", "00000001"),
        (&heads[2], "two", "00000001"),
        (&heads[3], "two", "00000002"),
    ] {
        let asked = md5(&format!("CONNECT:{address}"));
        let cnonce = parameter(head, "cnonce");
        let key = md5("me:x:pw");
        let response = md5(&format!("{key}:{nonce}:{count}:{cnonce}:auth:{asked}"));
        assert_eq!(parameter(head, "response"), response, "{head}");
        assert_eq!(parameter(head, "uri"), address.to_string());
    }
    assert_eq!(heads.len(), 4);
}

#[test]
fn a_digest_answer_to_a_tunnel_that_is_refused_is_not_repeated() {
    for (stale, tunnels) in [("", 2), (", stale=true", 3)] {
        let counter = AtomicUsize::new(0);
        let proxy = ProxyServer::start(move |client| {
            client.read_head();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            challenge(client, &format!("nonce=\"{number}\"{stale}"));
        });
        let dir = Dir::new();
        let gannet = dir.gannet().args(["-p", &proxy.url("http", "me:pw")]);
        let out = gannet.arg("https://some.host.test/a").run();
        out.code(6)
            .complains("the login was refused (offered: Digest, Basic)");
        assert_eq!(out.failure().tries, 1, "{out}");
        assert_eq!(proxy.heads().len(), tunnels, "{out}");

        let gannet = dir.gannet().args(["-p", &proxy.url("http", "")]);
        let out = gannet.arg("https://some.host.test/a").run();
        out.code(6)
            .complains("-p http://USER:PASS@HOST:PORT (offered: Digest, Basic)");
        assert_eq!(proxy.heads().len(), tunnels + 1, "{out}");
    }
}

#[test]
fn a_digest_answer_stays_with_its_origin() {
    let other = Server::serving("/b", b"1");
    let target = other.url("/b");
    let server = Server::start(|s| {
        s.get("/a")
            .status(401)
            .header("WWW-Authenticate", "Digest realm=\"x\", nonce=\"abc\"")
            .then()
            .redirect(302, &target);
    });
    let dir = Dir::new();
    dir.fetch("-u me:pw", server.url("/a")).ok();
    assert_eq!(other.request("/b").header("authorization"), None);
}

#[test]
fn a_refusal_names_the_schemes_and_the_flag() {
    for (challenges, flags, words) in [
        (
            &["Basic realm=x"][..],
            "",
            "-u USER:PASS or --netrc (offered: Basic)",
        ),
        (
            &["Digest realm=x, nonce=y, Basic realm=x"],
            "",
            "(offered: Digest, Basic)",
        ),
        (&["Basic realm=x"], "-u me:pw", "the login was refused"),
        (&["Bearer realm=x"], "", "--bearer-env"),
        (
            &["Negotiate", "NTLM"],
            "-u me:pw",
            "alone (offered: Negotiate, NTLM)",
        ),
        (&[], "", "-u USER:PASS"),
    ] {
        let server = Server::start(|s| {
            let mut route = s.get("/a").status(401);
            for challenge in challenges {
                route = route.header("WWW-Authenticate", challenge);
            }
        });
        let out = Dir::new().fetch(flags, server.url("/a"));
        out.code(6).complains(words);
    }
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
