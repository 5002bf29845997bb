//! `--cookies`: cookies of the file and of answers, each sent to its own hosts, within bounds.

use std::time::Duration;

use crate::harness::{Ca, Dir, Nginx, noise};
use crate::server::{Request, Server};

/// A line of a cookie file, for all paths and without an end.
fn line(domain: &str, below: &str, secure: &str, pair: &str) -> String {
    let (name, value) = pair.split_once('=').expect("a pair");
    format!("{domain}\t{below}\t/\t{secure}\t0\t{name}\t{value}\n")
}

/// A cookie for the scripted server's address.
fn own(pair: &str) -> String {
    line("127.0.0.1", "FALSE", "FALSE", pair)
}

fn cookie(request: &Request) -> Option<&str> {
    request.header("cookie")
}

/// The Cookie field of the only request of a path.
fn sent(server: &Server, path: &str) -> String {
    let request = server.request(path);
    cookie(&request).unwrap_or_default().to_owned()
}

/// The Cookie fields of all requests of a path.
fn all_sent(server: &Server, path: &str) -> Vec<String> {
    let mut requests = server.requests();
    requests.retain(|request| request.path() == path);
    let field = |request| cookie(request).unwrap_or_default().to_owned();
    requests.iter().map(field).collect()
}

#[test]
fn each_host_gets_the_cookies_that_are_for_it() {
    let names = [
        "example.org",
        "www.example.org",
        "badexample.org",
        "other.org",
    ];
    let server = Server::start(|s| {
        for name in names {
            s.get(&format!("/{name}")).body(b"1");
        }
    });
    let dir = Dir::new();
    let file = [
        "# Netscape HTTP Cookie File\r\n\r\n",
        &line(".example.org", "TRUE", "FALSE", "all=1"),
        &line("example.org", "FALSE", "FALSE", "top=2"),
        &line("#HttpOnly_WWW.example.org", "FALSE", "FALSE", "www=3"),
        "#.example.org\tTRUE\t/\tFALSE\t0\tcomment\tx\n",
        &line("org", "TRUE", "FALSE", "suffix=x"),
    ];
    dir.write("cookies", file.concat());
    let gannet = dir.gannet().args(["--cookies", "cookies"]);
    let gannet = gannet.args(server.resolving(&names));
    let urls = names.map(|name| server.url_as("http", name, &format!("/{name}")));
    let out = gannet.args(urls).run();
    out.ok();
    assert!(!out.stderr().contains("warn"), "{out}");
    assert_eq!(sent(&server, "/example.org"), "all=1; top=2");
    assert_eq!(sent(&server, "/www.example.org"), "all=1; www=3");
    assert_eq!(sent(&server, "/badexample.org"), "");
    assert_eq!(sent(&server, "/other.org"), "");
    dir.assert_file("cookies", file.concat());
}

#[test]
fn paths_and_times_say_whether_a_cookie_goes() {
    let server = Server::start(|s| {
        for path in ["/a", "/a/b", "/ab"] {
            s.get(path).body(b"1");
        }
    });
    let dir = Dir::new();
    dir.write(
        "cookies",
        "127.0.0.1\tFALSE\t/\tFALSE\t4000000000\troot\t1\n127.0.0.1\tFALSE\t/a\tFALSE\t0\tdeep\t2\n\
         127.0.0.1\tFALSE\t/\tFALSE\t1000000000\told\t3\n",
    );
    let gannet = dir.gannet().args(["--cookies", "cookies", "-j", "1"]);
    let urls = ["/a", "/a/b", "/ab"].map(|path| server.url(path));
    gannet.args(urls).run().ok();
    assert_eq!(sent(&server, "/a"), "deep=2; root=1");
    assert_eq!(sent(&server, "/a/b"), "deep=2; root=1");
    assert_eq!(sent(&server, "/ab"), "root=1");
}

#[test]
fn what_is_secure_goes_over_tls_alone() {
    let ca = Ca::new();
    let plain = Server::serving("/b", b"1");
    let server = Server::start_tls(&ca.issue().config(), |s| {
        s.get("/a")
            .redirect(302, &plain.url("/b"))
            .header("Set-Cookie", "new=3; Secure; Path=/");
        s.get("/c").body(b"1");
    });
    let dir = Dir::new();
    let secure = line("127.0.0.1", "FALSE", "TRUE", "secure=1");
    dir.write("cookies", secure + &own("open=2"));
    let gannet = dir.gannet().args(["--cookies", "cookies", "-j", "1"]);
    let gannet = gannet.arg("--cacert").arg(ca.write(&dir));
    let out = gannet.args(["/a", "/c"].map(|path| server.url(path))).run();
    out.ok();
    assert_eq!(sent(&server, "/a"), "secure=1; open=2");
    assert_eq!(sent(&plain, "/b"), "open=2");
    assert_eq!(sent(&server, "/c"), "secure=1; open=2; new=3");
}

#[test]
fn a_gate_that_sets_a_cookie_on_the_way_is_passed() {
    let server = Server::start(|s| {
        s.get("/file")
            .redirect(302, "/gate?back=/file")
            .header("Set-Cookie", "seen=1; Path=/")
            .header("Set-Cookie", "old=2; HttpOnly; SameSite=Lax")
            .then()
            .body(b"the file");
        s.get("/gate")
            .redirect(307, "/file")
            .header("set-cookie", "pass=s e=cret; Path=/; Max-Age=60")
            .header("set-cookie", "old=; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    });
    let dir = Dir::new();
    dir.write("cookies", own("first=0"));
    let gannet = dir.gannet().args(["--cookies", "cookies", "-vv"]);
    let out = gannet.arg(server.url("/file")).run();
    out.ok().never_says("cret");
    dir.assert_file("file", b"the file");
    assert_eq!(
        all_sent(&server, "/file"),
        ["first=0", "first=0; seen=1; pass=s e=cret"]
    );
    assert_eq!(sent(&server, "/gate"), "first=0; seen=1; old=2");
}

#[test]
fn without_the_flag_cookies_of_redirects_stay_in_their_chain() {
    let server = Server::start(|s| {
        s.get("/a")
            .redirect(302, "/b")
            .header("Set-Cookie", "id=1; Path=/");
        s.get("/b")
            .body(b"1")
            .header("Set-Cookie", "late=2; Path=/");
        s.get("/c").body(b"3");
        s.get("/again")
            .status(503)
            .header("Set-Cookie", "no=4; Path=/")
            .then()
            .body(b"4");
    });
    let dir = Dir::new();
    let urls = ["/a", "/b", "/c", "/again"].map(|path| server.url(path));
    let gannet = dir
        .gannet()
        .flags("-j 1 --retry-delay 1ms --exists overwrite");
    gannet.args(&urls).run().ok();
    assert_eq!(all_sent(&server, "/b"), ["id=1", ""]);
    assert_eq!(all_sent(&server, "/c"), [""]);
    assert_eq!(all_sent(&server, "/again"), ["", ""]);
    let gannet = dir.gannet().flags("--no-cookies --exists overwrite");
    gannet.arg(server.url("/a")).run().ok();
    assert_eq!(all_sent(&server, "/b"), ["id=1", "", ""]);
}

#[test]
fn a_redirect_to_itself_that_sets_a_cookie_is_followed() {
    let other = Server::start(|s| {
        s.get("/x").body(b"1");
    });
    let target = other.url("/x").replace("127.0.0.1", "localhost");
    let server = Server::start(|s| {
        s.get("/f")
            .redirect(302, "/f")
            .header("Set-Cookie", "seen=yes; path=/")
            .then()
            .redirect(302, &target);
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/f")).ok();
    assert_eq!(all_sent(&server, "/f"), ["", "seen=yes"]);
    assert_eq!(all_sent(&other, "/x"), [""]);
}

#[test]
fn another_origin_gets_none_but_its_own() {
    let other = Server::serving("/b", b"1");
    let server = Server::start(|s| {
        s.get("/a")
            .redirect(302, &other.url_as("http", "b.test", "/b"))
            .header("Set-Cookie", "set=1; Path=/")
            .header("Set-Cookie", "forged=1; Path=/; Domain=b.test")
            .header("Set-Cookie", "wide=1; Path=/; Domain=test");
    });
    let dir = Dir::new();
    dir.write(
        "cookies",
        own("a=1") + &line("b.test", "FALSE", "FALSE", "b=2"),
    );
    let gannet = dir.gannet().args(["--cookies", "cookies"]);
    let gannet = gannet.args(other.resolving(&["b.test"]));
    gannet
        .args(["-H", "Cookie: typed=1", "-H", "cookie: too=2"])
        .arg(server.url("/a"))
        .run()
        .ok();
    assert_eq!(sent(&server, "/a"), "typed=1; too=2; a=1");
    let fields = |request: &Request| {
        let names = request.headers.iter().map(|(name, _)| name);
        names
            .filter(|name| name.eq_ignore_ascii_case("cookie"))
            .count()
    };
    assert_eq!(fields(&server.request("/a")), 1);
    assert_eq!(sent(&other, "/b"), "b=2");
}

#[test]
fn a_cookie_that_was_given_goes_before_those_of_the_file() {
    let server = Server::start(|s| {
        for path in ["/row", "/none", "/plain"] {
            s.get(path).body(b"1");
        }
    });
    let dir = Dir::new();
    dir.write("cookies", own("file=1"));
    let list = format!(
        "{}\n  header=Cookie: row=1\n{}\n",
        server.url("/row"),
        server.url("/plain")
    );
    let gannet = || dir.gannet().args(["--cookies", "cookies"]);
    let typed = gannet().args(["-i", "-", "-H", "Cookie: typed=1"]);
    typed.input(list).run().ok();
    assert_eq!(sent(&server, "/row"), "row=1; file=1");
    assert_eq!(sent(&server, "/plain"), "typed=1; file=1");
    // An empty Cookie field sends none.
    let none = gannet().args(["-H", "Cookie:"]).arg(server.url("/none"));
    none.run().ok();
    assert_eq!(cookie(&server.request("/none")), None);
}

#[test]
fn nobody_sets_cookies_for_all_names_below_a_public_suffix() {
    let server = Server::start(|s| {
        let forge = s.get("/a").body(b"1");
        forge.header("Set-Cookie", "wide=1; Domain=co.uk; Path=/");
        forge.header("Set-Cookie", "wider=1; Domain=uk; Path=/");
        forge.header("Set-Cookie", "shared=1; Domain=one.co.uk; Path=/");
        for path in ["/b", "/c"] {
            s.get(path).body(b"1");
        }
    });
    let names = ["www.one.co.uk", "ftp.one.co.uk", "two.co.uk"];
    let dir = Dir::new();
    dir.write("cookies", "");
    let gannet = dir.gannet().args(["--cookies", "cookies", "-j", "1"]);
    let gannet = gannet.args(server.resolving(&names));
    let urls = [("/a", names[0]), ("/b", names[1]), ("/c", names[2])];
    let urls = urls.map(|(path, name)| server.url_as("http", name, path));
    gannet.args(urls).run().ok();
    assert_eq!(sent(&server, "/b"), "shared=1");
    assert_eq!(sent(&server, "/c"), "");
}

#[test]
fn failures_and_retries_bring_cookies_too() {
    let server = Server::start(|s| {
        s.get("/a")
            .status(503)
            .header("Set-Cookie", "try=1")
            .then()
            .cut_at(10)
            .body(noise(1000))
            .header("Set-Cookie", "try=2")
            .header("Set-Cookie", "more=1; Path=/a")
            .then()
            .body(noise(1000));
    });
    let dir = Dir::new();
    dir.write("cookies", "");
    let gannet = dir.gannet().args(["--cookies", "cookies"]);
    let gannet = gannet.flags("--retry-delay 1ms");
    gannet.arg(server.url("/a")).run().ok();
    assert_eq!(all_sent(&server, "/a"), ["", "try=1", "more=1; try=2"]);
    dir.assert_file("a", noise(1000));
}

#[test]
fn every_share_of_a_divided_file_has_the_cookies() {
    let body = noise(400_000);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v\"").ranges();
        route.pace(10_000, Duration::from_millis(2));
    });
    let dir = Dir::new();
    dir.write("cookies", own("id=1"));
    let gannet = dir.gannet().args(["--cookies", "cookies"]);
    let gannet = gannet.flags("-s 4 --min-split 50K");
    gannet.arg(server.url("/a")).run().ok();
    dir.assert_file("a", &body);
    let fields = all_sent(&server, "/a");
    assert!(
        fields.len() > 1 && fields.iter().all(|field| field == "id=1"),
        "{fields:?}"
    );
}

#[test]
fn many_files_at_once_have_each_its_own_cookies() {
    let server = Server::start(|s| {
        for at in 0..100 {
            let route = s.get(&format!("/{}/{at}", at % 3)).body(b"1");
            route.header("Set-Cookie", &format!("n{at}=1; Path=/{}/{at}/x", at % 3));
        }
    });
    let dir = Dir::new();
    dir.write(
        "cookies",
        "127.0.0.1\tFALSE\t/1\tFALSE\t0\tone\t1\n127.0.0.1\tFALSE\t/2\tFALSE\t0\ttwo\t2\n",
    );
    let gannet = dir.gannet().args(["--cookies", "cookies", "-j", "8"]);
    let urls = (0..100).map(|at| server.url(&format!("/{}/{at}", at % 3)));
    gannet.args(urls).run().ok();
    let requests = server.requests();
    assert_eq!(requests.len(), 100);
    for request in requests {
        let expected = match request.path().as_bytes()[1] {
            b'1' => Some("one=1"),
            b'2' => Some("two=2"),
            _ => None,
        };
        assert_eq!(cookie(&request), expected, "{}", request.path());
    }
}

#[test]
fn a_hostile_server_gets_no_more_than_its_room() {
    let server = Server::start(|s| {
        for at in 0..8 {
            let route = s
                .get(&format!("/{at}"))
                .redirect(302, &format!("/{}", at + 1));
            for n in 0..100 {
                route.header(
                    "Set-Cookie",
                    &format!("n{at}.{n}={}; Path=/", "x".repeat(100)),
                );
            }
        }
        let route = s.get("/8").redirect(302, "/9");
        route.header("Set-Cookie", &format!("huge={}", "x".repeat(100_000)));
        route.header("Set-Cookie", "control=a\u{1}b");
        route.header("Set-Cookie", "tab=a\tb");
        route.header("Set-Cookie", "");
        route.header("Set-Cookie", ";;;===;;;");
        route.header("Set-Cookie", "=x");
        route.header("Set-Cookie", &format!("p=1; Path=/{}", "y".repeat(100_000)));
        route.header(
            "Set-Cookie",
            "n7.0=last; Path=/; Max-Age=99999999999999999999",
        );
        s.get("/9").body(b"the end");
    });
    let dir = Dir::new();
    dir.write("cookies", own("mine=1"));
    let gannet = dir.gannet().args(["--cookies", "cookies", "-o", "x"]);
    gannet.arg(server.url("/0")).run().ok();
    dir.assert_file("x", b"the end");
    let fields: Vec<_> = (0..10).map(|at| sent(&server, &format!("/{at}"))).collect();
    for field in &fields {
        assert!(field.len() <= 8192, "{}", field.len());
        assert!(field.starts_with("mine=1"), "{field}");
    }
    // Fifty of an answer are looked at.
    assert_eq!(fields[1].split("; ").count(), 51);
    let last = &fields[9];
    for lost in ["huge", "control", "tab", "=x;"] {
        assert!(!last.contains(&format!("{lost}=")), "{last}");
    }
}

#[test]
fn what_is_wrong_with_the_file_is_told_and_the_rest_goes_on() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let mut file = format!("hunter2\n{}", own("id=1"));
    for _ in 0..6 {
        file += "127.0.0.1\tFALSE\t/\tFALSE\thunter2\ta\thunter2\n";
    }
    dir.write("cookies", file);
    let gannet = || {
        let gannet = dir.gannet().args(["--cookies", "cookies"]);
        gannet.args(["-o", "x", "--exists", "overwrite", &server.url("/a")])
    };
    let out = gannet().run();
    out.ok().complains("cookies:1:").complains("cookies:3:");
    out.complains("2 more invalid lines").never_says("hunter2");
    assert_eq!(out.other_lines().len(), 6, "{out}");
    assert_eq!(sent(&server, "/a"), "id=1");
    let quiet = gannet().flags("-qq").run();
    quiet.ok();
    assert_eq!(quiet.stderr(), "");
    let lost = dir.gannet().args(["--cookies", "nowhere", "http://a/"]);
    lost.run().code(2).complains("nowhere");
}

#[test]
fn nginx_gets_them_over_either_version_of_http() {
    let dir = Dir::new();
    // It says what it was sent, and sets one more.
    let says = "add_header X-Got $http_cookie; add_header Set-Cookie \"set=1; Path=/; Secure\";";
    let Some(nginx) = Nginx::start(&dir, says) else {
        return;
    };
    for name in ["a", "b"] {
        dir.write(&format!("www/{name}"), name);
    }
    let secure = line("127.0.0.1", "FALSE", "TRUE", "secure=2");
    dir.write("cookies", own("file=1") + &secure);
    for flags in ["--http1.1", "--http2"] {
        let gannet = dir.gannet().flags(flags).arg("--cacert").arg(&nginx.cacert);
        let gannet = gannet.args(["--cookies", "cookies", "-H", "Cookie: typed=0"]);
        let gannet = gannet.flags("-vv -j 1 -d out --exists overwrite");
        let urls = ["/a", "/b"].map(|path| nginx.https_url(path));
        let out = gannet.args(urls).run();
        out.ok();
        out.traces('<', "typed=0; file=1; secure=2");
        out.traces('<', "typed=0; file=1; secure=2; set=1");
        dir.assert_file("out/b", b"b");
    }
}
