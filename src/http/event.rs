//! What was received of an answer, part by part, in every version of HTTP.

use super::Response;

/// The next part of an answer.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing whole: more bytes must be received first.
    Pending,
    /// An interim answer, 100 or 102 to 199 (RFC 9110 §15.2); the final one follows.
    Interim(&'a Response),
    /// The head of the final answer.
    Head(&'a Response),
    /// The next bytes of the body, at least one.
    Data(&'a [u8]),
    /// The end of the answer.
    End,
}
