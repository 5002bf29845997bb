//! [`Unsendable`]: why the head of a request is invalid, for all versions of HTTP.

/// Why the head of a request cannot be sent. Nothing of it is quoted, because it may contain a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// The target is empty, or has bytes other than visible ASCII (RFC 9112 §3.2).
    #[error("the request target cannot be sent")]
    Target,
    /// A given Host field is not a valid authority (RFC 9113 §8.3.1).
    #[error("the Host header cannot be sent")]
    Authority,
    /// A field's name is not a token (RFC 9110 §5.1).
    #[error("a header's name cannot be sent")]
    Name,
    /// A field's value has CR, LF, NUL or another control character (RFC 9110 §5.5).
    #[error("a header's value cannot be sent")]
    Value,
}
