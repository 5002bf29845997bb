//! Answers that break HTTP: exit 7, one try, no file.

use crate::harness::{Dir, Output};
use crate::server::Server;

/// Fetches these bytes as an answer; the failure must come at the first try, and leave no file.
fn refused(raw: impl AsRef<[u8]>) -> Output {
    let raw = raw.as_ref();
    let shown = String::from_utf8_lossy(&raw[..raw.len().min(200)]).into_owned();
    let server = Server::start(|s| {
        s.get("/a").raw(raw);
    });
    let dir = Dir::new();
    let out = dir.fetch("", server.url("/a"));
    assert_eq!(out.exit_code(), Some(7), "{shown:?}: {out}");
    assert_eq!(server.requests().len(), 1, "{shown:?}: {out}");
    assert!(!dir.has("a"), "{shown:?}: {out}");
    out.never_says("\u{1b}").never_says("\0");
    out
}

#[test]
fn what_is_not_http_is_refused() {
    refused(b"220 mail.example ESMTP ready\r\n\r\n");
    refused(b"<html>hello</html>\r\n\r\n");
    refused(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
    refused(b"\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n");
    refused(b"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx");
    refused(b"HTTP/9 200 OK\r\nContent-Length: 1\r\n\r\nx");
    refused(b"\x15\x03\x01\x00\x02\x02\x16");
}

#[test]
fn a_status_that_is_no_number_is_refused() {
    refused(b"HTTP/1.1 abc OK\r\nContent-Length: 1\r\n\r\nx");
    refused(b"HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\nx");
    refused(b"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx");
    refused(b"HTTP/1.1 -20 OK\r\nContent-Length: 1\r\n\r\nx");
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for length in [
        "-1",
        "abc",
        "1x",
        "0x10",
        "1.5",
        "+5",
        "99999999999999999999999",
        "1, 2",
    ] {
        refused(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"
        ));
    }
}

#[test]
fn lengths_that_differ_are_refused() {
    refused(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
}

#[test]
fn a_coding_that_is_not_known_is_refused() {
    refused(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello");
    refused(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n");
}

#[test]
fn bad_chunks_are_refused() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "xyz\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    ] {
        refused(format!("{head}{chunks}"));
    }
}

#[test]
fn an_endless_chunk_line_is_refused() {
    refused(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;{}",
        "x".repeat(400_000)
    ));
}

#[test]
fn endless_trailers_are_refused() {
    let trailers = "X-Trailer: 1\r\n".repeat(40_000);
    refused(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n{trailers}\r\n"
    ));
}

#[test]
fn an_endless_head_is_refused() {
    refused(format!(
        "HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n",
        "x".repeat(400_000)
    ));
    refused(format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X: 1\r\n".repeat(80_000)
    ));
    refused(format!("HTTP/1.1 {}", "2".repeat(400_000)));
}

#[test]
fn endless_interim_answers_are_refused() {
    refused("HTTP/1.1 100 Continue\r\n\r\n".repeat(5000));
}

#[test]
fn a_change_of_protocol_that_no_one_asked_for_is_refused() {
    refused(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello");
}

#[test]
fn controls_in_a_head_are_refused() {
    refused(b"HTTP/1.1 200 OK\r\nX-Thing: a\0b\r\nContent-Length: 5\r\n\r\nhello");
    refused(b"HTTP/1.1 200 OK\r\nX\0: 1\r\nContent-Length: 5\r\n\r\nhello");
}

#[test]
fn a_message_says_what_was_wrong_and_where() {
    let out = refused(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello");
    out.complains("malformed").complains("Content-Length");
}

#[test]
fn a_greeting_of_another_protocol_is_refused() {
    let server = Server::start(|s| s.greeting(b"220 mail.example ESMTP ready\r\n"));
    let dir = Dir::new();
    dir.fetch("", server.url("/a")).code(7);
    dir.assert_names(&[]);
}

#[test]
fn one_malformed_answer_does_not_spoil_the_others() {
    let server = Server::start(|s| {
        s.get("/bad").raw(b"garbage\r\n\r\n");
        s.get("/a").body(b"a");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1")
        .args([server.url("/bad"), server.url("/a")])
        .run()
        .code(7);
    dir.assert_names(&["a"]);
}
