//! Names: from the URL, from the server, never outside the folder, never one over another.

use crate::harness::{Dir, Ntfs, Output, noise, sha256_hex};
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
    let out = dir.fetch("-d in --content-disposition", server.url(path));
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
fn names_that_only_windows_refuses_stay_as_they_are() {
    for path in ["/CON", "/src/aux.c", "/Aux.tar.gz", "/Vol.", "/a%5Cb"] {
        let (name, _) = name_of(path, None);
        let wanted = path.rsplit('/').next().unwrap_or_default();
        assert_eq!(name, wanted.replace("%5C", "\\"), "{path}");
    }
    let body = b"hello";
    let server = Server::serving("/drivers/aux.c", body);
    let dir = Dir::new();
    let list = format!("{}  drivers/aux.c\n", sha256_hex(body));
    let gannet = dir.gannet().flags("-i - --base").arg(server.url("/"));
    gannet.input(list).run().ok();
    dir.assert_file("drivers/aux.c", body);
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
    for path in [
        "/etc/b",
        "b/",
        r"C:\\temp\\b",
        r"C:\temp\b",
        r"\\server\share\b",
        r"..\\b\\",
        r"a\\..//b",
        "%2e%2e%2fb",
        "%62",
    ] {
        let (found, _) = name_of("/a", Some(&format!("attachment; filename=\"{path}\"")));
        assert_eq!(found, "b", "{path}");
    }
}

#[test]
fn the_end_of_redirects_names_the_file_if_asked_to() {
    let server = Server::start(|s| {
        s.get("/get.php").redirect(302, "/final/a.txt");
        s.get("/final/a.txt").body(b"1");
        s.get("/named").redirect(302, "/other");
        s.get("/other")
            .body(b"2")
            .header("Content-Disposition", "attachment; filename=b");
        s.get("/direct").body(b"3");
    });
    let urls = ["/get.php", "/named", "/direct"].map(|path| server.url(path));
    for (flags, names) in [
        ("", ["direct", "get.php", "named"]),
        ("--trust-server-names", ["a.txt", "direct", "other"]),
        (
            "--trust-server-names --content-disposition",
            ["a.txt", "b", "direct"],
        ),
    ] {
        let dir = Dir::new();
        dir.gannet().flags(flags).args(&urls).run().ok();
        dir.assert_names(&names);
    }
}

#[test]
fn an_output_with_a_slash_at_its_end_is_a_folder() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    dir.fetch("-o new/", server.url("/a")).ok();
    dir.assert_file("new/a", b"1");
}

#[test]
fn a_server_does_not_name_the_file_unasked() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"1")
            .header("Content-Disposition", "attachment; filename=b");
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).ok();
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
    let server = Server::serving("/a", b"1");
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
    let server = Server::serving("/a", b"1");
    for out in ["../evil", "x/../../evil"] {
        let dir = Dir::new();
        dir.fetch_list("-d in", format!("{}\n out={out}\n", server.url("/a")));
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

/// The bodies in a folder, whatever their names.
fn bodies(files: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = files.iter().map(|(_, body)| body.clone()).collect();
    bodies.sort();
    bodies
}

#[test]
fn names_that_the_file_system_takes_for_one_stand_side_by_side() {
    for (flags, size) in [
        ("-j 1", 10),
        ("-j 8", 10),
        ("-j 1", 40_000),
        ("-j 8", 40_000),
    ] {
        let Some(ntfs) = Ntfs::mount("ignore_case") else {
            return;
        };
        let paths = ["/Readme", "/README", "/x/readme", "/\u{c4}", "/\u{e4}"];
        let body = |path: &str| [path.as_bytes(), &noise(size)].concat();
        let server = Server::start(|s| {
            for path in paths {
                s.get(server_path(path).as_str()).body(body(path));
            }
        });
        for exists in ["verify", "overwrite", "skip", "error", "rename"] {
            let urls = paths.map(|path| server.url(&server_path(path)));
            let run = ntfs.gannet().flags(flags).args(["--exists", exists]);
            run.args(["-d", &format!("mnt/{exists}")])
                .args(urls)
                .run()
                .ok();
        }
        let files = ntfs.files();
        for exists in ["verify", "overwrite", "skip", "error", "rename"] {
            let of_run: Vec<_> = files
                .iter()
                .filter(|(name, _)| name.starts_with(exists))
                .cloned()
                .collect();
            let mut wanted = paths.map(body);
            wanted.sort();
            assert_eq!(bodies(&of_run), wanted, "{exists} {flags}");
        }
    }
}

/// A path as a URL has it.
fn server_path(path: &str) -> String {
    path.replace('\u{c4}', "%C3%84").replace('\u{e4}', "%C3%A4")
}

#[test]
fn another_run_finds_the_names_that_the_file_system_takes_for_one() {
    let Some(ntfs) = Ntfs::mount("ignore_case") else {
        return;
    };
    let server = Server::start(|s| {
        s.get("/Readme").body(b"1").etag("\"1\"").conditional();
        s.get("/README").body(b"2").etag("\"2\"").conditional();
    });
    for _ in 0..2 {
        let run = ntfs.gannet().flags("-d mnt/o");
        run.args([server.url("/Readme"), server.url("/README")])
            .run()
            .ok();
        assert_eq!(bodies(&ntfs.files()), [b"1", b"2"]);
    }
}

#[test]
fn a_name_that_a_list_gives_twice_in_other_cases_is_an_error_of_the_second_row() {
    let Some(ntfs) = Ntfs::mount("ignore_case") else {
        return;
    };
    let server = Server::start(|s| {
        s.get("/1").body(b"1");
        s.get("/2").body(b"2");
    });
    let list = format!(
        "{}\n  out=Readme\n{}\n  out=README\n",
        server.url("/1"),
        server.url("/2")
    );
    let out = ntfs.dir().fetch_list("-d mnt/o", list);
    out.complains("an earlier row has the name 'README'");
    assert_ne!(out.exit_code(), Some(0));
    assert_eq!(bodies(&ntfs.files()), [b"1"]);
}

#[test]
fn two_processes_do_not_write_one_partial_file_under_two_spellings() {
    let Some(ntfs) = Ntfs::mount("ignore_case") else {
        return;
    };
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/Readme").body(noise(300_000)).drip(200_000, &gate);
        s.get("/README").body(noise(200_000));
    });
    let running = ntfs.gannet().flags("-d mnt/o").arg(server.url("/Readme"));
    let running = running.spawn();
    gate.let_one_through();
    ntfs.dir().wait_for_size("mnt/o/readme.part", 1);
    let out = ntfs.gannet().flags("-d mnt/o").arg(server.url("/README"));
    out.run().ok();
    gate.open();
    running.finish().ok();
    let bodies = bodies(&ntfs.files());
    assert_eq!(bodies.len(), 2);
    assert!(bodies.contains(&noise(300_000)) && bodies.contains(&noise(200_000)));
}

#[test]
fn a_name_from_a_url_is_made_to_fit_a_file_system_that_refuses_it() {
    let Some(ntfs) = Ntfs::mount("windows_names") else {
        return;
    };
    let server = Server::start(|s| {
        s.get("/x/a:b%3F.txt")
            .body(b"1")
            .etag("\"1\"")
            .conditional();
        s.get("/x/a_b_.txt").body(b"2").etag("\"2\"").conditional();
        s.get("/aux.c").body(b"4").etag("\"4\"").conditional();
        s.get("/Vol.").body(b"5").etag("\"5\"").conditional();
        s.get("/c")
            .body(b"3")
            .header("Content-Disposition", "attachment; filename=\"d*e\"");
    });
    for _ in 0..2 {
        let run = ntfs.gannet().flags("-d mnt/o --content-disposition");
        let paths = ["/x/a:b%3F.txt", "/x/a_b_.txt", "/c", "/aux.c", "/Vol."];
        run.args(paths.map(|path| server.url(path))).run().ok();
        let files = ntfs.files();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["o/Vol_", "o/_aux.c", "o/a_b_.txt", "o/a_b_.txt.1", "o/d_e"]
        );
        assert_eq!(bodies(&files), [b"1", b"2", b"3", b"4", b"5"]);
    }
    let run = ntfs.gannet().flags("-d mnt/p --name {name}/{path}");
    run.arg(server.url("/x/a:b%3F.txt")).run().ok();
    ntfs.dir().assert_file("mnt/p/a_b_.txt/x/a_b_.txt", b"1");
}

#[test]
fn a_name_that_was_typed_or_listed_is_not_changed_where_the_file_system_refuses_it() {
    let Some(ntfs) = Ntfs::mount("windows_names") else {
        return;
    };
    let server = Server::serving("/a", b"1");
    let url = server.url("/a");
    let typed = ntfs.gannet().args(["-d", "mnt", "-o", "a:b", &url]).run();
    let listed = |options: &str| {
        let run = ntfs.gannet().flags("-i - -d mnt");
        run.input(format!("{url}\n  {options}\n")).run()
    };
    for out in [typed, listed("out=x/a:b"), listed("dir=a:b")] {
        assert_ne!(out.exit_code(), Some(0), "{out}");
        out.complains("the file system takes none of");
    }
    assert_eq!(ntfs.files(), []);
}

#[test]
fn a_template_tells_urls_of_one_name_apart_by_their_hash() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let url = server.url("/a");
    let with_login = url.replace("http://", "http://me:pw@");
    let out = dir.gannet().flags("--name {hash} --dry-run");
    let out = out.args([&format!("{url}?1"), &format!("{with_login}?1#part")]);
    let out = out.run();
    out.ok();
    let paths: Vec<_> = out.stdout().lines().map(str::to_owned).collect();
    let hash = |line: &String| line.rsplit_once(" -> ").map(|(_, path)| path.to_owned());
    let (first, second) = (hash(&paths[0]).unwrap(), hash(&paths[1]).unwrap());
    assert_eq!(second, format!("{first}.1"), "one file: {out}");
}

#[test]
fn no_name_is_forgotten_however_long_the_list() {
    let dir = Dir::new();
    let mut list: String = (0..101_000).map(|n| format!("http://h/{n}\n")).collect();
    list.push_str("http://h/x/7\nhttp://h/x/100500\nhttp://h/y/100500\n");
    let out = dir.fetch_list("--dry-run", list);
    out.ok();
    let planned = out.stdout();
    let last: Vec<_> = planned.lines().rev().take(3).collect();
    for (line, name) in last.into_iter().rev().zip(["7.1", "100500.1", "100500.2"]) {
        assert!(line.ends_with(&format!("/{name}")), "{line}");
    }
    dir.assert_names(&[]);
}
