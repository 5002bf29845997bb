//! For tests: what must hold for every response, well-formed or not, and however it is cut into pieces.

use proptest::collection::vec;
use proptest::prelude::*;

use super::replay::{replay, replay_whole};
use super::{Closed, Exchange};
use crate::http::Method;

/// A well-formed response and its body.
#[derive(Debug, Clone)]
struct Answer {
    bytes: Vec<u8>,
    body: Vec<u8>,
    /// Whether it has an end that does not depend on the connection.
    is_bounded: bool,
}

fn well_formed() -> impl Strategy<Value = Answer> {
    let fields = vec(
        "X-[a-z]{1,5}: [!-~]{0,3}( [!-~]{1,3})?(\r\n [a-z]{1,3})?",
        0..4,
    );
    let body = vec(vec(any::<u8>(), 1..20), 0..5);
    (0..3usize, 0..3u8, any::<bool>(), fields, body).prop_map(
        |(interim, framing, is_lf, fields, chunks)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            let body = chunks.concat();
            let (field, content) = match framing {
                0 => (format!("Content-Length: {}\r\n", body.len()), body.clone()),
                1 => (
                    "Transfer-Encoding: Chunked\r\n".to_owned(),
                    chunked(&chunks),
                ),
                _ => (String::new(), body.clone()),
            };
            let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(interim);
            let mut head = format!("{interim}HTTP/1.1 200 OK\r\n{fields}{field}\r\n");
            if is_lf {
                head = head.replace('\r', "");
            }
            Answer {
                bytes: [head.as_bytes(), &content].concat(),
                body,
                is_bounded: framing < 2,
            }
        },
    )
}

fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        bytes.extend_from_slice(format!("{:x};ext\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    bytes
}

/// Valid and invalid lines of responses, in any order. They reach more states than random bytes.
fn assembled() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 404\n"),
        Just("HTTP/1.1 100 Continue\r\n\r\n"),
        Just("HTTP/1.1 304 \r\n"),
        Just("Content-Length: 5\r\n"),
        Just("Content-Length: 5, 05\r\n"),
        Just("Content-Length : 7\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("Transfer-Encoding: identity\r\n"),
        Just("Connection: keep-alive\r\n"),
        Just("Connection: close\r\n"),
        Just(" folded\r\n"),
        Just("no colon\r\n"),
        Just("X: \u{1}\r\n"),
        Just("\0"),
        Just("hello"),
        Just("5\r\nhello\r\n"),
        Just("5;x\nhello\n"),
        Just("0\r\n"),
        Just("0\r\n\r\n"),
        Just("ffffffffffffffff\r\n"),
    ];
    vec(part, 0..10).prop_map(|parts| {
        let text = parts.concat();
        let has_status = text.starts_with("HTTP");
        let start = if has_status {
            ""
        } else {
            "HTTP/1.1 200 OK\r\n"
        };
        format!("{start}{text}").into_bytes()
    })
}

/// A well-formed response with a few bytes inserted, removed or changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(&b"\r\n\0 \t:;,05fx-"[..]),
    ];
    let mutation = (any::<proptest::sample::Index>(), 0..3u8, byte);
    (well_formed(), vec(mutation, 1..5)).prop_map(|(answer, mutations)| {
        let mut bytes = answer.bytes;
        for (index, kind, byte) in mutations {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..60),
        2 => well_formed().prop_map(|answer| answer.bytes),
        4 => mutated(),
        4 => assembled(),
    ]
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![4 => Just(Method::Get), 1 => Just(Method::Head)]
}

/// The bytes, cut at these offsets. Some pieces are empty.
fn cut<'a>(bytes: &'a [u8], offsets: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    let mut offsets: Vec<_> = offsets.iter().map(|at| at.index(bytes.len() + 1)).collect();
    offsets.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for offset in offsets {
        pieces.push(&bytes[start..offset]);
        start = offset;
    }
    pieces.push(&bytes[start..]);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_answer_is_the_same_however_it_is_cut(
        bytes in any_answer(),
        method in method(),
        offsets in vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let whole = replay_whole(method, &bytes);
        let pieces = cut(&bytes, &offsets);
        prop_assert_eq!(&replay(&mut Exchange::new(), method, &pieces), &whole);
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&replay(&mut Exchange::new(), method, &single), &whole);
    }

    #[test]
    fn an_exchange_forgets_what_it_read_before(before in any_answer(), bytes in any_answer()) {
        let mut exchange = Exchange::new();
        replay(&mut exchange, Method::Get, &cut(&before, &[]));
        let again = replay(&mut exchange, Method::Get, &[&bytes]);
        prop_assert_eq!(again, replay_whole(Method::Get, &bytes));
    }

    #[test]
    fn a_well_formed_answer_yields_its_body(answer in well_formed()) {
        let outcome = replay_whole(Method::Get, &answer.bytes);
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.body(), &answer.body[..]);
        prop_assert_eq!(outcome.received, answer.body.len() as u64);
        prop_assert_eq!(outcome.closed, Closed::Done);
        prop_assert_eq!(outcome.consumed, Some(answer.bytes.len()));
        prop_assert_eq!(outcome.is_done(), answer.is_bounded);
        prop_assert_eq!(outcome.is_reusable, answer.is_bounded);
    }

    #[test]
    fn a_bounded_answer_cut_short_is_never_complete(
        answer in well_formed(),
        offset in any::<proptest::sample::Index>(),
    ) {
        if !answer.is_bounded {
            return Ok(());
        }
        let cut = &answer.bytes[..offset.index(answer.bytes.len())];
        let outcome = replay_whole(Method::Get, cut);
        prop_assert_eq!(outcome.error, None);
        prop_assert!(!outcome.is_reusable);
        // After the line of the last chunk, only trailers are missing (RFC 9112 §8).
        if outcome.closed == Closed::Done {
            prop_assert_eq!(outcome.body(), answer.body);
        }
    }
}
