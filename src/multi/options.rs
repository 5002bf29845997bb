//! What holds for all transfers of a multi, because they share connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::lookup::Family;
use super::pool::Limits;
use crate::conn::TlsOptions;
use crate::http::cookie::Jar;
use crate::http::{ConnectTo, Netrc, Origin, Proxies, Version};
use crate::http2::Windows;

/// The options of a multi: libcurl's CURLMOPT limits, and what decides how connections are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many transfers and connections there may be.
    pub limits: Limits,
    /// Which address family connections use.
    pub family: Family,
    /// Through whom connections are made, and to whom without.
    pub proxies: Proxies,
    /// To whom connections are made in the place of origins; the first that is about an origin counts.
    pub stand_ins: Vec<ConnectTo>,
    /// Addresses to use for a host and port instead of looking the host up. Hosts are in lower case.
    pub overrides: HashMap<(String, u16), Vec<IpAddr>>,
    /// How TLS connections are made.
    pub tls: TlsOptions,
    /// Bytes a second that all transfers together receive at most.
    pub max_recv_speed: Option<u64>,
    /// Least time between two starts of transfers, on average; extra ones are counted too.
    pub start_interval: Option<Duration>,
    /// Which version of HTTP is spoken.
    pub protocol: Protocol,
    /// Logins by host, for where an easy has none of its own: that of a host goes to it alone, on
    /// redirects too. The default one goes to the first URL's origin only.
    pub netrc: Option<Arc<Netrc>>,
    /// Cookies to send, to which those of answers are added. Without it none are taken.
    pub cookies: Option<Jar>,
    /// How much may be on its way to us over HTTP/2. Rate limits make the windows of a stream smaller.
    pub windows: Windows,
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/2 where ALPN says so (RFC 7301), else HTTP/1.1.
    #[default]
    Negotiated,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone: without TLS it is taken for granted that the server speaks it (RFC 9113 §3.3).
    Http2,
}

impl Protocol {
    /// What will be spoken to an origin, where that need not be asked.
    pub(super) fn known(self, origin: &Origin) -> Option<Version> {
        match self {
            Self::Http1 => Some(Version::Http11),
            Self::Http2 => Some(Version::Http2),
            Self::Negotiated if origin.is_tls() => None,
            Self::Negotiated => Some(Version::Http11),
        }
    }

    /// What is offered when a TLS connection is opened, the best first.
    pub(super) fn offer(self) -> &'static [&'static [u8]] {
        match self {
            Self::Negotiated => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }
}
