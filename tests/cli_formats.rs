//! Lists in other formats than urls, lists of digests beside what is fetched, and shares of a list.

use std::process::Command;

use crate::harness::{Dir, noise, sha256_hex};
use crate::server::{Script, Server};

const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_digest_without_a_name_is_for_a_run_of_one_url() {
    let server = Server::start(|s| {
        s.get("/kubectl").body(b"hello");
        s.get("/kubectl.sha256")
            .body(format!("{}\n", sha256_hex(b"hello")));
        s.get("/bad.sha256")
            .body(format!("{}\n", sha256_hex(b"other")));
    });
    let dir = Dir::new();
    let checksums = format!("--checksums {}", server.url("/kubectl.sha256"));
    dir.fetch(&checksums, server.url("/kubectl")).ok();
    dir.assert_file("kubectl", b"hello");
    let two = dir.gannet().flags(&checksums);
    let two = two
        .args(["/kubectl", "/x"].map(|path| server.url(path)))
        .run();
    two.code(9).complains("one digest without a name");
    let bad = format!("-d bad --checksums {}", server.url("/bad.sha256"));
    dir.fetch(&bad, server.url("/kubectl")).code(9);
}

#[test]
fn jsonl_rows_have_names_headers_digests_and_mirrors() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let list = format!(
        "{{\"url\":\"{}\",\"out\":\"x\",\"dir\":\"sub\",\"headers\":{{\"X-One\":\"1\"}},\"checksum\":\"sha256:{}\",\"size\":1}}\n\
         {{\"url\":\"{}\",\"mirrors\":[\"{}\"],\"checksum\":\"sha256:{}\",\"out\":\"y\"}}\n",
        server.url("/a"),
        sha256_hex(b"a"),
        server.url("/b"),
        server.url("/c"),
        sha256_hex(b"c")
    );
    for format in ["auto", "jsonl"] {
        dir.gannet()
            .args(["-i", "-", "-d", format, "--input-format", format])
            .input(&list)
            .run()
            .ok();
        dir.assert_file(&format!("{format}/sub/x"), b"a");
        dir.assert_file(&format!("{format}/y"), b"c");
    }
    let requests = server.requests();
    let mut asked = requests.iter().filter(|request| request.target == "/a");
    assert!(asked.all(|request| request.header("x-one") == Some("1")));
}

#[test]
fn a_bad_object_is_reported_and_with_strict_ends_the_run() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write(
        "list",
        format!(
            "{{\"url\":\"{}\"}}\n{{\"url\":\"{}\",\"speed\":1}}\n{{\"url\":\"{}\"}}\n",
            server.url("/a"),
            server.url("/b"),
            server.url("/c")
        ),
    );
    let out = dir.gannet().flags("-i list -d loose").run();
    out.code(2).names_row("list", 2).complains("unknown key");
    dir.assert_names(&["list", "loose/a", "loose/c"]);
    let out = dir.gannet().flags("-i list -d strict --strict").run();
    out.code(2).names_row("list", 2);
    assert!(!dir.has("strict/c"));
}

/// Files with odd names, and their digests as a tool of GNU coreutils lists them.
struct Listed {
    files: Vec<(String, Vec<u8>)>,
    list: Vec<u8>,
}

/// `None` without that tool.
fn listed_by(dir: &Dir, tool: &str, flags: &[&str]) -> Option<Listed> {
    let names = [
        "plain",
        "with two  blanks",
        "#hash",
        "per%cent?",
        "\u{fc}mlaut",
        "sub/deep",
        "a) = b",
    ];
    let files: Vec<_> = names
        .into_iter()
        .map(|name| (name.to_owned(), noise(name.len() * 100)))
        .collect();
    dir.make_dir("www/sub");
    for (name, body) in &files {
        dir.write(&format!("www/{name}"), body);
    }
    let mut command = Command::new(tool);
    command.args(flags).args(names).current_dir(dir.join("www"));
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: {tool} is not installed, so its list has not been read");
        return None;
    };
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(Listed {
        files,
        list: output.stdout,
    })
}

#[test]
fn lists_that_coreutils_wrote_are_fetched_and_checked() {
    for (tool, flags) in [
        ("sha256sum", &[][..]),
        ("sha256sum", &["--binary"]),
        ("sha256sum", &["--tag"]),
        ("md5sum", &[]),
        ("sha1sum", &["--tag"]),
        ("sha224sum", &[]),
        ("sha384sum", &["--tag"]),
        ("sha512sum", &[]),
        ("shasum", &["-a", "256"]),
        ("shasum", &["-a", "512", "--tag"]),
        ("cksum", &["-a", "sha256"]),
        ("openssl", &["dgst", "-sha256"]),
        ("openssl", &["dgst", "-sha1", "-r"]),
    ] {
        let dir = Dir::new();
        let Some(Listed { files, list }) = listed_by(&dir, tool, flags) else {
            continue;
        };
        let server = Server::start(|s| {
            for (name, body) in &files {
                let mut path = url::Url::parse("http://h/pub/").expect("a URL");
                path.path_segments_mut()
                    .expect("a path")
                    .pop()
                    .extend(name.split('/'));
                s.get(path.path()).body(body);
            }
        });
        let base = server.url("/pub/SUMS");
        let out = dir
            .gannet()
            .args(["-i", "-", "-d", "out", "--base", &base])
            .input(&list)
            .run();
        out.ok();
        for (name, body) in &files {
            dir.assert_file(&format!("out/{name}"), body);
        }
    }
}

#[test]
fn lists_that_cannot_be_read_say_what_they_are() {
    for (tool, flags, why) in [
        ("b2sum", &["--tag"][..], "unknown algorithm 'BLAKE2b'"),
        ("cksum", &["-a", "sm3"], "unknown algorithm 'SM3'"),
        ("sha256sum", &["-z"], "lines that end in NUL"),
    ] {
        let dir = Dir::new();
        let Some(Listed { list, .. }) = listed_by(&dir, tool, flags) else {
            continue;
        };
        let out = dir.fetch_list("-d out --base http://127.0.0.1:1/", &list);
        out.code(2).complains(why);
    }
}

#[test]
fn a_wrong_entry_of_a_sums_list_names_its_line() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write(
        "SUMS",
        format!("{}  a\n{WRONG}  b\n{WRONG}0  c\n", sha256_hex(b"a")),
    );
    let base = server.url("/");
    let out = dir
        .gannet()
        .args([
            "-i",
            "SUMS",
            "-d",
            "out",
            "--input-format",
            "sums",
            "--base",
            &base,
        ])
        .run();
    out.code(9).names_row("SUMS", 2).names_row("SUMS", 3);
    dir.assert_names(&["SUMS", "out/a"]);
}

#[test]
fn a_metalink_is_fetched_from_its_mirrors_in_turn() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        s.get("/cut").body(&body[..50_000]);
        s.get("/bad").body(&noise(100_000 + 1)[1..]);
        s.get("/good").body(&body);
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    let list = format!(
        "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n\
         <file name=\"dir/a\"><size>100000</size><hash type=\"sha-256\">{}</hash>\n\
         <url priority=\"3\">{}</url><url priority=\"1\">{}</url><url priority=\"2\">{}</url></file>\n\
         <file name=\"b\"><url>{}</url></file></metalink>",
        sha256_hex(&body),
        server.url("/good"),
        server.url("/cut"),
        server.url("/bad"),
        server.url("/b")
    );
    dir.fetch_list("-d out -j 1", list).ok();
    dir.assert_names(&["out/b", "out/dir/a"]);
    dir.assert_file("out/dir/a", &body);
    let mut paths = server.paths();
    paths.retain(|path| path != "/b");
    assert_eq!(paths, ["/cut", "/bad", "/good"]);
}

#[test]
fn a_size_that_is_not_the_promised_one_is_a_failure() {
    let server = Server::start(|s| {
        s.get("/length").body(b"abc");
        s.get("/chunked").body(b"abc").chunked(2);
    });
    for path in ["/length", "/chunked"] {
        let dir = Dir::new();
        let list = format!("{{\"url\":\"{}\",\"size\":4}}", server.url(path));
        let out = dir.fetch_list("", list);
        out.code(9).complains("the size is 3 bytes, not 4");
        assert_eq!(out.failure().tries, 1);
        dir.assert_names(&[]);
    }
}

#[test]
fn a_file_that_is_there_with_another_size_than_promised_is_asked_for_anew() {
    let server = Server::start(|s| {
        s.get("/a").body(b"abc").etag("\"v1\"").conditional();
    });
    let dir = Dir::new();
    for (size, code, word) in [(3, 0, "done"), (3, 0, "kept"), (4, 9, "fail")] {
        let list = format!("{{\"url\":\"{}\",\"size\":{size}}}", server.url("/a"));
        let out = dir.fetch_list("", list);
        out.code(code);
        assert!(out.both().contains(word), "{out}");
        dir.assert_file("a", b"abc");
    }
}

#[test]
fn a_resumed_body_is_measured_whole() {
    let body = noise(300_000);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v1\"").ranges();
        route.cut_at(120_000).then();
        route.body(&body).etag("\"v1\"").ranges();
    });
    let dir = Dir::new();
    let list = format!("{{\"url\":\"{}\",\"size\":300000}}", server.url("/a"));
    let out = dir.fetch_list("", list);
    out.ok();
    assert_eq!(server.requests().len(), 2, "{out}");
    dir.assert_file("a", &body);
}

#[test]
fn a_list_of_digests_is_looked_up_by_name() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write(
        "SUMS",
        format!(
            "{}  ./a\n{} *other/b\n{WRONG}  c\n",
            sha256_hex(b"a"),
            sha256_hex(b"b")
        ),
    );
    let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
    let out = dir
        .gannet()
        .flags("--checksums SUMS -d out")
        .args(urls)
        .run();
    out.code(9).complains(WRONG);
    dir.assert_names(&["SUMS", "out/a", "out/b"]);
}

#[test]
fn a_file_is_looked_up_by_the_name_that_was_typed_for_it_too() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write("SUMS", format!("{}  sub/x\n", sha256_hex(b"a")));
    for (path, name, code) in [("/a", "y/x", 0), ("/b", "x", 9), ("/a", "y", 9)] {
        let run = dir.gannet().flags("--checksums SUMS -o").arg(name);
        run.arg(server.url(path)).run().code(code);
    }
    dir.assert_names(&["SUMS", "y/x"]);
}

#[test]
fn a_file_without_an_entry_is_not_let_through() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write("SUMS", format!("{}  a\n", sha256_hex(b"a")));
    let own = format!("{}#sha256={}", server.url("/c"), sha256_hex(b"c"));
    let out = dir
        .gannet()
        .flags("--checksums SUMS -d out")
        .args([server.url("/a"), server.url("/b"), own])
        .run();
    out.code(9).complains("SUMS has no digest of 'b'");
    assert_eq!(server.requests().len(), 2, "{out}");
    dir.assert_names(&["SUMS", "out/a", "out/c"]);
}

#[test]
fn a_list_of_digests_is_fetched_first() {
    let sums = format!("{}  a\n{WRONG}  b\n", sha256_hex(b"a"));
    let server = Server::start(|s| {
        s.abc();
        s.get("/SUMS").status(503).then().body(&sums);
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .args(["--retry-delay", "1ms", "--checksums", &server.url("/SUMS")])
        .args([server.url("/a"), server.url("/b")])
        .run();
    out.code(9).complains(WRONG);
    assert_eq!(out.completions().len(), 1, "{out}");
    dir.assert_names(&["a"]);
    assert_eq!(server.paths()[..2], ["/SUMS", "/SUMS"]);
}

#[test]
fn without_its_list_of_digests_nothing_is_fetched() {
    let server = Server::start(|s| {
        s.abc();
        s.get("/html").body(b"<html>not here</html>\n");
    });
    let dir = Dir::new();
    dir.write("empty", b"");
    for (checksums, code) in [
        (server.url("/none"), 8),
        (server.url("/html"), 3),
        ("missing".to_owned(), 3),
        ("empty".to_owned(), 3),
    ] {
        let out = dir
            .gannet()
            .args(["--checksums", &checksums])
            .arg(server.url("/a"))
            .run();
        out.code(code).complains(&checksums);
    }
    assert!(!server.paths().contains(&"/a".to_owned()));
    dir.assert_names(&["empty"]);
}

#[test]
fn shares_are_apart_and_whole_together() {
    let server = Server::start(|s| {
        for n in 0..40 {
            s.get(&format!("/{n}")).body(n.to_string());
        }
    });
    let dir = Dir::new();
    let list: String = (0..40).map(|n| server.url(&format!("/{n}\n"))).collect();
    let mut sizes = Vec::new();
    for which in 1..=3 {
        let out = dir
            .gannet()
            .args(["-i", "-", "-d", "out", "--shard", &format!("{which}/3")])
            .input(&list)
            .run();
        out.ok();
        sizes.push(out.completions().len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 40, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    assert_eq!(dir.names().len(), 40);
    let out = dir
        .gannet()
        .flags("-i - -d auto --shard auto")
        .env("SLURM_ARRAY_TASK_ID", "5")
        .env("SLURM_ARRAY_TASK_COUNT", "3")
        .env("SLURM_ARRAY_TASK_MIN", "4")
        .input(&list)
        .run();
    out.ok();
    assert_eq!(out.completions().len(), sizes[1], "{out}");
}

#[test]
fn a_share_that_is_none_is_a_usage_error() {
    let dir = Dir::new();
    for shard in ["0/3", "4/3", "x", "auto"] {
        let out = dir.gannet().args(["-i", "-", "--shard", shard]).run();
        out.code(2).complains("--shard");
    }
}
