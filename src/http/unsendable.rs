//! [`Unsendable`]: why a request cannot be written, in whatever version of HTTP.

/// Why a request's head cannot be sent. Nothing is quoted: it might be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// The target is empty, or holds something else than visible ASCII (RFC 9112 §3.2).
    #[error("the request target cannot be sent")]
    Target,
    /// A Host that was given is no authority (RFC 9113 §8.3.1).
    #[error("the Host header cannot be sent")]
    Authority,
    /// A field's name is not a token (RFC 9110 §5.1).
    #[error("a header's name cannot be sent")]
    Name,
    /// A field's value holds CR, LF, NUL or another control character (RFC 9110 §5.5).
    #[error("a header's value cannot be sent")]
    Value,
}
