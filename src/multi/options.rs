//! What holds for all transfers of a multi, because they share connections.

use std::collections::HashMap;
use std::net::IpAddr;

use super::lookup::Family;
use super::pool::Limits;
use crate::conn::TlsOptions;

/// The options of a multi: libcurl's CURLMOPT limits, and what decides how connections are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many transfers and connections there may be.
    pub limits: Limits,
    /// Which address family connections use.
    pub family: Family,
    /// Addresses to use for a host and port instead of looking the host up. Hosts are in lower case.
    pub overrides: HashMap<(String, u16), Vec<IpAddr>>,
    /// How TLS connections are made.
    pub tls: TlsOptions,
    /// Bytes a second that all transfers together receive at most.
    pub max_recv_speed: Option<u64>,
}
