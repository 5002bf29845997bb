//! gannet: an event-driven transfer engine with the contract of libcurl's multi_socket interface,
//! and the parts of a downloader on it.
//!
//! The modules in the order of their layers, the lowest first: [`error`]; [`http`], the words that
//! every version of HTTP shares; `http1` and [`http2`], the protocols without I/O; `conn`, a
//! connection as a stack of filters; [`multi`], many transfers over shared connections.

pub(crate) mod conn;
pub mod download;
pub mod error;
pub mod http;
pub mod http1;
pub mod http2;
pub mod list;
pub mod multi;
pub mod reactor;
pub mod session;
pub mod sys;

pub use error::{Error, MultiError};
