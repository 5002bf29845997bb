//! Names: from the URL, from the server, never outside the folder, never one over another.

use crate::harness::{Dir, Output, noise};
use crate::server::{Gate, Server};

/// Fetches one path into `in`, and gives the name that the file got.
fn name_of(path: &str, disposition: Option<&str>) -> (String, Output) {
    let server = Server::start(|s| {
        let route = s
            .get(path.split('?').next().unwrap_or(path))
            .body(b"the body");
        if let Some(disposition) = disposition {
            route.header("Content-Disposition", disposition);
        }
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .flags("-d in --content-disposition")
        .arg(server.url(path))
        .run();
    out.ok();
    let names = dir.names();
    assert_eq!(names.len(), 1, "one file from {path}, not {names:?}: {out}");
    let name = names[0]
        .strip_prefix("in/")
        .unwrap_or_else(|| panic!("{path} left its folder as {names:?}"));
    assert!(!name.contains('/'), "{path} made folders: {name}");
    dir.assert_file(&names[0], b"the body");
    (name.to_owned(), out)
}

#[test]
fn a_name_is_the_last_part_of_the_path() {
    assert_eq!(name_of("/x/y/file.tar.gz", None).0, "file.tar.gz");
    assert_eq!(name_of("/a%20b", None).0, "a b");
    assert_eq!(name_of("/%C3%A9t%C3%A9", None).0, "été");
    assert!(name_of("/f?q=1/2", None).0.starts_with('f'));
}

#[test]
fn a_path_without_a_name_becomes_index_html() {
    assert_eq!(name_of("/", None).0, "index.html");
    assert_eq!(name_of("/folder/", None).0, "index.html");
}

#[test]
fn no_path_leaves_the_folder() {
    for path in [
        "/..%2fevil",
        "/..%2F..%2F..%2Fevil",
        "/%2fetc%2fevil",
        "/x/..%5c..%5cevil",
        "/%2e%2e%2fevil",
        "/.%2fevil",
    ] {
        let (name, _) = name_of(path, None);
        assert!(name != "." && name != "..", "{path}: {name}");
    }
}

#[test]
fn no_name_has_controls() {
    for path in [
        "/a%00b",
        "/a%0ab",
        "/a%1b%5b2Jb",
        "/a%7fb",
        "/a%09b",
        "/a%C2%85b",
    ] {
        let (name, out) = name_of(path, None);
        assert!(!name.chars().any(char::is_control), "{path}: {name:?}");
        out.never_says("\u{1b}").never_says("\0");
    }
}

#[test]
fn no_name_is_a_device() {
    for path in ["/CON", "/nul", "/com1.txt", "/Aux.tar.gz"] {
        let (name, _) = name_of(path, None);
        let stem = name.split('.').next().unwrap_or_default();
        let is_device = ["CON", "NUL", "COM1", "AUX"]
            .iter()
            .any(|device| stem.eq_ignore_ascii_case(device));
        assert!(!is_device, "{path}: {name}");
    }
}

#[test]
fn a_long_name_is_cut_and_stays_whole_letters() {
    let (name, _) = name_of(&format!("/{}.bin", "x".repeat(400)), None);
    assert!(name.len() <= 255, "{} bytes", name.len());
    let (name, _) = name_of(&format!("/{}", "%C3%A9".repeat(200)), None);
    assert!(
        name.len() <= 255 && !name.contains('\u{fffd}'),
        "{} bytes: {name}",
        name.len()
    );
}

#[test]
fn a_server_may_name_the_file_when_asked_to() {
    assert_eq!(
        name_of("/a", Some("attachment; filename=\"report.pdf\"")).0,
        "report.pdf"
    );
    assert_eq!(
        name_of("/a", Some("attachment; filename=report.pdf")).0,
        "report.pdf"
    );
    assert_eq!(
        name_of(
            "/a",
            Some("attachment; filename=\"x\"; filename*=UTF-8''na%C3%AFve%20file.txt")
        )
        .0,
        "naïve file.txt"
    );
    assert_eq!(name_of("/a", Some("inline")).0, "a");
    assert_eq!(name_of("/a", Some("attachment; filename=\"\"")).0, "a");
}

#[test]
fn a_server_may_not_name_a_path() {
    for name in [
        "../../evil",
        "/etc/evil",
        "..\\..\\evil",
        "C:\\evil",
        "..",
        ".",
    ] {
        let (found, _) = name_of("/a", Some(&format!("attachment; filename=\"{name}\"")));
        assert!(found != "." && found != "..", "{name}: {found}");
    }
    name_of("/a", Some("attachment; filename*=UTF-8''..%2F..%2Fevil%00"));
    for path in ["/etc/b", "b/", r"C:\\temp\\b", r"..\\b\\", r"a\\..//b"] {
        let (found, _) = name_of("/a", Some(&format!("attachment; filename=\"{path}\"")));
        assert_eq!(found, "b", "{path}");
    }
}

#[test]
fn a_server_does_not_name_the_file_unasked() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"1")
            .header("Content-Disposition", "attachment; filename=b");
    });
    let dir = Dir::new();
    dir.gannet().arg(server.url("/a")).run().ok();
    dir.assert_names(&["a"]);
}

#[test]
fn two_rows_of_one_name_stand_side_by_side() {
    let server = Server::start(|s| {
        s.get("/x/a").body(b"first");
        s.get("/y/a").body(b"second");
        s.get("/z/a").body(b"third");
    });
    let dir = Dir::new();
    let out = dir
        .gannet()
        .args(["/x/a", "/y/a", "/z/a"].map(|path| server.url(path)))
        .run();
    out.ok();
    dir.assert_names(&["a", "a.1", "a.2"]);
    dir.assert_file("a", b"first");
    dir.assert_file("a.1", b"second");
    dir.assert_file("a.2", b"third");
    let second = out
        .completions()
        .into_iter()
        .find(|line| line.url == server.url("/y/a"));
    assert!(
        second.is_some_and(|line| line.path.ends_with("a.1") && line.is_renamed),
        "{out}"
    );
}

#[test]
fn one_url_twice_is_two_files() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
    });
    let dir = Dir::new();
    dir.gannet()
        .args([server.url("/a"), server.url("/a")])
        .run()
        .ok();
    dir.assert_names(&["a", "a.1"]);
}

#[test]
fn two_names_from_servers_that_are_one_stand_side_by_side() {
    let server = Server::start(|s| {
        s.get("/x")
            .body(b"1")
            .header("Content-Disposition", "attachment; filename=a");
        s.get("/y")
            .body(b"2")
            .header("Content-Disposition", "attachment; filename=a");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("--content-disposition")
        .args([server.url("/x"), server.url("/y")])
        .run()
        .ok();
    dir.assert_names(&["a", "a.1"]);
    let mut bodies = [dir.read("a"), dir.read("a.1")];
    bodies.sort();
    assert_eq!(bodies, [b"1", b"2"]);
}

#[test]
fn a_name_that_was_typed_or_listed_goes_before_the_servers() {
    let server = Server::start(|s| {
        s.get("/x")
            .body(b"1")
            .header("Content-Disposition", "attachment; filename=given");
    });
    let dir = Dir::new();
    let run = dir.gannet().flags("--content-disposition -o typed");
    run.arg(server.url("/x")).run().ok();
    dir.assert_names(&["typed"]);
    let list = format!("{0}\n  out=listed\n{0}\n", server.url("/x"));
    let run = dir.gannet().flags("--content-disposition -i -");
    run.input(list).run().ok();
    dir.assert_names(&["given", "listed", "typed"]);
}

#[test]
fn a_file_named_like_anothers_partial_does_not_mix_with_it() {
    let (body, other) = (noise(50_000), noise(40_000));
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(&body).drip(25_000, &gate);
        s.get("/a.part").body(&other);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .args([server.url("/a"), server.url("/a.part")])
        .spawn();
    gate.let_one_through();
    running.wait_for_line(&server.url("/a.part"));
    gate.open();
    running.finish().ok();
    dir.assert_file("a", &body);
    assert!(
        dir.names()
            .iter()
            .any(|name| name != "a" && dir.read(name) == other),
        "{:?}",
        dir.names()
    );
}

#[test]
fn a_row_cannot_name_a_file_outside() {
    let server = Server::start(|s| {
        s.get("/a").body(b"1");
    });
    for out in ["../evil", "x/../../evil"] {
        let dir = Dir::new();
        dir.gannet()
            .flags("-i - -d in")
            .input(format!("{}\n out={out}\n", server.url("/a")))
            .run();
        assert!(
            dir.names().iter().all(|name| name.starts_with("in/")),
            "{out}: {:?}",
            dir.names()
        );
    }
}

#[test]
fn a_template_names_files_and_makes_folders() {
    let server = Server::start(|s| {
        s.get("/x/a.txt").body(b"1");
        s.get("/y/a.txt").body(b"2");
        s.get("/b").body(b"3");
    });
    let dir = Dir::new();
    let list = format!(
        "{}\n{}\n{}\n  out=named\n",
        server.url("/x/a.txt"),
        server.url("/y/a.txt"),
        server.url("/b")
    );
    dir.gannet()
        .args(["-i", "-", "-d", "out", "--name", "{host}/{path}"])
        .input(&list)
        .run()
        .ok();
    dir.assert_names(&[
        "out/127.0.0.1/x/a.txt",
        "out/127.0.0.1/y/a.txt",
        "out/named",
    ]);
    let out = dir
        .gannet()
        .args(["-i", "-", "--dry-run", "--name", "{index}-{stem}.bin"])
        .input(&list)
        .run();
    out.ok();
    assert!(out.stdout().contains("2-a.bin"), "{out}");
}

#[test]
fn a_template_that_leads_out_is_a_usage_error() {
    let dir = Dir::new();
    for template in ["../{name}", "/tmp/{name}", "{nam}", "{name", "{name}/"] {
        let out = dir
            .gannet()
            .args(["--name", template, "http://127.0.0.1:1/a"])
            .run();
        out.code(2).complains("--name");
    }
}
