//! Computes digests of a body from its bytes in order: of the full body, and of its pieces. No I/O.

use std::ops::Range;
use std::sync::Arc;

use super::Ranges;
use crate::error::Fault;
use crate::http::Digest;
use crate::http::digest::{Algorithm, Hashers, Pieces};

/// The computation for one body.
#[derive(Debug, Clone)]
pub struct Tally {
    whole: Hashers,
    pieces: Option<Box<InPieces>>,
}

/// The result of a computation.
#[derive(Debug, Default)]
pub struct Found {
    /// The digests of the full body, the weakest first; meaningless if a piece is wrong.
    pub digests: Vec<Digest>,
    /// The pieces with a wrong digest, if there are any.
    pub wrong: Option<Box<Wrong>>,
}

/// Pieces with a wrong digest.
#[derive(Debug)]
pub struct Wrong {
    /// Their ranges.
    pub ranges: Ranges,
    /// The first wrong piece: its range, its digest, and the expected one.
    first: (Range<u64>, Digest, Digest),
    /// The computation before the first wrong piece, and how many bytes it had seen: it can be resumed from there.
    pub before: (Tally, u64),
}

/// The computation piece by piece.
#[derive(Debug, Clone)]
struct InPieces {
    pieces: Arc<Pieces>,
    /// The index of the current piece, and how many of its bytes have arrived.
    index: usize,
    filled: u64,
    hashers: Hashers,
    /// The digests of the full body at the start of the current piece.
    before: Hashers,
    wrong: Option<(Ranges, Range<u64>, Digest, Digest)>,
    /// The digests of the full body before the first wrong piece, and the index of that piece.
    rewound: Option<(Hashers, usize)>,
}

impl From<Hashers> for Tally {
    fn from(whole: Hashers) -> Self {
        Self {
            whole,
            pieces: None,
        }
    }
}

impl Tally {
    /// A computation with all these algorithms, and of the pieces, if any.
    pub fn new(
        algorithms: impl IntoIterator<Item = Algorithm>,
        pieces: Option<Arc<Pieces>>,
    ) -> Self {
        Self {
            whole: Hashers::new(algorithms),
            pieces: pieces.map(|pieces| Box::new(InPieces::from(pieces, 0))),
        }
    }

    /// Whether it computes nothing.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.pieces.is_none()
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let Some(pieces) = &mut self.pieces else {
            return self.whole.update(bytes);
        };
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(pieces.room().min(bytes.len()));
            bytes = later;
            if pieces.rewound.is_none() {
                if pieces.filled == 0 {
                    pieces.before = self.whole.clone();
                }
                self.whole.update(now);
            }
            pieces.update(now);
        }
    }

    /// The result, after the last byte.
    pub fn finish(self) -> Found {
        let wrong = self.pieces.and_then(|pieces| pieces.finish());
        Found {
            digests: self.whole.finish(),
            wrong: wrong.map(Box::new),
        }
    }
}

impl InPieces {
    /// A computation that starts at the beginning of a piece.
    fn from(pieces: Arc<Pieces>, index: usize) -> Self {
        Self {
            hashers: Hashers::new([pieces.algorithm()]),
            before: Hashers::new([]),
            pieces,
            index,
            filled: 0,
            wrong: None,
            rewound: None,
        }
    }

    /// How many bytes of the current piece are missing.
    fn room(&self) -> usize {
        usize::try_from(self.pieces.length() - self.filled).unwrap_or(usize::MAX)
    }

    /// Hashes bytes of the current piece.
    fn update(&mut self, bytes: &[u8]) {
        self.hashers.update(bytes);
        self.filled += bytes.len() as u64;
        if self.filled == self.pieces.length() {
            self.close();
        }
    }

    /// Verifies the current piece at its end, and begins the next one.
    fn close(&mut self) {
        let algorithm = self.pieces.algorithm();
        let hashers = std::mem::replace(&mut self.hashers, Hashers::new([algorithm]));
        let start = self.index as u64 * self.pieces.length();
        let range = start..start + self.filled;
        let expected = self.pieces.digest(self.index);
        if let (Some(expected), Some(found)) = (expected, hashers.finish().pop())
            && expected != found
        {
            let first = range.clone();
            let (ranges, ..) = self
                .wrong
                .get_or_insert_with(|| (Ranges::default(), first, found, expected));
            ranges.insert(range);
            self.rewound
                .get_or_insert_with(|| (self.before.clone(), self.index));
        }
        self.index += 1;
        self.filled = 0;
    }

    fn finish(mut self) -> Option<Wrong> {
        if self.filled > 0 {
            self.close();
        }
        let (ranges, range, found, expected) = self.wrong?;
        let (whole, index) = self.rewound?;
        let at = index as u64 * self.pieces.length();
        let pieces = Some(Box::new(Self::from(self.pieces, index)));
        Some(Wrong {
            ranges,
            first: (range, found, expected),
            before: (Tally { whole, pieces }, at),
        })
    }
}

impl Wrong {
    /// The first wrong piece as a fault.
    pub fn fault(&self) -> Fault {
        let (range, found, expected) = &self.first;
        Fault::Piece {
            range: range.clone(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hashers = Hashers::new([algorithm]);
        hashers.update(bytes);
        hashers.finish()[0]
    }

    fn pieces(body: &[u8], length: u64) -> Arc<Pieces> {
        let mut pieces = Pieces::new(Algorithm::Sha1, NonZeroU64::new(length).unwrap());
        for piece in body.chunks(length as usize) {
            pieces.push(&digest(Algorithm::Sha1, piece));
        }
        Arc::new(pieces)
    }

    fn feed(tally: &mut Tally, body: &[u8], cuts: &[usize]) {
        let mut at = 0;
        for cut in cuts {
            let end = (at + cut).min(body.len());
            tally.update(&body[at..end]);
            at = end;
        }
        tally.update(&body[at..]);
    }

    #[test]
    fn the_fault_names_the_first_wrong_piece_and_both_digests() {
        let mut tally = Tally::new([], Some(pieces(b"aaabbbcc", 3)));
        tally.update(b"aaaxbbxx");
        let fault = tally.finish().wrong.unwrap().fault().to_string();
        let (found, expected) = (
            digest(Algorithm::Sha1, b"xbb"),
            digest(Algorithm::Sha1, b"bbb"),
        );
        assert_eq!(
            fault,
            format!("the digest of bytes 3-5 is {found}, not {expected} as asked for")
        );
    }

    proptest! {
        #[test]
        fn exactly_the_pieces_with_a_wrong_byte_are_wrong_and_the_rest_is_read_once(
            body in prop::collection::vec(any::<u8>(), 1..400),
            length in 1_u64..90,
            damage in prop::collection::vec(0_usize..400, 0..4),
            cuts in prop::collection::vec(0_usize..120, 0..8),
        ) {
            let mut came = body.clone();
            let mut wanted = Ranges::default();
            for at in damage.into_iter().filter(|at| *at < body.len()) {
                came[at] = !body[at];
                let start = at as u64 / length * length;
                wanted.insert(start..(start + length).min(body.len() as u64));
            }
            let mut tally = Tally::new([Algorithm::Md5], Some(pieces(&body, length)));
            feed(&mut tally, &came, &cuts);
            let mut found = tally.finish();
            if let Some(wrong) = found.wrong.take() {
                prop_assert_eq!(&wrong.ranges, &wanted);
                let (mut tally, at) = wrong.before;
                prop_assert_eq!(Some(at), wanted.iter().next().map(|range| range.start));
                feed(&mut tally, &body[at as usize..], &cuts);
                found = tally.finish();
            } else {
                prop_assert!(wanted.is_empty());
            }
            prop_assert!(found.wrong.is_none());
            prop_assert_eq!(found.digests, vec![digest(Algorithm::Md5, &body)]);
        }
    }
}
