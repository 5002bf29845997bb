//! Files and folders that cannot be made or written: exit 3, a message with the path, nothing half at a final name.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::thread;

use crate::harness::{Dir, noise};
use crate::server::Server;

fn serving(size: usize) -> Server {
    Server::start(|s| {
        s.get("/a").body(noise(size));
        s.get("/chunks").body(noise(size)).chunked(5000);
    })
}

#[test]
fn a_file_in_place_of_the_folder_is_a_disk_failure() {
    let server = serving(5);
    for folder in ["file", "file/below"] {
        let dir = Dir::new();
        dir.write("file", b"1");
        let out = dir
            .gannet()
            .args(["-d", folder])
            .arg(server.url("/a"))
            .run();
        out.code(3).complains("file");
        dir.assert_names(&["file"]);
        dir.assert_file("file", b"1");
    }
}

#[test]
fn a_folder_in_place_of_the_file_is_a_disk_failure() {
    let server = serving(5);
    for flags in ["", "--exists overwrite"] {
        let dir = Dir::new();
        dir.make_dir("a");
        dir.write("a/inside", b"1");
        let out = dir.fetch(flags, server.url("/a"));
        out.code(3);
        dir.assert_file("a/inside", b"1");
    }
}

#[test]
fn a_disk_failure_is_not_tried_again() {
    let server = serving(5);
    let dir = Dir::new();
    dir.write("file", b"1");
    let out = dir.fetch("-d file", server.url("/a"));
    out.code(3);
    assert!(server.requests().len() <= 1, "{out}");
}

#[test]
fn a_file_that_may_not_grow_is_a_disk_failure() {
    for path in ["/a", "/chunks"] {
        let server = serving(2_000_000);
        let dir = Dir::new();
        // 100 to 200 KiB, whichever unit the shell counts in; the signal is ignored, so writing fails.
        let limited = dir.gannet().shell("trap '' XFSZ; ulimit -f 200");
        let out = limited
            .flags("-t 1 --retry-delay 1ms")
            .arg(server.url(path))
            .run();
        out.code(3).complains(&server.url(path));
        assert!(!dir.has(&path[1..]), "{out}");
    }
}

#[test]
fn one_disk_failure_does_not_end_the_others() {
    let server = serving(5);
    let dir = Dir::new();
    dir.write("file", b"1");
    let list = format!("{0}\n  dir=file\n{0}\n", server.url("/a"));
    dir.fetch_list("-j 1", list).code(3);
    dir.assert_names(&["a", "file"]);
}

#[test]
fn a_full_device_as_standard_output_is_no_space() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: this system has no /dev/full");
        return;
    };
    let server = serving(300_000);
    let out = Dir::new()
        .gannet()
        .flags("-o - -t 0")
        .stdout_to(full)
        .arg(server.url("/a"))
        .run();
    out.code(12);
}

#[test]
fn completion_lines_that_cannot_be_written_do_not_cost_the_files() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: this system has no /dev/full");
        return;
    };
    let server = serving(3000);
    let dir = Dir::new();
    let out = dir
        .gannet()
        .stdout_to(full)
        .args([server.url("/a"), server.url("/chunks")])
        .run();
    out.code(12).complains("cannot write to standard output");
    dir.assert_file("a", noise(3000));
    dir.assert_file("chunks", noise(3000));
}

#[test]
fn a_success_leaves_nothing_but_the_file() {
    let server = serving(600_000);
    let dir = Dir::new();
    dir.gannet()
        .args([server.url("/a"), server.url("/chunks")])
        .run()
        .ok();
    dir.assert_names(&["a", "chunks"]);
}

#[test]
fn a_refused_transfer_leaves_nothing_at_all() {
    let server = serving(5);
    let dir = Dir::new();
    dir.fetch("", server.url("/gone")).code(8);
    dir.assert_names(&[]);
}

#[test]
fn a_stale_partial_of_another_run_is_not_trusted() {
    let server = serving(5000);
    let dir = Dir::new();
    dir.write("a.part", noise(60_000));
    dir.fetch("", server.url("/a")).ok();
    dir.assert_file("a", noise(5000));
}

#[test]
fn a_pipe_that_was_named_is_written_to_and_stays_a_pipe() {
    let server = serving(5);
    let dir = Dir::new();
    dir.mkfifo("pipe");
    let path = dir.join("pipe");
    let reader = thread::spawn(move || fs::read(path).unwrap());
    let out = dir.fetch("-o pipe", server.url("/a"));
    out.ok();
    assert_eq!(reader.join().unwrap(), noise(5), "{out}");
    assert!(
        fs::metadata(dir.join("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    dir.assert_names(&["pipe"]);
}

#[test]
fn the_null_device_takes_any_body() {
    let server = serving(300_000);
    // A link, so that a wrong program would replace that and not the device.
    let dir = Dir::new();
    symlink("/dev/null", dir.join("null")).unwrap();
    dir.fetch("-o null", server.url("/a")).ok();
    assert!(fs::symlink_metadata(dir.join("null")).unwrap().is_symlink());
}

#[test]
fn a_pipe_in_place_of_the_partial_file_is_not_waited_for() {
    let server = serving(300_000);
    let dir = Dir::new();
    dir.mkfifo("a.part");
    let out = dir.fetch("", server.url("/a"));
    out.code(3).complains("a.part");
    assert!(!dir.has("a"), "{out}");
}

#[test]
fn a_partial_file_that_another_process_writes_is_left_to_it() {
    let server = serving(300_000);
    let dir = Dir::new();
    let other = File::create(dir.join("a.part")).unwrap();
    other.lock().unwrap();
    let out = dir.fetch("", server.url("/a"));
    out.code(3).complains("another process").complains("a.part");
    dir.assert_names(&["a.part"]);
    drop(other);
    dir.fetch("", server.url("/a")).ok();
    dir.assert_names(&["a"]);
}

#[test]
fn a_limit_of_file_sizes_is_an_error_and_not_a_signal() {
    let server = serving(2_000_000);
    let dir = Dir::new();
    let limited = dir.gannet().shell("ulimit -f 200");
    let out = limited.flags("-t 0").arg(server.url("/a")).run();
    out.code(3).complains(&server.url("/a"));
    dir.assert_names(&[]);
}

#[test]
fn a_link_that_was_typed_is_followed_and_stays() {
    let server = serving(2_000_000);
    let dir = Dir::new();
    dir.make_dir("out/sub");
    symlink("sub/target", dir.join("out/link")).unwrap();
    symlink("circle", dir.join("out/circle")).unwrap();
    let run = |flags: &str, to: &str| {
        let run = dir.gannet().flags(flags).flags("-d out -o").arg(to);
        run.arg(server.url("/a")).run()
    };
    // A target that is not there yet, one that is replaced, and one that is kept.
    for (flags, word) in [("", "done"), ("", "done"), ("--exists skip", "kept")] {
        let out = run(flags, "link");
        out.ok();
        assert_eq!(out.completion().word, word, "{out}");
        dir.assert_names(&["out/circle", "out/link", "out/sub/target"]);
        dir.assert_file("out/sub/target", noise(2_000_000));
    }
    run("", "circle").code(3).complains("symbolic links");
    assert!(dir.join("out/circle").is_symlink());
}
