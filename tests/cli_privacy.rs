//! Credentials from every source, and every place where one might come out again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Ca, Dir, Output, noise};
use crate::server::{ProxyServer, Request, Server};

/// Each secret has this in it, and its base64 one of the others.
const SECRET: &str = "hunter2";

/// How the word stands in base64, at each of the three places that it may begin at.
const CODED: [&str; 3] = ["aHVudGVyM", "h1bnRlcj", "odW50ZXIy"];

fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in [SECRET].into_iter().chain(CODED) {
        assert!(!text.contains(secret), "{what} has {secret}:\n{text}");
    }
}

/// Neither what was said nor what is on the disk has a secret, but for the files that the test wrote itself.
fn assert_private(out: &Output, dir: &Dir, own: &[&str]) {
    assert_clean("standard output", out.stdout_bytes());
    assert_clean("standard error", out.stderr().as_bytes());
    for name in dir.names() {
        if own.contains(&name.as_str()) {
            continue;
        }
        assert_clean(&name, &dir.read(&name));
        let mut note = vec![0; 4096];
        if let Ok(length) = rustix::fs::getxattr(dir.join(&name), "user.gannet", &mut note) {
            assert_clean(&format!("the note of {name}"), &note[..length]);
        }
    }
}

/// A URL with a secret user and password.
fn with_userinfo(url: &str) -> String {
    url.replacen("://", "://hunter2-user:hunter2-password@", 1)
}

/// What ends in every way that a server can bring about.
fn server() -> Server {
    Server::start(|s| {
        let back = s
            .get("/to")
            .redirect(302, "http://hunter2:hunter2@127.0.0.1:1/x");
        back.header("Set-Cookie", "id=hunter2");
        s.get("/ok")
            .body(b"ok")
            .etag("\"v1\"")
            .header("X-Auth-Token", "hunter2");
        s.get("/cut")
            .body(noise(200_000))
            .etag("\"v1\"")
            .cut_at(100_000);
        s.get("/missing").status(404);
        s.get("/locked")
            .status(401)
            .header("WWW-Authenticate", "Basic realm=\"a\"");
        s.get("/busy").status(503).retry_after("0");
        s.get("/broken").raw(b"nonsense\r\n\r\n");
        s.get("/loop").redirect(302, "/loop");
        s.get("/away").redirect(302, "ftp://hunter2:hunter2@a/");
        s.get("/wrong").body(b"wrong");
        s.get("/stuck").body(noise(1000)).stall_at(10);
        s.get("/endless").status(206).body(b"unasked");
        s.get("/large").body(noise(3_000_000));
    })
}

const PATHS: [&str; 12] = [
    "/to", "/ok", "/cut", "/missing", "/locked", "/busy", "/broken", "/loop", "/away", "/stuck",
    "/endless", "/large",
];

const FLAGS: &str = "-vv -t 1 --retry-delay 1ms --stall-timeout 300ms --connect-timeout 300ms --max-redirs 3 --max-filesize 2M \
                     -d out --report report --lock lock --failed failed --summary --progress plain --events events";

#[test]
fn no_place_has_a_credential_whatever_its_source_and_however_a_file_ends() {
    let server = server();
    let wrong = format!("{}#md5={}", server.url("/wrong"), "0".repeat(32));
    let mut urls: Vec<String> = PATHS.iter().map(|path| server.url(path)).collect();
    urls.extend([
        wrong,
        "http://127.0.0.1:1/".to_owned(),
        "http://none.invalid/".to_owned(),
    ]);
    let urls: Vec<String> = urls.iter().map(|url| with_userinfo(url)).collect();
    for json in ["", "--json"] {
        let dir = Dir::new();
        let out = dir
            .gannet()
            .flags(FLAGS)
            .flags(json)
            .args(["--resolve", "none.invalid:80:127.0.0.1"])
            .args(["-u", "hunter2-user:hunter2-password"])
            .args(["-H", "Cookie: id=hunter2", "-H", "X-Api-Key: hunter2"])
            .args([
                "-H",
                "Proxy-Authorization: Basic hunter2",
                "-H",
                "Private-Token: hunter2",
            ])
            .args(["--referer", "http://hunter2:hunter2@a/"])
            .args(&urls)
            .run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert!(
            dir.has("out/cut.part.gannet")
                && dir.has("lock")
                && dir.has("report")
                && dir.has("events"),
            "{out}"
        );
        assert_private(&out, &dir, &["failed"]);
        // The list of `--failed` has the credentials, since the next run needs them; only its owner may read it.
        let failed = String::from_utf8(dir.read("failed")).expect("text");
        assert!(
            failed.contains(&with_userinfo(&server.url("/missing"))),
            "{failed}"
        );
        let mode = fs::metadata(dir.join("failed"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_list_s_credentials_come_out_nowhere_either() {
    let server = server();
    let dir = Dir::new();
    let mut list = String::new();
    for path in PATHS {
        let url = with_userinfo(&server.url(path));
        list.push_str(&format!(
            "{url}\t{url}x\n  header=Authorization: Bearer hunter2\n  header=X-Token: hunter2\n"
        ));
    }
    list.push_str("http://hunter2:hunter2@a b/c d\nftp://hunter2@a/\n  header=hunter2\nhttp://a/\n header: hunter2\n hunter2\n");
    dir.write("list", list);
    let gannet = || dir.gannet().flags(FLAGS).flags("--bearer-env TOKEN");
    let out = gannet()
        .env("TOKEN", "hunter2")
        .flags("-i list -x 2 -s 4 --min-split 10K")
        .run();
    assert_ne!(out.exit_code(), Some(0));
    assert_private(&out, &dir, &["failed", "list"]);
    let dry = gannet()
        .env("TOKEN", "hunter2")
        .flags("-i list --dry-run")
        .run();
    assert_private(&dry, &dir, &["failed", "list"]);
    let strict = gannet()
        .env("TOKEN", "hunter2")
        .flags("-i list --strict")
        .run();
    assert_private(&strict, &dir, &["failed", "list"]);
    // What the first run has written is a list like any other.
    let again = gannet().env("TOKEN", "hunter2").flags("-i failed").run();
    assert_private(&again, &dir, &["failed", "list"]);
    assert!(again.failures().len() > 5, "{again}");
}

#[test]
fn a_netrc_s_logins_come_out_nowhere_either() {
    let server = server();
    let dir = Dir::new();
    let logins = "machine 127.0.0.1 login hunter2-user password hunter2-password";
    dir.write("netrc", logins);
    for json in ["", "--json"] {
        let gannet = dir.gannet().flags(FLAGS).flags(json).arg("--netrc=netrc");
        let out = gannet.args(PATHS.map(|path| server.url(path))).run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert!(dir.has("out/cut.part.gannet"), "{out}");
        assert_private(&out, &dir, &["netrc"]);
    }
    let is_sent = |request: &Request| request.header("authorization").is_some();
    assert!(server.requests().iter().all(is_sent));
}

#[test]
fn cookies_come_out_nowhere_either() {
    let server = server();
    let dir = Dir::new();
    let line = "127.0.0.1\tFALSE\t/\tFALSE\t0\thunter2\thunter2\n";
    let bad = "127.0.0.1\tFALSE\t/\thunter2\t0\thunter2\thunter2\nhunter2\n";
    dir.write("cookies", [line, bad].concat());
    for json in ["", "--json"] {
        let gannet = dir.gannet().flags(FLAGS).flags(json);
        let gannet = gannet.args(["--cookies", "cookies"]);
        let out = gannet.args(PATHS.map(|path| server.url(path))).run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert!(dir.has("out/cut.part.gannet"), "{out}");
        assert_private(&out, &dir, &["cookies"]);
    }
    let is_sent = |request: &Request| request.header("cookie").is_some();
    assert!(server.requests().iter().all(is_sent));
}

#[test]
fn a_proxy_s_login_comes_out_nowhere_either() {
    let server = server();
    let port = server.port();
    let address = server.address();
    // A proxy that connects, one that answers 407, and a port without a proxy.
    let open = ProxyServer::start(move |client| client.socks(address));
    let closed = ProxyServer::start(|client| {
        client.read_head();
        client.write("HTTP/1.1 407 No\r\nSet-Cookie: hunter2\r\n\r\n");
    });
    let login = "hunter2-user:hunter2-password";
    let dead = format!("https://{login}@127.0.0.1:1");
    for proxy in [open.url("socks5h", login), closed.url("http", login), dead] {
        let dir = Dir::new();
        let gannet = dir.gannet().flags(FLAGS).flags("--json");
        let urls = PATHS.iter().map(|path| server.url(path));
        let out = gannet
            .env("all_proxy", &proxy)
            .args(["-H", "Proxy-Authorization: Basic hunter2"])
            .arg(format!("https://127.0.0.1:{port}/tls"))
            .args(urls)
            .run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert_private(&out, &dir, &[]);
    }
}

#[test]
fn a_lock_holds_for_whoever_has_other_credentials() {
    let server = server();
    let dir = Dir::new();
    let ok = with_userinfo(&server.url("/ok"));
    dir.gannet().flags("--lock lock").arg(&ok).run().ok();
    for url in [server.url("/ok"), ok.replace("hunter2-user", "me")] {
        let gannet = dir.gannet().flags("--lock lock --locked -d again");
        gannet.arg(url).run().ok();
    }
    let other = server.url("/wrong");
    let locked = dir.gannet().flags("--lock lock --locked");
    locked.arg(other).run().code(9);
}

#[test]
fn words_that_cannot_be_understood_are_not_repeated_with_their_secrets() {
    let dir = Dir::new();
    for flags in [
        "-H hunter2 http://a/",
        "--header X-Api-Key:\u{1}hunter2 http://a/",
        "-i http://u:hunter2@a/",
        "--base ftp://u:hunter2@a/ -i -",
        "--checksums ftp://u:hunter2@a/ http://a/",
        "http://u:hunter2@",
        "http://u:hunter2@a:99999/",
        "--resolve none -u u:hunter2 http://a/",
        "--checksum md5:1 http://u:hunter2@a/",
    ] {
        let out = dir.gannet().flags(flags).run();
        assert_ne!(out.exit_code(), Some(0), "{out}");
        assert_clean(flags, out.stdout_bytes());
        assert_clean(flags, out.stderr().as_bytes());
    }
}

#[test]
fn a_refused_certificate_tells_nothing_of_the_credentials() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a").body(b"1");
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("-vv -t 0 --report report");
    let out = gannet.arg(with_userinfo(&server.url("/a"))).run();
    out.code(5);
    assert_private(&out, &dir, &[]);
}
