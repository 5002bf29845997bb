//! What was received of a response, part by part, in every version of HTTP.

use super::Response;

/// The next part of a response.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing whole: more bytes must be received first.
    Pending,
    /// An interim response, 100 or 102 to 199 (RFC 9110 §15.2); the final one follows.
    Interim(&'a Response),
    /// The head of the final response.
    Head(&'a Response),
    /// The next bytes of the body, at least one.
    Data(&'a [u8]),
    /// The end of the response.
    End,
}
