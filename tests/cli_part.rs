//! `NAME.part` and its state beside a disk that refuses, other programs, other URLs, a loss of power, and kills at the
//! moments that matter: what ends at a final name is right, and nothing of others is lost.

use std::fs;

use crate::harness::sandbox::{injecting, on_a_disk};
use crate::harness::{Dir, Output, noise, other_noise};
use crate::server::{Gate, Server};

const SIZE: usize = 3_000_000;
const CUT: usize = 1_200_000;

/// A server of `/a` that sends its first `CUT` bytes, and the rest when the gate is open.
fn dripping(gate: &Gate) -> Server {
    Server::start(|s| {
        let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
        route.drip(CUT, gate);
        route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
    })
}

/// A run of `/a` that was killed after its first state.
fn killed(server: &Server, gate: &Gate, dir: &Dir) {
    let running = dir.gannet().flags("-s 1").arg(server.url("/a")).spawn();
    gate.let_one_through();
    dir.wait_for_size("a.part.gannet", 1);
    running.signal("KILL");
    running.finish();
    gate.open();
}

fn last_range(server: &Server) -> Option<String> {
    let requests = server.requests();
    let last = requests.last().expect("a request");
    last.header("Range").map(str::to_owned)
}

#[test]
fn a_state_that_finds_no_room_changes_no_byte_of_the_file() {
    for (flags, options) in [
        // A folder, a part and nothing more: no state can be made.
        ("-s 1", "size=16m,nr_inodes=3"),
        ("-s 4 --min-split 100K", "size=16m,nr_inodes=3"),
    ] {
        let server = Server::start(|s| {
            let route = s.get("/a").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.pace(40_000, std::time::Duration::from_millis(20));
        });
        let dir = Dir::new();
        dir.write("body", noise(SIZE));
        let script = r#""$0" "$@" && cmp disk/out/a body && [ "$(ls disk/out)" = a ]"#;
        let Some(gannet) = on_a_disk(&dir, options, script) else {
            return;
        };
        let gannet = gannet.flags("-t 0 -d disk/out").flags(flags);
        gannet.arg(server.url("/a")).run().ok();
    }
}

#[test]
fn a_disk_that_is_full_for_a_moment_makes_no_wrong_file() {
    let gate = Gate::new();
    let server = dripping(&gate);
    let dir = Dir::new();
    dir.write("body", noise(SIZE));
    // Another program fills the disk while the server sends nothing, and states are due; then there is room again.
    let script = r#""$0" "$@" & until [ -e disk/a.part.gannet ]; do sleep 0.05; done
        touch part; head -c 16m /dev/zero >disk/other 2>/dev/null; rm disk/a.part.gannet
        touch full; until [ -e go ]; do sleep 0.05; done; rm disk/other; touch empty; wait $! && cmp disk/a body"#;
    let Some(gannet) = on_a_disk(&dir, "size=6m", script) else {
        return;
    };
    let running = gannet
        .flags("-t 0 -s 1 -d disk")
        .arg(server.url("/a"))
        .spawn();
    gate.let_one_through();
    let wait_for = |name: &str| {
        while !dir.has(name) {
            std::thread::yield_now();
        }
    };
    wait_for("full");
    // Another bit of the body comes, and cannot be written or be stated.
    dir.write("go", b"");
    wait_for("empty");
    gate.open();
    running.finish().ok();
}

#[test]
fn a_validator_of_another_url_is_not_believed() {
    let server = Server::start(|s| {
        for (path, size) in [("/one/a", 300_000), ("/two/a", 300_001)] {
            let route = s.get(path).body(noise(size)).etag("\"same\"");
            route.conditional();
        }
    });
    let dir = Dir::new();
    dir.fetch("", server.url("/one/a")).ok();
    let out = dir.fetch("", server.url("/one/a"));
    assert_eq!(out.completion().word, "kept", "{out}");
    let out = dir.fetch("", server.url("/two/a"));
    assert_eq!(out.completion().word, "done", "{out}");
    dir.assert_file("a", noise(300_001));
    let requests = server.requests();
    let last = requests.last().expect("a request");
    assert_eq!(last.header("If-None-Match"), None);
}

#[test]
fn a_file_that_a_mirror_has_brought_is_asked_about_at_that_mirror() {
    let dead = Server::start(|s| {
        s.get("/a").status(404);
    });
    let server = Server::start(|s| {
        s.get("/a")
            .body(noise(300_000))
            .etag("\"v1\"")
            .conditional();
    });
    let dir = Dir::new();
    let list = format!("{}\t{}\n", dead.url("/a"), server.url("/a"));
    let fetch = || dir.fetch_list("", &list);
    fetch().ok();
    let asked = dead.requests().len();
    let out = fetch();
    assert_eq!(out.completion().word, "kept", "{out}");
    assert_eq!(dead.requests().len(), asked);
}

#[test]
fn a_name_that_the_server_gives_takes_no_part_of_another_url() {
    for path in ["/other", "/small"] {
        let gate = Gate::new();
        let server = Server::start(|s| {
            let route = s.get("/real").body(noise(SIZE)).etag("\"v1\"").ranges();
            route.drip(CUT, &gate);
            route.then().body(noise(SIZE)).etag("\"v1\"").ranges();
            let route = s.get("/other").body(other_noise(SIZE + 1)).etag("\"v2\"");
            route.header("Content-Disposition", "attachment; filename=real");
            let route = s.get("/small").body(other_noise(50)).etag("\"v3\"");
            route.header("Content-Disposition", "attachment; filename=real");
        });
        let dir = Dir::new();
        let running = dir.gannet().flags("-s 1").arg(server.url("/real")).spawn();
        gate.let_one_through();
        dir.wait_for_size("real.part.gannet", 1);
        running.signal("KILL");
        running.finish();
        let (part, state) = (dir.read("real.part"), dir.read("real.part.gannet"));
        // The name itself is taken too.
        for exists in ["overwrite", "rename", "skip"] {
            dir.write("real", b"theirs");
            let gannet = dir.gannet().flags("--content-disposition --exists");
            gannet.arg(exists).arg(server.url(path)).run().ok();
            assert!(dir.read("real.part") == part && dir.read("real.part.gannet") == state);
            let named = if exists == "rename" { "real.1" } else { "real" };
            let body = if path == "/small" { 50 } else { SIZE + 1 };
            let wanted = if exists == "skip" {
                b"theirs".to_vec()
            } else {
                other_noise(body)
            };
            dir.assert_file(named, wanted);
        }
        gate.open();
    }
}

#[test]
fn after_a_loss_of_power_only_what_was_synced_is_gone_on_from() {
    let reboot = |dir: &Dir| {
        let state = String::from_utf8(dir.read("a.part.gannet")).expect("text");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("an id");
        assert!(state.contains(boot.trim()), "{state}");
        dir.write("a.part.gannet", state.replace(boot.trim(), "another"));
    };
    // A kill leaves no time to sync what was written last.
    let gate = Gate::new();
    let server = dripping(&gate);
    let dir = Dir::new();
    killed(&server, &gate, &dir);
    reboot(&dir);
    // Blocks that were never written read as zeros.
    dir.write("a.part", vec![0; CUT]);
    dir.note("a.part", b"part\n");
    dir.fetch("-s 1", server.url("/a")).ok();
    assert_eq!(last_range(&server), None);
    dir.assert_file("a", noise(SIZE));
    // An orderly end syncs it.
    for flags in ["-s 1", "-s 1 --fsync file"] {
        let gate = Gate::new();
        let server = dripping(&gate);
        let dir = Dir::new();
        let running = dir.gannet().flags(flags).arg(server.url("/a")).spawn();
        gate.let_one_through();
        dir.wait_for_size("a.part", CUT);
        running.signal("TERM");
        running.finish().code(143);
        reboot(&dir);
        gate.open();
        dir.fetch(flags, server.url("/a")).ok();
        assert!(last_range(&server).is_some(), "{flags}");
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_part_of_another_program_is_left_alone() {
    for (size, flags) in [
        (50, ""),
        (300_000, ""),
        (300_000, "--no-resume"),
        (300_000, "-c"),
        (300_000, "--range 0-299999"),
    ] {
        let server = Server::start(|s| {
            s.get("/a").body(noise(size)).etag("\"v1\"").ranges();
        });
        let dir = Dir::new();
        dir.write("a.part", b"what a browser has fetched so far");
        let out = dir.fetch(flags, server.url("/a"));
        out.ok().complains("belongs to another program");
        dir.assert_file("a.part", b"what a browser has fetched so far");
        dir.assert_file("a", noise(size));
        dir.assert_names(&["a", "a.part"]);
    }
}

#[test]
fn what_was_written_beside_a_part_of_another_program_is_gone_on_from() {
    let gate = Gate::new();
    let server = dripping(&gate);
    let dir = Dir::new();
    dir.write("a.part", b"theirs");
    let running = dir.gannet().flags("-s 1").arg(server.url("/a")).spawn();
    gate.let_one_through();
    dir.wait_for_size("a.gannet.part.gannet", 1);
    running.signal("KILL");
    running.finish();
    gate.open();
    dir.fetch("-s 1", server.url("/a")).ok();
    assert!(last_range(&server).is_some());
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a", "a.part"]);
}

#[test]
fn a_part_that_another_program_has_replaced_is_no_part_of_its_state() {
    let gate = Gate::new();
    let server = dripping(&gate);
    let dir = Dir::new();
    killed(&server, &gate, &dir);
    fs::remove_file(dir.join("a.part")).expect("removed");
    dir.write("a.part", other_noise(CUT + 5));
    dir.fetch("-s 1", server.url("/a")).ok();
    dir.assert_file("a", noise(SIZE));
    dir.assert_file("a.part", other_noise(CUT + 5));
    dir.assert_names(&["a", "a.part"]);
}

#[test]
fn a_foreign_file_is_continued_though_an_old_part_stands_beside_it() {
    let gate = Gate::new();
    let server = dripping(&gate);
    for is_marked in [true, false] {
        let dir = Dir::new();
        dir.write("a", &noise(SIZE)[..CUT]);
        dir.write("a.part", other_noise(CUT + 7));
        if is_marked {
            dir.note("a.part", b"part\n");
            dir.write("a.part.gannet", b"{}");
        }
        gate.open();
        let out = dir.fetch("-c -s 1", server.url("/a"));
        out.ok();
        assert_eq!(last_range(&server), Some(format!("bytes={CUT}-")), "{out}");
        dir.assert_file("a", noise(SIZE));
        let left: &[&str] = if is_marked { &["a"] } else { &["a", "a.part"] };
        dir.assert_names(left);
    }
}

/// Runs with calls that the system refuses, each time in a fresh folder.
fn refused(calls: &[&str], flags: &str, size: usize) -> Option<(Dir, Output)> {
    let server = Server::start(|s| {
        let route = s.get("/a").body(noise(size));
        route.header("Last-Modified", "Mon, 10 Sep 2001 01:46:40 GMT");
    });
    let dir = Dir::new();
    let gannet = injecting(&dir, calls)?.flags("-t 0 --no-config");
    let out = gannet.flags(flags).arg(server.url("/a")).run();
    Some((dir, out))
}

#[test]
fn what_a_system_refuses_is_done_in_another_way() {
    let errors = [
        "ENOSYS",
        "EPERM",
        "EACCES",
        "EINVAL",
        "EOPNOTSUPP",
        "EMLINK",
    ];
    for error in errors {
        let link = format!("linkat:error={error}");
        let rename = format!("renameat2:error={error}");
        let cases = [
            (vec![link.clone()], 3000),
            (vec![rename.clone()], 300_000),
            (vec![rename, link.clone()], 300_000),
            (
                vec![link, "openat:error=EOPNOTSUPP:when=9999".to_owned()],
                0,
            ),
        ];
        for (calls, size) in cases {
            let calls: Vec<_> = calls.iter().map(String::as_str).collect();
            let Some((dir, out)) = refused(&calls, "", size) else {
                return;
            };
            out.ok();
            dir.assert_file("a", noise(size));
            dir.assert_names(&["a"]);
        }
    }
    for calls in [
        ["splice:error=ENOSYS"],
        ["splice:error=EINVAL"],
        ["splice:error=EPERM"],
        // The second call is the first to the file, the fourth comes when moving has worked once.
        ["splice:error=EINVAL:when=2"],
        ["splice:error=EPERM:when=4"],
        ["fsetxattr:error=EOPNOTSUPP"],
        ["flock:error=ENOSYS"],
        ["renameat2:error=EINTR:when=1"],
        ["flock:error=EINTR:when=1"],
        ["fchmod:error=EPERM"],
        ["ftruncate:error=EPERM"],
    ] {
        let Some((dir, out)) = refused(&calls, "", SIZE) else {
            return;
        };
        out.ok();
        dir.assert_file("a", noise(SIZE));
        dir.assert_names(&["a"]);
    }
}

#[test]
fn a_time_that_cannot_be_set_is_a_warning() {
    for size in [3000, 300_000] {
        let call = "utimensat:error=EPERM";
        let Some((dir, out)) = refused(&[call], "--remote-time", size) else {
            return;
        };
        out.ok().complains("server's time");
        dir.assert_file("a", noise(size));
    }
}

#[test]
fn a_part_that_a_kill_left_is_known_again_without_attributes() {
    let server = Server::start(|s| {
        // Without a validator there is never a state that claims bytes.
        s.get("/a").body(noise(SIZE));
    });
    let dir = Dir::new();
    let refused = "fsetxattr:error=EOPNOTSUPP";
    let fetch = |calls: &[&str]| {
        let gannet = injecting(&dir, calls)?.flags("-s 1");
        Some(gannet.arg(server.url("/a")).run())
    };
    let Some(out) = fetch(&[refused, "splice:signal=KILL:when=6"]) else {
        return;
    };
    assert_ne!(out.exit_code(), Some(0), "{out}");
    dir.assert_names(&["a.part", "a.part.gannet"]);
    if let Some(out) = fetch(&[refused]) {
        out.ok();
    }
    dir.assert_file("a", noise(SIZE));
    dir.assert_names(&["a"]);
}
