//! HTTP/2 through whatever a server may do: what it may, what it should not, and what no server in its right mind does.

use crate::harness::{Ca, Dir, Nginx, Output, noise};
use crate::server::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, answer, data, frame, goaway, head, max_streams, reset,
    section,
};
use crate::server::{H2Server, Server, Talk};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;
const HTTP_1_1_REQUIRED: u32 = 13;

/// Fetches one file with these flags beside `--http2 -d out`.
fn fetch(dir: &Dir, server: &H2Server, flags: &str) -> Output {
    dir.fetch(&format!("--http2 -d out {flags}"), server.url("/a"))
}

/// Fetches `count` files at once.
fn fetch_many(dir: &Dir, server: &H2Server, count: usize, flags: &str) -> Output {
    let urls = (0..count).map(|at| server.url(&format!("/{at}")));
    let gannet = dir
        .gannet()
        .flags("--http2 --retry-delay 1ms -d out -j 200")
        .flags(flags);
    gannet.args(urls).run()
}

fn assert_many(dir: &Dir, count: usize, body: &[u8]) {
    for at in 0..count {
        dir.assert_file(&format!("out/{at}"), body);
    }
}

/// A server: the first connection does this after the greeting, and later ones answer everything with "again".
fn once(serve: impl Fn(&mut Talk) + Send + Sync + 'static) -> H2Server {
    H2Server::start(move |talk| {
        talk.greet(&[]);
        if talk.number == 1 {
            serve(talk);
        } else {
            talk.answer_all(b"again");
        }
    })
}

/// A server that does this with every connection after the greeting and its first request.
fn each(serve: impl Fn(&mut Talk, u32) + Send + Sync + 'static) -> H2Server {
    H2Server::start(move |talk| {
        talk.greet(&[]);
        if let Some(stream) = talk.request() {
            serve(talk, stream);
        }
    })
}

#[test]
fn a_file_arrives_and_what_happens_can_be_watched() {
    let body = noise(300_000);
    let whole = body.clone();
    let server = each(move |talk, stream| {
        talk.say(answer(stream, &whole));
        talk.linger();
    });
    let dir = Dir::new();
    let out = fetch(&dir, &server, "-vv -H X-Plain:1 -u me:hunter2 -t 0");
    out.ok()
        .traces('*', "stream 1")
        .traces('>', "GET /a HTTP/2")
        .traces('>', "x-plain: 1")
        .traces('>', "authorization: ***")
        .traces('<', "HTTP/2 200")
        .traces('<', "content-length: 300000");
    dir.assert_file("out/a", body);
}

#[test]
fn many_files_share_one_connection() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        talk.answer_all(b"shared");
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 90, "-t 0").ok();
    assert_many(&dir, 90, b"shared");
    assert_eq!((server.connections(), server.requests()), (1, 90));
}

#[test]
fn interim_answers_and_trailers_are_passed_over() {
    let server = each(|talk, stream| {
        talk.say(head(stream, "103", &[("link", "</x>")], 0));
        talk.say(head(stream, "100", &[], 0));
        talk.say(head(stream, "200", &[("content-length", "4")], 0));
        talk.say(data(stream, b"body", 0));
        talk.say(frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &section(&[("x-sum", "1")]),
        ));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-vv -t 0")
        .ok()
        .traces('<', "HTTP/2 103");
    dir.assert_file("out/a", b"body");
}

#[test]
fn interim_answers_without_end_are_an_error() {
    let server = each(|talk, stream| {
        (0..100).for_each(|_| talk.say(head(stream, "103", &[], 0)));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0").code(7).complains("interim");
}

#[test]
fn a_body_that_is_padded_or_empty_arrives() {
    for (padded, body) in [(&b"\x04body\0\0\0\0"[..], &b"body"[..]), (b"\x02\0\0", b"")] {
        let server = each(move |talk, stream| {
            talk.say(head(stream, "200", &[], 0));
            talk.say(frame(DATA, END_STREAM | 8, stream, padded));
            talk.linger();
        });
        let dir = Dir::new();
        fetch(&dir, &server, "-t 0").ok();
        dir.assert_file("out/a", body);
    }
}

#[test]
fn a_redirect_and_an_error_leave_the_connection_standing() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let Some(first) = talk.request() else { return };
        talk.say(head(first, "302", &[("location", "/b")], 0));
        // Longer than what is read for the connection's sake, which needs none of it.
        talk.say(data(first, &noise(100_000), 0));
        let second = talk.request().expect("a request that follows the redirect");
        talk.say(head(second, "404", &[], END_STREAM));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0").code(8);
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_that_a_goodbye_leaves_out_go_elsewhere_free_of_charge() {
    let server = once(|talk| {
        let streams = talk.requests(10);
        // The first three are finished after the goodbye.
        talk.say(goaway(streams[2], 0));
        streams[..3]
            .iter()
            .for_each(|stream| talk.say(answer(*stream, b"again")));
        talk.linger();
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 10, "-t 0").ok();
    assert_many(&dir, 10, b"again");
    assert_eq!((server.connections(), server.requests()), (2, 17));
}

#[test]
fn a_server_that_says_nothing_but_goodbye_is_given_up() {
    let server = each(|talk, _| {
        talk.say(goaway(0, 0));
        talk.linger();
    });
    let dir = Dir::new();
    let out = fetch(&dir, &server, "-t 0");
    out.code(4)
        .complains("closed the HTTP/2 connection: NO_ERROR");
    assert!(
        (2..20).contains(&server.connections()),
        "{}",
        server.connections()
    );
}

#[test]
fn a_goodbye_that_asks_for_calm_is_an_error_to_be_retried() {
    let server = once(|talk| {
        talk.request();
        talk.say(goaway(0, ENHANCE_YOUR_CALM));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0")
        .code(4)
        .complains("ENHANCE_YOUR_CALM");
    fetch(&dir, &server, "-t 1").ok();
    dir.assert_file("out/a", b"again");
}

#[test]
fn refused_streams_are_begun_again_free_of_charge_and_fewer_at_once() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let streams = talk.requests(20);
        let (kept, refused) = streams.split_at(streams.len().min(5));
        for stream in refused {
            talk.say(reset(*stream, REFUSED_STREAM));
        }
        for stream in kept {
            talk.say(answer(*stream, b"taken"));
        }
        talk.answer_all(b"taken");
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 20, "-t 0 -x 1").ok();
    assert_many(&dir, 20, b"taken");
    assert_eq!((server.connections(), server.requests()), (1, 35));
}

#[test]
fn a_stream_that_is_refused_again_and_again_is_given_up() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        while let Some(stream) = talk.request() {
            talk.say(reset(stream, REFUSED_STREAM));
        }
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0")
        .code(4)
        .complains("REFUSED_STREAM");
    assert!(server.requests() < 20);
}

#[test]
fn a_reset_with_any_code_ends_its_own_stream_alone() {
    for code in (0..=14).filter(|code| ![REFUSED_STREAM, HTTP_1_1_REQUIRED].contains(code)) {
        let server = H2Server::start(move |talk| {
            talk.greet(&[]);
            let Some(first) = talk.request() else { return };
            talk.say(reset(first, code));
            talk.answer_all(b"fine");
        });
        let dir = Dir::new();
        let out = fetch_many(&dir, &server, 3, "-t 0");
        out.code(4).complains("the server reset the stream");
        assert_eq!(
            dir.names().iter().filter(|n| n.starts_with("out/")).count(),
            2
        );
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_reset_in_the_body_is_retried() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let Some(stream) = talk.request() else { return };
        talk.say(head(stream, "200", &[("content-length", "8")], 0));
        talk.say(data(stream, b"half", 0));
        talk.say(reset(stream, 2));
        talk.answer_all(b"the rest");
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 1").ok();
    dir.assert_file("out/a", b"the rest");
    assert_eq!(server.requests(), 2);
}

#[test]
fn an_answer_that_had_begun_is_not_begun_again_behind_ones_back() {
    let excuses: [fn(u32) -> Vec<u8>; 3] = [
        |_| goaway(0, 0),
        |stream| reset(stream, REFUSED_STREAM),
        |stream| reset(stream, HTTP_1_1_REQUIRED),
    ];
    for excuse in excuses {
        let server = || {
            once(move |talk| {
                let stream = talk.expect(HEADERS).stream;
                talk.say(head(stream, "200", &[("content-length", "9")], 0));
                talk.say(data(stream, b"half", 0));
                // What has come is taken before this is read.
                talk.say(frame(PING, 0, 0, b"and then"));
                talk.expect(PING);
                talk.say(excuse(stream));
                talk.answer_all(b"again");
            })
        };
        let dir = Dir::new();
        let first = server();
        let gannet = dir.gannet().flags("--http2 -t 0 -o -");
        let out = gannet.arg(first.url("/a")).run();
        assert_eq!(out.code(4).stdout(), "half");
        // A file can still be made whole.
        fetch(&dir, &server(), "-t 1").ok();
        dir.assert_file("out/a", b"again");
    }
}

#[test]
fn a_server_that_wants_http_1_1_alone_is_told_apart() {
    let server = each(|talk, stream| {
        talk.say(reset(stream, HTTP_1_1_REQUIRED));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 3").code(7).complains("HTTP/1.1");
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_server_that_wants_http_1_1_gets_it_where_tls_lets_one_choose() {
    for ends_it in [true, false] {
        let ca = Ca::new();
        let server = H2Server::start_tls(&ca.issue().config(), move |talk| {
            if talk.number > 1 {
                return talk.answer_all_in_http1("of old");
            }
            talk.greet(&[]);
            let streams = talk.requests(4);
            // One answer is under way, and comes to its end.
            talk.say(head(streams[0], "200", &[], 0));
            for stream in &streams[1..] {
                talk.say(reset(*stream, HTTP_1_1_REQUIRED));
            }
            talk.say(data(streams[0], b"of old", END_STREAM));
            if !ends_it {
                talk.linger();
            }
        });
        let dir = Dir::new();
        let urls = (0..12).map(|at| server.url(&format!("/{at}")));
        let gannet = dir.gannet().flags("-j 4 -t 0 -d out --cacert");
        gannet.arg(ca.write(&dir)).args(urls).run().ok();
        assert_many(&dir, 12, b"of old");
        assert_eq!(server.requests(), 4);
        assert!(server.connections() <= 5);
    }
}

#[test]
fn fewer_streams_than_asked_for_are_opened_where_the_server_says_so() {
    let server = H2Server::start(|talk| {
        talk.greet(&[max_streams(4)]);
        // A client that has read the settings keeps them; they are acknowledged in order.
        let Some(first) = talk.request() else { return };
        talk.say(answer(first, b"few"));
        talk.answer_all(b"few");
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 40, "-t 0 -x 1").ok();
    assert_many(&dir, 40, b"few");
}

#[test]
fn settings_that_change_in_mid_flight_are_kept() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let streams = talk.requests(10);
        if streams.len() < 10 {
            return;
        }
        talk.say(frames::settings(&[max_streams(2), (4, 1000), (5, 20_000)]));
        while talk.expect(SETTINGS).flags & ACK == 0 {}
        streams
            .iter()
            .for_each(|stream| talk.say(answer(*stream, b"changed")));
        // Never more than two at once from here on.
        loop {
            let two = talk.requests(2);
            if two.is_empty() {
                return;
            }
            talk.say(frame(PING, 0, 0, b"any more"));
            loop {
                match talk.frame() {
                    Some(frame) if frame.kind == PING => break,
                    Some(frame) => assert_ne!(frame.kind, HEADERS, "a third stream"),
                    None => return,
                }
            }
            two.iter()
                .for_each(|stream| talk.say(answer(*stream, b"changed")));
        }
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 30, "-j 10 -t 0 -x 1").ok();
    assert_many(&dir, 30, b"changed");
}

#[test]
fn pings_are_answered_in_the_middle_of_a_body() {
    let server = each(|talk, stream| {
        talk.say(head(stream, "200", &[], 0));
        talk.say(data(stream, b"before", 0));
        talk.say(frame(PING, 0, 0, b"are you?"));
        let pong = talk.expect(PING);
        assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"are you?"[..]));
        talk.say(data(stream, b" and after", END_STREAM));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0").ok();
    dir.assert_file("out/a", b"before and after");
}

#[test]
fn unknown_frames_and_settings_are_passed_over() {
    let server = each(|talk, stream| {
        talk.say(frame(0x42, 0xff, stream, b"?"));
        talk.say(frames::settings(&[(0x4242, 7)]));
        talk.say(answer(stream, b"known"));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0").ok();
    dir.assert_file("out/a", b"known");
}

/// Does something to a connection, and to the stream of its first request.
type Act = fn(&mut Talk, u32);

/// What a server does to the whole connection, and what it is told for it.
const CONNECTION_FAULTS: [(&str, Act, u32); 9] = [
    (
        "bad HPACK",
        |talk, stream| {
            talk.say(frame(HEADERS, END_HEADERS, stream, &[0xff; 8]));
        },
        COMPRESSION_ERROR,
    ),
    (
        "an empty :status",
        |talk, stream| {
            talk.say(frame(
                HEADERS,
                END_HEADERS,
                stream,
                &section(&[(":status", "")]),
            ));
        },
        PROTOCOL_ERROR,
    ),
    (
        "a window that overflows",
        |talk, _| {
            for _ in 0..3 {
                talk.say(frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()));
            }
        },
        FLOW_CONTROL_ERROR,
    ),
    (
        "a flood of CONTINUATION",
        |talk, stream| {
            talk.say(frame(HEADERS, 0, stream, &section(&[(":status", "200")])));
            let more = frame(CONTINUATION, 0, stream, &section(&[("x", "y")]));
            talk.say(more.repeat(100_000));
        },
        ENHANCE_YOUR_CALM,
    ),
    (
        "a frame between CONTINUATIONs",
        |talk, stream| {
            talk.say(frame(HEADERS, 0, stream, &section(&[(":status", "200")])));
            talk.say(frame(PING, 0, 0, &[0; 8]));
        },
        PROTOCOL_ERROR,
    ),
    (
        "a push",
        |talk, stream| {
            let mut promise = 2_u32.to_be_bytes().to_vec();
            promise.extend(section(&[(":method", "GET"), (":path", "/p")]));
            talk.say(frame(PUSH_PROMISE, END_HEADERS, stream, &promise));
        },
        PROTOCOL_ERROR,
    ),
    (
        "DATA on a stream nobody opened",
        |talk, _| {
            talk.say(data(99, b"?", 0));
        },
        PROTOCOL_ERROR,
    ),
    (
        "a frame too long",
        |talk, stream| {
            talk.say(frame(DATA, 0, stream, &[0; 20_000]));
        },
        6,
    ),
    (
        "SETTINGS of a bad length",
        |talk, _| {
            talk.say(frame(SETTINGS, 0, 0, &[0; 5]));
        },
        6,
    ),
];

#[test]
fn a_connection_that_breaks_the_rules_is_ended_and_all_are_retried() {
    for (what, act, code) in CONNECTION_FAULTS {
        let server = once(move |talk| {
            let streams = talk.requests(5);
            act(talk, streams[0]);
            let told: Vec<u32> = talk
                .linger()
                .iter()
                .filter(|frame| frame.kind == GOAWAY)
                .map(frames::Frame::code)
                .collect();
            // Some are told what h2 thinks of it in other words: a size is a protocol error too.
            assert!(
                told == [code] || told == [PROTOCOL_ERROR] || told.is_empty(),
                "{what}: {told:?}"
            );
        });
        let dir = Dir::new();
        let out = fetch_many(&dir, &server, 5, "-t 2");
        assert_eq!(out.exit_code(), Some(0), "{what}: {out}");
        assert_many(&dir, 5, b"again");
        assert_eq!(server.connections(), 2, "{what}");
    }
}

#[test]
fn fields_that_end_the_connection_fail_their_own_transfer_alone() {
    let bad: [(&str, &str); 6] = [
        (":status", ""),
        ("X-Upper", "1"),
        ("x y", "1"),
        ("x", "a\0b"),
        ("x", "a\r\nb"),
        (":other", "1"),
    ];
    for field in bad {
        let server = H2Server::start(move |talk| {
            talk.greet(&[]);
            if talk.number <= 7 {
                // The first seven connections answer no request.
                let streams = talk.requests(13 - talk.number);
                let Some((first, others)) = streams.split_first() else {
                    return;
                };
                let head = section(&[(":status", "200"), field]);
                let head = if field.0 == ":status" {
                    &head[13..]
                } else {
                    &head
                };
                talk.say(frame(HEADERS, END_HEADERS, *first, head));
                for stream in others {
                    talk.say(answer(*stream, b"too late"));
                }
            } else {
                talk.answer_all(b"again");
            }
        });
        let dir = Dir::new();
        let out = fetch_many(&dir, &server, 12, "-t 0 -x 1");
        out.code(7).complains("violated the HTTP/2 protocol");
        let files = dir.names();
        let files = files.iter().filter(|name| name.starts_with("out/"));
        assert_eq!(files.count(), 5, "{field:?}");
        assert_eq!(server.connections(), 8, "{field:?}");
    }
}

/// What a server does to one stream: an error of that stream, while the other goes on.
#[test]
fn a_malformed_answer_is_an_error_of_its_stream() {
    let bad_heads: [(&str, &[(&str, &str)]); 7] = [
        ("no :status", &[("x", "y")]),
        ("two of :status", &[(":status", "200"), (":status", "200")]),
        ("a pseudo-field too late", &[("x", "y"), (":status", "200")]),
        ("Connection", &[(":status", "200"), ("connection", "close")]),
        (
            "Transfer-Encoding",
            &[(":status", "200"), ("transfer-encoding", "chunked")],
        ),
        (
            "lengths that differ",
            &[
                (":status", "200"),
                ("content-length", "1"),
                ("content-length", "2"),
            ],
        ),
        ("101", &[(":status", "101")]),
    ];
    for (what, fields) in bad_heads {
        let server = H2Server::start(move |talk| {
            talk.greet(&[]);
            let streams = talk.requests(2);
            if streams.len() < 2 {
                return;
            }
            talk.say(frame(HEADERS, END_HEADERS, streams[0], &section(fields)));
            talk.say(answer(streams[1], b"fine"));
            talk.linger();
        });
        let dir = Dir::new();
        let out = fetch_many(&dir, &server, 2, "-t 0");
        assert_eq!(out.exit_code(), Some(7), "{what}: {out}");
        assert!(dir.has("out/1"), "{what}: {out}");
        assert!(!dir.has("out/0"), "{what}");
    }
}

/// Bytes that no field may have: h2 takes them for an error of the connection, which RFC 9113 §5.4.2 allows.
#[test]
fn fields_that_cannot_be_such_never_get_through() {
    for (name, value) in [
        ("X-Upper", "1"),
        ("x y", "1"),
        ("x", "a\0b"),
        ("x", "a\r\nSet-Cookie: x"),
        ("x", "a\nb"),
    ] {
        let server = each(move |talk, stream| {
            talk.say(head(stream, "200", &[(name, value)], END_STREAM));
            talk.linger();
        });
        let dir = Dir::new();
        fetch(&dir, &server, "-t 0").code(7);
        assert!(!dir.has("out/a"));
    }
}

#[test]
fn a_body_of_another_length_than_announced_never_gets_its_name() {
    for (body, flags) in [
        (&b"too much"[..], END_STREAM),
        (b"few", END_STREAM),
        (b"", END_STREAM),
    ] {
        let server = once(move |talk| {
            let Some(stream) = talk.request() else { return };
            talk.say(head(stream, "200", &[("content-length", "5")], 0));
            talk.say(data(stream, body, flags));
            let told = talk.next(RST_STREAM).map(|frame| frame.code());
            assert!(told.is_none_or(|code| code == PROTOCOL_ERROR), "{told:?}");
            talk.answer_all(b"again");
        });
        let dir = Dir::new();
        fetch(&dir, &server, "-t 0").code(7);
        assert!(!dir.has("out/a"));
    }
}

#[test]
fn a_body_where_none_may_be_is_an_error() {
    // A 204 is no file, whatever follows it.
    for (status, code) in [("204", 8), ("304", 7)] {
        let server = each(move |talk, stream| {
            talk.say(head(stream, status, &[], 0));
            talk.say(data(stream, b"body", END_STREAM));
            talk.linger();
        });
        let dir = Dir::new();
        fetch(&dir, &server, "-t 0").code(code);
    }
}

#[test]
fn a_stream_that_is_no_longer_wanted_is_reset_and_the_others_go_on() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let streams = talk.requests(2);
        if streams.len() < 2 {
            return;
        }
        talk.say(head(streams[0], "200", &[("content-length", "1000")], 0));
        talk.say(data(streams[0], b"a start", 0));
        let told = talk.expect(RST_STREAM);
        assert_eq!((told.stream, told.code()), (streams[0], CANCEL));
        talk.say(answer(streams[1], b"small"));
        talk.linger();
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 2, "-t 0 --max-filesize 100");
    dir.assert_file("out/1", b"small");
    assert!(!dir.has("out/0"));
}

#[test]
fn a_connection_that_dies_with_a_hundred_streams_has_them_all_retried() {
    let server = once(|talk| {
        let streams = talk.requests(100);
        for stream in &streams[..20] {
            talk.say(head(*stream, "200", &[("content-length", "5")], 0));
            talk.say(data(*stream, b"ag", 0));
        }
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 100, "-t 1").ok();
    assert_many(&dir, 100, b"again");
    assert!(server.connections() <= 3, "{}", server.connections());
}

#[test]
fn a_connection_that_had_served_and_died_is_replaced_without_notice() {
    let server = once(|talk| {
        let Some(stream) = talk.request() else { return };
        talk.say(answer(stream, b"again"));
        // The next request is read, and nothing is said to it any more.
        talk.request();
    });
    let dir = Dir::new();
    fetch_many(&dir, &server, 3, "-j 1 -t 0").ok();
    assert_many(&dir, 3, b"again");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_flood_of_pings_is_answered_within_bounds() {
    let server = each(|talk, stream| {
        for _ in 0..200 {
            talk.say(frame(PING, 0, 0, b"flooding").repeat(1000));
            (0..1000).for_each(|_| drop(talk.expect(PING)));
        }
        talk.say(answer(stream, b"dry"));
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0").ok();
    dir.assert_file("out/a", b"dry");
}

/// A server that sends pings and reads no answers is not read any more: the stall timeout ends the transfer.
#[test]
fn a_flood_of_pings_by_one_who_does_not_listen_ends_in_a_timeout() {
    let server = each(|talk, _| talk.say(frame(PING, 0, 0, b"flooding").repeat(1_000_000)));
    let dir = Dir::new();
    fetch(&dir, &server, "-t 0 -T 1s").code(28);
}

#[test]
fn a_server_of_http_1_1_is_no_server_of_http_2() {
    let server = Server::start(|script| {
        script.get("/a").body(b"old");
    });
    let dir = Dir::new();
    let out = dir.fetch("--http2 -t 0 -d out", server.url("/a"));
    out.code_in(&[4, 7]);
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |script| {
        script.get("/a").body(b"old");
    });
    let out = dir
        .gannet()
        .flags("--http2 -t 3 -d out --cacert")
        .arg(ca.write(&dir))
        .arg(server.url("/a"))
        .run();
    out.code(7)
        .complains("does not support the requested version of HTTP");
}

#[test]
fn a_server_that_speaks_http_1_1_over_tls_gets_as_many_connections_as_ever() {
    let ca = Ca::new();
    let server = Server::start_tls(&ca.issue().config(), |script| {
        for at in 0..12 {
            script.get(&format!("/{at}")).body(b"old");
        }
    });
    let dir = Dir::new();
    let urls = (0..12).map(|at| server.url(&format!("/{at}")));
    let gannet = dir.gannet().flags("-j 4 -t 0 -d out --cacert");
    gannet.arg(ca.write(&dir)).args(urls).run().ok();
    assert_many(&dir, 12, b"old");
    assert!(server.connections() <= 4);
}

#[test]
fn the_flags_decide_what_is_spoken() {
    let dir = Dir::new();
    let Some(nginx) = Nginx::start(&dir, "") else {
        return;
    };
    dir.write("www/a", b"1");
    let spoken = |flags: &str| {
        let gannet = dir.gannet().flags("-vv --exists overwrite -d out");
        let gannet = gannet.flags(flags).arg("--cacert").arg(&nginx.cacert);
        let out = gannet.arg(nginx.https_url("/a")).run();
        out.ok();
        let is_answer = |line: &&str| line.starts_with("< [1] HTTP/");
        let line = out.stderr().lines().find(is_answer).map(str::to_owned);
        line.expect("a status line")
    };
    assert!(spoken("").contains("HTTP/2 200"));
    assert!(spoken("--http2").contains("HTTP/2 200"));
    assert!(spoken("--http1.1").contains("HTTP/1.1 200"));
    dir.gannet()
        .flags("--http1.1 --http2 http://127.0.0.1/")
        .run()
        .code(2);
}

#[test]
fn a_stream_that_is_too_slow_ends_alone_and_its_next_try_shares_the_connection() {
    let body = noise(100_000);
    let whole = body.clone();
    let server = once(move |talk| {
        let streams = talk.requests(2);
        let length = whole.len().to_string();
        for (stream, part) in streams.iter().zip([10, 5_000]) {
            talk.say(head(*stream, "200", &[("content-length", &length)], 0));
            talk.say(data(*stream, &whole[..part], 0));
        }
        // Nothing more comes for either: the first has too few bytes when its time is up, the second enough.
        let ended = talk.expect(RST_STREAM);
        assert_eq!((ended.stream, ended.code()), (streams[0], CANCEL));
        talk.say(data(streams[1], &whole[5_000..], END_STREAM));
        let again = talk.request().expect("another try");
        talk.say(answer(again, &whole));
        talk.linger();
    });
    let dir = Dir::new();
    let out = fetch_many(
        &dir,
        &server,
        2,
        "--min-speed 1K:1s -t 1 --stall-timeout 20s",
    );
    out.ok().complains("too slow");
    assert_many(&dir, 2, &body);
    assert_eq!(server.connections(), 1);
}

/// A small body is written to a file without a name. One that is all there, but for the stream's
/// end, is gone on from like any other.
fn gone_on_from(last: &'static [u8]) -> (Dir, Output) {
    let server = each(move |talk, stream| {
        let fields = [("content-length", "5"), ("etag", "\"v1\"")];
        talk.say(head(stream, "200", &fields, 0));
        talk.say(data(stream, b"whole", 0));
        // The answer to this says that the body has been taken.
        talk.say(frame(PING, 0, 0, b"are you?"));
        talk.expect(PING);
        talk.say(reset(stream, CANCEL));
        let stream = talk.request().expect("another try");
        let range = ("content-range", "bytes 4-4/5");
        talk.say(head(stream, "206", &[range, ("etag", "\"v1\"")], 0));
        // Gives the worker time to hash the bytes on the disk.
        for _ in 0..20 {
            talk.say(frame(PING, 0, 0, b"and now?"));
            talk.expect(PING);
        }
        talk.say(data(stream, last, END_STREAM));
        talk.linger();
    });
    let dir = Dir::new();
    let digest =
        "--checksum sha256:5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099";
    let out = fetch(&dir, &server, digest);
    assert_eq!(server.requests(), 2);
    (dir, out)
}

#[test]
fn a_small_body_whose_stream_never_ended_is_gone_on_from_and_checked() {
    let (dir, out) = gone_on_from(b"e");
    out.ok();
    dir.assert_file("out/a", b"whole");
}

/// All bytes are there and right, and the last of them is asked for again.
#[test]
fn a_byte_that_is_written_again_is_checked_again() {
    let (dir, out) = gone_on_from(b"X");
    out.code(9);
    dir.assert_names(&[]);
}

#[test]
fn a_body_of_the_announced_length_is_complete_however_its_stream_ends() {
    for (length, end, is_complete) in [
        ("5", Some(0), true),
        ("5", None, true),
        ("5", Some(CANCEL), false),
        ("6", Some(0), false),
        ("6", None, false),
    ] {
        let server = H2Server::start(move |talk| {
            talk.greet(&[]);
            let Some(stream) = talk.request() else { return };
            talk.say(head(stream, "200", &[("content-length", length)], 0));
            talk.say(data(stream, b"whole", 0));
            if let Some(code) = end {
                talk.say(reset(stream, code));
                talk.linger();
            }
        });
        let dir = Dir::new();
        let out = fetch(&dir, &server, "-t 0");
        if is_complete {
            out.ok();
            dir.assert_file("out/a", b"whole");
        } else {
            assert_ne!(out.exit_code(), Some(0), "{length} {end:?}: {out}");
        }
    }
}

#[test]
fn what_a_stream_said_that_did_not_end_is_not_held_against_the_next_answer() {
    let server = H2Server::start(|talk| {
        talk.greet(&[]);
        let Some(stream) = talk.request() else { return };
        if talk.number == 1 {
            talk.say(head(stream, "200", &[("etag", "\"v1\"")], 0));
            talk.say(data(stream, b"old", END_STREAM));
        } else {
            talk.say(head(stream, "304", &[("etag", "\"v1\"")], 0));
            talk.say(frame(PING, 0, 0, b"are you?"));
            talk.expect(PING);
            talk.say(reset(stream, CANCEL));
            let stream = talk.request().expect("another try");
            talk.say(head(stream, "200", &[("etag", "\"v2\"")], 0));
            talk.say(data(stream, b"new", END_STREAM));
        }
        talk.linger();
    });
    let dir = Dir::new();
    fetch(&dir, &server, "").ok();
    dir.assert_file("out/a", b"old");
    fetch(&dir, &server, "").ok();
    dir.assert_file("out/a", b"new");
    dir.assert_names(&["out/a"]);
}
