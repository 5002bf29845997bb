//! HTTP/2 as a client speaks it (RFC 9113), without I/O: an adapter round the h2 crate, which is driven by hand.
//!
//! A [`Session`] is one connection's share of it. Bytes that arrived go in, bytes to be sent come
//! out, and each stream is asked for what has happened to it once it was woken. There is no
//! runtime: h2 reads and writes memory ([`wire`]), the connection has a waker that does nothing,
//! because whoever feeds it polls it, and each stream one that queues its slot ([`woken`]).
//!
//! ```text
//!  a slot:   ──request──▶ Waiting ─┬─ Head ─▶ Body ─┬─ End ─▶ Over ──leave──▶ free
//!                          ▲   │   │          ▲  │  │
//!                          └1xx┘   │          └──┘  └─ an error ─┐
//!                                  └─ an error ──────────────────┴─▶ leave: what is not over is reset (CANCEL)
//! ```
//!
//! Slots are numbers that the caller chooses, small ones. What a stream's body holds stays within its window until
//! it is [released](Session::release): a stream that nobody asks stalls alone.

mod request;
mod session;
mod stream;
mod wire;
mod woken;

/// A request without a body, in the words of the http crate.
pub type Request = ::http::Request<()>;
pub use crate::http::Event;
pub use request::Fields;
pub(crate) use request::shown;
pub use session::{Readiness, Session};
pub use stream::Broken;

/// Streams that we have at once on one connection, whatever the peer allows (RFC 9113 §5.1.2 bids it to allow as many).
pub const MAX_STREAMS: usize = 100;
/// The largest window that there is, in bytes (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of one field section, as the peer counts them (RFC 9113 §6.5.2).
const MAX_HEAD: u32 = 256 * 1024;
/// Interim answers before the final one.
const MAX_INTERIM: u32 = 32;
/// What a head may keep of its memory from one stream to the next, in bytes.
const KEPT: usize = 16 * 1024;
/// Streams that were reset and whose late frames are still known for what they are.
const REMEMBERED_RESETS: usize = 1024;

/// How many bytes may be on their way to us, or here and not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of each stream's body.
    pub stream: u32,
    /// Of all bodies on one connection.
    pub connection: u32,
}

/// Wide enough to fill a long fat link, 1 Gbit/s over 130 ms, with a single stream.
impl Default for Windows {
    fn default() -> Self {
        Self {
            stream: 16 * 1024 * 1024,
            connection: 64 * 1024 * 1024,
        }
    }
}
