//! SIGINT, SIGTERM and SIGHUP: what is complete stays, the rest is named unfinished, and then the program dies by the
//! signal, so that its parent sees it.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use gannet::reactor::Reactor;
use gannet::session::{self, BadRow, Completion, Plan, Report};

use crate::harness::sandbox::can_unshare;
use crate::harness::{Dir, Output, Running, noise};
use crate::server::{Gate, Server};

/// Fetches one file that comes and one that stalls, then sends signals.
fn interrupted(flags: &str, signals: &[&str]) -> (Output, Dir) {
    let server = Server::start(|s| {
        s.get("/a").body(b"whole");
        s.get("/stuck").body(noise(100_000)).stall_at(1000);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags(flags)
        .args([server.url("/a"), server.url("/stuck")])
        .spawn();
    running.wait_for_line(&server.url("/a"));
    server.wait_for_stalls(1);
    for signal in signals {
        running.signal(signal);
    }
    let out = running.finish();
    dir.assert_file("a", b"whole");
    assert!(!dir.has("stuck"), "{out}");
    (out, dir)
}

#[test]
fn an_interrupt_keeps_what_is_complete_and_names_the_rest() {
    let (out, _dir) = interrupted("", &["INT"]);
    assert!(out.both().contains("unfinished"), "{out}");
    assert_eq!(out.completions().len(), 1, "{out}");
}

#[test]
fn a_run_dies_by_the_signal_that_stopped_it() {
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let (out, _dir) = interrupted("", &[name]);
        out.died_by(number).code(128 + number);
        assert!(out.both().contains("unfinished"), "{out}");
    }
}

/// As timeout(1) signals a process and its group.
#[test]
fn signals_that_come_at_once_are_one() {
    for signals in [&["INT", "INT"][..], &["TERM", "TERM", "TERM"]] {
        let server = Server::start(|s| {
            s.get("/stuck").body(noise(1000)).stall_at(10);
        });
        let dir = Dir::new();
        let running = dir.gannet().flags("--summary").arg(server.url("/stuck"));
        let running = running.spawn();
        server.wait_for_stalls(1);
        let kills: String = signals
            .iter()
            .map(|signal| format!("kill -{signal} {};", running.id()))
            .collect();
        // The last may find it gone.
        let _ = Command::new("sh")
            .args(["-c", &kills])
            .stderr(Stdio::null())
            .status();
        let out = running.finish();
        out.died_by(if signals[0] == "INT" { 2 } else { 15 });
        assert!(out.both().contains("1 unfinished"), "{out}");
    }
}

/// curl, wget: what a script starts in the background ignores SIGINT (POSIX, XCU 2.11), and what nohup starts SIGHUP.
#[test]
fn a_signal_that_is_ignored_at_the_start_stops_nothing() {
    for signal in ["HUP", "INT", "TERM"] {
        let gate = Gate::new();
        let server = Server::start(|s| {
            s.get("/a").wait_for(&gate).body(b"whole");
        });
        let dir = Dir::new();
        let gannet = dir.gannet().shell(&format!("trap '' {signal}"));
        let running = gannet.arg(server.url("/a")).spawn();
        server.wait_for_requests(1);
        running.signal(signal);
        gate.open();
        running.finish().ok();
        dir.assert_file("a", b"whole");
    }
}

/// A process that is the first of its PID namespace cannot die by a signal that it sends to itself.
#[test]
fn the_first_process_of_a_container_exits_with_128_and_the_signal() {
    if !can_unshare("-rpf", &["true"]) {
        return;
    }
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let gannet = dir.gannet().shell("exec unshare -rpf \"$0\" \"$@\"");
    let running = gannet.arg(server.url("/stuck")).spawn();
    server.wait_for_stalls(1);
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    let child = fs::read_to_string(children).expect("its children");
    let kill = Command::new("kill").args(["-TERM", child.trim()]).status();
    assert!(kill.is_ok_and(|status| status.success()), "{child:?}");
    let out = running.finish();
    assert_eq!(out.signal(), None, "{out}");
    out.code(143);
}

#[test]
fn an_interrupt_wins_over_failures() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("-j 2")
        .args([server.url("/gone"), server.url("/stuck")])
        .spawn();
    server.wait_for_stalls(1);
    server.wait_for_requests(2);
    running.signal("INT");
    running.finish().code(130);
}

#[test]
fn an_interrupt_is_heard_while_a_list_is_waited_for() {
    let server = Server::serving("/a", b"1");
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i -").spawn();
    running.write(format!("{}\n", server.url("/a")).as_bytes());
    running.wait_for_line(&server.url("/a"));
    running.signal("INT");
    running.end().code(130);
    dir.assert_file("a", b"1");
}

#[test]
fn an_interrupt_is_heard_while_tries_are_waited_for() {
    let server = Server::start(|s| {
        s.get("/a").status(503).retry_after("60");
    });
    let dir = Dir::new();
    let running = dir.gannet().arg(server.url("/a")).spawn();
    server.wait_for_requests(1);
    running.signal("INT");
    running.finish().code(130);
}

#[test]
fn an_interrupt_stops_the_list_too() {
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10);
        s.get("/a").body(b"1");
    });
    let dir = Dir::new();
    let list: String = std::iter::once(server.url("/stuck"))
        .chain((0..50).map(|_| server.url("/a")))
        .map(|url| url + "\n")
        .collect();
    let mut running = dir.gannet().flags("-i - -j 1").spawn();
    running.write(list.as_bytes());
    server.wait_for_stalls(1);
    running.signal("INT");
    running.end().code(130);
    assert_eq!(server.paths(), ["/stuck"]);
}

/// Sends interrupts until it has ended: the run is stuck where it hears none.
fn insist(running: Running) -> Output {
    while !running.ends_soon() && running.signal_if_there("INT") {}
    running.finish()
}

#[test]
fn a_later_signal_ends_a_run_that_is_stuck() {
    let server = Server::start(|_| {});
    let dir = Dir::new();
    // Opened by the TLS library, which waits for a writer.
    let authorities = dir.mkfifo("authorities");
    let running = dir.gannet().arg("--cacert").arg(authorities);
    let url = server.url("/a").replace("http:", "https:");
    insist(running.arg(url).spawn()).died_by(2);
}

#[test]
fn an_interrupt_is_heard_while_a_pipe_has_nothing_to_read() {
    for flag in ["--input-file", "--checksums"] {
        let dir = Dir::new();
        let list = dir.mkfifo("list");
        let mut gannet = dir.gannet().arg(flag).arg(&list);
        if flag == "--checksums" {
            gannet = gannet.arg("http://127.0.0.1:1/a");
        }
        let running = gannet.spawn();
        // Opened by both ends at once.
        let _writer = File::options().write(true).open(&list).expect("a writer");
        running.signal("INT");
        running.finish().died_by(2);
    }
}

#[test]
fn an_interrupt_is_heard_while_a_pipe_has_no_reader() {
    let dir = Dir::new();
    let pipe = dir.mkfifo("pipe");
    let running = dir
        .gannet()
        .arg("-o")
        .arg(&pipe)
        .arg("http://127.0.0.1:1/a")
        .spawn();
    running.wait_until_caught(2);
    running.signal("INT");
    let out = running.finish();
    out.died_by(2);
    assert!(out.failures().is_empty(), "{out}");
}

#[test]
fn a_pipe_that_gets_its_reader_late_gets_the_whole_body() {
    let body = noise(300_000);
    let server = Server::serving("/a", &body);
    let dir = Dir::new();
    let pipe = dir.mkfifo("pipe");
    let running = dir
        .gannet()
        .arg("-o")
        .arg(&pipe)
        .arg(server.url("/a"))
        .spawn();
    running.wait_until_caught(2);
    assert!(fs::read(&pipe).expect("the pipe") == body);
    running.finish().ok();
}

#[test]
fn an_interrupt_stops_a_run_whose_messages_nobody_reads() {
    let server = Server::start(|s| {
        for at in 0..100 {
            s.get(&format!("/{at}")).body(b"1");
        }
        s.get("/stuck").body(noise(1000)).stall_at(10);
    });
    let dir = Dir::new();
    dir.mkfifo("messages");
    // Open at both ends, and small.
    let shell = "exec 2<>messages; head -c 60000 /dev/zero >&2";
    let urls = (0..100).map(|at| server.url(&format!("/{at}")));
    let gannet = dir.gannet().shell(shell).flags("-v -v -j 1").args(urls);
    let running = gannet.arg(server.url("/stuck")).spawn();
    running.wait_until_caught(2);
    server.wait_for_requests(1);
    running.signal("INT");
    running.finish().died_by(2);
}

#[test]
fn an_interrupt_stops_a_run_whose_output_nobody_reads() {
    let server = Server::serving("/big", noise(4 << 20));
    // A pipe that is open at both ends, and read at neither.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let dir = Dir::new();
    let running = dir
        .gannet()
        .flags("-o - --stall-timeout 20s")
        .arg(server.url("/big"))
        .stdout_to(std::os::fd::OwnedFd::from(writer).into())
        .spawn();
    server.wait_for_requests(1);
    running.signal("INT");
    running.finish().code(130);
    drop(reader);
}

struct Silent;

impl Report for Silent {
    fn completed(&mut self, _: &Completion<'_>) {}
    fn bad_row(&mut self, _: &BadRow) {}
}

/// The variable that makes a process of this test the program that uses the library; its value is the URL.
const URL: &str = "GANNET_TEST_RUNS_OF";

#[test]
fn runs_of_one_process_hear_their_own_signals_and_leave_none_behind() {
    if let Ok(url) = env::var(URL) {
        return two_runs(&url);
    }
    let server = Server::start(|s| {
        s.get("/stuck").body(noise(1000)).stall_at(10).times(9);
    });
    let test = "cli_signal::runs_of_one_process_hear_their_own_signals_and_leave_none_behind";
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(URL, server.url("/stuck"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program");
    let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut wait_for = |line: &str| {
        let found = said.find(|said| said.as_ref().is_ok_and(|said| said.ends_with(line)));
        assert!(found.is_some(), "it never said {line:?}");
    };
    for run in 1..=2 {
        server.wait_for_stalls(run);
        interrupt(&child);
        wait_for(&format!("run {run} was stopped"));
    }
    // It reads its input, and has installed no handler.
    interrupt(&child);
    assert_eq!(child.wait().expect("its end").signal(), Some(2));
}

fn interrupt(child: &Child) {
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.is_ok_and(|status| status.success()), "it has ended");
}

fn two_runs(url: &str) {
    let dir = Dir::new();
    for run in 1..=2 {
        let plan = Plan::new(vec![url.to_owned()], dir.path().to_owned());
        // Dropped with its statement: its handlers are gone before the parent is told.
        let totals = session::run_on(&mut Reactor::catching_signals(), plan, &mut Silent);
        let totals = totals.expect("a run");
        assert_eq!((totals.signal, totals.unfinished), (Some(2), 1));
        if run == 2 {
            // The signal is its end: no one cleans up after it.
            drop(fs::remove_dir_all(dir.path()));
        }
        println!("\nrun {run} was stopped");
    }
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the signal was swallowed");
}
