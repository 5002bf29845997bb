//! [`Event`]: an event of a response that is being received, for all versions of HTTP.

use super::Response;

/// The next event of a response.
#[derive(Debug)]
pub enum Event<'a> {
    /// No complete event: more bytes must be received first.
    Pending,
    /// An interim response, 100 or 102 to 199 (RFC 9110 §15.2). The final one follows.
    Interim(&'a Response),
    /// The head of the final response.
    Head(&'a Response),
    /// The next bytes of the body, at least one.
    Data(&'a [u8]),
    /// The end of the response.
    End,
}
