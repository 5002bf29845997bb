//! A connection is a stack of filters: a [`Socket`] at the bottom, and TLS above it if the origin uses it. Between
//! them, if there is a proxy, are TLS to the proxy and the tunnel through it.
//!
//! Nothing here waits, reads a clock or knows transfers. The engine calls [`Filter::open`] until the stack is open,
//! then [`Filter::send`] and [`Filter::recv`], and watches the socket for the events that the stack
//! [`wants`](Filter::wants).

mod der;
mod endpoint;
mod eyeballs;
mod filter;
pub(crate) mod pem;
mod proxy;
mod socket;
mod socks;
mod tls;
mod tls_fault;
mod trust;
mod verifier;
mod wire;
mod x509;

pub(crate) use endpoint::Endpoint;
pub(crate) use eyeballs::{Action, Race};
pub use filter::Interest;
pub(crate) use filter::{Filter, Opened, Received, Scratch};
pub(crate) use proxy::Tunnel;
pub(crate) use socket::{Dialled, Socket};
pub(crate) use socks::Socks;
pub(crate) use tls::Tls;
pub(crate) use trust::{CertificateFunction, Config};
pub use trust::{Certificates, Identity, TlsOptions, TlsVersion, TrustRoots};
pub use wire::Wire;
