//! Any body in any codings, cut anywhere, comes out as it was; and what is not whole or not right is told.

use std::io::Write as _;

use flate2::Compression;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

/// What a body of these fields decodes to, where it comes in pieces of these lengths, over and over.
fn decode_in(fields: &[&str], coded: &[u8], lengths: &[usize]) -> Result<Vec<u8>, Fault> {
    let mut headers = Headers::new();
    for value in fields {
        headers.push(b"Content-Encoding", value.as_bytes());
    }
    let mut decoder = Decoder::of(&headers)?.expect("a coding");
    let mut decoded = Vec::new();
    let mut rest = coded;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(rest.len().min(*length));
        rest = behind;
        decoder.decode(piece, &mut |bytes| {
            assert!(!bytes.is_empty() && bytes.len() <= PIECE);
            decoded.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    decoder.finish()?;
    Ok(decoded)
}

fn decode(field: &str, coded: &[u8]) -> Result<Vec<u8>, Fault> {
    decode_in(&[field], coded, &[usize::MAX])
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    coder.write_all(body).unwrap();
    coder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    coder.write_all(body).unwrap();
    coder.finish().unwrap()
}

fn bare_deflate(body: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    coder.write_all(body).unwrap();
    coder.finish().unwrap()
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut coder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
    coder.write_all(body).unwrap();
    coder.into_inner()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    compress_to_vec(body, CompressionLevel::Fastest)
}

/// A frame of zstd by hand: its descriptor and what follows, then blocks of one byte repeated.
fn zstd_of(head: &[u8], blocks: &[(u32, u8)]) -> Vec<u8> {
    let mut frame = MAGIC_BYTES.to_vec();
    frame.extend_from_slice(head);
    for (at, (length, byte)) in blocks.iter().enumerate() {
        let is_last = u32::from(at + 1 == blocks.len());
        let head = length << 3 | 1 << 1 | is_last;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(*byte);
    }
    frame
}

const MAGIC_BYTES: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A coding's names and how it is made.
type Known = (&'static [&'static str], fn(&[u8]) -> Vec<u8>);

const ALL: [Known; 5] = [
    (&["gzip", "x-gzip", "GZip"], gzip),
    (&["deflate", "Deflate"], zlib),
    (&["deflate"], bare_deflate),
    (&["br", "BR"], brotli),
    (&["zstd", "ZStd"], zstd),
];

fn text() -> Vec<u8> {
    (0..3000_u32)
        .flat_map(|line| format!("line {} of it\n", line % 37 * line).into_bytes())
        .collect()
}

/// The fault of a body that cannot be decoded.
fn fault(field: &str, coded: &[u8]) -> Undecodable {
    match decode(field, coded) {
        Err(Fault::Undecodable(why)) => why,
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn each_coding_is_undone_under_each_of_its_names() {
    for body in [&b""[..], b"x", &text(), &[0; 300_000]] {
        for (names, code) in ALL {
            for name in names {
                assert_eq!(decode(name, &code(body)).unwrap(), body, "{name}");
            }
        }
    }
}

#[test]
fn bodies_cut_into_single_bytes_are_the_same() {
    let body = text();
    for (names, code) in ALL {
        let decoded = decode_in(&[names[0]], &code(&body), &[1]).unwrap();
        assert_eq!(decoded, body, "{names:?}");
    }
}

#[test]
fn codings_in_a_row_are_undone_from_the_last() {
    let body = text();
    let coded = zstd(&brotli(&gzip(&body)));
    for fields in [
        &["gzip, br, zstd"][..],
        &["gzip", "br", "zstd"],
        &[" gzip,,identity , br", "zstd"],
    ] {
        assert_eq!(decode_in(fields, &coded, &[7, 100]).unwrap(), body);
    }
}

#[test]
fn what_is_not_coded_needs_no_decoder() {
    for fields in [&[][..], &["identity"], &["", "Identity, ,"]] {
        let mut headers = Headers::new();
        for value in fields {
            headers.push(b"Content-Encoding", value.as_bytes());
        }
        assert!(Decoder::of(&headers).unwrap().is_none(), "{fields:?}");
    }
}

#[test]
fn unknown_codings_and_too_many_are_refused_by_name() {
    for (field, shown) in [
        ("compress", "'compress'"),
        ("gzip, aws-chunked", "'aws-chunked'"),
        ("gzip;q=1", "'gzip;q=1'"),
        ("\x1b[31m", "'\\x1b[31m'"),
    ] {
        let why = fault(field, b"").to_string();
        assert_eq!(why, format!("unrecognized content encoding {shown}"));
    }
    assert!(fault(&"x".repeat(10_000), b"").to_string().len() < 100);
    assert!(decode("br, br, br, br", b"").is_ok());
    let too_many = fault("br, br, br, br, br", b"");
    assert_eq!(too_many, Undecodable::TooMany(4));
}

#[test]
fn an_empty_body_is_empty_in_any_coding() {
    for field in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        assert_eq!(decode(field, b"").unwrap(), b"", "{field}");
    }
}

#[test]
fn what_is_cut_anywhere_is_told_from_what_is_whole() {
    let body = &text()[..2000];
    for (names, code) in ALL {
        let coded = code(body);
        for end in 1..coded.len() {
            let why = fault(names[0], &coded[..end]);
            assert!(matches!(why, Undecodable::Cut(_)), "{names:?} {end}: {why}");
        }
    }
    // Of an inner coding too.
    let coded = gzip(&brotli(body)[..50]);
    assert_eq!(fault("br, gzip", &coded), Undecodable::Cut("br"));
}

#[test]
fn members_and_frames_one_behind_the_other_are_one_body() {
    let both = |code: fn(&[u8]) -> Vec<u8>| [code(b"one "), code(b""), code(b"two")].concat();
    for lengths in [&[1][..], &[usize::MAX], &[5, 2]] {
        let decoded = decode_in(&["gzip"], &both(gzip), lengths).unwrap();
        assert_eq!(decoded, b"one two");
        let decoded = decode_in(&["zstd"], &both(zstd), lengths).unwrap();
        assert_eq!(decoded, b"one two");
    }
}

#[test]
fn frames_that_are_to_be_passed_over_are() {
    let skipped = |length: u32| {
        let mut frame = vec![0x5a, 0x2a, 0x4d, 0x18];
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend(std::iter::repeat_n(7, length as usize));
        frame
    };
    let coded = [
        skipped(5),
        zstd(b"one "),
        skipped(0),
        skipped(70_000),
        zstd(b"two"),
    ]
    .concat();
    for lengths in [&[1][..], &[usize::MAX], &[6, 3]] {
        assert_eq!(decode_in(&["zstd"], &coded, lengths).unwrap(), b"one two");
    }
    let why = fault("zstd", &skipped(9)[..12]);
    assert_eq!(why, Undecodable::Cut("zstd"));
}

#[test]
fn what_stands_behind_gzip_is_passed_over_unless_it_begins_another_member() {
    let coded = gzip(b"body");
    for behind in [&b"\0\0\0\0"[..], b"garbage", b"\x1f", b"\x1fgarbage"] {
        for lengths in [&[1][..], &[usize::MAX]] {
            let coded = [&coded, behind].concat();
            assert_eq!(decode_in(&["gzip"], &coded, lengths).unwrap(), b"body");
        }
    }
    let why = fault("gzip", &[&coded[..], b"\x1f\x8bgarbage"].concat());
    assert_eq!(why, Undecodable::Damaged("gzip"));
    assert_eq!(
        fault("gzip", &[&coded[..], b"\x1f\x8b"].concat()),
        Undecodable::Cut("gzip")
    );
}

#[test]
fn what_stands_behind_the_other_codings_is_damage() {
    for (names, code) in &ALL[1..] {
        let coded = [code(b"body"), b"garbage".to_vec()].concat();
        for lengths in [&[1][..], &[usize::MAX]] {
            let decoded = decode_in(&[names[0]], &coded, lengths);
            assert!(
                matches!(decoded, Err(Fault::Undecodable(Undecodable::Damaged(_)))),
                "{names:?}: {decoded:?}"
            );
        }
    }
}

#[test]
fn a_checksum_or_a_size_that_is_wrong_is_damage() {
    let body = text();
    for (name, coded) in [("gzip", gzip(&body)), ("deflate", zlib(&body))] {
        for at in 1..=4 {
            let mut coded = coded.clone();
            let at = coded.len() - at;
            coded[at] ^= 1;
            assert_eq!(fault(name, &coded), Undecodable::Damaged(name));
        }
    }
    // One segment of 6 bytes, with a checksum.
    let mut coded = zstd_of(&[0b10_0100, 6], &[(6, b'x')]);
    coded.extend_from_slice(&[1, 2, 3, 4]);
    assert_eq!(fault("zstd", &coded), Undecodable::Damaged("zstd"));
    for size in [5, 7] {
        let coded = zstd_of(&[0b10_0000, size], &[(6, b'x')]);
        assert_eq!(fault("zstd", &coded), Undecodable::Damaged("zstd"));
    }
    let coded = zstd_of(&[0b10_0000, 6], &[(6, b'x')]);
    assert_eq!(decode("zstd", &coded).unwrap(), b"xxxxxx");
}

#[test]
fn what_is_no_such_coding_is_damage() {
    for name in ["gzip", "deflate", "br", "zstd"] {
        let why = fault(
            name,
            &[b"<html>this is no coded body at all</html>".repeat(9)].concat(),
        );
        assert_eq!(why, Undecodable::Damaged(name));
    }
}

#[test]
fn a_window_of_more_than_8_mib_is_refused() {
    let windowed = |exponent: u8| zstd_of(&[0, exponent << 3], &[(1, b'x')]);
    assert_eq!(decode("zstd", &windowed(13)).unwrap(), b"x");
    let why = fault("zstd", &windowed(14));
    assert_eq!(
        why.to_string(),
        "the body needs a zstd window of 16777216 bytes; the limit is 8388608"
    );
    let dictionary = zstd_of(&[1, 0, 7], &[(1, b'x')]);
    assert_eq!(fault("zstd", &dictionary), Undecodable::Dictionary("zstd"));
}

#[test]
fn a_bomb_leaves_in_pieces_and_whoever_takes_them_can_stop_it() {
    let coded = zstd_of(&[0, 10 << 3], &vec![(128 * 1024, 0); 10_000]);
    let mut headers = Headers::new();
    headers.push(b"Content-Encoding", b"zstd");
    let mut decoder = Decoder::of(&headers).unwrap().unwrap();
    let mut left = 1 << 20;
    let stopped = decoder.decode(&coded, &mut |bytes| {
        left -= bytes.len().min(left);
        match left {
            0 => Err(Fault::TooLarge { limit: 1 << 20 }),
            _ => Ok(()),
        }
    });
    assert!(matches!(stopped, Err(Fault::TooLarge { .. })));
}

/// Bodies that can be compressed, and such that cannot.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0_usize..50_000).prop_map(|(byte, length)| vec![byte; length]),
        (1_usize..100).prop_map(|times| b"the same words again ".repeat(times)),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_in_any_codings_cut_anywhere_comes_out_as_it_was(
        body in bodies(),
        chosen in prop::collection::vec(0_usize..ALL.len(), 1..4),
        lengths in prop::collection::vec(1_usize..5_000, 1..6),
    ) {
        let names: Vec<_> = chosen.iter().map(|at| ALL[*at].0[0]).collect();
        let coded = chosen.iter().fold(body.clone(), |coded, at| ALL[*at].1(&coded));
        prop_assert_eq!(decode_in(&names, &coded, &lengths).unwrap(), body);
    }

    #[test]
    fn a_byte_that_is_changed_is_told_or_changes_nothing_behind_the_checksum(
        at in 0_usize..2_000,
        change in 1_u8..,
    ) {
        let body = text();
        let mut coded = gzip(&body);
        let at = at % coded.len();
        coded[at] ^= change;
        // The head says when and where a file was made, and nothing checks that.
        let decoded = decode("gzip", &coded);
        prop_assert!(decoded.is_err() || decoded.unwrap() == body);
    }
}
