//! What a division is told: the file at its beginning, how far its transfers have come, and where they end.

use std::ops::Range;

use crate::download::{Ranges, Validators};

/// A file that its first transfer has begun, when it is divided.
#[derive(Debug)]
pub struct Begun {
    /// The size of the file in bytes.
    pub size: u64,
    /// The smallest segment in bytes.
    pub least: u64,
    /// The written ranges.
    pub done: Ranges,
    /// The offset at which the first transfer began.
    pub start: u64,
    /// The offset of its next byte.
    pub at: u64,
    /// Its response is open-ended: it reaches the end of the file.
    pub has_all: bool,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy)]
pub struct Frontier<'a> {
    /// The offset of its next byte.
    pub at: u64,
    /// The validators of its server, as far as they are known.
    pub validators: &'a Validators,
    /// The bytes of its body so far.
    pub received: u64,
    /// It has left the queue of the engine.
    pub is_dispatched: bool,
}

/// Where a transfer has ended.
#[derive(Debug)]
pub struct End<'a> {
    /// The offset of the byte that would have been next.
    pub at: u64,
    /// The end offset of its segment.
    pub end: u64,
    /// The received range that must be discarded, because it does not have the digest that the server announced.
    pub spoilt: Option<Range<u64>>,
    /// The validators of its server, as far as they are known.
    pub validators: &'a Validators,
}
