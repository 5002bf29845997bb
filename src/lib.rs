//! Parallel downloads over HTTP/1.1 and HTTP/2: an event-driven transfer engine with the contract of
//! libcurl's multi_socket interface, and the parts of a downloader on it.
//!
//! There are two ways in. [`session::run`] makes a whole run, as the `gannet` command does: it reads
//! lists, names files, resumes, retries and checks digests, and tells a [`session::Report`] of it.
//! [`multi::Multi`] is the engine alone: it knows transfers and connections, but no files; it never
//! waits and never reads a clock, so any event loop can drive it. [`reactor::run`] is one such loop.
//!
//! ```no_run
//! use gannet::session::{self, BadRow, Completion, Plan, Report};
//!
//! struct Silent;
//!
//! impl Report for Silent {
//!     fn completed(&mut self, _: &Completion<'_>) {}
//!     fn bad_row(&mut self, _: &BadRow) {}
//! }
//!
//! let urls = vec!["https://example.com/a.iso".to_owned()];
//! let totals = session::run(Plan::new(urls, "downloads".into()), &mut Silent)?;
//! assert_eq!(totals.failed, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The modules in the order of their layers, the highest first; each uses only those after it:
//!
//! - [`session`]: a run, from the rows of a list to files in a folder
//! - [`list`]: lists of URLs as streams of rows; [`download`]: policy for one file, without sockets;
//!   [`reactor`]: the one loop that waits
//! - [`multi`]: many transfers over shared connections
//! - `conn`: a connection as a stack of filters: TCP, TLS, tunnels through proxies
//! - [`http1`], [`http2`], [`socks`]: the protocols, without I/O
//! - [`http`]: the words that every version of HTTP shares
//! - [`error`], and [`sys`]: errors, and the few system calls that the standard library lacks
//!
//! The crate is for Linux. Its features `aws-lc-rs` (the default) and `ring` choose the cryptography
//! of TLS.

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
pub mod socks;
pub mod sys;

pub use error::{Error, MultiError};

/// Has the code of the README compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
