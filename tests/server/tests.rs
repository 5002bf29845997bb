//! The scripted server's own tests, by a client that is a bare socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{Gate, Port, Server};

fn connect(server: &Server) -> TcpStream {
    let tcp = TcpStream::connect(server.address()).expect("connect");
    tcp.set_read_timeout(Some(Duration::from_secs(10)))
        .expect("read timeout");
    tcp
}

fn ask(tcp: &mut TcpStream, path: &str, more: &str) {
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n").expect("a request");
}

/// Asks on a new connection, and reads until the server closes.
fn fetch(server: &Server, path: &str, more: &str) -> String {
    let mut tcp = connect(server);
    ask(&mut tcp, path, more);
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_answer_has_its_length_and_body_and_the_connection_stays() {
    let server = Server::start(|s| {
        s.get("/a").body(b"hello");
    });
    let mut tcp = connect(&server);
    for _ in 0..2 {
        ask(&mut tcp, "/a", "X-Thing: 1\r\n");
        let mut answer = [0; 49];
        tcp.read_exact(&mut answer).expect("an answer");
        assert_eq!(
            &answer,
            b"HTTP/1.1 200 Scripted\r\nContent-Length: 5\r\n\r\nhello"
        );
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.paths(), ["/a", "/a"]);
    assert_eq!(server.requests()[1].header("x-thing"), Some("1"));
}

#[test]
fn answers_take_turns_and_the_last_is_for_ever() {
    let server = Server::start(|s| {
        s.get("/a")
            .status(500)
            .close_after()
            .times(2)
            .then()
            .body(b"ok")
            .close_after();
    });
    let statuses: Vec<_> = (0..4)
        .map(|_| fetch(&server, "/a", "")[9..12].to_owned())
        .collect();
    assert_eq!(statuses, ["500", "500", "200", "200"]);
}

#[test]
fn a_cut_comes_after_exactly_so_many_bytes() {
    let server = Server::start(|s| {
        s.get("/cut").body(b"0123456789").cut_at(4);
        s.get("/chunks")
            .body(b"0123456789")
            .chunked_with_trailers(4, "X-Sum: 1\r\n")
            .close_after();
    });
    assert!(fetch(&server, "/cut", "").ends_with("Content-Length: 10\r\n\r\n0123"));
    assert!(
        fetch(&server, "/chunks", "")
            .ends_with("\r\n\r\n4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\nX-Sum: 1\r\n\r\n")
    );
}

#[test]
fn a_reset_is_a_reset() {
    let server = Server::start(|s| {
        s.get("/rst").body(b"0123456789").cut_rst_at(0);
    });
    let mut tcp = connect(&server);
    ask(&mut tcp, "/rst", "");
    let error = tcp.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn ranges_are_honoured_when_asked_and_under_the_right_tag_only() {
    let server = Server::start(|s| {
        s.get("/r")
            .body(b"0123456789")
            .etag("\"v1\"")
            .ranges()
            .close_after();
        s.get("/plain").body(b"0123456789").close_after();
    });
    let part = fetch(&server, "/r", "Range: bytes=4-6\r\nIf-Range: \"v1\"\r\n");
    assert!(
        part.starts_with("HTTP/1.1 206") && part.contains("Content-Range: bytes 4-6/10"),
        "{part}"
    );
    assert!(part.ends_with("\r\n\r\n456"), "{part}");
    assert!(
        fetch(&server, "/r", "Range: bytes=4-6\r\nIf-Range: \"v0\"\r\n")
            .starts_with("HTTP/1.1 200")
    );
    assert!(fetch(&server, "/r", "Range: bytes=10-\r\n").starts_with("HTTP/1.1 416"));
    assert!(fetch(&server, "/plain", "Range: bytes=4-6\r\n").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_gate_holds_answers_and_the_most_at_once_is_counted() {
    let gate = Gate::new();
    let server = Server::start(|s| {
        s.get("/held").body(b"now").wait_for(&gate).close_after();
        s.get("/drip").body(b"ab").drip(1, &gate).close_after();
    });
    thread::scope(|scope| {
        let clients = [0, 1, 2].map(|_| scope.spawn(|| fetch(&server, "/held", "")));
        server.wait_for_in_flight(3);
        gate.let_one_through();
        gate.open();
        for client in clients {
            assert!(client.join().expect("a client").ends_with("now"));
        }
    });
    assert_eq!(server.in_flight_max(), 3);
    assert!(fetch(&server, "/drip", "").ends_with("ab"));
}

#[test]
fn a_stalled_connection_ends_with_the_server() {
    let server = Server::start(|s| {
        s.get("/stall").body(b"0123456789").stall_at(3);
    });
    let mut tcp = connect(&server);
    ask(&mut tcp, "/stall", "");
    server.wait_for_stalls(1);
    drop(server);
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer);
    assert!(answer.ends_with(b"\r\n\r\n012"));
}

#[test]
fn a_stale_connection_drops_its_second_request() {
    let server = Server::start(|s| {
        s.stale_after(1);
        s.get("/a").body(b"a");
    });
    let mut tcp = connect(&server);
    ask(&mut tcp, "/a", "");
    ask(&mut tcp, "/a", "");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("one answer");
    assert_eq!(
        answer,
        "HTTP/1.1 200 Scripted\r\nContent-Length: 1\r\n\r\na"
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn ports_are_dead_silent_and_full() {
    let refused = TcpStream::connect(Port::dead().address()).expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let silent = Port::silent();
    assert!(TcpStream::connect(silent.address()).is_ok());
    let full = Port::full();
    let late = TcpStream::connect_timeout(&full.address(), Duration::from_millis(50))
        .expect_err("no answer");
    assert_eq!(late.kind(), ErrorKind::TimedOut);
}
