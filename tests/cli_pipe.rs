//! Lists that come slowly through a pipe, and readers of our output that leave early.

use crate::harness::{Dir, noise};
use crate::server::Server;

#[test]
fn the_first_file_is_complete_before_the_second_line_is_written() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i -").spawn();
    running.write(format!("{}\n", server.url("/a")).as_bytes());
    running.wait_for_line("done");
    dir.assert_file("a", b"a");
    running.write(format!("{}\n", server.url("/b")).as_bytes());
    running.wait_for_line(&server.url("/b"));
    running.finish().ok();
    dir.assert_names(&["a", "b"]);
}

#[test]
fn the_options_of_a_row_that_comes_in_pieces_belong_to_it() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i -").spawn();
    running.write(format!("{}\n", server.url("/a")).as_bytes());
    running.write(server.url("/b").as_bytes());
    running.write(b"\n  out=x\n");
    running.finish().ok();
    dir.assert_names(&["a", "x"]);
}

#[test]
fn a_held_open_pipe_and_urls_end_only_with_the_pipe() {
    let server = Server::start(|s| {
        s.get("/a").body(b"a");
        s.get("/b").body(b"b");
    });
    let dir = Dir::new();
    let mut running = dir.gannet().flags("-i -").arg(server.url("/a")).spawn();
    running.wait_for_line(&server.url("/a"));
    running.write(server.url("/b").as_bytes());
    running.finish().ok();
    dir.assert_names(&["a", "b"]);
}

#[test]
fn without_a_list_standard_input_is_left_alone() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    // Standard input is held open: a program that read it would hang.
    dir.gannet().arg(server.url("/a")).spawn().end().ok();
}

#[test]
fn a_reader_of_standard_output_that_left_does_not_end_the_downloads() {
    let body = noise(100_000);
    let server = Server::start(|s| {
        for at in 0..20 {
            s.get(&format!("/{at}")).body(&body);
        }
    });
    let dir = Dir::new();
    let list: String = (0..20)
        .map(|at| server.url(&format!("/{at}")) + "\n")
        .collect();
    let out = dir
        .gannet()
        .flags("-i - -j 2")
        .input(list)
        .stdout_without_reader()
        .run();
    assert!(out.signal().is_none(), "killed by a signal: {out}");
    for at in 0..20 {
        dir.assert_file(&at.to_string(), &body);
    }
}

#[test]
fn more_rows_than_jobs_all_get_their_turn() {
    let server = Server::serving("/a", b"a");
    let dir = Dir::new();
    let list: String = (0..500)
        .map(|at| format!("{}?{at}\n  out=f{at}\n", server.url("/a")))
        .collect();
    dir.write("list", list);
    let out = dir.gannet().flags("-i list -j 4 -d out").run();
    out.ok();
    assert_eq!(dir.names().len(), 501, "{out}");
}
