//! --compressed: what is offered, bodies that come coded and land decoded, and what is never made of them.

use std::time::Duration;

use crate::harness::coding::{CODINGS, brotli, gzip, text, zstd};
use crate::harness::{self, Dir, Nginx, Output, noise, sha256};
use crate::server::frames::{END_HEADERS, END_STREAM, data, head};
use crate::server::{H2Server, Request, Script, Server};

const OFFER: &str = "gzip, br, zstd";

/// Fetches `/a` with --compressed, and with these flags.
fn fetch(dir: &Dir, server: &Server, flags: &str) -> Output {
    dir.fetch(&format!("--compressed {flags}"), server.url("/a"))
}

/// Fetches `/a`, which must succeed, and asserts its bytes.
fn lands(body: &[u8], flags: &str, write: impl FnOnce(&mut Script)) -> Server {
    harness::lands(&format!("--compressed {flags}"), body, write)
}

/// Fetches `/a`, which must fail and leave nothing.
fn fails(code: i32, flags: &str, write: impl FnOnce(&mut Script)) -> Output {
    harness::fails(&format!("--compressed {flags}"), code, write)
}

/// What a request asks for: Range and Accept-Encoding.
fn asked(request: &Request) -> (Option<&str>, Option<&str>) {
    (request.header("Range"), request.header("Accept-Encoding"))
}

#[test]
fn codings_are_offered_and_undone() {
    for body in [text(3000), noise(100_000), Vec::new(), b"x".to_vec()] {
        for (name, code) in CODINGS {
            let server = lands(&body, "-t 0", |s| {
                let route = s.get("/a").body(code(&body));
                route.header("Content-Encoding", name);
            });
            assert_eq!(asked(&server.request("/a")), (None, Some(OFFER)));
        }
    }
}

#[test]
fn without_the_flag_nothing_is_offered_and_bytes_land_as_they_are_sent() {
    let coded = gzip(&text(100));
    let server = Server::start(|s| {
        let route = s.get("/a").body(&coded);
        route.header("Content-Encoding", "gzip");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", &coded);
    assert_eq!(asked(&server.request("/a")), (None, None));
}

#[test]
fn an_archive_stays_as_it_was_published() {
    let archive = gzip(&text(3000));
    let server = Server::start(|s| {
        for path in ["/x.tar.gz", "/x.TGZ", "/typed", "/x.txt"] {
            let route = s.get(path).body(&archive);
            let route = route.header("Content-Encoding", "gzip").etag("\"1\"");
            let route = route.conditional();
            if path == "/typed" {
                route.header("Content-Type", "application/x-gzip");
            }
        }
    });
    let dir = Dir::new();
    for _ in 0..2 {
        let paths = ["/x.tar.gz", "/x.TGZ", "/typed", "/x.txt"];
        let gannet = dir.gannet().arg("--compressed");
        gannet.args(paths.map(|path| server.url(path))).run().ok();
        for name in ["x.tar.gz", "x.TGZ", "typed"] {
            dir.assert_file(name, &archive);
        }
        dir.assert_file("x.txt", text(3000));
    }
    let flags = format!(
        "--compressed --exists overwrite --checksum {}",
        sha256(&archive)
    );
    dir.fetch(&flags, server.url("/x.tar.gz")).ok();
}

#[test]
fn the_coding_none_changes_nothing() {
    for flags in ["", "--compressed"] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(text(3000));
            route.header("Content-Encoding", "none");
        });
        let dir = Dir::new();
        let out = dir.fetch(flags, server.url("/a"));
        out.ok();
        assert_eq!(out.stderr(), "", "{out}");
        dir.assert_file("a", text(3000));
    }
}

#[test]
fn a_coding_that_was_not_asked_for_is_told() {
    let server = Server::start(|s| {
        for path in ["/a", "/a.gz"] {
            let route = s.get(path).body(gzip(&text(100)));
            route.header("Content-Encoding", "gzip");
        }
    });
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a"));
    out.ok()
        .complains("stored compressed, as it was sent (gzip)");
    assert_eq!(dir.fetch("", server.url("/a.gz")).stderr(), "");
}

#[test]
fn a_body_that_is_not_coded_lands_as_it_is() {
    let body = noise(600_000);
    for name in ["identity", ""] {
        lands(&body, "-t 0", |s| {
            s.get("/a").body(&body).header("Content-Encoding", name);
        });
    }
    lands(&body, "-t 0", |s| {
        s.get("/a").body(&body).chunked(7000);
    });
}

#[test]
fn codings_in_a_row_are_undone_however_they_are_written() {
    let body = text(500);
    let coded = zstd(&brotli(&gzip(&body)));
    lands(&body, "-t 0", |s| {
        let route = s.get("/a").body(&coded).chunked(13);
        route.header("Content-Encoding", "X-GZip,identity , BR");
        route.header("Content-Encoding", "zstd");
    });
}

#[test]
fn a_coding_that_is_not_known_is_refused_by_name() {
    let out = fails(7, "", |s| {
        let route = s.get("/a").body(b"hello");
        route.header("Content-Encoding", "gzip, compress");
    });
    out.complains("unrecognized content encoding 'compress'");
    assert_eq!(out.failure().tries, 1, "{out}");
}

#[test]
fn a_body_that_is_cut_anywhere_is_fetched_again() {
    let body = text(3);
    for (name, code) in CODINGS {
        let coded = code(&body);
        for at in (0..coded.len()).step_by(3) {
            let write = |s: &mut Script, has_length: bool| {
                let route = s.get("/a").etag("\"v1\"").ranges().body(&coded);
                if !has_length {
                    route.no_length();
                }
                route.header("Content-Encoding", name).cut_at(at);
                let route = route.then().etag("\"v1\"").ranges().body(&coded);
                route.header("Content-Encoding", name);
            };
            // Where nothing but the coding tells, a body without a byte is an empty one.
            for has_length in [true, false].into_iter().take(if at == 0 { 1 } else { 2 }) {
                let server = lands(&body, "", |s| write(s, has_length));
                let asked: Vec<_> = server.requests();
                let asked: Vec<_> = asked.iter().map(self::asked).collect();
                assert_eq!(asked, [(None, Some(OFFER)); 2], "{name} {at}");
            }
        }
    }
}

#[test]
fn a_body_that_was_cut_before_it_was_sent_is_no_file() {
    for (name, code) in CODINGS {
        let coded = code(&text(1000));
        let out = fails(4, "-t 1", |s| {
            let route = s.get("/a").etag("\"v1\"").ranges();
            route.body(&coded[..coded.len() - 5]);
            route.header("Content-Encoding", name);
        });
        out.complains(&format!("before its {name} encoding is complete"));
        assert_eq!(out.failure().tries, 2, "{out}");
    }
}

#[test]
fn a_damaged_body_is_no_file() {
    for (name, code) in CODINGS {
        let mut coded = code(&text(3000));
        coded[12..40].fill(0xa5);
        let out = fails(7, "", |s| {
            let route = s.get("/a").body(&coded);
            route.header("Content-Encoding", name);
        });
        out.complains(&format!("it is not valid {name}"));
        assert_eq!(out.failure().tries, 1, "{out}");
    }
    let mut coded = gzip(&text(3000));
    let checksum = coded.len() - 8;
    coded[checksum] ^= 1;
    fails(7, "", |s| {
        let route = s.get("/a").body(&coded);
        route.header("Content-Encoding", "gzip");
    });
}

#[test]
fn members_of_gzip_are_one_body_and_what_stands_behind_them_is_passed_over() {
    for behind in [&b""[..], b"\0\0\0\0\0\0", b"no gzip"] {
        let coded = [gzip(b"one "), gzip(b"two "), gzip(b"three"), behind.into()].concat();
        lands(b"one two three", "-t 0", |s| {
            let route = s.get("/a").body(&coded).chunked(5);
            route.header("Content-Encoding", "gzip");
        });
    }
    let coded = [gzip(b"one "), gzip(b"two ")[..9].into()].concat();
    fails(4, "-t 0", |s| {
        let route = s.get("/a").body(&coded);
        route.header("Content-Encoding", "gzip");
    });
}

#[test]
fn another_coding_at_another_try_is_none_of_the_first_one_s() {
    let body = text(9000);
    let server = lands(&body, "", |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(gzip(&body));
        route.header("Content-Encoding", "gzip").cut_at(9000);
        let route = route.then().etag("\"v1\"").ranges().body(brotli(&body));
        route.header("Content-Encoding", "br").cut_at(900);
        let route = route.then().etag("\"v1\"").ranges();
        route.body(&body).cut_at(90_000);
        route.then().etag("\"v1\"").ranges().body(&body);
    });
    let requests = server.requests();
    let asked: Vec<_> = requests.iter().map(asked).collect();
    let whole = (None, Some(OFFER));
    // What is not coded is gone on with, and nothing is offered for it.
    assert_eq!(asked, [whole, whole, whole, (Some("bytes=90000-"), None)]);
}

#[test]
fn a_coded_part_is_not_put_beside_what_is_there() {
    let body = text(9000);
    let coded = gzip(&body);
    for status in [206, 200] {
        lands(&body, "", |s| {
            let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
            let route = route.cut_at(90_000).then().status(status);
            route.etag("\"v1\"").body(&coded);
            route.header("Content-Encoding", "gzip");
            if status == 206 {
                let (from, all) = (90_000, 90_000 + coded.len());
                let range = format!("bytes {from}-{}/{all}", all - 1);
                route.header("Content-Range", &range);
            }
            let route = route.then().etag("\"v1\"").body(&coded);
            route.header("Content-Encoding", "gzip");
        });
    }
}

#[test]
fn a_run_that_failed_leaves_nothing_of_a_coded_body() {
    let body = text(9000);
    let coded = gzip(&body);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&coded);
        route.header("Content-Encoding", "gzip").cut_at(9000);
        let route = route.then().etag("\"v1\"").ranges().body(&coded);
        route.header("Content-Encoding", "gzip");
    });
    for flags in ["-t 0", "-t 0 -c"] {
        let dir = Dir::new();
        let out = fetch(&dir, &server, flags);
        if out.exit_code() != Some(0) {
            dir.assert_names(&[]);
            fetch(&dir, &server, flags).ok();
        }
        dir.assert_file("a", &body);
        dir.assert_names(&["a"]);
    }
    let requests = server.requests();
    assert!(requests.iter().all(|request| asked(request).0.is_none()));
}

#[test]
fn what_a_run_without_the_flag_has_left_coded_is_not_gone_on_with() {
    let body = text(9000);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(gzip(&body));
        route.header("Content-Encoding", "gzip").cut_at(9000);
        let route = route.then().etag("\"v1\"").ranges().body(gzip(&body));
        route.header("Content-Encoding", "gzip");
    });
    let dir = Dir::new();
    let plain = dir.gannet().flags("-t 0").arg(server.url("/a"));
    plain.run().code(4);
    dir.assert_names(&["a.part", "a.part.gannet"]);
    let out = fetch(&dir, &server, "-t 0");
    out.ok()
        .complains("the partial file is compressed, and this run decompresses");
    dir.assert_names(&["a"]);
    dir.assert_file("a", &body);
}

#[test]
fn what_a_run_without_the_flag_has_left_is_gone_on_with_where_it_is_not_coded() {
    let body = noise(300_000);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
        route.cut_at(90_000).then();
        s.get("/a").etag("\"v1\"").ranges().body(&body);
    });
    let dir = Dir::new();
    let plain = dir.gannet().flags("-t 0").arg(server.url("/a"));
    plain.run().code(4);
    fetch(&dir, &server, "-t 0").ok();
    dir.assert_file("a", &body);
    let requests = server.requests();
    assert_eq!(asked(&requests[1]), (Some("bytes=90000-"), None));
}

#[test]
fn a_coded_file_comes_over_one_connection_and_another_over_several() {
    let body = noise(4 << 20);
    let coded = gzip(&body);
    let server = lands(&body, "-s 4 -t 0", |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&coded);
        route.header("Content-Encoding", "gzip");
    });
    assert_eq!(server.requests().len(), 1);
    let server = lands(&body, "-s 4 -t 0", |s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
        route.pace(50_000, Duration::from_millis(5));
    });
    let requests = server.requests();
    assert!(requests.len() > 1, "{requests:?}");
    for request in &requests {
        let (range, offer) = asked(request);
        assert_eq!(range.is_none(), offer.is_some(), "{requests:?}");
    }
}

#[test]
fn the_size_and_the_digest_that_are_asked_for_are_the_file_s() {
    let body = text(100);
    let coded = gzip(&body);
    let write = |s: &mut Script| {
        let route = s.get("/a").body(&coded);
        route.header("Content-Encoding", "gzip");
    };
    lands(&body, &format!("--checksum {}", sha256(&body)), write);
    fails(9, &format!("--checksum {}", sha256(&coded)), write);
    let server = Server::start(write);
    let dir = Dir::new();
    for (size, code) in [(body.len(), 0), (coded.len(), 9)] {
        let row = format!(r#"{{"url":"{}","size":{size}}}"#, server.url("/a"));
        dir.write("list", row);
        let gannet = dir
            .gannet()
            .flags("--compressed --exists overwrite -i list");
        gannet.run().code(code);
    }
}

#[test]
fn what_the_server_says_of_its_digest_holds_for_what_it_sends() {
    let body = text(100);
    let coded = gzip(&body);
    let server = lands(&body, "", |s| {
        let route = s.get("/a").body(&coded).announcing(&coded);
        route.header("Content-Encoding", "gzip");
    });
    assert_eq!(server.requests().len(), 1);
    let server = lands(&body, "", |s| {
        let route = s.get("/a").body(&coded).announcing(brotli(&noise(9000)));
        route.header("Content-Encoding", "gzip");
        let route = route.then().body(&coded).announcing(&coded);
        route.header("Content-Encoding", "gzip");
    });
    assert_eq!(server.requests().len(), 2);
    let out = fails(9, "-t 1", |s| {
        let route = s.get("/a").body(&coded).announcing(&body);
        route.header("Content-Encoding", "gzip");
    });
    out.complains("as the server announced");
}

#[test]
fn the_limit_of_a_file_s_size_is_that_of_the_file() {
    let bomb = gzip(&vec![0; 20 << 20]);
    for (name, coded) in [("gzip", bomb.clone()), ("gzip, br", brotli(&bomb))] {
        let out = fails(1, "--max-filesize 1M", |s| {
            let route = s.get("/a").body(&coded);
            route.header("Content-Encoding", name);
        });
        out.complains("larger than the limit of 1048576 bytes");
    }
    let body = noise(1000);
    let write = |s: &mut Script| {
        let route = s.get("/a").body(gzip(&body));
        route.header("Content-Encoding", "gzip");
    };
    assert!(gzip(&body).len() > 1000);
    lands(&body, "--max-filesize 1000", write);
    fails(1, "--max-filesize 999", write);
    // What is not coded is held to it as ever.
    for is_chunked in [true, false] {
        let write = |s: &mut Script| {
            let route = s.get("/a").body(&body);
            if is_chunked {
                route.chunked(100);
            }
        };
        lands(&body, "--max-filesize 1000", write);
        fails(1, "--max-filesize 999", write);
    }
}

#[test]
fn a_body_that_is_decoded_to_standard_output_is_not_begun_twice() {
    let body = text(1000);
    let coded = gzip(&body);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&coded).chunked(100);
        route.header("Content-Encoding", "gzip");
        let route = s.get("/cut").body(&coded[..2000]).chunked(100);
        route.header("Content-Encoding", "gzip");
    });
    let dir = Dir::new();
    let out = fetch(&dir, &server, "-o -");
    assert_eq!(out.ok().stdout_bytes(), body);
    let gannet = dir.gannet().flags("--compressed --retry-delay 1ms -o -");
    let out = gannet.arg(server.url("/cut")).run();
    assert_eq!(out.code(4).failure().tries, 1, "{out}");
    assert!(body.starts_with(out.stdout_bytes()));
}

#[test]
fn completions_tell_the_file_s_size_and_what_was_received() {
    let body = text(1000);
    let coded = gzip(&body);
    let write = |s: &mut Script| {
        let route = s.get("/a").body(&coded);
        route.header("Content-Encoding", "gzip");
    };
    let server = Server::start(write);
    let dir = Dir::new();
    let out = fetch(&dir, &server, "");
    let size = out.ok().completion().columns[1].clone();
    assert_eq!(size, format!("{:.1} KiB", body.len() as f64 / 1024.0));
    let out = fetch(&dir, &server, "--json --exists overwrite");
    let record: serde_json::Value = serde_json::from_str(&out.ok().stdout()).expect("a record");
    assert_eq!(record["bytes"], coded.len());
    assert_eq!(record["decoded"], body.len());
}

#[test]
fn a_file_that_is_unchanged_is_kept_by_runs_that_would_fetch_the_same() {
    let body = text(100);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("W/\"v1\"").conditional();
        route.body(gzip(&body)).header("Content-Encoding", "gzip");
    });
    let dir = Dir::new();
    let plain = || dir.fetch("", server.url("/a"));
    for (out, word, is_decoded) in [
        (fetch(&dir, &server, ""), "done", true),
        (fetch(&dir, &server, ""), "kept", true),
        (fetch(&dir, &server, "-c"), "kept", true),
    ] {
        assert_eq!(out.ok().completion().word, word, "{out}");
        assert!(is_decoded && dir.read("a") == body);
    }
    for word in ["done", "kept"] {
        assert_eq!(plain().ok().completion().word, word);
        dir.assert_file("a", gzip(&body));
    }
    for word in ["done", "kept"] {
        let out = fetch(&dir, &server, "");
        assert_eq!(out.ok().completion().word, word, "{out}");
        dir.assert_file("a", &body);
    }
    let out = dir.fetch("-c", server.url("/a"));
    assert_eq!(out.ok().completion().word, "done", "{out}");
    dir.assert_file("a", gzip(&body));
    dir.assert_names(&["a"]);
}

#[test]
fn what_is_typed_is_offered_in_its_place_and_never_with_a_part() {
    let body = noise(300_000);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&body);
        route.cut_at(90_000).then();
        s.get("/a").etag("\"v1\"").ranges().body(&body);
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--compressed --retry-delay 1ms -H");
    let gannet = gannet.arg("accept-encoding: br;q=1, *;q=0");
    gannet.arg(server.url("/a")).run().ok();
    let requests = server.requests();
    assert_eq!(asked(&requests[0]), (None, Some("br;q=1, *;q=0")));
    assert_eq!(asked(&requests[1]), (Some("bytes=90000-"), None));

    let server = Server::serving("/a", b"hello");
    let row = format!("{}\n  header=Accept-Encoding: zstd\n", server.url("/a"));
    dir.write("list", row);
    let gannet = dir
        .gannet()
        .flags("--compressed --exists overwrite -i list");
    gannet.run().ok();
    assert_eq!(asked(&server.request("/a")), (None, Some("zstd")));
}

#[test]
fn another_mirror_is_asked_where_one_sends_a_body_that_is_damaged() {
    let body = text(5000);
    let mut damaged = gzip(&body);
    let at = damaged.len() / 2;
    damaged[at..at + 50].fill(0);
    let server = Server::start(|s| {
        let route = s.get("/a").etag("\"v1\"").ranges().body(&damaged);
        route.header("Content-Encoding", "gzip");
        s.get("/b").etag("\"v1\"").ranges().body(&body);
    });
    let dir = Dir::new();
    let row = format!("{}\t{}\n", server.url("/a"), server.url("/b"));
    dir.write("list", row);
    dir.gannet().flags("--compressed -i list").run().ok();
    dir.assert_file("a", &body);
    let requests = server.requests();
    assert_eq!(asked(requests.last().unwrap()), (None, Some(OFFER)));
}

#[test]
fn streams_of_http2_are_decoded_too() {
    let body = text(3000);
    let whole = body.clone();
    let server = H2Server::start(move |talk| {
        talk.greet(&[]);
        while let Some(stream) = talk.request() {
            talk.say(head(
                stream,
                "200",
                &[("content-encoding", "zstd")],
                END_HEADERS,
            ));
            talk.say(data(stream, &zstd(&whole), END_STREAM));
        }
    });
    let dir = Dir::new();
    let gannet = dir.gannet().flags("--compressed --http2 -t 0");
    gannet.arg(server.url("/a")).run().ok();
    dir.assert_file("a", &body);
}

#[test]
fn nginx_compresses_what_it_is_asked_to() {
    let dir = Dir::new();
    let directives = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;";
    let Some(nginx) = Nginx::start(&dir, directives) else {
        return;
    };
    let bodies: Vec<_> = (0..40).map(|at| text(at * 97)).collect();
    let mut list = String::new();
    for (at, body) in bodies.iter().enumerate() {
        dir.write(&format!("www/{at}"), body);
        list += &format!("{}\n", nginx.url(&format!("/{at}")));
    }
    dir.write("list", &list);
    dir.write("tls", list.replace("http:", "https:"));
    let assert_all = |folder: &str| {
        for (at, body) in bodies.iter().enumerate() {
            dir.assert_file(&format!("{folder}/{at}"), body);
        }
    };
    let out = dir
        .gannet()
        .flags("--compressed -t 0 -i list -d http --json");
    let out = out.run();
    assert!(out.ok().stdout().contains("\"decoded\":"), "{out}");
    assert_all("http");
    // A second run finds them unchanged, though nginx makes their tags weak when it compresses.
    let out = dir
        .gannet()
        .flags("--compressed -t 0 -i list -d http")
        .run();
    let kept = out.ok().completions();
    assert!(
        kept.iter().all(|completion| completion.word == "kept"),
        "{out}"
    );
    // The TLS server has another port.
    let tls = nginx.https_url("");
    dir.write("tls", list.replace(&nginx.url(""), &tls));
    for (flags, folder) in [("", "h2"), ("--http1.1", "tls1")] {
        let gannet = dir.gannet().flags("--compressed -t 0 -i tls").flags(flags);
        let gannet = gannet
            .args(["-d", folder])
            .arg("--cacert")
            .arg(&nginx.cacert);
        gannet.run().ok();
        assert_all(folder);
    }
}

#[test]
fn nginx_sends_what_it_has_compressed_already() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "gzip_static on;") else {
        return;
    };
    let body = text(9000);
    dir.write("www/a", &body);
    dir.write("www/a.gz", gzip(&body));
    let run = |flags: &str| {
        let gannet = dir.gannet().flags("-t 0 --json").flags(flags);
        gannet.arg(nginx.url("/a")).run()
    };
    let out = run("--compressed");
    assert!(out.ok().stdout().contains("\"decoded\":"), "{out}");
    dir.assert_file("a", &body);
    // Uncompressed it is the same file; nothing says so, and nothing is mixed up.
    run("").ok();
    dir.assert_file("a", &body);
}
