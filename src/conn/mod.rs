//! A connection is a stack of filters: a [`Socket`] at the bottom, TLS above it where the origin asks for it.
//! Where there is a proxy, TLS to it and the tunnel through it stand in between.
//!
//! Nothing here waits, reads a clock or knows of transfers. The engine calls [`Filter::open`] until
//! the stack stands, then [`Filter::send`] and [`Filter::recv`], and watches the socket for what
//! the stack says it [`wants`](Filter::wants).

mod eyeballs;
mod filter;
mod proxy;
mod socket;
mod socks;
mod tls;
mod trust;
mod verifier;
mod wire;

pub(crate) use eyeballs::{Action, Race};
pub use filter::Interest;
pub(crate) use filter::{Filter, Opened, Received, Scratch};
pub(crate) use proxy::Tunnel;
pub(crate) use socket::{Dialled, Socket};
pub(crate) use socks::Socks;
pub(crate) use tls::Tls;
pub(crate) use trust::Config;
pub use trust::{Identity, TlsOptions, TlsVersion, TrustRoots};
pub use wire::Wire;
