//! HTTP/1.1 for a client (RFC 9112), without I/O: [`encode`] writes the head of a request, [`Exchange`] reads the
//! response from received bytes.
//!
//! ```text
//!                   ┌─ 1xx: Interim ─┐
//!                   ▼                │
//!  Idle ──begin──▶ Head ─────────────┴─ Head ─┬─▶ Length(n) ── n bytes ──────┐
//!                   │                         ├─▶ Chunked ── last chunk ─────┼─▶ Done ──begin──▶ …
//!                   │                         └─▶ UntilClose ── close ───────┘
//!                   └─ any state: an error ─▶ Failed, until begin
//! ```
//!
//! A response without a body is `Length(0)`. `framing.rs` decides the framing, by RFC 9112 §6.3. httparse parses a
//! head strictly; if it fails, `lenient.rs` parses the head as curl and browsers do. If another reader might find
//! another end of the response, the response is accepted, but its connection carries no further request.
//!
//! ```
//! use gannet::http::Method;
//! use gannet::internals::http1::{Event, Exchange, encode};
//!
//! let mut request = Vec::new();
//! encode(&mut request, Method::Get, "/a?b", [("Host", "example.com")].into_iter())?;
//! assert_eq!(request, b"GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n");
//!
//! let mut exchange = Exchange::new();
//! exchange.begin(Method::Get);
//! let mut arrived = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
//! let mut body = Vec::new();
//! loop {
//!     let (consumed, event) = exchange.receive(arrived)?;
//!     match event {
//!         Event::Interim(_) => {}
//!         Event::Head(response) => assert_eq!(response.status, 200),
//!         Event::Data(data) => body.extend_from_slice(data),
//!         Event::Pending => panic!("receive from the socket here"),
//!         Event::End => break,
//!     }
//!     arrived = &arrived[consumed..];
//! }
//! assert_eq!(body, b"hello");
//! assert!(exchange.is_reusable());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunked;
mod connect;
mod exchange;
mod framing;
mod head;
mod lenient;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod replay;
mod request;

pub use crate::http::event::Event;
pub use connect::{CONNECT, ConnectAnswer, connect};
pub use exchange::{Closed, Exchange};
pub use request::{encode, encode_fields, encode_line};

/// Bytes of one head, from its status line to its empty line.
const MAX_HEAD: usize = 256 * 1024;
/// Header lines of one head.
const MAX_HEADERS: usize = 2048;
/// Interim responses before the final one: a slow server may send one every few seconds (102).
const MAX_INTERIM: u32 = 128;
/// Empty lines before a status line.
const MAX_BLANK_LINES: u8 = 8;
/// Bytes of a chunk's size line, with its line end.
const MAX_CHUNK_LINE: usize = 8 * 1024;
/// Bytes of a trailer section, with its empty line.
const MAX_TRAILER_BYTES: usize = 64 * 1024;
/// Lines of a trailer section, without its empty line.
const MAX_TRAILER_LINES: usize = 256;
/// The capacity that a buffer keeps from one exchange to the next, in bytes.
const KEPT: usize = 16 * 1024;
