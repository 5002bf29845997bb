//! Responses as a connection sees them, whole and in pieces.

use super::*;
use crate::http::Version;
use crate::http1::replay::{Outcome, Seen, replay, replay_whole};

#[track_caller]
fn get(answer: &str) -> Outcome {
    replay_whole(Method::Get, answer.as_bytes())
}

fn fails(answer: &str) -> Option<Malformed> {
    get(answer).error
}

#[test]
fn a_counted_body_is_handed_through_in_place() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let mut exchange = Exchange::new();
    exchange.begin(Method::Get);
    let (head, event) = exchange.receive(answer).unwrap();
    assert!(matches!(event, Event::Head(response) if response.status == 200));
    assert_eq!(exchange.expected(), Some(5));
    let (consumed, event) = exchange.receive(&answer[head..]).unwrap();
    let Event::Data(data) = event else {
        panic!("{event:?}")
    };
    assert!(std::ptr::eq(data, &answer[head..]));
    assert_eq!((consumed, exchange.received()), (5, 5));
    assert!(!exchange.is_reusable());
    assert!(matches!(exchange.receive(b""), Ok((0, Event::End))));
    assert!(exchange.is_reusable());
    assert!(matches!(exchange.receive(b""), Ok((0, Event::Pending))));
}

#[test]
fn one_exchange_reads_answer_after_answer() {
    let mut exchange = Exchange::new();
    for round in 0..3 {
        for (answer, is_reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true),
            (
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                true,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA B: c\r\n\r\nx",
                false,
            ),
        ] {
            let outcome = replay(&mut exchange, Method::Get, &[answer.as_bytes()]);
            assert_eq!(outcome.body(), b"x", "{round} {answer}");
            assert_eq!(outcome.is_reusable, is_reusable, "{round} {answer}");
        }
    }
}

#[test]
fn bytes_behind_the_end_are_not_consumed() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let outcome = get(&format!("{answer}HTTP/1.1 200 OK\r\n\r\n"));
    assert_eq!(outcome.consumed, Some(answer.len()));

    let mut exchange = Exchange::new();
    assert!(matches!(
        exchange.receive(b"x"),
        Err(Malformed::Unsolicited)
    ));
    let outcome = replay(&mut exchange, Method::Get, &[answer.as_bytes()]);
    assert!(outcome.is_reusable);
    assert!(matches!(
        exchange.receive(b"HTTP"),
        Err(Malformed::Unsolicited)
    ));
    assert!(!exchange.is_reusable());
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let outcome = get(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    let statuses: Vec<_> = outcome.seen.iter().map(Seen::status).collect();
    assert_eq!(statuses, [Some(100), Some(103), Some(200), None]);
    assert!(outcome.is_reusable);
    let lengthy = get(
        "HTTP/1.1 102\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(lengthy.is_done() && !lengthy.is_reusable);
}

#[test]
fn interim_answers_are_bounded_and_upgrades_refused() {
    let interim = "HTTP/1.1 103\r\n\r\n";
    let ending = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert!(get(&(interim.repeat(128) + ending)).is_done());
    assert_eq!(
        fails(&(interim.repeat(129) + ending)),
        Some(Malformed::TooManyInterim)
    );
    assert_eq!(
        fails("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        Some(Malformed::Upgrade)
    );
}

#[test]
fn answers_without_a_body_are_done_with_their_head() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ] {
        let outcome = get(head);
        assert!(outcome.is_done() && outcome.is_reusable, "{head}");
        assert_eq!(outcome.expected, Some(0));
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let mut exchange = Exchange::new();
    let outcome = replay(&mut exchange, Method::Head, &[head.as_bytes()]);
    assert!(outcome.is_done() && outcome.is_reusable);
    assert_eq!(exchange.response().content_length(), Some(5));
}

#[test]
fn a_body_without_bounds_ends_with_the_connection() {
    let outcome = get("HTTP/1.1 200 OK\r\n\r\nhello");
    assert_eq!(outcome.body(), b"hello");
    assert_eq!((outcome.closed, outcome.is_reusable), (Closed::Done, false));
    assert!(outcome.was_until_close);
}

#[test]
fn a_cut_answer_says_what_was_received_and_expected() {
    let cut = |received, expected| Closed::Truncated { received, expected };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (answer, expected) in [
        ("".to_owned(), Closed::NoAnswer),
        ("\r\n\r".to_owned(), Closed::NoAnswer),
        ("H".to_owned(), cut(0, None)),
        ("HTTP/1.1 200 OK\r\n".to_owned(), cut(0, None)),
        ("HTTP/1.1 100\r\n\r\n".to_owned(), cut(0, None)),
        (length.to_owned(), cut(0, Some(9))),
        (format!("{length}hello"), cut(5, Some(9))),
        (chunked.to_owned(), cut(0, None)),
        (format!("{chunked}5\r\nhello"), cut(5, None)),
        (format!("{chunked}5\r\nhello\r\n0"), cut(5, None)),
        (format!("{chunked}5\r\nhello\r\n0\r\n"), Closed::Done),
        (format!("{chunked}5\r\nhello\r\n0\r\nA: b"), Closed::Done),
    ] {
        let outcome = get(&answer);
        assert_eq!(outcome.closed, expected, "{answer:?}");
        assert!(!outcome.is_reusable);
        assert!(!outcome.was_until_close);
    }
}

#[test]
fn whether_an_answer_has_begun_decides_if_its_loss_is_silent() {
    let mut exchange = Exchange::new();
    exchange.begin(Method::Get);
    assert!(!exchange.has_begun());
    exchange.receive(b"\r\n").unwrap();
    assert!(!exchange.has_begun());
    exchange.receive(b"H").unwrap();
    assert!(exchange.has_begun());
    exchange.begin(Method::Get);
    assert!(!exchange.has_begun());
    exchange.receive(b"HTTP/1.1 100\r\n\r\n").unwrap();
    assert!(exchange.has_begun());
}

#[test]
fn a_counted_body_may_go_another_way() {
    let mut exchange = Exchange::new();
    exchange.begin(Method::Get);
    assert_eq!(exchange.raw_remaining(), None);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    exchange.receive(head).unwrap();
    exchange.receive(b"0123456789").unwrap();
    assert_eq!(exchange.raw_remaining(), Some(90));
    exchange.skip(50);
    assert_eq!(
        (exchange.raw_remaining(), exchange.received()),
        (Some(40), 60)
    );
    exchange.skip(40);
    assert_eq!((exchange.raw_remaining(), exchange.received()), (None, 100));
    assert!(matches!(exchange.receive(b""), Ok((0, Event::End))));
    assert!(exchange.is_reusable());
}

#[test]
fn moving_more_than_the_body_spoils_the_connection() {
    for (head, n) in [("Content-Length: 5", 6), ("Transfer-Encoding: chunked", 1)] {
        let mut exchange = Exchange::new();
        exchange.begin(Method::Get);
        exchange
            .receive(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        exchange.skip(n);
        assert_eq!(exchange.raw_remaining(), None);
        let _ = exchange.receive(b"0\r\n\r\n");
        assert!(!exchange.is_reusable());
    }
}

#[test]
fn only_a_counted_body_may_go_another_way() {
    for head in [
        "",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\n",
    ] {
        let mut exchange = Exchange::new();
        exchange.begin(Method::Get);
        exchange
            .receive(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())
            .unwrap();
        assert_eq!(exchange.raw_remaining(), None, "{head}");
    }
}

#[test]
fn an_error_stays_until_the_next_request() {
    let mut exchange = Exchange::new();
    exchange.begin(Method::Get);
    assert!(matches!(
        exchange.receive(b"ICY 200 OK"),
        Err(Malformed::NotHttp)
    ));
    assert!(matches!(
        exchange.receive(b"HTTP/1.1 200"),
        Err(Malformed::NotHttp)
    ));
    assert!(matches!(exchange.receive(b""), Err(Malformed::NotHttp)));
    assert!(!exchange.is_reusable());
    exchange.begin(Method::Get);
    assert!(matches!(
        exchange.receive(b"HTTP/1.1 200"),
        Ok((12, Event::Pending))
    ));
}

#[test]
fn broken_framing_is_an_error_before_any_data() {
    for (fields, expected) in [
        (
            "Content-Length: 5\r\nContent-Length: 6",
            Malformed::ContentLength,
        ),
        ("Content-Length: 5\u{1}", Malformed::ContentLength),
        ("Content-Length: 1\r\n 0", Malformed::ContentLength),
        (
            "Transfer-Encoding: gzip, chunked",
            Malformed::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\u{b}",
            Malformed::TransferEncoding,
        ),
        ("Content-Length: 5\0", Malformed::Head),
    ] {
        let outcome = get(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"));
        assert_eq!(
            (outcome.error, outcome.seen.len()),
            (Some(expected), 0),
            "{fields:?}"
        );
    }
}

#[test]
fn fields_that_a_neighbour_may_read_otherwise_end_the_connection() {
    for fields in [
        "Content-Length : 5",
        "Content-Length: 5\r\nTransfer-Encoding chunked",
        "Content-Length: 5\r\nTransfer Encoding: chunked",
        "Content-Length: 5\r\r\nX: y",
        " Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let outcome = get(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"));
        assert_eq!(outcome.body(), b"hello", "{fields:?}");
        assert!(outcome.is_done() && !outcome.is_reusable, "{fields:?}");
    }
    let folded = get("HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello");
    assert!(folded.is_done() && folded.is_reusable);
}

#[test]
fn a_reason_in_latin_1_is_no_obstacle() {
    let answer = b"HTTP/1.1 404 Non trouv\xe9\r\nContent-Length: 0\r\n\r\n";
    let outcome = replay_whole(Method::Get, answer);
    assert_eq!(outcome.seen[0].status(), Some(404));
    assert!(outcome.is_reusable);
}

#[test]
fn the_answer_stays_readable_after_its_end() {
    let mut exchange = Exchange::new();
    let answer = b"HTTP/1.0 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
    replay(&mut exchange, Method::Get, &[answer]);
    let response = exchange.response();
    assert_eq!((response.status, response.version), (302, Version::Http10));
    assert_eq!(response.location(), Some(&b"/x"[..]));
    exchange.begin(Method::Get);
    assert_eq!(exchange.response().status, 0);
}
