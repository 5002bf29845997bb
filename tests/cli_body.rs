//! How the end of a body is told, and what stands round it.

use crate::harness::{Dir, lands, noise};
use crate::server::{Route, Script, Server};

/// Fetches `/a`, which must succeed at the first try, and asserts its bytes.
fn arrives(body: &[u8], write: impl FnOnce(&mut Script)) -> Server {
    lands("-t 0", body, write)
}

#[test]
fn chunks_of_every_size_arrive() {
    let body = noise(70_000);
    for size in [1, 15, 16, 4095, 4096, 65_536, 70_000] {
        let body = if size == 1 { &body[..3000] } else { &body[..] };
        arrives(body, |s| {
            s.get("/a").body(body).chunked(size);
        });
    }
}

#[test]
fn chunks_dripping_in_arrive() {
    let body = noise(300);
    arrives(&body, |s| {
        s.get("/a")
            .body(&body)
            .chunked(7)
            .pace(3, std::time::Duration::from_micros(200));
    });
}

#[test]
fn trailers_are_read_and_the_connection_stays_in_step() {
    let server = Server::start(|s| {
        s.get("/a")
            .body(b"first")
            .chunked_with_trailers(2, "X-Sum: 1\r\nX-More: 2\r\n");
        s.get("/b").body(b"second");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1 -t 0")
        .args([server.url("/a"), server.url("/b")])
        .run()
        .ok();
    dir.assert_file("a", b"first");
    dir.assert_file("b", b"second");
    assert_eq!(server.connections(), 1);
}

#[test]
fn chunk_extensions_and_letters_of_either_case_are_fine() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
    arrives(b"0123456789", |s| {
        s.get("/a").raw(format!(
            "{head}A;name=\"v\\\"x\"\r\n0123456789\r\n000;x\r\n\r\n"
        ));
    });
    arrives(b"0123456789", |s| {
        s.get("/a")
            .raw(format!("{head}00000000a \r\n0123456789\r\n0\r\n\r\n"));
    });
}

#[test]
fn chunks_win_over_a_length() {
    // RFC 9112 §6.3: Transfer-Encoding overrides; a client may also refuse. Never may the length decide.
    let server = Server::start(|s| {
        s.get("/a").raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 0", server.url("/a"));
    match out.exit_code() {
        Some(0) => dir.assert_file("a", b"hello"),
        _ => assert!(out.code(7).stdout().is_empty() && !dir.has("a"), "{out}"),
    }
}

#[test]
fn a_body_may_end_with_the_connection() {
    let body = noise(100_000);
    arrives(&body, |s| {
        s.get("/a").body(&body).no_length();
    });
    arrives(b"", |s| {
        s.get("/a").no_length();
    });
}

#[test]
fn http_1_0_is_spoken() {
    let body = noise(10_000);
    arrives(&body, |s| {
        s.get("/a").body(&body).http10();
    });
    arrives(&body, |s| {
        s.get("/a").body(&body).http10().no_length();
    });
}

#[test]
fn empty_bodies_are_empty_files() {
    arrives(b"", |s| {
        s.get("/a");
    });
    arrives(b"", |s| {
        s.get("/a").chunked(1);
    });
}

#[test]
fn an_answer_without_content_leaves_the_connection_in_step() {
    let server = Server::start(|s| {
        s.get("/a").status(204).header("Content-Length", "5");
        s.get("/b").body(b"second");
    });
    let dir = Dir::new();
    dir.gannet()
        .flags("-j 1 -t 0")
        .args([server.url("/a"), server.url("/b")])
        .run()
        .code(8);
    dir.assert_file("b", b"second");
    dir.assert_names(&["b"]);
}

#[test]
fn a_success_without_a_file_is_a_failure_that_leaves_no_file() {
    for (status, words) in [
        (202, "not ready"),
        (204, "no content"),
        (205, "reset content"),
    ] {
        let server = Server::start(|s| {
            s.get("/a").status(status);
        });
        for flags in ["-t 0", "-t 0 -o -", "-t 0 --range 0-9"] {
            let dir = Dir::new();
            let out = dir.fetch(flags, server.url("/a"));
            out.code(8).complains(words);
            dir.assert_names(&[]);
        }
    }
}

#[test]
fn a_coded_body_is_stored_as_sent() {
    // gzip of "hello\n".
    let coded = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06\x00\x00\x00";
    arrives(coded, |s| {
        s.get("/a").body(coded).header("Content-Encoding", "gzip");
    });
}

#[test]
fn interim_answers_are_passed_over() {
    let body = noise(1000);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 99\r\n\r\n";
    arrives(&body, |s| {
        s.get("/a").body(&body).interim(interim);
    });
}

#[test]
fn lenient_heads_are_read() {
    for head in [
        "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length:5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-LENGTH:   5   \r\nX-Empty:\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        "HTTP/1.1 200 OK\r\nX-Latin: \u{e9}\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    ] {
        arrives(b"hello", |s| {
            s.get("/a").raw(format!("{head}hello"));
        });
    }
}

#[test]
fn a_head_in_single_bytes_is_read() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: 1\r\n\r\nhello";
    arrives(b"hello", |s| {
        s.get("/a")
            .raw(head)
            .pace(1, std::time::Duration::from_micros(300));
    });
}

#[test]
fn a_large_head_is_read() {
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    arrives(b"hello", |s| {
        s.get("/a").raw(format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 5\r\n\r\nhello",
            line.repeat(60)
        ));
    });
}

#[test]
fn what_stands_behind_a_body_belongs_to_no_other_file() {
    let evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let server = Server::start(|s| {
        s.get("/a").body(b"first").after(evil);
        s.get("/b").body(b"second");
        s.get("/c").body(b"third").chunked(2).after(evil);
        s.get("/d").body(b"fourth");
        s.get("/e").status(204).after(evil);
        s.get("/f").body(b"sixth");
    });
    let dir = Dir::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    dir.gannet()
        .flags("-j 1 -t 0")
        .args(names.map(|name| server.url(&format!("/{name}"))))
        .run()
        .code(8);
    dir.assert_names(&["a", "b", "c", "d", "f"]);
    for (name, body) in [
        ("a", "first"),
        ("b", "second"),
        ("c", "third"),
        ("d", "fourth"),
        ("f", "sixth"),
    ] {
        dir.assert_file(name, body);
    }
}

#[test]
fn a_success_of_another_number_is_a_success() {
    arrives(b"hello", |s| {
        s.get("/a").status(203).body(b"hello");
    });
}

#[test]
fn a_part_that_is_all_of_it_is_the_whole() {
    arrives(b"hello", |s| {
        let route = s.get("/a").status(206).body(b"hello");
        route.header("Content-Range", "bytes 0-4/5");
    });
    // Without a length, the end of the chunks is that of the range.
    arrives(b"hello", |s| {
        let route = s.get("/a").status(206).body(b"hello").chunked(2);
        route.header("Content-Range", "bytes 0-4/5");
    });
    for range in ["bytes 0-4/6", "bytes 0-3/5", "bytes 0-4/*", "bytes 1-5/6"] {
        let server = Server::start(|s| {
            let route = s.get("/a").status(206).body(b"hello");
            route.header("Content-Range", range);
        });
        let dir = Dir::new();
        let out = dir.fetch("", server.url("/a"));
        out.code(7).complains("a part of the file");
        dir.assert_names(&[]);
    }
}

#[test]
fn a_part_that_says_it_is_all_of_it_is_as_long_as_it_says() {
    type Framing = fn(&mut Route);
    let framings: [(Framing, usize); 4] = [
        (
            |route| {
                route.chunked(2);
            },
            4,
        ),
        (
            |route| {
                route.chunked(2);
            },
            6,
        ),
        // Nothing shows whether such a body was cut.
        (
            |route| {
                route.no_length();
            },
            5,
        ),
        (|_| {}, 4),
    ];
    for (framing, length) in framings {
        let server = Server::start(|s| {
            let route = s.get("/a").status(206).body(&b"hello!"[..length]);
            framing(route.header("Content-Range", "bytes 0-4/5"));
        });
        let dir = Dir::new();
        let out = dir.fetch("-t 0", server.url("/a"));
        assert_ne!(out.exit_code(), Some(0), "{length}: {out}");
        assert!(!dir.has("a"), "{out}");
    }
}

#[test]
fn chunks_that_are_announced_twice_are_chunks() {
    arrives(b"hello", |s| {
        let route = s.get("/a").body(b"hello").chunked(2);
        route.header("Transfer-Encoding", "chunked");
    });
    // On one line, as in test 1482 of curl.
    let server = arrives(b"hello", |s| {
        s.get("/a").raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        );
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_coding_that_is_none_changes_nothing() {
    for name in ["identity", "None"] {
        arrives(b"hello", |s| {
            let route = s.get("/a").body(b"hello");
            route.header("Transfer-Encoding", name);
        });
    }
}

#[test]
fn a_part_that_no_one_asked_for_is_not_taken_for_the_whole() {
    let server = Server::start(|s| {
        s.get("/a")
            .status(206)
            .body(b"hello")
            .header("Content-Range", "bytes 100-104/200");
    });
    let dir = Dir::new();
    let out = dir.fetch("-t 0", server.url("/a"));
    assert_ne!(out.exit_code(), Some(0), "{out}");
    assert!(!dir.has("a"), "{out}");
}
