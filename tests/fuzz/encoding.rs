//! Content-Encoding (`http::encoding`): a body comes out the same however it is cut, in pieces of
//! bounded size, or is refused.

use gannet::error::{Fault, Undecodable};
use gannet::http::Headers;
use gannet::internals::http::encoding::{Decoder, PIECE};

/// What the first byte chooses from.
const FIELDS: [&str; 8] = [
    "gzip",
    "deflate",
    "br",
    "zstd",
    "gzip, zstd",
    "br, gzip",
    "zstd, br",
    "deflate, gzip, gzip, deflate",
];

/// Of what is decoded, in bytes, so much is looked at.
const MOST: usize = 4 << 20;

/// Takes a byte that chooses the codings, one that says how the body is cut, and the body.
pub fn run(bytes: &[u8]) {
    let [choice, cut, body @ ..] = bytes else {
        return;
    };
    let field = FIELDS[usize::from(*choice) % FIELDS.len()];
    let whole = decode(field, body, usize::MAX);
    let in_pieces = decode(field, body, 1 + usize::from(*cut));
    let (Outcome::Is(whole), Outcome::Is(in_pieces)) = (whole, in_pieces) else {
        return;
    };
    match (whole, in_pieces) {
        // Of several codings another may be found out first.
        (Err(_), Err(_)) if field.contains(',') => {}
        (whole, in_pieces) => assert_eq!(whole, in_pieces, "{field}"),
    }
}

/// What became of a body.
enum Outcome {
    /// It is this, or it is none.
    Is(Result<Vec<u8>, Undecodable>),
    /// It is more than is looked at.
    IsLong,
}

fn decode(field: &str, body: &[u8], piece: usize) -> Outcome {
    let mut headers = Headers::new();
    headers.push(b"Content-Encoding", field.as_bytes());
    let decoder = Decoder::of(&headers).expect("known codings");
    let mut decoder = decoder.expect("a coding");
    let mut decoded = Vec::new();
    for piece in body.chunks(piece) {
        let result = decoder.decode(piece, &mut |bytes| {
            assert!((1..=PIECE).contains(&bytes.len()));
            decoded.extend_from_slice(bytes);
            match decoded.len() {
                0..=MOST => Ok(()),
                _ => Err(Fault::Aborted),
            }
        });
        match result {
            Ok(()) => {}
            Err(Fault::Undecodable(why)) => {
                assert!(!matches!(why, Undecodable::Cut(_)), "more may come");
                return Outcome::Is(Err(why));
            }
            Err(_) => return Outcome::IsLong,
        }
    }
    Outcome::Is(decoder.finish().map(|()| decoded))
}
