//! Lists: the urls format with comments, blank lines, row options, and what is wrong in it.

use crate::harness::Dir;
use crate::server::{Script, Server};

#[test]
fn a_list_is_read_from_a_file() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let list = format!("{}\n{}\n", server.url("/a"), server.url("/b"));
    dir.write("list", list);
    dir.gannet().flags("-i list -d out").run().ok();
    dir.assert_names(&["list", "out/a", "out/b"]);
}

#[test]
fn a_list_is_read_from_standard_input() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.gannet()
        .flags("--input-file -")
        .input(format!("{}\n{}", server.url("/a"), server.url("/b")))
        .run()
        .ok();
    dir.assert_names(&["a", "b"]);
}

#[test]
fn lists_and_urls_add_up() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write("one", server.url("/a"));
    dir.write("two", server.url("/b"));
    dir.fetch("-i one -i two -d out", server.url("/c")).ok();
    dir.assert_names(&["one", "out/a", "out/b", "out/c", "two"]);
}

#[test]
fn an_empty_list_is_a_success() {
    let dir = Dir::new();
    for list in ["", "\n\n", "# nothing\n", "\u{feff}"] {
        dir.fetch_list("", list).ok();
    }
    dir.assert_names(&[]);
}

#[test]
fn comments_blank_lines_and_foreign_line_ends_are_fine() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let list = format!(
        "\u{feff}# a comment\r\n\r\n{}\r\n   \r\n#{}\r\n{}",
        server.url("/a"),
        server.url("/b"),
        server.url("/c")
    );
    dir.fetch_list("", list).ok();
    dir.assert_names(&["a", "c"]);
}

#[test]
fn a_row_names_its_file_and_folder() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let list = format!(
        "{}\n  out=x\n{}\n\tdir=sub\n\tout=y\n{}\n",
        server.url("/a"),
        server.url("/b"),
        server.url("/c")
    );
    dir.fetch_list("", list).ok();
    dir.assert_names(&["c", "sub/y", "x"]);
    dir.assert_file("sub/y", b"b");
}

#[test]
fn a_row_has_its_own_headers() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let options =
        "  header=X-One: 1\n  header=X-Two: 2\n  user-agent=row/1\n  referer=http://row.example/\n";
    let list = format!("{}\n{options}{}\n", server.url("/a"), server.url("/b"));
    dir.fetch_list("-A whole/1", list).ok();
    let (a, b) = (server.request("/a"), server.request("/b"));
    assert_eq!(a.header("x-one"), Some("1"));
    assert_eq!(a.header("x-two"), Some("2"));
    assert_eq!(a.header("user-agent"), Some("row/1"));
    assert_eq!(a.header("referer"), Some("http://row.example/"));
    assert_eq!(b.header("x-one"), None);
    assert_eq!(b.header("user-agent"), Some("whole/1"));
}

#[test]
fn a_row_has_its_own_size_limit() {
    let server = Server::start(|s| {
        s.get("/a").body([7; 100]);
        s.get("/b").body([7; 100]);
    });
    let dir = Dir::new();
    let list = format!(
        "{}\n  max-size=99\n{}\n  max-size=100\n",
        server.url("/a"),
        server.url("/b")
    );
    let out = dir.fetch_list("", list);
    assert_ne!(out.exit_code(), Some(0), "{out}");
    assert!(!dir.has("a") && dir.has("b"), "{out}");
}

#[test]
fn a_line_may_name_its_destination() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.fetch_list("", format!("{} other\n", server.url("/a")))
        .ok();
    dir.assert_names(&["other"]);
}

#[test]
fn mirrors_on_one_line_are_one_file() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.fetch_list("", format!("{}\t{}\n", server.url("/a"), server.url("/b")))
        .ok();
    dir.assert_names(&["a"]);
}

#[test]
fn one_destination_twice_is_an_error_of_the_second_row() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    let list = format!(
        "{}\n out=x\n{}\n out=x\n{}\n",
        server.url("/a"),
        server.url("/b"),
        server.url("/c")
    );
    let out = dir.fetch_list("-j 1", list);
    assert_ne!(out.exit_code(), Some(0), "{out}");
    out.complains(&server.url("/b"));
    dir.assert_names(&["c", "x"]);
    dir.assert_file("x", b"a");
}

#[test]
fn a_bad_line_is_reported_and_the_rest_goes_on() {
    let server = Server::start(Script::abc);
    for bad in [
        "not a url",
        "ftp://127.0.0.1/x",
        "http://",
        "http://[::1/x",
        "/relative",
    ] {
        let dir = Dir::new();
        dir.write(
            "list",
            format!("{}\n{bad}\n{}\n", server.url("/a"), server.url("/b")),
        );
        let out = dir.gannet().flags("-i list -d out").run();
        assert_ne!(out.exit_code(), Some(0), "{bad}: {out}");
        out.names_row("list", 2);
        dir.assert_names(&["list", "out/a", "out/b"]);
    }
}

#[test]
fn an_unknown_option_is_reported_with_its_line() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write(
        "list",
        format!("{}\n  nonsense=1\n{}\n", server.url("/a"), server.url("/b")),
    );
    let out = dir.gannet().flags("-i list -d out").run();
    assert_ne!(out.exit_code(), Some(0), "{out}");
    out.complains("nonsense");
    assert!(dir.has("out/b"), "{out}");
}

#[test]
fn a_failure_names_its_row() {
    let server = Server::start(Script::abc);
    let dir = Dir::new();
    dir.write(
        "urls.txt",
        format!("{}\n\n{}\n", server.url("/a"), server.url("/missing")),
    );
    let out = dir.gannet().flags("-i urls.txt").run();
    out.code(8).complains(&server.url("/missing"));
    out.names_row("urls.txt", 3);
}

#[test]
fn a_list_that_is_not_there_is_an_error() {
    let dir = Dir::new();
    dir.gannet()
        .flags("-i nowhere.txt")
        .run()
        .code_in(&[2, 3])
        .complains("nowhere.txt");
}

#[test]
fn binary_rubbish_as_a_list_is_refused_and_not_printed_raw() {
    let dir = Dir::new();
    let out = dir.fetch_list("", b"\x7fELF\x00\x1b[2J\xff\xfe\n\x00\x01\x02");
    assert!(out.exit_code().is_some_and(|code| code != 0), "{out}");
    out.never_says("\u{1b}[2J");
    dir.assert_names(&[]);
}

#[test]
fn a_mirror_is_tried_when_the_first_url_has_failed_for_good() {
    let server = Server::serving("/good/f", b"from the mirror");
    let dir = Dir::new();
    let list = format!("{}\t{}\n", server.url("/bad/f"), server.url("/good/f"));
    let out = dir.fetch_list("", list);
    out.ok();
    assert_eq!(out.completions().len(), 1, "{out}");
    dir.assert_file("f", b"from the mirror");
}
