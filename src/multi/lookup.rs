//! Lookups of host names: which transfers wait for which name, and a cache of answers.
//!
//! The engine does not look names up. It calls the resolve function once for a name, whatever the number of transfers
//! that wait for it, and [`Multi::resolved`](super::Multi::resolved) delivers the answer.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::info::TransferId;

/// How long an answer is kept…
const KEEP: Duration = Duration::from_secs(60);
/// …and how long a failure.
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// The maximum number of answers in the cache.
const CAPACITY: usize = 1024;

/// The result of a lookup: addresses in order of preference, or the resolver's message.
pub type Addresses = Result<Vec<IpAddr>, String>;

pub(super) type ResolveFunction = Box<dyn FnMut(&str)>;

/// The address family that connections use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

impl Family {
    /// Whether an address is of this family.
    pub fn has(self, address: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// Lookups under way, and the cache of answers.
#[derive(Default)]
pub(super) struct Lookups {
    function: Option<ResolveFunction>,
    waiting: HashMap<String, Vec<TransferId>>,
    known: HashMap<String, (Addresses, Instant)>,
}

impl Lookups {
    pub(super) fn set_function(&mut self, function: ResolveFunction) {
        self.function = Some(function);
    }

    /// The addresses of `host` if they are in the cache; else `id` waits for them.
    pub(super) fn find(&mut self, host: &str, id: TransferId, now: Instant) -> Option<Addresses> {
        match self.known.get(host) {
            Some((addresses, until)) if now < *until => return Some(addresses.clone()),
            Some(_) => drop(self.known.remove(host)),
            None => {}
        }
        let Some(function) = &mut self.function else {
            return Some(Err("names cannot be looked up here".to_owned()));
        };
        if let Some(waiting) = self.waiting.get_mut(host) {
            waiting.push(id);
        } else {
            self.waiting.insert(host.to_owned(), vec![id]);
            function(host);
        }
        None
    }

    /// Whether a transfer waits for a lookup.
    pub(super) fn is_awaited_by(&self, id: TransferId) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|waiting| waiting.contains(&id))
    }

    /// Caches an answer. Returns the transfers that waited for it.
    pub(super) fn resolved(
        &mut self,
        host: &str,
        addresses: Addresses,
        now: Instant,
    ) -> Vec<TransferId> {
        if self.known.len() >= CAPACITY {
            self.known.retain(|_, (_, until)| now < *until);
        }
        if self.known.len() >= CAPACITY {
            self.known.clear();
        }
        let keep = if addresses.is_ok() {
            KEEP
        } else {
            KEEP_FAILURE
        };
        self.known.insert(host.to_owned(), (addresses, now + keep));
        self.waiting.remove(host).unwrap_or_default()
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("waiting", &self.waiting.len())
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}
