//! A machine that gives out: few descriptors, closed streams, full and read-only disks, folders
//! that go away, names that are links, and a program that is stopped and goes on.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::harness::coding::gzip;
use crate::harness::sandbox::on_a_disk;
use crate::harness::{Dir, Gannet, noise};
use crate::server::{Gate, Script, Server};

/// Files at `/0`, `/1`…, too large for the short way to the disk.
fn large(s: &mut Script, count: usize) {
    for at in 0..count {
        s.get(&format!("/{at}")).body(noise(300_000 + at));
    }
}

/// A list of these files; each row has a separate folder.
fn in_folders(server: &Server, count: usize) -> String {
    (0..count)
        .map(|at| format!("{}\n  dir=d{at}/e\n", server.url(&format!("/{at}"))))
        .collect()
}

#[test]
fn rows_in_folders_of_their_own_come_with_few_descriptors() {
    let server = Server::start(|s| large(s, 60));
    for limit in [32, 40, 64] {
        let dir = Dir::new();
        dir.write("list", in_folders(&server, 60));
        dir.gannet()
            .shell(&format!("ulimit -n {limit}"))
            .flags("-t 0 -j 32 -i list -d out")
            .run()
            .ok();
        for at in 0..60 {
            dir.assert_file(&format!("out/d{at}/e/{at}"), noise(300_000 + at));
        }
    }
}

#[test]
fn descriptors_that_others_left_open_are_not_counted_on() {
    let server = Server::start(|s| large(s, 30));
    let dir = Dir::new();
    dir.write("list", in_folders(&server, 30));
    let open: String = (3..10).map(|n| format!("exec {n}</dev/null; ")).collect();
    dir.gannet()
        .shell(&format!("{open}ulimit -n 40"))
        .flags("-t 0 -j 32 -i list -d out")
        .run()
        .ok();
}

#[test]
fn those_that_sleep_until_a_retry_do_not_use_the_descriptors_up() {
    let server = Server::start(|s| {
        for at in 0..40 {
            let path = format!("/{at}");
            let route = s.get(&path).body(noise(300_000)).cut_at(280_000);
            route.then().body(noise(300_000));
        }
    });
    let dir = Dir::new();
    dir.write("list", in_folders(&server, 40));
    dir.gannet()
        .shell("ulimit -n 32")
        .flags("-j 8 --retry-delay 200ms -i list -d out")
        .run()
        .ok();
    assert_eq!(dir.names().len(), 41);
}

#[test]
fn a_body_may_be_thrown_away_however_the_null_device_was_opened() {
    let server = Server::start(|s| large(s, 1));
    let dir = Dir::new();
    // A shell opens it for writing; daemons, and programs in many languages, for both.
    for opened in [">/dev/null", "1<>/dev/null"] {
        let null = dir.gannet().shell(&format!("exec {opened}")).flags("-o -");
        null.arg(server.url("/0")).run().ok();
    }
}

#[test]
fn closed_streams_do_not_cost_a_file() {
    let server = Server::start(|s| large(s, 1));
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let dir = Dir::new();
        dir.gannet()
            .shell(&format!("exec {closed}"))
            .arg(server.url("/0"))
            .run()
            .ok();
        dir.assert_names(&["0"]);
        dir.assert_file("0", noise(300_000));
    }
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let dir = Dir::new();
    for flag in ["--help", "--version"] {
        let full = dir.gannet().shell("exec >/dev/full").arg(flag);
        full.run().code(12);
        dir.gannet().arg(flag).stdout_without_reader().run().ok();
    }
    let closed = dir.gannet().shell("exec 2>&-").arg("--nonsense");
    closed.run().code(2);
}

/// The program with a small file system in memory at `disk`, to which it fetches.
fn with_disk(dir: &Dir, options: &str) -> Option<Gannet> {
    with_disk_and(dir, options, "exec \"$0\" \"$@\"")
}

/// A script in place of the program, `"$0" "$@"`, with such a file system.
fn with_disk_and(dir: &Dir, options: &str, script: &str) -> Option<Gannet> {
    on_a_disk(dir, options, script).map(|gannet| gannet.flags("-d disk"))
}

#[test]
fn a_full_disk_has_its_own_exit_code() {
    let server = Server::start(|s| {
        s.get("/a").body(noise(2_000_000));
        s.get("/chunks").body(noise(2_000_000)).chunked(9000);
        s.get("/b").body(noise(500));
    });
    for path in ["/a", "/chunks"] {
        let dir = Dir::new();
        let Some(gannet) = with_disk(&dir, "size=1m") else {
            return;
        };
        let out = gannet.args([server.url(path), server.url("/b")]).run();
        out.code(12).complains("No space left").complains(path);
        assert_eq!(out.failure().tries, 1, "{out}");
        assert_eq!(
            out.completions().len(),
            1,
            "there is room for the other: {out}"
        );
    }
}

#[test]
fn a_few_bytes_that_decode_to_more_than_the_disk_has_end_alone() {
    let server = Server::start(|s| {
        let route = s.get("/a").body(gzip(&vec![0; 20 << 20]));
        route.header("Content-Encoding", "gzip");
        s.get("/b").body(noise(500));
    });
    let dir = Dir::new();
    let Some(gannet) = with_disk(&dir, "size=1m") else {
        return;
    };
    let gannet = gannet.flags("--compressed");
    let out = gannet.args([server.url("/a"), server.url("/b")]).run();
    out.code(12).complains("No space left").complains("/a");
    assert_eq!(out.completions().len(), 1, "{out}");
}

#[test]
fn a_file_that_filled_the_disk_is_gone_on_from_when_there_is_space() {
    let body = noise(2_000_000);
    let server = Server::start(|s| {
        let route = s.get("/a").body(&body).etag("\"v1\"").ranges();
        route.pace(50_000, Duration::from_millis(1));
    });
    for (flags, least) in [("-s 1", 500_000), ("-s 4", 100_000)] {
        let dir = Dir::new();
        dir.write("body", &body);
        // Both runs, and what makes space between them, see the same disk.
        let first =
            r#""$0" "$@"; [ $? = 12 ] && ls disk/a.part.gannet && ! ls disk/a && rm disk/ballast"#;
        let second = r#""$0" "$@" && cmp disk/a body && [ "$(ls disk)" = a ]"#;
        let script = format!("head -c 1000000 /dev/zero >disk/ballast; {first} && {second}");
        let Some(gannet) = with_disk_and(&dir, "size=2500k", &script) else {
            return;
        };
        let asked = server.requests().len();
        let gannet = gannet.flags("--min-split 100K -t 0 -q").flags(flags);
        let out = gannet.arg(server.url("/a")).run();
        out.ok().complains("No space left");
        // The second run asks for parts alone, and not for what the first has brought.
        let requests = server.requests().split_off(asked);
        let ranges: Vec<_> = requests.iter().map(|one| one.header("Range")).collect();
        let wholes = ranges.iter().filter(|range| range.is_none()).count();
        assert_eq!(wholes, 1, "{ranges:?} {out}");
        let last_start = |range: &str| -> Option<usize> {
            let start = range.strip_prefix("bytes=")?.split('-').next()?;
            start.parse().ok()
        };
        let furthest = ranges
            .iter()
            .flatten()
            .filter_map(|range| last_start(range));
        assert!(
            furthest.max().is_some_and(|start| start >= least),
            "{ranges:?}"
        );
    }
}

#[test]
fn a_read_only_disk_is_a_disk_failure() {
    let server = Server::start(|s| large(s, 1));
    let dir = Dir::new();
    let Some(gannet) = with_disk(&dir, "ro") else {
        return;
    };
    let out = gannet.arg(server.url("/0")).run();
    out.code(3)
        .complains("Read-only")
        .complains("disk/0")
        .complains("(1 try)");
}

#[test]
fn a_folder_that_goes_away_is_a_disk_failure_of_its_files_alone() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(noise(300_000)).drip(200_000, &gate);
        s.get("/b").body(noise(500));
    });
    let dir = Dir::new();
    dir.write(
        "list",
        format!("{}\n  dir=gone\n{}\n", server.url("/a"), server.url("/b")),
    );
    let running = dir.gannet().flags("-i list -d out").spawn();
    running.wait_for_line(&server.url("/b"));
    fs::remove_dir_all(dir.join("out/gone")).unwrap();
    gate.open();
    let out = running.finish();
    out.code(3).complains("out/gone/a");
    dir.assert_names(&["list", "out/b"]);
}

#[test]
fn a_link_at_the_final_name_is_replaced_and_not_followed() {
    let server = Server::start(|s| large(s, 1));
    let dir = Dir::new();
    dir.write("outside", b"as it was");
    dir.make_dir("in");
    symlink(dir.join("outside"), dir.join("in/0")).unwrap();
    dir.fetch("-d in", server.url("/0")).ok();
    dir.assert_file("outside", b"as it was");
    dir.assert_file("in/0", noise(300_000));
    assert!(fs::symlink_metadata(dir.join("in/0")).unwrap().is_file());
}

#[test]
fn a_link_out_of_the_folder_is_not_walked() {
    let server = Server::start(|s| large(s, 1));
    let dir = Dir::new();
    let outside = Dir::new();
    dir.make_dir("in");
    symlink(outside.path(), dir.join("in/way")).unwrap();
    dir.write("list", format!("{}\n  dir=way\n", server.url("/0")));
    let out = dir.gannet().flags("-i list -d in").run();
    out.code(3).complains("in/way");
    outside.assert_names(&[]);
}

#[test]
fn what_is_stopped_and_goes_on_keeps_its_transfer() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/a").body(noise(300_000)).drip(100_000, &gate);
    });
    let dir = Dir::new();
    let running = dir.gannet().flags("-t 0").arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    running.signal("STOP");
    gate.open();
    running.signal("WINCH");
    running.signal("CONT");
    running.finish().ok();
    dir.assert_file("a", noise(300_000));
}
