//! HTTP/2 for a client (RFC 9113), without I/O: an adapter for the h2 crate, which runs without an async runtime.
//!
//! A [`Session`] is one connection. Received bytes go in, bytes to send come out, and each stream is polled after it
//! was woken. h2 reads and writes memory ([`wire`]). The waker of the connection does nothing, because the session
//! polls the connection after each change; the waker of a stream queues its token ([`woken`]).
//!
//! ```text
//!  a stream: ──request──▶ Waiting ─┬─ Head ─▶ Body ─┬─ End ─▶ Over ──leave──▶ free
//!                          ▲   │   │          ▲  │  │
//!                          └1xx┘   │          └──┘  └─ an error ─┐
//!                                  └─ an error ──────────────────┴─▶ leave: what is not over is reset (CANCEL)
//! ```
//!
//! The caller names each stream by a token, a small number that it chooses. The bytes of a stream's body count
//! against its window until they are [released](Session::release), so a stream that is not polled stalls without
//! stalling the others.

mod request;
mod session;
mod stream;
mod wire;
mod woken;

/// A request without a body, as a type of the http crate.
pub type Request = ::http::Request<()>;
pub use crate::http::event::Event;
pub use request::Fields;
pub(crate) use request::request_text;
pub use session::{Readiness, Session};
pub use stream::Broken;

/// The maximum number of streams on one connection, even if the peer allows more (RFC 9113 §6.5.2 recommends that it
/// allows at least as many).
pub const MAX_STREAMS: usize = 100;
/// The largest possible window, in bytes (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The maximum size of a field section, as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2).
const MAX_HEAD: u32 = 256 * 1024;
/// Interim responses before the final one.
const MAX_INTERIM: u32 = 32;
/// The memory that a head keeps from one stream to the next, in bytes.
const KEPT: usize = 16 * 1024;
/// The number of reset streams that are remembered, so that their late frames are ignored.
const REMEMBERED_RESETS: usize = 1024;

/// Flow-control windows: how many bytes may be in flight, or received and not yet released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of each stream's body.
    pub stream: u32,
    /// Of all bodies on one connection.
    pub connection: u32,
}

/// Large enough for one stream to fill a path of 1 Gbit/s and 130 ms.
impl Default for Windows {
    fn default() -> Self {
        Self {
            stream: 16 * 1024 * 1024,
            connection: 64 * 1024 * 1024,
        }
    }
}
