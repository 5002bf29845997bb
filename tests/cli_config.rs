//! gannet.toml and GANNET_ variables: precedence, settings that are refused, and the messages about them.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Dir, Gannet, Output};
use crate::server::{Request, Server};

/// A folder of configuration with this as its gannet.toml.
fn home(text: impl AsRef<[u8]>) -> Dir {
    let home = Dir::new();
    home.make_dir("gannet");
    home.write("gannet/gannet.toml", text);
    home
}

/// The program with that configuration.
fn with(dir: &Dir, home: &Dir) -> Gannet {
    dir.gannet().env("XDG_CONFIG_HOME", home.path())
}

/// What is said of a run that a file keeps from beginning.
fn refused(text: impl AsRef<[u8]>, flags: &str) -> Output {
    let home = home(text);
    let dir = Dir::new();
    let out = with(&dir, &home).flags(flags).run();
    out.code(2);
    out.complains("/gannet/gannet.toml");
    dir.assert_names(&[]);
    out
}

/// The request for /a that a file, variables and flags make.
fn sent(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Request {
    let server = Server::serving("/a", b"1");
    let home = home(file);
    let dir = Dir::new();
    let mut gannet = with(&dir, &home).args(flags);
    for (name, value) in variables {
        gannet = gannet.env(name, value);
    }
    gannet.args(["-o", "-"]).arg(server.url("/a")).run().ok();
    server.request("/a")
}

/// The values of a header, in order.
fn values<'r>(request: &'r Request, name: &str) -> Vec<&'r str> {
    let named = request.headers.iter().filter(|(key, _)| key == name);
    named.map(|(_, value)| value.as_str()).collect()
}

fn agent(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    let request = sent(file, variables, flags);
    request.header("user-agent").unwrap_or_default().to_owned()
}

#[test]
fn what_was_typed_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = "user-agent = \"file\"";
    let variable = [("GANNET_USER_AGENT", "variable")];
    assert_eq!(agent(file, &[], &[]), "file");
    assert_eq!(agent(file, &variable, &[]), "variable");
    assert_eq!(agent(file, &variable, &["-A", "typed"]), "typed");
    assert_eq!(agent("", &variable, &[]), "variable");
    assert_eq!(agent(file, &[("GANNET_USER_AGENT", "")], &[]), "file");
}

#[test]
fn no_config_skips_both() {
    let said = agent(
        "user-agent = \"file\"\njobs = \"no number\"",
        &[("GANNET_USER_AGENT", "variable"), ("GANNET_JOBS", "x")],
        &["--no-config"],
    );
    assert!(said.starts_with("gannet/"), "{said}");
}

#[test]
fn a_list_of_values_is_replaced_as_a_whole() {
    let file = "header = [\"X-A: 1\", \"X-A: 2\"]";
    let variable = [("GANNET_HEADER", "X-A: 3\nX-A: 4\n")];
    assert_eq!(values(&sent(file, &[], &[]), "X-A"), ["1", "2"]);
    assert_eq!(values(&sent(file, &variable, &[]), "X-A"), ["3", "4"]);
    let typed = sent(file, &variable, &["-H", "X-B: 5"]);
    assert_eq!(values(&typed, "X-A"), [""; 0]);
    assert_eq!(values(&typed, "X-B"), ["5"]);
    let single = sent("header = \"X-A: 6\"", &[], &[]);
    assert_eq!(values(&single, "X-A"), ["6"]);
}

#[test]
fn the_file_is_looked_for_where_the_system_keeps_such_files() {
    let server = Server::serving("/a", b"1");
    let home = Dir::new();
    home.make_dir(".config/gannet");
    home.write(".config/gannet/gannet.toml", "user-agent = \"home\"");
    let other = self::home("user-agent = \"xdg\"");
    for (xdg, wanted) in [
        (None, "home"),
        (Some("".into()), "home"),
        (Some(".config".into()), "home"),
        (Some(other.path().to_owned()), "xdg"),
    ] {
        let dir = Dir::new();
        let mut gannet = dir.gannet().env("HOME", home.path());
        if let Some(xdg) = &xdg {
            gannet = gannet.env("XDG_CONFIG_HOME", xdg);
        }
        gannet.arg(server.url("/a")).run().ok();
        let requests = server.requests();
        let last = requests.last().expect("a request");
        assert_eq!(last.header("user-agent"), Some(wanted), "{xdg:?}");
    }
}

#[test]
fn without_a_file_or_a_home_nothing_is_said() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let file = dir.write("file", "");
    for home in [dir.join("none"), file, "relative".into(), "".into()] {
        let gannet = dir
            .gannet()
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", &home);
        let out = gannet.args(["-o", "a"]).arg(server.url("/a")).run();
        out.ok();
        assert_eq!(out.stderr(), "", "{out}");
    }
}

#[test]
fn every_kind_of_value_is_taken() {
    let home = home(
        "# preferences\n\
         jobs = 0x20\nlimit-rate = \"10M\"\nstall-timeout = 2.5\ntls-min = 1.2\nretry = 0\n\
         quiet = 1\nhttp1.1 = true\ninsecure = false\nresolve = [\"h:80:127.0.0.1\"]\n\
         output-dir = \"out\"\nretry-on = 500\nexists = \"skip\"\nipv4 = true\nnetrc = true\nlimit-rate-file = 1_000\n",
    );
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let out = with(&dir, &home).arg(server.url("/a")).run();
    out.ok();
    assert_eq!(out.stdout(), "", "{out}");
    dir.assert_names(&["out/a"]);
}

#[test]
fn a_byte_order_mark_and_no_text_at_all_are_fine() {
    assert_eq!(agent("\u{feff}user-agent = \"bom\"\r\n", &[], &[]), "bom");
    assert!(agent("", &[], &[]).starts_with("gannet/"));
}

#[test]
fn what_is_typed_lifts_its_opposite() {
    for (file, flags) in [
        ("http2 = true", "--http1.1"),
        ("\"http1.1\" = true", "--http2"),
        ("ipv6 = true", "-4"),
        ("timestamping = true", "--exists skip"),
        ("exists = \"skip\"", "-N"),
        ("name = \"{host}\"", "-o x"),
        ("content-disposition = true", "--name {name}"),
        ("continue = true", "--no-resume"),
        ("bearer-env = \"NONE\"", "-u me:pass"),
        (
            "user = \"me:pass\"\nno-summary = true",
            "--bearer-env HOME --summary",
        ),
    ] {
        let home = home(file);
        let dir = Dir::new();
        let gannet = with(&dir, &home).flags(flags);
        gannet.args(["--dry-run", "http://h/a"]).run().ok();
    }
}

#[test]
fn quiet_in_a_file_does_not_hide_what_is_asked_for() {
    let server = Server::serving("/a", b"1");
    let home = home("quiet = true");
    let run = |flags| {
        let dir = Dir::new();
        let out = with(&dir, &home).flags(flags).arg(server.url("/a")).run();
        out.ok();
        out
    };
    assert_eq!(run("").both(), "");
    run("-v").traces('*', "connecting to");
    assert!(run("--json").stdout().starts_with('{'));
    assert!(run("--summary").stderr().starts_with("1 file"));
    assert_eq!(run("-q").both(), "");
}

#[test]
fn a_variable_can_turn_off_what_the_file_turns_on() {
    let home = home("dir = \"out\"\nquiet = true\nhttp2 = true");
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let gannet = with(&dir, &home).env("GANNET_QUIET", "false");
    let gannet = gannet.env("GANNET_HTTP2", "0").env("GANNET_VERBOSE", "2");
    let out = gannet.arg(server.url("/a")).run();
    out.ok().traces('>', "GET /a HTTP/1.1");
    dir.assert_names(&["out/a"]);
}

#[test]
fn help_is_had_whatever_is_configured() {
    for flag in ["--help", "-h", "--version"] {
        let home = home("nonsense");
        let dir = Dir::new();
        let out = with(&dir, &home).env("GANNET_JOBS", "x").arg(flag).run();
        out.ok();
        assert_eq!(out.stderr(), "", "{out}");
    }
}

#[test]
fn an_unknown_key_is_named_with_what_may_have_been_meant() {
    let out = refused("jobs = 4\nlimit_rate = \"1M\"\n", "http://h/a");
    out.complains("gannet.toml:2:1: unknown key 'limit_rate'; did you mean 'limit-rate'?");
    let out = refused("[network]\n  jobs = 4\n", "http://h/a");
    out.complains("gannet.toml:2:3: unknown key 'network.jobs'");
    refused("[http]\n", "http://h/a").complains(":1:2: unknown key 'http'");
    // What cannot stand there is no hint.
    let out = refused("outptu = 1", "http://h/a");
    out.complains("unknown key 'outptu'").never_says("mean");
}

#[test]
fn what_belongs_to_one_run_cannot_be_configured() {
    for key in [
        "output",
        "input-file",
        "report",
        "failed",
        "lock",
        "checksum",
        "range",
        "shard",
        "dry-run",
        "help",
    ] {
        let out = refused(format!("{key} = \"x\""), "http://h/a");
        out.complains(&format!("gannet.toml:1:1: {key} is for a single run"));
    }
    // Nor is a variable of such a name one of ours.
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let gannet = dir
        .gannet()
        .env("GANNET_OUTPUT", "x")
        .env("GANNET_SHARD", "0/9");
    gannet
        .env("GANNET_NONSENSE", "x")
        .arg(server.url("/a"))
        .run()
        .ok();
    dir.assert_names(&["a"]);
}

#[test]
fn a_value_that_is_wrong_is_told_with_its_place() {
    for (text, told) in [
        ("jobs = 0", ":1:8: jobs: must be at least 1"),
        (
            "\n\"\u{e9}\\u001b\" = 1",
            ":2:1: unknown key '\u{e9}\\u{1b}'",
        ),
        ("jobs = true", ":1:8: jobs: is a string or a number"),
        ("jobs = [1, 2]", ":1:8: jobs: is a string or a number"),
        (
            "jobs = 1979-05-27",
            ":1:8: jobs: cannot have a value of this kind",
        ),
        (
            "[jobs]\nx = 1",
            ":1:1: jobs: cannot have a value of this kind",
        ),
        ("insecure = \"yes\"", ":1:12: insecure: is true or false"),
        (
            "verbose = \"very\"",
            ":1:11: verbose: is true, false or a small number",
        ),
        (
            "header = [[]]",
            ":1:10: header: cannot have a value of this kind",
        ),
        (
            "header = true",
            ":1:10: header: is a string, or an array of strings",
        ),
        (
            "exists = \"maybe\"",
            ":1:10: exists: is one of verify, skip, overwrite, rename, error",
        ),
        ("max-redirs = -1", ":1:14: max-redirs: -1 is not in 0.."),
        ("a = ", ":1:5: "),
        ("jobs = 1\njobs = 2", ":2:1: duplicate key"),
        ("http2 = true\n\"http1.1\" = true", "cannot be used with"),
        (
            "dir = \"a\"\noutput-dir = \"b\"",
            ": output-dir: cannot be used with dir",
        ),
        ("summary = true\nno-summary = true", "cannot be used with"),
        ("key = \"k.pem\"", ":1:7: key: needs --cert <FILE>"),
    ] {
        refused(text, "http://h/a").complains(told);
    }
    refused(b"jobs = 1\nx = \"\xff\"", "http://h/a").complains(":2:6: not UTF-8");
    refused(vec![b'#'; (1 << 20) + 1], "http://h/a").complains("larger than 1 MiB");
}

#[test]
fn a_wrong_value_is_told_even_where_it_would_not_count() {
    refused("jobs = 0", "-j 4 http://h/a").complains(":1:8: jobs: must be at least 1");
}

#[test]
fn what_a_setting_needs_may_be_typed() {
    let home = home("key = \"key.pem\"");
    let dir = Dir::new();
    let gannet = with(&dir, &home).flags("--cert cert.pem --dry-run http://h/a");
    gannet.run().ok();
    let gannet = with(&dir, &home).env("GANNET_CERT", "cert.pem");
    gannet.flags("--dry-run http://h/a").run().ok();
}

#[test]
fn what_is_typed_wrong_is_a_usage_error_as_ever() {
    let home = home("jobs = 4");
    for flags in [
        "",
        "--nonsense http://h/a",
        "-j 0 http://h/a",
        "-4 -6 http://h/a",
    ] {
        let dir = Dir::new();
        let out = with(&dir, &home).flags(flags).run();
        out.code(2).complains("--help'").never_says("gannet.toml");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, told) in [
        ("GANNET_JOBS", "many", "GANNET_JOBS: not a whole number"),
        (
            "GANNET_INSECURE",
            "yes",
            "GANNET_INSECURE: is true or false",
        ),
        ("GANNET_HTTP1_1", "2", "GANNET_HTTP1_1: is true or false"),
        ("GANNET_EXISTS", "x", "GANNET_EXISTS: is one of verify"),
        ("GANNET_IPV4", "x", "GANNET_IPV4: is true or false"),
    ] {
        let dir = Dir::new();
        let out = dir.gannet().env(name, value).arg("http://h/a").run();
        out.code(2).complains(told);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_usage_error() {
    let home = Dir::new();
    home.make_dir("gannet/gannet.toml");
    let dir = Dir::new();
    let out = with(&dir, &home).arg("http://h/a").run();
    out.code(2)
        .complains("cannot read")
        .complains("gannet.toml: Is a directory");
    let gannet = with(&dir, &home).flags("--no-config --dry-run");
    gannet.arg("http://h/a").run().ok();
    // To root nothing is forbidden.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let home = self::home("jobs = 4");
    let path = home.join("gannet/gannet.toml");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o000)).expect("a file of ours");
    let out = with(&dir, &home).arg("http://h/a").run();
    out.code(2).complains("Permission denied");
}

#[test]
fn a_folder_that_may_not_be_entered_has_no_file() {
    // To root nothing is forbidden.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::serving("/a", b"a");
    let (dir, home) = (Dir::new(), home("jobs = 0\n"));
    let config = home.join("gannet");
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o000)).expect("ours");
    let out = with(&dir, &home).arg(server.url("/a")).run();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o700)).expect("ours");
    out.ok();
}

#[test]
fn secrets_that_are_configured_come_out_nowhere() {
    for text in [
        "header = \"hunter2 x: 1\"",
        "header = \"hunter2\"",
        "header = [\"X-A: 1\", \"Authorization Bearer hunter2: 1\"]",
        "user = hunter2",
        "user = [\"hunter2\"]",
        "user = \"me:hunter2",
        "referer = \"a\\u0001hunter2\"",
        "bearer-env = true\nuser = \"me:hunter2\"",
    ] {
        refused(text, "http://h/a").never_says("hunter2");
    }
    let dir = Dir::new();
    let gannet = dir.gannet().env("GANNET_HEADER", "hunter2");
    let out = gannet.arg("http://h/a").run();
    out.code(2)
        .complains("GANNET_HEADER: a header has the form")
        .never_says("hunter2");
    let server = Server::start(|s| {
        s.get("/a").status(404);
    });
    let home = home("user = \"me:hunter2\"\nheader = \"X-Api-Key: hunter2\"");
    let out = with(&dir, &home).args(["-vv"]).arg(server.url("/a")).run();
    out.code(8).never_says("hunter2");
    assert!(server.request("/a").header("authorization").is_some());
}
