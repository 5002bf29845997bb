//! The plain job: URLs in, files out, into the right folder under the right name.

use crate::harness::{Dir, noise};
use crate::server::Server;

#[test]
fn one_url_becomes_one_file_in_the_current_folder() {
    let server = Server::serving("/a.txt", b"hello");
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a.txt"));
    out.ok();
    dir.assert_names(&["a.txt"]);
    dir.assert_file("a.txt", b"hello");
    assert_eq!(server.request("/a.txt").method, "GET");
}

#[test]
fn several_urls_become_several_files() {
    let server = Server::start(|s| {
        for name in ["a", "b", "c"] {
            s.get(&format!("/{name}")).body(name);
        }
    });
    let dir = Dir::new();
    dir.gannet()
        .args(["/a", "/b", "/c"].map(|path| server.url(path)))
        .run()
        .ok();
    dir.assert_names(&["a", "b", "c"]);
    dir.assert_file("b", b"b");
}

#[test]
fn a_folder_is_made_when_it_is_missing() {
    let server = Server::serving("/a", b"1");
    for flag in ["-d", "--dir", "-P", "--output-dir"] {
        let dir = Dir::new();
        dir.gannet()
            .args([flag, "x/y/z"])
            .arg(server.url("/a"))
            .run()
            .ok();
        dir.assert_names(&["x/y/z/a"]);
    }
}

#[test]
fn an_output_name_is_taken() {
    let server = Server::serving("/a", b"1");
    for flag in ["-o", "--output"] {
        let dir = Dir::new();
        let out = dir
            .gannet()
            .args([flag, "other name"])
            .arg(server.url("/a"))
            .run();
        out.ok();
        dir.assert_names(&["other name"]);
        assert!(out.completion().path.ends_with("other name"), "{out}");
    }
}

#[test]
fn an_output_name_lies_in_the_folder_given() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.fetch("-d sub -o b", server.url("/a")).ok();
    dir.assert_names(&["sub/b"]);
}

#[test]
fn an_output_name_for_two_urls_is_a_usage_error() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.gannet()
        .flags("-o x")
        .args([server.url("/a"), server.url("/a")])
        .run()
        .code(2);
    assert_eq!(server.connections(), 0);
    dir.assert_names(&[]);
}

#[test]
fn a_dash_streams_to_standard_output_and_nothing_else_does() {
    let body = noise(300_000);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let out = dir.fetch("-o -", server.url("/a"));
    out.ok();
    assert!(
        out.stdout_bytes() == body,
        "{} bytes on standard output",
        out.stdout_bytes().len()
    );
    dir.assert_names(&[]);
}

#[test]
fn a_cut_body_never_shows_twice_on_standard_output() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        s.get("/a").body(&body).cut_at(60_000).then().body(&body);
    });
    let dir = Dir::new();
    let out = dir.fetch("-o -", server.url("/a"));
    let said = out.stdout_bytes();
    match out.exit_code() {
        Some(0) => assert!(said == body, "not the body, but {} bytes", said.len()),
        _ => assert!(body.starts_with(said), "not the start of the body"),
    }
}

#[test]
fn a_large_body_arrives_whole() {
    let body = noise(9 * 1024 * 1024 + 17);
    let server = Server::serving("/big", &body);
    let dir = Dir::new();
    dir.fetch("", server.url("/big")).ok();
    dir.assert_names(&["big"]);
    dir.assert_file("big", &body);
}

#[test]
fn sizes_round_the_buffers_edges_arrive_whole() {
    let sizes = [
        1,
        2,
        4095,
        4096,
        4097,
        65_535,
        65_536,
        65_537,
        262_143,
        262_144,
        262_145,
        1 << 20,
    ];
    let server = Server::start(|s| {
        for size in sizes {
            s.get(&format!("/{size}")).body(noise(size));
        }
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 3")
        .args(sizes.map(|size| server.url(&format!("/{size}"))))
        .run()
        .ok();
    for size in sizes {
        dir.assert_file(&size.to_string(), noise(size));
    }
}

#[test]
fn the_final_name_appears_only_when_the_body_is_whole() {
    let body = noise(100_000);
    let gate = crate::server::Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(&body).drip(50_000, &gate);
    });
    let dir = Dir::new();
    let running = dir.gannet().arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    gate.let_one_through();
    assert!(
        !dir.has("a"),
        "the final name stands before the body is whole"
    );
    gate.open();
    running.finish().ok();
    dir.assert_names(&["a"]);
    dir.assert_file("a", &body);
}

#[test]
fn a_fragment_is_not_sent_and_a_query_is() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.fetch("-o a", server.url("/a?x=1&y=%20#part")).ok();
    assert_eq!(server.request("/a").target, "/a?x=1&y=%20");
}

#[test]
fn a_hundred_files_come_with_their_own_bytes() {
    let server = Server::start(|s| {
        for at in 0..100 {
            s.get(&format!("/f{at}")).body(noise(at * 37));
        }
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .args((0..100).map(|at| server.url(&format!("/f{at}"))))
        .run();
    out.ok();
    assert_eq!(out.completions().len(), 100, "{out}");
    for at in 0..100 {
        dir.assert_file(&format!("f{at}"), noise(at * 37));
    }
}

#[test]
fn paths_are_sent_as_they_are_typed_if_a_flag_says_so() {
    for (typed, resolved, as_is) in [
        ("/a/%2e%2e/b", "/b", "/a/%2e%2e/b"),
        ("/a/../b", "/b", "/a/../b"),
        ("/x?n='y'", "/x?n=%27y%27", "/x?n='y'"),
        ("/%7e/./ä", "/%7e/%C3%A4", "/%7e/./%C3%A4"),
        ("/\"{1}\\", "/%22%7B1%7D/", "/\"{1}\\"),
    ] {
        for (flag, expected) in [("-o x", resolved), ("-o x --path-as-is", as_is)] {
            let path = expected.split('?').next().unwrap();
            let server = Server::serving(path, b"1");
            let dir = Dir::new();
            dir.fetch(flag, server.url(typed)).ok();
            assert_eq!(server.requests()[0].target, expected, "{typed}");
        }
    }
}

#[test]
fn a_path_as_it_was_typed_survives_lists_redirects_and_the_list_of_failures() {
    let server = Server::start(|s| {
        s.get("/a/../b").redirect(302, "../c");
        s.get("/a/../../c").status(404).then().body(b"1");
    });
    let dir = Dir::new();
    dir.write("list", format!("{}\n", server.url("/a/../b")));
    let flags = "--path-as-is -t 0 --failed failed";
    let out = dir.gannet().flags(flags).args(["-i", "list"]).run();
    out.code(8);
    let out = dir.gannet().flags(flags).args(["-i", "failed"]).run();
    out.ok();
    let paths = ["/a/../b", "/a/../../c", "/a/../b", "/a/../../c"];
    assert_eq!(server.paths(), paths);
    dir.assert_file("b", b"1");
}
