//! Digests: asked for in every form, announced by servers; right and wrong, small and large, on
//! disk and standard output.

use std::time::Duration;

use gannet::http::Algorithm;

use crate::harness::sandbox::injecting;
use crate::harness::{Ca, Dir, Nginx, digest, digest_field, noise, sha256};
use crate::server::{Gate, Route, Server};

/// Large enough to go from socket to file unseen, and to be hashed by a thread.
const LARGE: usize = 5_000_000;

const WRONG: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn the_right_digest_in_any_form_lets_a_file_pass() {
    let body = noise(1000);
    let server = Server::serving("/a", &body);
    for algorithm in Algorithm::ALL {
        let digest = digest(algorithm, &body);
        let hex = digest
            .to_string()
            .split_once(':')
            .expect("a colon")
            .1
            .to_owned();
        let name = algorithm.name();
        for form in [
            digest.to_string(),
            format!("{name}={}", hex.to_uppercase()),
            digest.to_sri(),
            format!("{} {}", digest.to_sri(), "sha999-AAAA"),
        ] {
            let dir = Dir::new();
            let out = dir
                .gannet()
                .args(["--checksum", &form])
                .arg(server.url("/a"))
                .run();
            out.ok();
            dir.assert_file("a", &body);
        }
    }
}

#[test]
fn a_wrong_digest_leaves_nothing_and_names_both() {
    for size in [0, 1000, 100_000, LARGE] {
        let body = noise(size);
        let server = Server::serving("/a", &body);
        let dir = Dir::new();
        let out = dir
            .gannet()
            .args(["--checksum", WRONG])
            .arg(server.url("/a"))
            .run();
        out.code(9).complains(WRONG).complains(&sha256(&body));
        assert_eq!(out.failure().tries, 1, "{out}");
        assert_eq!(server.requests().len(), 1);
        dir.assert_names(&[]);
    }
}

#[test]
fn every_body_is_hashed_however_it_comes() {
    let ca = Ca::new();
    let leaf = ca.issue();
    for size in [0, 1, 70_000, LARGE] {
        let body = noise(size);
        let right = sha256(&body);
        let plain = Server::start(|s| {
            s.get("/length").body(&body);
            s.get("/chunked").body(&body).chunked(30_000);
            s.get("/close").body(&body).no_length();
        });
        let tls = Server::start_tls(&leaf.config(), |s| {
            s.get("/tls").body(&body);
        });
        let urls = ["/length", "/chunked", "/close"].map(|path| plain.url(path));
        for url in urls.into_iter().chain([tls.url("/tls")]) {
            for (asked, code) in [(right.as_str(), 0), (WRONG, 9)] {
                let dir = Dir::new();
                let out = dir
                    .gannet()
                    .args(["--checksum", asked, "-k", "-o", "a"])
                    .arg(&url)
                    .run();
                out.code(code);
                dir.assert_names(if code == 0 { &["a"] } else { &[] });
                if code == 0 {
                    dir.assert_file("a", &body);
                }
            }
        }
    }
}

#[test]
fn a_fragment_is_checked_and_not_sent() {
    let body = noise(1000);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let hex = sha256(&body).replace("sha256:", "sha256=");
    let out = dir.fetch("", format!("{}#{hex}", server.url("/a")));
    out.ok();
    assert_eq!(server.paths(), ["/a"]);
    let wrong = WRONG.replace(':', "=");
    let out = dir.fetch("-o b", format!("{}#{wrong}", server.url("/a")));
    out.code(9).complains(WRONG);
    dir.assert_names(&["a"]);
}

#[test]
fn all_digests_that_are_asked_for_count() {
    let body = noise(1000);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let md5 = digest(Algorithm::Md5, &body).to_string();
    let both = |second: &str| {
        dir.gannet()
            .args(["--checksum", &md5, "--checksum", second])
            .arg(server.url("/a"))
            .run()
    };
    both(WRONG).code(9).complains(WRONG);
    dir.assert_names(&[]);
    both(&sha256(&body)).ok();
    dir.assert_file("a", &body);
}

#[test]
fn another_mirror_is_tried_after_a_wrong_digest() {
    for size in [1000, LARGE] {
        let body = noise(size);
        let server = Server::start(|s| {
            s.get("/bad/a").body(noise(size + 1));
            s.get("/good/a").body(&body);
        });
        let dir = Dir::new();
        let list = format!(
            "{}\t{}\n  checksum={}\n",
            server.url("/bad/a"),
            server.url("/good/a"),
            sha256(&body)
        );
        let out = dir.fetch_list("", list);
        out.ok();
        assert_eq!(server.paths(), ["/bad/a", "/good/a"]);
        dir.assert_names(&["a"]);
        dir.assert_file("a", &body);
    }
}

#[test]
fn a_wrong_digest_names_its_row_and_lets_the_rest_pass() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
        s.get("/c").body(b"c");
    });
    let dir = Dir::new();
    let list = format!(
        "{}\n  checksum={}\n{}\n  checksum={WRONG}\n{}\n",
        server.url("/a"),
        sha256(b"a"),
        server.url("/b"),
        server.url("/c")
    );
    dir.write("list", list);
    let out = dir.gannet().flags("-i list -d out").run();
    out.code(9).names_row("list", 3);
    dir.assert_names(&["list", "out/a", "out/c"]);
}

#[test]
fn a_digest_that_is_none_is_an_error_of_its_line() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    dir.write(
        "list",
        format!("{}\n  checksum=sha256:abc\n", server.url("/a")),
    );
    let out = dir.gannet().flags("-i list").run();
    out.code(2).names_row("list", 2).complains("64 hex digits");
    for text in ["sha256:abc", "crc32:00000000", "00", ""] {
        let out = dir
            .gannet()
            .args(["--checksum", text])
            .arg(server.url("/a"))
            .run();
        out.code(2).complains("--checksum");
    }
    dir.fetch("", format!("{}#sha256=ab", server.url("/a")))
        .code(2)
        .complains("64 hex digits");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_checksum_is_that_of_a_single_url() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let urls = [server.url("/a"), server.url("/a")];
    dir.gannet()
        .args(["--checksum", WRONG])
        .args(urls)
        .run()
        .code(2);
    dir.gannet()
        .args(["--checksum", WRONG, "-i", "-"])
        .run()
        .code(2);
    let contradiction = format!("{}#{}", server.url("/a"), WRONG.replace(':', "="));
    dir.gannet()
        .args(["--checksum", &sha256(b"a")])
        .arg(contradiction)
        .run()
        .code(2)
        .complains("two different sha256 digests");
    assert_eq!(server.connections(), 0);
}

#[test]
fn standard_output_is_judged_at_its_end() {
    for size in [1000, LARGE] {
        let body = noise(size);
        let server = Server::serving("/a", &body);
        let dir = Dir::new();
        let fetch = |asked: &str| {
            dir.gannet()
                .args(["-q", "-o", "-", "--checksum", asked])
                .arg(server.url("/a"))
                .run()
        };
        let out = fetch(&sha256(&body));
        out.ok();
        assert!(out.stdout_bytes() == body);
        let out = fetch(WRONG);
        out.code(9).complains(WRONG);
        assert!(out.stdout_bytes() == body);
    }
}

#[test]
fn a_file_with_the_right_digest_is_kept_without_asking() {
    for size in [0, 1000, LARGE] {
        let body = noise(size);
        let server = Server::serving("/a", &body);
        let dir = Dir::new();
        dir.write("a", &body);
        let out = dir
            .gannet()
            .args(["--checksum", &sha256(&body)])
            .arg(server.url("/a"))
            .run();
        out.ok();
        assert_eq!(out.completion().word, "kept", "{out}");
        assert_eq!(server.connections(), 0);
        dir.assert_file("a", &body);
    }
}

#[test]
fn a_file_with_another_digest_is_fetched_anew() {
    let body = noise(1000);
    let server = Server::start(|s| {
        s.get("/a").body(&body).etag("\"v1\"").conditional();
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    let mut damaged = body.clone();
    damaged[500] ^= 1;
    dir.write("a", &damaged);
    let fetch = |asked: &str| {
        dir.gannet()
            .args(["--checksum", asked])
            .arg(server.url("/a"))
            .run()
    };
    fetch(WRONG).code(9);
    dir.assert_file("a", &damaged);
    let out = fetch(&sha256(&body));
    out.ok();
    assert_eq!(out.completion().word, "done", "{out}");
    dir.assert_file("a", &body);
    dir.assert_names(&["a"]);
}

#[test]
fn what_the_server_announces_is_checked_and_retried() {
    for size in [1000, LARGE] {
        let (body, damaged) = (noise(size), noise(size + 1)[1..].to_vec());
        for field in ["Repr-Digest", "Content-Digest"] {
            let server = Server::start(|s| {
                s.get("/a")
                    .body(&damaged)
                    .header(field, &digest_field(&body))
                    .then()
                    .body(&body)
                    .header(field, &digest_field(&body));
            });
            let dir = Dir::new();
            let out = dir.fetch("", server.url("/a"));
            out.ok().complains("the server announced");
            assert_eq!(server.requests().len(), 2, "{out}");
            dir.assert_file("a", &body);
            dir.assert_names(&["a"]);
        }
    }
}

#[test]
fn what_the_older_fields_announce_is_checked() {
    for (name, algorithm, before) in [
        ("Digest", Algorithm::Sha256, "SHA-256="),
        ("Digest", Algorithm::Md5, "crc32c=AAAAAA==,md5="),
        ("Content-MD5", Algorithm::Md5, ""),
    ] {
        for (body, code) in [(&b"right"[..], 0), (b"wrong", 9)] {
            let sri = digest(algorithm, b"right").to_sri();
            let (_, encoded) = sri.split_once('-').expect("base64");
            let value = format!("{before}{encoded}");
            let server = Server::start(|s| {
                s.get("/a").body(body).header(name, &value);
            });
            let dir = Dir::new();
            dir.fetch("-t 0", server.url("/a")).code(code);
            dir.assert_names(if code == 0 { &["a"] } else { &[] });
        }
    }
}

#[test]
fn a_body_that_never_is_what_the_server_announces_fails() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"a")
            .header("Repr-Digest", &digest_field(b"b"));
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 1", server.url("/a"));
    out.code(9)
        .complains(&sha256(b"a"))
        .complains(&sha256(b"b"));
    assert_eq!(out.failure().tries, 2, "{out}");
    dir.assert_names(&[]);
}

#[test]
fn an_announcement_that_cannot_be_read_is_ignored() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"a")
            .header("Repr-Digest", "sha-256=broken, unixsum=:AA==:");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", b"a");
}

#[test]
fn a_retry_is_hashed_from_its_beginning() {
    let body = noise(LARGE);
    let server = Server::start(|s| {
        s.get("/a")
            .body(&body)
            .cut_at(LARGE / 2)
            .times(2)
            .then()
            .body(&body);
    });
    let dir = Dir::new();
    dir.gannet()
        .args(["--retry-delay", "1ms", "--checksum", &sha256(&body)])
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_file("a", &body);
}

#[test]
fn an_interrupt_leaves_no_wrong_file() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(noise(LARGE)).drip(LARGE / 2, &gate);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .args(["--checksum", WRONG])
        .arg(server.url("/a"))
        .spawn();
    server.wait_for_requests(1);
    gate.let_one_through();
    running.signal("INT");
    running.finish().code(130);
    assert!(!dir.has("a"));
}

#[test]
fn a_batch_of_large_files_is_hashed_side_by_side() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    let mut list = String::new();
    for n in 0..12 {
        let body = noise(LARGE + n);
        dir.write(&format!("www/{n}"), &body);
        let url = if n % 2 == 0 {
            nginx.url(&format!("/{n}"))
        } else {
            nginx.https_url(&format!("/{n}"))
        };
        let asked = if n == 7 {
            WRONG.to_owned()
        } else {
            sha256(&body)
        };
        list.push_str(&format!("{url}\n  checksum={asked}\n"));
    }
    let out = dir
        .gannet()
        .flags("-d out -i - --cacert")
        .arg(&nginx.cacert)
        .input(list)
        .run();
    out.code(9);
    assert_eq!(out.completions().len(), 11, "{out}");
    assert_eq!(out.failures().len(), 1, "{out}");
    for n in 0..12 {
        let name = format!("out/{n}");
        assert_eq!(dir.has(&name), n != 7);
        if n != 7 {
            dir.assert_file(&name, noise(LARGE + n));
        }
    }
    assert!(!dir.has("out/7.part"));
}

#[test]
fn what_was_left_and_does_not_fit_its_digest_is_fetched_anew() {
    let body = noise(200_000);
    let server = Server::start(|s| {
        s.get("/a").body(&body).etag("\"v1\"").ranges();
    });
    for (digest, code) in [(sha256(&body), 0), (WRONG.to_owned(), 9)] {
        let dir = Dir::new();
        dir.write("a", [0; 1000]);
        let before = server.requests().len();
        let run = dir.gannet().flags("-c --checksum").arg(&digest);
        let out = run.arg(server.url("/a")).run();
        out.code(code).complains("starting over");
        assert_eq!(server.requests().len() - before, 2, "{out}");
        if code == 0 {
            dir.assert_file("a", &body);
        }
    }
}

/// A file that comes in two parts: the first answer is cut in the middle.
fn cut_in_two(then: impl FnOnce(&mut Route)) -> Server {
    Server::start(|s| {
        let route = s.get("/a").body(noise(LARGE)).etag("\"v1\"");
        then(route.cut_at(LARGE / 2).then());
    })
}

#[test]
fn a_part_is_held_to_the_digest_of_its_own_content() {
    let body = noise(LARGE);
    let damaged = noise(LARGE + 1)[1..].to_vec();
    for (bad, code) in [(0, 0), (1, 0), (9, 9)] {
        let server = cut_in_two(|route| {
            let mut route = route;
            for _ in 0..bad {
                route.body(&damaged).etag("\"v1\"").ranges();
                route = route.announcing(&body).then();
            }
            route.body(&body).etag("\"v1\"").ranges().announcing(&body);
        });
        let dir = Dir::new();
        let run = dir.gannet().flags("-s 1 -t 2 --retry-delay 1ms");
        let out = run.arg(server.url("/a")).run();
        out.code(code);
        let asked = |n: usize| server.requests()[n].header("Range").map(str::to_owned);
        let tries = if code == 0 { bad + 2 } else { 3 };
        assert_eq!(server.requests().len(), tries, "{out}");
        for n in 1..tries {
            // What came before it is kept.
            assert_eq!(asked(n).as_deref(), Some("bytes=2500000-"));
        }
        if code == 0 {
            dir.assert_file("a", &body);
            dir.assert_names(&["a"]);
        } else {
            out.complains("the server announced");
            dir.assert_names(&["a.part", "a.part.gannet"]);
            let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
            assert!(state.contains("[[0,2500000]]"), "{state}");
        }
    }
}

#[test]
fn each_of_several_parts_is_held_to_the_digest_of_its_own_content() {
    let body = noise(LARGE);
    let damaged = noise(LARGE + 1)[1..].to_vec();
    for (bad, asked) in [
        (1, sha256(&body)),
        (3, sha256(&body)),
        (1, WRONG.to_owned()),
    ] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(&body).etag("\"v1\"").ranges();
            // Slow enough for the others to begin before it has brought all by itself.
            route.pace(10_000, Duration::from_millis(4));
            let route = route.then().body(&damaged).etag("\"v1\"").ranges();
            route.announcing(&body).times(bad);
            let route = route.then().body(&body).etag("\"v1\"").ranges();
            route.announcing(&body);
        });
        let dir = Dir::new();
        // So large that none is divided again: what is left of a part cannot be judged.
        let flags = "-s 4 --min-split 1M --retry-delay 1ms --checksum";
        let run = dir.gannet().flags(flags).arg(&asked);
        let out = run.arg(server.url("/a")).run();
        out.complains("the server announced");
        if asked == WRONG {
            out.code(9);
            dir.assert_names(&[]);
        } else {
            out.ok();
            dir.assert_file("a", &body);
        }
    }
}

#[test]
fn parts_that_never_are_what_the_server_announces_fail() {
    let (body, damaged) = (noise(LARGE), noise(LARGE + 1)[1..].to_vec());
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v1\"").ranges();
        route
            .pace(100_000, Duration::from_millis(2))
            .cut_at(LARGE / 2);
        let route = route.then().body(&damaged).etag("\"v1\"").ranges();
        route.announcing(&body);
    });
    let dir = Dir::new();
    let run = dir
        .gannet()
        .flags("-s 4 --min-split 300K -t 3 --retry-delay 1ms");
    let out = run.arg(server.url("/a")).run();
    out.code(9).complains("the server announced");
    assert!(!dir.has("a"));
}

#[test]
fn the_digest_of_the_whole_is_taken_from_the_answer_with_the_rest() {
    let body = noise(LARGE);
    for (said, code) in [(&body[..], 0), (b"another", 9)] {
        let server = cut_in_two(|route| {
            let field = digest_field(said);
            let route = route.body(&body).etag("\"v1\"").ranges();
            route.header("Repr-Digest", &field);
        });
        let dir = Dir::new();
        let out = dir.fetch("-t 1", server.url("/a"));
        out.code(code);
        if code == 9 {
            out.complains("the server announced");
            assert!(!dir.has("a"));
        }
    }
}

/// A limit of processes, of a user (`ulimit -u`) or a container.
const NO_THREADS: [&str; 2] = ["clone3:error=EAGAIN", "clone:error=EAGAIN"];

/// oven-sh/bun#43354, prefix-dev/pixi#4418
#[test]
fn a_digest_is_computed_where_no_thread_can_be_started() {
    let body = noise(LARGE);
    let server = Server::start(|s| {
        s.get("/a").body(&body).etag("\"v1\"");
    });
    for (digest, code) in [(sha256(&body), 0), (WRONG.to_owned(), 9)] {
        let dir = Dir::new();
        let Some(gannet) = injecting(&dir, &NO_THREADS) else {
            return;
        };
        // The name is looked up on the loop's own thread, too.
        let url = server.url("/a").replace("127.0.0.1", "localhost");
        let gannet = gannet.args(["-t", "0", "-4", "--checksum", &digest]);
        gannet.arg(url).run().code(code);
        assert_eq!(dir.has("a"), code == 0);
        if code == 0 {
            dir.assert_file("a", &body);
        }
    }
}

#[test]
fn a_digest_is_not_lost_where_nothing_wakes_the_loop() {
    let body = noise(LARGE);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let Some(gannet) = injecting(&dir, &["eventfd2:error=EMFILE"]) else {
        return;
    };
    let gannet = gannet.args(["-t", "0", "--checksum", &sha256(&body)]);
    gannet.arg(server.url("/a")).run().ok();
    dir.assert_file("a", &body);
}

/// A disk that fails, or another program that cuts the file.
#[test]
fn a_body_that_cannot_be_read_back_is_a_failure_and_no_wait() {
    let body = noise(LARGE);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let Some(gannet) = injecting(&dir, &["pread64:error=EIO:when=3+"]) else {
        return;
    };
    let gannet = gannet.args(["-t", "0", "--checksum", &sha256(&body)]);
    let out = gannet.arg(server.url("/a")).run();
    out.code(3).complains("cannot read back");
    assert!(!dir.has("a"), "{out}");
}
