//! What is known of each origin in use: how it is reached, which version of HTTP it speaks, and what earlier
//! connections showed. The queue for its connections is in [`pool`](super::pool).

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::rc::Rc;
use std::time::Instant;

use slab::Slab;
use url::Url;

use super::breaker::CircuitBreaker;
use super::options::Protocol;
use super::route::Route;
use super::transfer::Prepared;
use crate::conn::Endpoint;
use crate::error::Fault;
use crate::http::challenge::DigestLogin;
use crate::http::{ConnectTo, Origin, Proxies, Version};

/// Names the record of an origin while the record has users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct OriginKey(u32);

impl OriginKey {
    /// The key as an index: a small number, which is reused after the record is dropped.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// The key of an index that [`index`](Self::index) returned.
    pub(super) fn of(index: u32) -> Self {
        Self(index)
    }
}

/// What is known of one origin.
#[derive(Debug)]
pub(super) struct OriginRecord {
    origin: Origin,
    /// The host and port that connections go to instead (`Options::stand_ins`).
    stand_in: Option<Origin>,
    route: Route,
    /// Transfers, connections and holds that use this record. The record is dropped with the last of them.
    users: usize,
    /// The version that its connections speak, if that is known.
    version: Option<Version>,
    /// The server sent HTTP_1_1_REQUIRED (RFC 9113 §7).
    requires_http1: bool,
    /// Consecutive multiplexed connections that closed without one complete response.
    pub(super) unanswered: u32,
    /// The endpoint that won the last connection race.
    pub(super) winner: Option<Endpoint>,
    /// The answer to the Digest challenge of the proxy, for requests for tunnels.
    pub(super) tunnel_login: Option<Rc<DigestLogin>>,
    /// Encoded request fields, kept for the next request.
    pub(super) prepared: Prepared,
    pub(super) breaker: CircuitBreaker,
    /// When any transfer last received a byte from it.
    pub(super) last_byte: Option<Instant>,
}

impl OriginRecord {
    fn new(origin: Origin, route: Route, version: Option<Version>) -> Self {
        Self {
            origin,
            stand_in: None,
            route,
            users: 0,
            version,
            requires_http1: false,
            unanswered: 0,
            winner: None,
            tunnel_login: None,
            prepared: Prepared::default(),
            breaker: CircuitBreaker::default(),
            last_byte: None,
        }
    }

    /// The origin of the URLs.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The host and port that connections lead to: the stand-in if there is one, else the origin.
    pub(super) fn destination(&self) -> &Origin {
        self.stand_in.as_ref().unwrap_or(&self.origin)
    }

    /// Direct, or through which proxy.
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// What a request head is made from: the origin, the route and the encoded fields of earlier requests.
    pub(super) fn request_parts(&mut self) -> (&Origin, &Route, &mut Prepared) {
        (&self.origin, &self.route, &mut self.prepared)
    }

    /// Whether the version that its connections speak is known.
    pub(super) fn has_known_version(&self) -> bool {
        self.version.is_some()
    }

    /// Whether a new connection could carry several requests at once, as far as is known.
    pub(super) fn may_multiplex(&self) -> bool {
        self.version.is_none_or(Version::is_multiplexed)
    }

    /// Records the version of a connection that was established.
    pub(super) fn connected(&mut self, version: Version) {
        self.breaker.connected();
        self.version = Some(version);
    }

    /// Uses HTTP/1.1 for all further connections.
    pub(super) fn require_http1(&mut self) {
        self.requires_http1 = true;
        self.version = Some(Version::Http11);
    }
}

/// The records of all origins in use, and the options that new records are made from.
#[derive(Debug, Default)]
pub(super) struct Origins {
    records: Slab<OriginRecord>,
    by_origin: HashMap<Origin, OriginKey>,
    /// The key that was looked up last: the next URL most likely has the same origin.
    latest: OriginKey,
    protocol: Protocol,
    proxies: Proxies,
    stand_ins: Vec<ConnectTo>,
}

impl Origins {
    /// Sets the protocol for new origins. Encoded request fields are dropped, because logins may have changed too.
    pub(super) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        for (_, record) in &mut self.records {
            record.prepared = Prepared::default();
        }
    }

    /// Sets the proxies of new origins.
    pub(super) fn set_proxies(&mut self, proxies: Proxies) {
        self.proxies = proxies;
    }

    /// Sets the stand-ins of new origins.
    pub(super) fn set_stand_ins(&mut self, stand_ins: Vec<ConnectTo>) {
        self.stand_ins = stand_ins;
    }

    /// The record of a URL's origin, with one user more. Each call is paired with a [`release`](Self::release).
    pub(super) fn enter(&mut self, url: &Url) -> Result<OriginKey, Fault> {
        let latest = self.records.get(self.latest.index());
        if latest.is_none_or(|record| !record.origin.is_of(url)) {
            let origin = Origin::of(url)?;
            self.latest = match self.by_origin.get(&origin) {
                Some(key) => *key,
                None => self.insert(origin)?,
            };
        }
        self.retain(self.latest);
        Ok(self.latest)
    }

    fn insert(&mut self, origin: Origin) -> Result<OriginKey, Fault> {
        let version = self.protocol.known(&origin);
        let stand_in = ConnectTo::stand_in(&self.stand_ins, &origin);
        let mut route = Route::to(&origin, &self.proxies, self.protocol)?;
        if stand_in.is_some() {
            route = route.into_tunnel();
        }
        let record = OriginRecord {
            stand_in,
            ..OriginRecord::new(origin.clone(), route, version)
        };
        let key = OriginKey(self.records.insert(record) as u32);
        self.by_origin.insert(origin, key);
        Ok(key)
    }

    /// Adds a user to a record.
    pub(super) fn retain(&mut self, key: OriginKey) {
        self[key].users += 1;
    }

    /// Removes a user from a record. Returns true if the record was dropped with it.
    pub(super) fn release(&mut self, key: OriginKey) -> bool {
        self[key].users -= 1;
        self.drop_unused(key)
    }

    fn drop_unused(&mut self, key: OriginKey) -> bool {
        let is_unused = self[key].users == 0;
        if is_unused {
            let record = self.records.remove(key.index());
            self.by_origin.remove(&record.origin);
        }
        is_unused
    }

    /// Forgets what transfers and connections showed, and sets the number of users. Returns true if the record was
    /// dropped because it has none.
    pub(super) fn reset(&mut self, key: OriginKey, users: usize) -> bool {
        let record = &mut self[key];
        let fresh = OriginRecord::new(record.origin.clone(), record.route.clone(), record.version);
        let old = std::mem::replace(record, fresh);
        record.stand_in = old.stand_in;
        record.requires_http1 = old.requires_http1;
        record.users = users;
        self.drop_unused(key)
    }

    /// The keys of all records.
    pub(super) fn keys(&self) -> Vec<OriginKey> {
        let records = self.records.iter();
        records.map(|(key, _)| OriginKey(key as u32)).collect()
    }

    /// The protocol for new connections to an origin.
    pub(super) fn protocol(&self, key: OriginKey) -> Protocol {
        if self[key].requires_http1 {
            Protocol::Http1
        } else {
            self.protocol
        }
    }

    /// Whether there are no records.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.by_origin.is_empty()
    }
}

/// For keys of a record with a user: a transfer, a connection or a hold.
impl Index<OriginKey> for Origins {
    type Output = OriginRecord;

    fn index(&self, key: OriginKey) -> &OriginRecord {
        &self.records[key.index()]
    }
}

impl IndexMut<OriginKey> for Origins {
    fn index_mut(&mut self, key: OriginKey) -> &mut OriginRecord {
        &mut self.records[key.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(origins: &mut Origins, url: &str) -> OriginKey {
        origins.enter(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn urls_of_one_origin_share_a_record_until_its_last_user_leaves() {
        let mut origins = Origins::default();
        let key = enter(&mut origins, "http://a/1");
        assert_eq!(enter(&mut origins, "http://a:80/2"), key);
        assert_ne!(enter(&mut origins, "https://a/"), key);
        assert!(!origins.release(key));
        assert!(origins.release(key));
        let again = enter(&mut origins, "http://a/1");
        assert_eq!(origins[again].winner, None);
    }

    #[test]
    fn a_reset_keeps_what_was_decided_and_drops_what_was_seen() {
        let mut origins = Origins::default();
        let key = enter(&mut origins, "https://a/");
        origins[key].unanswered = 3;
        origins[key].require_http1();
        assert!(!origins.reset(key, 1));
        assert_eq!(origins[key].unanswered, 0);
        assert_eq!(origins.protocol(key), Protocol::Http1);
        assert!(!origins[key].may_multiplex());
        assert!(origins.reset(key, 0));
        assert!(origins.is_empty());
    }
}
