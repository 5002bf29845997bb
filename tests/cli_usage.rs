//! Help, version, and command lines that are wrong: exit 2 before anything is fetched.

use crate::harness::Dir;

#[test]
fn the_version_is_told() {
    for flag in ["--version", "-V"] {
        let out = Dir::new().gannet().arg(flag).run();
        out.ok();
        assert!(out.stdout().starts_with("gannet "), "{out}");
    }
}

#[test]
fn help_is_told_on_standard_output() {
    for flag in ["-h", "--help"] {
        let out = Dir::new().gannet().arg(flag).run();
        out.ok();
        let parts = ["--jobs", "--input-file", "--retry", "--max-filesize"];
        // The short help may leave out what is seldom wanted.
        for part in &parts[..if flag == "-h" { 2 } else { 4 }] {
            assert!(out.stdout().contains(part), "no {part}: {out}");
        }
        assert_eq!(out.stderr(), "", "{out}");
    }
}

#[test]
fn nothing_to_do_is_a_usage_error() {
    let out = Dir::new().gannet().run();
    out.code(2);
    assert_eq!(out.stdout(), "", "{out}");
}

#[test]
fn a_list_and_a_url_that_are_mistaken_for_each_other_are_named() {
    let dir = Dir::new();
    dir.write("list.txt", "http://127.0.0.1:1/\n");
    let out = dir.gannet().arg("list.txt").run();
    out.code(2).complains("-i list.txt");
    let out = dir.gannet().args(["-i", "http://me:hunter2@h/list"]).run();
    out.code(2).complains("gannet -o - URL | gannet -i -");
    out.never_says("hunter2");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    Dir::new()
        .gannet()
        .flags("--nonsense http://127.0.0.1:1/")
        .run()
        .code(2)
        .complains("--nonsense");
}

#[test]
fn a_flag_without_its_value_is_a_usage_error() {
    for flag in ["-d", "-o", "-j", "-i", "-H", "-u", "--cacert", "--timeout"] {
        Dir::new().gannet().arg(flag).run().code(2);
    }
}

#[test]
fn a_url_that_cannot_be_fetched_fails_with_its_name() {
    for url in [
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "http://",
        "not a url",
        "http://[::1/",
    ] {
        let dir = Dir::new();
        let out = dir.fetch("", url);
        assert!(out.exit_code().is_some_and(|code| code != 0), "{out}");
        out.complains(url);
        dir.assert_names(&[]);
    }
}

#[test]
fn of_a_flag_given_twice_the_last_one_counts() {
    let server = crate::server::Server::serving("/a", b"1");
    let dir = Dir::new();
    let flags = "-d one -j 3 -d two -j 4";
    dir.fetch(flags, server.url("/a")).ok();
    dir.assert_names(&["two/a"]);
}
