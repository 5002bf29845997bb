//! `pieces=` of the `urls` format: what the digests of a file's pieces are to be, over as many lines as
//! they need, since a line has a bound.
//!
//! `pieces=sha256:262144 HEX HEX …`: the algorithm, the bytes of each piece but the last, the digests in order.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::http::Expected;
use crate::http::digest::{Algorithm, Pieces};

/// Hex digits on a line at most: with all that is before them, a line stays below its bound.
const DIGITS_A_LINE: usize = 32 * 1024;

/// Adds the digests of one line to those of the lines above it.
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
        return Err("is not of the same pieces as the line above".into());
    }
    let pieces = Arc::make_mut(pieces);
    for word in words {
        let expected = format!("{algorithm}:{word}").parse::<Expected>()?;
        expected.digests().for_each(|digest| pieces.push(digest));
    }
    Ok(())
}

/// The lines of a row that say the same, each by a call of `line`.
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

/// What follows the algorithm in `ALG:HEX`.
fn hex(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}
