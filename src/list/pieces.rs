//! The option `pieces=` of the `urls` format: the expected digests of the pieces of a file. Many pieces need several
//! lines, because the length of a line is bounded.
//!
//! `pieces=sha256:262144 HEX HEX …`: the algorithm, the length of each piece but the last in bytes, and the digests.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::http::Expected;
use crate::http::digest::{Algorithm, Pieces};

/// The length at which a line is full. With one more digest it is still shorter than the longest line.
const DIGITS_A_LINE: usize = 32 * 1024;

/// Adds the digests of one line to those of the lines above.
///
/// # Errors
/// What is wrong with the line.
pub(super) fn add(pieces: &mut Option<Arc<Pieces>>, value: &str) -> Result<(), String> {
    let mut words = value.split_ascii_whitespace();
    let head = words.next().and_then(|head| head.split_once(':'));
    let (algorithm, length) = head
        .and_then(|(name, length)| {
            let length: NonZeroU64 = length.parse().ok()?;
            Some((Algorithm::named(name)?, length))
        })
        .ok_or("does not begin with ALG:BYTES")?;
    let pieces = pieces.get_or_insert_with(|| Arc::new(Pieces::new(algorithm, length)));
    if (pieces.algorithm(), pieces.length()) != (algorithm, length.get()) {
        return Err("has another algorithm or length than the line above".into());
    }
    let pieces = Arc::make_mut(pieces);
    for word in words {
        let expected = format!("{algorithm}:{word}").parse::<Expected>()?;
        expected.digests().for_each(|digest| pieces.push(digest));
    }
    Ok(())
}

/// Calls `line` with the value of each `pieces=` line that is needed.
pub(super) fn write(
    pieces: &Pieces,
    mut line: impl FnMut(&dyn fmt::Display) -> fmt::Result,
) -> fmt::Result {
    let head = format!("{}:{}", pieces.algorithm(), pieces.length());
    let mut text = head.clone();
    for digest in (0..pieces.count()).filter_map(|index| pieces.digest(index)) {
        if text.len() > DIGITS_A_LINE {
            line(&text)?;
            text.clone_from(&head);
        }
        text.push(' ');
        text.push_str(hex(&digest.to_string()));
    }
    line(&text)
}

/// The digits after the colon of `ALGORITHM:HEX`.
fn hex(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}
