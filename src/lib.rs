//! Parallel downloads over HTTP/1.1 and HTTP/2: an event-driven transfer engine with the contract of
//! libcurl's multi_socket interface, and the parts of a downloader on it.
//!
//! There are two entry points. [`session::run`] makes a whole run, as the `gannet` command does: it reads
//! lists, names files, resumes, retries and verifies digests, and reports each event to a
//! [`session::Report`]. [`multi::Multi`] is the engine alone: it knows transfers and connections, but no
//! files; it never waits and never reads a clock, so any event loop can drive it. [`reactor::run`] is one
//! such loop.
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
//! The public modules:
//!
//! - [`session`]: a run, from the rows of a list to files in a folder
//! - [`list`]: lists of URLs as streams of rows
//! - [`multi`]: many transfers over shared connections
//! - [`reactor`]: an event loop that drives the engine, and resolves names on threads
//! - [`http`]: the types of HTTP that the other modules take or return: fields, credentials, proxies,
//!   cookies, digests, ranges
//! - [`error`]: the error of a transfer, and the error of a call of the engine
//!
//! Enums and results that a later version may extend are `#[non_exhaustive]`. The structs of options are
//! not, so that a literal can set some fields: it ends in `..Options::default()`, and for an easy in
//! `..Easy::new(url, sink)`. A version that adds a field to them is a breaking one.
//!
//! The crate is for Linux. Its features `aws-lc-rs` (the default) and `ring` choose the cryptography
//! of TLS. The feature `cli` (a default too) is the program; a library needs it no more than its dependencies.

mod conn;
mod download;
pub mod error;
pub mod http;
mod http1;
mod http2;
pub mod list;
pub mod multi;
pub mod reactor;
pub mod session;
mod socks;
mod sys;

pub use error::{Error, MultiError};

/// The rest of the crate, for the `gannet` command, tests, fuzz targets and benches. It is outside the promise of
/// semantic versioning: any release may change it.
#[doc(hidden)]
pub mod internals {
    pub mod download {
        pub use crate::download::*;
    }

    pub mod conn {
        pub mod pem {
            pub use crate::conn::pem::{certificates, key};
        }
    }

    pub mod error {
        pub use crate::error::class::Class;
    }

    pub mod http {
        pub use crate::http::target::Target;
        pub use crate::http::unsendable::Unsendable;

        pub mod cookie {
            pub use crate::http::cookie::*;
        }

        pub mod digest {
            pub use crate::http::digest::*;
        }

        pub mod disposition {
            pub use crate::http::disposition::*;
        }

        pub mod encoding {
            pub use crate::http::encoding::*;
        }

        pub mod redirect {
            pub use crate::http::redirect::*;
        }
    }

    pub mod http1 {
        pub use crate::http1::*;
    }

    pub mod http2 {
        pub use crate::http2::*;
    }

    pub mod list {
        pub use crate::list::checksums::Checksums;
        pub use crate::list::input::{ListReader, Next};
        pub use crate::list::size::{SizeError, parse_size};
        pub use crate::list::write::bad_row;
    }

    pub mod multi {
        pub use crate::multi::easy::PATIENCE;
        pub use crate::multi::timers::Timers;
    }

    pub mod reactor {
        pub use crate::reactor::event_loop::run_on;
        pub use crate::reactor::poller::{Dial, Event, Poller};
    }

    pub mod socks {
        pub use crate::socks::*;
    }

    pub mod sys {
        pub use crate::sys::*;
    }
}

/// Compiles the code of the README with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
