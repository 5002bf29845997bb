//! Places: which transfer may have which connection, who waits for one, and which idle connections are kept.
//!
//! A transfer asks for a place when it is dispatched. It gets an idle connection to its origin, a
//! stream on one of HTTP/2, or leave to open one, or it waits. While it is not known whether an
//! origin speaks HTTP/2, or known that it does, one connection is opened at a time: the others
//! wait, a while, for what it will carry. Each freed place starts the one that has waited longest
//! among those that it fits: one that has to open a connection, and may not, does not hold up those
//! that find one. No other is looked at, so a hundred thousand waiting transfers cost a wake-up nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use slab::Slab;
use url::Url;

use super::connections::ConnectionKey;
use super::info::TransferId;
use super::narrow::Narrow;
use super::options::Protocol;
use super::pace::Pace;
use super::reach::Reach;
use super::route::Route;
use super::sessions::Sessions;
use super::timers::Timers;
use super::transfer::Prepared;
use crate::error::Fault;
use crate::http::{ConnectTo, Origin, Proxies, Version};

/// Longest time for which transfers wait for what a first connection will turn out to speak, before
/// they open their own.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(2);

/// How many transfers and connections there may be. 0 is no cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Transfers dispatched at once.
    pub transfers: usize,
    /// Connections in all, idle ones among them.
    pub connections: usize,
    /// Connections to one origin.
    pub per_origin: usize,
    /// Idle connections kept; 0 keeps none.
    pub idle: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transfers: 0,
            connections: 0,
            per_origin: 0,
            idle: 64,
        }
    }
}

/// What a transfer got when it asked for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// An idle connection, taken out of the pool.
    Reuse(ConnectionKey),
    /// A stream of this connection.
    Join(ConnectionKey),
    /// Leave to open a connection, counted already.
    New,
}

/// The order in which waiting transfers are served: those dispatched already (redirected, or their
/// connection was found dead) and extra ones before those that are counted, those that have started
/// before those that have not, then first come first served; those that only connect are last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) is_connect_only: bool,
    /// It will be counted as dispatched with its place.
    pub(super) is_new: bool,
    /// It has not started yet, and [`Pace`] says when it may.
    pub(super) is_paced: bool,
    pub(super) ticket: u64,
    /// It wants a connection that nobody else uses, where it may open one. No two have one ticket: this orders nothing.
    pub(super) is_apart: bool,
}

#[derive(Debug)]
struct Entry {
    origin: Origin,
    /// Whom connections go to in its place.
    stand_in: Option<Origin>,
    route: Route,
    /// Transfers that hold this entry: it goes with the last of them and the last connection.
    users: usize,
    /// Connections open or being opened.
    open: usize,
    /// Transfers that stand by, each with a connection or a stream that carries nothing.
    standing_by: usize,
    /// Idle connections of HTTP/1.1 with their tickets, the one used last at the end.
    idle: Vec<(u64, ConnectionKey)>,
    /// Connections of HTTP/2.
    sessions: Sessions,
    /// What the origin speaks, where that is known.
    speaks: Option<Version>,
    /// It has asked for HTTP/1.1, though it speaks HTTP/2.
    insists_on_http1: bool,
    patience: Patience,
    /// Connections of HTTP/2 in a row that answered nobody.
    unanswered: u32,
    waiting: BTreeMap<Turn, TransferId>,
    /// The place of this entry among those that are ready.
    ready: Option<Ready>,
    /// The address that won the last race.
    winner: Option<SocketAddr>,
    prepared: Prepared,
    /// Nobody gets a place before this time.
    held: Option<Instant>,
    /// It has asked for less.
    narrow: Option<Narrow>,
    reach: Reach,
    /// How many wait, and cannot go on before a certain time.
    asleep: usize,
    /// When a byte last came from it, to whichever transfer.
    last_byte: Option<Instant>,
}

/// The first waiting transfer of an origin that could use a place, and what it would use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// A connection that is idle, or a stream of one.
    Find(Turn),
    /// A connection that is still to be opened: the cap over all origins may forbid it.
    Open(Turn),
}

/// Whether those who wait for a place wait for the connection that is being opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// No connection is being opened; they will wait for the next one.
    Ready,
    /// They wait.
    Waiting,
    /// It took too long, or failed: everybody opens one.
    Lost,
}

impl Entry {
    fn new(origin: Origin, route: Route, speaks: Option<Version>) -> Self {
        Self {
            origin,
            stand_in: None,
            route,
            sessions: Sessions::default(),
            speaks,
            insists_on_http1: false,
            patience: Patience::Ready,
            unanswered: 0,
            users: 0,
            open: 0,
            standing_by: 0,
            idle: Vec::new(),
            waiting: BTreeMap::new(),
            ready: None,
            winner: None,
            prepared: Prepared::default(),
            held: None,
            narrow: None,
            reach: Reach::default(),
            asleep: 0,
            last_byte: None,
        }
    }

    /// Connections that are busy, each stream of one counted as one. What only stands by is not.
    fn busy(&self) -> usize {
        let used = self.open - self.idle.len() - self.sessions.len() + self.sessions.load();
        used.saturating_sub(self.standing_by)
    }

    /// The first waiting transfer, if it could use a place, but for the caps over all origins.
    fn next_ready(&self, limits: &Limits) -> Option<Ready> {
        let turn = *self.waiting.keys().next()?;
        if self.held.is_some() {
            return None;
        }
        Some(match self.offer(limits)? {
            Place::New if self.sessions.best().is_none() => Ready::Open(turn),
            _ => Ready::Find(turn),
        })
    }

    /// What the first who waits would get, but for the caps over all origins.
    fn offer(&self, limits: &Limits) -> Option<Place> {
        if !self
            .narrow
            .is_none_or(|narrow| narrow.has_room(self.busy()))
        {
            return None;
        }
        let is_apart = self.waiting.keys().next().is_some_and(|turn| turn.is_apart);
        // Who wants a connection apart does not wait for what the others would share, where it is known what is spoken.
        let has_patience =
            self.patience == Patience::Waiting && !(is_apart && self.speaks.is_some());
        let may_open =
            is_below(self.open, limits.per_origin) && !has_patience && !self.reach.is_barred();
        if let Some(connection) = self.sessions.best() {
            let wants_another =
                self.sessions.are_bottleneck() || (is_apart && !self.sessions.is_idle(connection));
            return Some(if may_open && wants_another {
                Place::New
            } else {
                Place::Join(connection)
            });
        }
        match self.idle.last() {
            Some((_, connection)) => Some(Place::Reuse(*connection)),
            None => may_open.then_some(Place::New),
        }
    }
}

/// The places of one multi.
#[derive(Debug, Default)]
pub(super) struct Pool {
    limits: Limits,
    pace: Pace,
    protocol: Protocol,
    proxies: Proxies,
    stand_ins: Vec<ConnectTo>,
    entries: Slab<Entry>,
    by_origin: HashMap<Origin, usize>,
    /// The entry that was held last: the next URL is most likely of the same origin.
    latest: usize,
    /// Transfers dispatched and not completed, those left out that are extra.
    dispatched: usize,
    /// Places among the transfers that the application keeps for what it does with extra ones.
    reserved: usize,
    open: usize,
    /// Idle connections by the ticket they drew when they became idle: the longest idle first.
    idle: BTreeMap<u64, ConnectionKey>,
    tickets: u64,
    /// The first waiting transfer of each origin that could use a place: those that find a
    /// connection, and those that have to open one.
    finding: BTreeSet<(Turn, usize)>,
    opening: BTreeSet<(Turn, usize)>,
    /// Places may have become free in a call that could not give them away.
    is_stirred: bool,
    /// Origins that are held, by the time at which they are let go.
    held: BTreeSet<(Instant, usize)>,
    /// How many wait that cannot go on before a certain time.
    asleep: usize,
    /// When patience with a connection that is being opened ends.
    patience: Timers,
}

fn is_below(count: usize, cap: usize) -> bool {
    cap == 0 || count < cap
}

impl Pool {
    /// Sets the limits, and what is spoken to origins that are new. What is open stays until it closes; what
    /// is idle and too much now closes when places are next given away.
    pub(super) fn set_limits(&mut self, limits: Limits, protocol: Protocol) {
        self.limits = limits;
        self.protocol = protocol;
        for key in self.entries.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            // Who logs in may have changed too.
            self.entries[key].prepared = Prepared::default();
            self.refresh(key);
        }
        self.stir();
    }

    /// Places may have become free in a call that cannot give them away: the next one is to come soon.
    pub(super) fn stir(&mut self) {
        let is_waited_for = !self.finding.is_empty() || !self.opening.is_empty();
        self.is_stirred |= is_waited_for || self.surplus().is_some();
    }

    /// Whether places are to be given away as soon as possible.
    pub(super) fn is_stirred(&self) -> bool {
        self.is_stirred
    }

    /// Sets the least time between two starts; zero is none.
    pub(super) fn set_start_interval(&mut self, interval: Duration) {
        self.pace.set_interval(interval);
    }

    /// Sets the proxies of origins that are new.
    pub(super) fn set_proxies(&mut self, proxies: Proxies) {
        self.proxies = proxies;
    }

    /// The next ticket: a larger one comes later.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Holds the entry of a URL's origin; each call is paired with one of [`Pool::leave`].
    pub(super) fn enter(&mut self, url: &Url) -> Result<usize, Fault> {
        let latest = self.entries.get(self.latest);
        if latest.is_none_or(|entry| !entry.origin.is_of(url)) {
            let origin = Origin::of(url)?;
            self.latest = match self.by_origin.get(&origin) {
                Some(key) => *key,
                None => {
                    let key = self.entries.insert(self.new_entry(origin.clone()));
                    self.by_origin.insert(origin, key);
                    key
                }
            };
        }
        self.entries[self.latest].users += 1;
        Ok(self.latest)
    }

    /// Sets who stands in for origins that are new.
    pub(super) fn set_stand_ins(&mut self, stand_ins: Vec<ConnectTo>) {
        self.stand_ins = stand_ins;
    }

    fn new_entry(&self, origin: Origin) -> Entry {
        let speaks = self.protocol.known(&origin);
        let stand_in = ConnectTo::stand_in(&self.stand_ins, &origin);
        let route = Route::to(&origin, &self.proxies, self.protocol);
        let route = match stand_in {
            Some(_) => route.into_tunnel(),
            None => route,
        };
        Entry {
            stand_in,
            ..Entry::new(origin, route, speaks)
        }
    }

    /// Lets go of an origin's entry.
    pub(super) fn leave(&mut self, key: usize) {
        self.entries[key].users -= 1;
        self.tidy(key);
    }

    fn tidy(&mut self, key: usize) {
        let entry = &self.entries[key];
        if entry.users == 0 && entry.open == 0 && entry.held.is_none() {
            self.by_origin.remove(&entry.origin);
            self.entries.remove(key);
        }
    }

    pub(super) fn origin(&self, key: usize) -> &Origin {
        &self.entries[key].origin
    }

    /// Whom connections to an origin go to: itself, or who stands in for it.
    pub(super) fn place(&self, key: usize) -> &Origin {
        let entry = &self.entries[key];
        entry.stand_in.as_ref().unwrap_or(&entry.origin)
    }

    /// The way to an origin.
    pub(super) fn route(&self, key: usize) -> &Route {
        &self.entries[key].route
    }

    /// An origin, the way to it, and what is kept of its requests.
    pub(super) fn prepared(&mut self, key: usize) -> (&Origin, &Route, &mut Prepared) {
        let entry = &mut self.entries[key];
        (&entry.origin, &entry.route, &mut entry.prepared)
    }

    pub(super) fn winner(&self, key: usize) -> Option<SocketAddr> {
        self.entries[key].winner
    }

    pub(super) fn set_winner(&mut self, key: usize, address: SocketAddr) {
        self.entries[key].winner = Some(address);
    }

    /// Puts a transfer in the queue of its origin.
    pub(super) fn wait(&mut self, key: usize, turn: Turn, id: TransferId) {
        self.entries[key].waiting.insert(turn, id);
        self.refresh(key);
    }

    /// Takes a transfer out of the queue, if it is there.
    pub(super) fn stop_waiting(&mut self, key: usize, turn: Turn) {
        if self.entries[key].waiting.remove(&turn).is_some() {
            self.refresh(key);
        }
    }

    /// Gives a waiting transfer another turn.
    pub(super) fn change_turn(&mut self, key: usize, from: Turn, to: Turn, id: TransferId) {
        self.entries[key].waiting.remove(&from);
        self.wait(key, to, id);
    }

    /// Gives a free place to whoever is next, if there is both. A transfer that is new is counted as dispatched.
    pub(super) fn next(&mut self, now: Instant) -> Option<(TransferId, Place)> {
        self.pace.set_awaited(false);
        let has_room = is_below(self.open, self.limits.connections);
        let opening = if has_room { self.opening.first() } else { None };
        let (turn, key) = *opening.into_iter().chain(self.finding.first()).min()?;
        if turn.is_new && !self.has_turn() {
            return None;
        }
        if turn.is_paced && !self.pace.is_due(now) {
            self.pace.set_awaited(true);
            return None;
        }
        let entry = &mut self.entries[key];
        let place = match entry.offer(&self.limits)? {
            Place::New if !has_room => Place::Join(entry.sessions.best()?),
            place => place,
        };
        let id = entry.waiting.remove(&turn)?;
        match place {
            Place::Reuse(_) => {
                if let Some((ticket, _)) = entry.idle.pop() {
                    self.idle.remove(&ticket);
                }
            }
            Place::Join(connection) => {
                if let Some(ticket) = entry.sessions.join(connection) {
                    self.idle.remove(&ticket);
                }
            }
            Place::New => {
                entry.open += 1;
                self.open += 1;
                entry.reach.try_it(id, self.tickets);
                if entry.speaks.is_none_or(|version| version == Version::Http2)
                    && entry.patience == Patience::Ready
                {
                    entry.patience = Patience::Waiting;
                    self.patience
                        .set(key as u32, now.checked_add(WAIT_FOR_FIRST));
                }
            }
        }
        self.dispatched += usize::from(turn.is_new);
        if turn.is_paced {
            self.pace.start(now);
        }
        self.refresh(key);
        Some((id, place))
    }

    /// The idle connection that must close before [`Pool::next`] can give a new one to whoever is first.
    pub(super) fn obstacle(&self, now: Instant) -> Option<ConnectionKey> {
        let first @ (turn, _) = self.opening.first()?;
        let is_first = self.finding.first().is_none_or(|finds| first < finds);
        let is_due = !turn.is_paced || self.pace.is_due(now);
        let has_turn = is_due && (!turn.is_new || self.has_turn());
        let is_full = !is_below(self.open, self.limits.connections);
        if is_first && has_turn && is_full {
            self.longest_idle()
        } else {
            None
        }
    }

    /// Whether one transfer more may be dispatched.
    fn has_turn(&self) -> bool {
        is_below(self.dispatched + self.reserved, self.limits.transfers)
    }

    /// Keeps so many places among the transfers.
    pub(super) fn reserve(&mut self, places: usize) {
        self.reserved = places;
    }

    /// Gives nobody a place at an origin until a time; an earlier hold that lasts longer stays.
    pub(super) fn hold(&mut self, key: usize, until: Instant) {
        let held = &mut self.entries[key].held;
        if let Some(before) = held.replace(until.max(held.unwrap_or(until))) {
            self.held.remove(&(before, key));
        }
        self.held.extend(held.map(|until| (until, key)));
        self.refresh(key);
    }

    /// An origin has asked to be left alone until a time: it is held, and fewer of its connections
    /// will be busy afterwards. What is under way may ask too; that is one and the same request.
    pub(super) fn back_off(&mut self, key: usize, until: Instant) {
        let entry = &mut self.entries[key];
        if entry.held.is_none() {
            entry.narrow = Some(Narrow::after(entry.narrow, entry.busy()));
        }
        self.hold(key, until);
    }

    /// A transfer from an origin has gone well.
    pub(super) fn went_well(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        if let Some(narrow) = entry.narrow {
            entry.narrow = narrow.widened();
            self.refresh(key);
        }
    }

    /// Bytes have come from an origin.
    pub(super) fn received(&mut self, key: usize, now: Instant) {
        self.entries[key].last_byte = Some(now);
    }

    /// When a byte last came from an origin.
    pub(super) fn last_byte(&self, key: usize) -> Option<Instant> {
        self.entries[key].last_byte
    }

    /// Lets go of the origins whose time has come; places are given away next.
    pub(super) fn release_due(&mut self, now: Instant) {
        self.is_stirred = false;
        while let Some((until, key)) = self
            .held
            .first()
            .copied()
            .filter(|(until, _)| *until <= now)
        {
            self.held.remove(&(until, key));
            self.entries[key].held = None;
            self.refresh(key);
            self.tidy(key);
        }
        while let Some(key) = self.patience.pop_expired(now) {
            self.settle_patience(key as usize, Patience::Lost);
        }
    }

    /// How many wait for a place at an origin that is held, or that one of them is trying to reach for all.
    pub(super) fn asleep(&self) -> usize {
        self.asleep
    }

    /// A transfer's connection did not come about: gives those whose try that was too, and who have waited for it.
    pub(super) fn not_reached(&mut self, key: usize, by: TransferId) -> Vec<TransferId> {
        let entry = &mut self.entries[key];
        let last = entry.reach.failed(by).unwrap_or(0);
        let waiting = entry.waiting.iter();
        let sharing = waiting.filter(|(turn, _)| turn.ticket <= last);
        let sharing = sharing.map(|(_, id)| *id).collect();
        self.refresh(key);
        sharing
    }

    /// A transfer no longer tries to connect.
    pub(super) fn stop_trying(&mut self, key: usize, id: TransferId) {
        if self.entries[key].reach.give_up(id).is_some() {
            self.refresh(key);
        }
    }

    /// A connection that stood is about to close.
    pub(super) fn disconnected(&mut self, key: usize) {
        self.entries[key].reach.disconnected();
    }

    /// When the next origin is let go, or no longer waited for, or the next transfer may start.
    pub(super) fn next_release(&self) -> Option<Instant> {
        let held = self.held.first().map(|(until, _)| *until);
        let times = [held, self.patience.next(), self.pace.next()];
        times.into_iter().flatten().min()
    }

    /// A connection stands, and this is what it speaks. One of HTTP/2 may carry so many streams; it has one already.
    pub(super) fn opened(&mut self, key: usize, connection: ConnectionKey, streams: Option<usize>) {
        let entry = &mut self.entries[key];
        entry.reach.connected();
        entry.speaks = Some(if streams.is_some() {
            Version::Http2
        } else {
            Version::Http11
        });
        if let Some(streams) = streams {
            entry.sessions.add(connection, streams);
        }
        self.settle_patience(key, Patience::Ready);
    }

    /// A connection could not be opened. Where it is not even known what it would have spoken,
    /// nobody waits for the next one.
    pub(super) fn not_opened(&mut self, key: usize) {
        let is_known = self.entries[key].speaks.is_some();
        let patience = if is_known {
            Patience::Ready
        } else {
            Patience::Lost
        };
        self.settle_patience(key, patience);
    }

    fn settle_patience(&mut self, key: usize, patience: Patience) {
        self.patience.set(key as u32, None);
        self.entries[key].patience = patience;
        self.refresh(key);
    }

    /// Connections to this origin speak HTTP/1.1 from now on: it has asked for that.
    pub(super) fn insist_on_http1(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        entry.insists_on_http1 = true;
        entry.speaks = Some(Version::Http11);
        self.settle_patience(key, Patience::Ready);
    }

    /// What may be spoken to an origin.
    pub(super) fn protocol(&self, key: usize) -> Protocol {
        if self.entries[key].insists_on_http1 {
            Protocol::Http1
        } else {
            self.protocol
        }
    }

    /// A connection of HTTP/2 may carry so many streams from now on; with 0 it takes no further ones.
    pub(super) fn set_capacity(&mut self, key: usize, connection: ConnectionKey, streams: usize) {
        if self.entries[key].sessions.set_capacity(connection, streams) {
            self.refresh(key);
        }
    }

    /// A transfer stands by with its connection or stream from now on.
    pub(super) fn stand_by(&mut self, key: usize) {
        self.entries[key].standing_by += 1;
        self.refresh(key);
    }

    /// A transfer stands by no longer.
    pub(super) fn stand_up(&mut self, key: usize) {
        self.entries[key].standing_by -= 1;
        self.refresh(key);
    }

    /// A connection of HTTP/2 has answered.
    pub(super) fn answered(&mut self, key: usize) {
        self.entries[key].unanswered = 0;
    }

    /// A connection of HTTP/2 has closed and had answered nobody.
    pub(super) fn closed_unanswered(&mut self, key: usize) {
        self.entries[key].unanswered += 1;
    }

    /// How many connections of HTTP/2 in a row answered nobody.
    pub(super) fn unanswered(&self, key: usize) -> u32 {
        self.entries[key].unanswered
    }

    /// A stream's body has turned out to be long.
    pub(super) fn grow(&mut self, key: usize, connection: ConnectionKey) {
        self.entries[key].sessions.grow(connection);
        self.refresh(key);
    }

    /// A stream has ended.
    pub(super) fn left(&mut self, key: usize, connection: ConnectionKey, was_bulky: bool) {
        self.entries[key].sessions.leave(connection, was_bulky);
        self.refresh(key);
    }

    /// A dispatched transfer has completed.
    pub(super) fn complete(&mut self) {
        self.dispatched -= 1;
    }

    /// Keeps a connection as idle.
    pub(super) fn keep(&mut self, key: usize, connection: ConnectionKey) {
        let ticket = self.ticket();
        let entry = &mut self.entries[key];
        if !entry.sessions.keep(connection, ticket) {
            entry.idle.push((ticket, connection));
        }
        self.idle.insert(ticket, connection);
        self.refresh(key);
    }

    /// The idle connection that must close next because more are kept than may be, if they are.
    pub(super) fn surplus(&self) -> Option<ConnectionKey> {
        if self.idle.len() > self.limits.idle {
            self.longest_idle()
        } else {
            None
        }
    }

    fn longest_idle(&self) -> Option<ConnectionKey> {
        self.idle
            .first_key_value()
            .map(|(_, connection)| *connection)
    }

    /// A connection has closed, or could not be opened.
    pub(super) fn closed(&mut self, key: usize, connection: Option<ConnectionKey>) {
        let entry = &mut self.entries[key];
        if let Some(place) =
            connection.and_then(|c| entry.idle.iter().position(|(_, idle)| *idle == c))
        {
            let (ticket, _) = entry.idle.remove(place);
            self.idle.remove(&ticket);
        }
        if let Some(ticket) = connection.and_then(|c| entry.sessions.remove(c)) {
            self.idle.remove(&ticket);
        }
        entry.open -= 1;
        self.open -= 1;
        if connection.is_none() {
            self.settle_patience(key, Patience::Ready);
        }
        self.refresh(key);
        self.tidy(key);
    }

    /// Brings `ready` in line with an origin's queue and its own cap.
    fn refresh(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        let is_asleep = entry.held.is_some() || entry.reach.is_barred();
        let asleep = entry.waiting.len() * usize::from(is_asleep);
        self.asleep = self.asleep + asleep - std::mem::replace(&mut entry.asleep, asleep);
        let ready = entry.next_ready(&self.limits);
        if ready == entry.ready {
            return;
        }
        match std::mem::replace(&mut entry.ready, ready) {
            Some(Ready::Find(turn)) => drop(self.finding.remove(&(turn, key))),
            Some(Ready::Open(turn)) => drop(self.opening.remove(&(turn, key))),
            None => {}
        }
        match ready {
            Some(Ready::Find(turn)) => drop(self.finding.insert((turn, key))),
            Some(Ready::Open(turn)) => drop(self.opening.insert((turn, key))),
            None => {}
        }
    }

    /// Forgets every transfer and every connection at once, whatever state they were in. What was
    /// asked for stays: limits, places that are kept, and origins that are held.
    pub(super) fn clear(&mut self) {
        for (_, entry) in &mut self.entries {
            let fresh = Entry::new(entry.origin.clone(), entry.route.clone(), entry.speaks);
            let old = std::mem::replace(entry, fresh);
            entry.stand_in = old.stand_in;
            entry.insists_on_http1 = old.insists_on_http1;
            entry.held = old.held;
            entry.narrow = old.narrow;
        }
        for key in self.entries.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            self.tidy(key);
        }
        self.idle.clear();
        self.finding.clear();
        self.opening.clear();
        self.patience.clear();
        self.pace.set_awaited(false);
        (self.dispatched, self.open, self.asleep) = (0, 0, 0);
        self.is_stirred = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> TransferId {
        TransferId::of(index)
    }

    fn connection(slot: u32) -> ConnectionKey {
        ConnectionKey::new(slot)
    }

    fn origin(name: &str) -> Url {
        format!("http://{name}/").parse().unwrap()
    }

    /// A pool in which the transfers 0, 1, 2… wait in turn for the origins named.
    fn pool(limits: Limits, origins: &[&str]) -> (Pool, Vec<usize>) {
        let mut pool = Pool::default();
        pool.set_limits(limits, Protocol::Negotiated);
        let mut keys = Vec::new();
        for (index, name) in origins.iter().enumerate() {
            let key = pool.enter(&origin(name)).unwrap();
            let turn = Turn {
                is_connect_only: false,
                is_new: true,
                is_paced: false,
                ticket: pool.ticket(),
                is_apart: false,
            };
            pool.wait(key, turn, id(index as u32));
            keys.push(key);
        }
        (pool, keys)
    }

    fn started(pool: &mut Pool) -> Vec<u32> {
        std::iter::from_fn(|| pool.next(Instant::now()))
            .map(|(id, _)| id.index)
            .collect()
    }

    #[test]
    fn without_caps_everybody_starts_in_order() {
        let (mut pool, _) = pool(Limits::default(), &["a", "b", "a"]);
        assert_eq!(started(&mut pool), [0, 1, 2]);
    }

    #[test]
    fn a_capped_origin_does_not_hold_up_the_others() {
        let (mut pool, keys) = pool(
            Limits {
                per_origin: 1,
                ..Limits::default()
            },
            &["a", "a", "b", "a"],
        );
        assert_eq!(started(&mut pool), [0, 2]);
        pool.closed(keys[0], None);
        assert_eq!(started(&mut pool), [1]);
    }

    #[test]
    fn each_freed_place_starts_exactly_one() {
        let (mut pool, keys) = pool(
            Limits {
                transfers: 2,
                ..Limits::default()
            },
            &["a"; 6],
        );
        assert_eq!(started(&mut pool), [0, 1]);
        pool.complete();
        pool.keep(keys[0], connection(77));
        assert_eq!(
            pool.next(Instant::now()),
            Some((id(2), Place::Reuse(connection(77))))
        );
        assert_eq!(pool.next(Instant::now()), None);
    }

    #[test]
    fn the_longest_idle_connection_goes_first() {
        let (mut pool, keys) = pool(
            Limits {
                idle: 2,
                ..Limits::default()
            },
            &["a"; 3],
        );
        assert_eq!(started(&mut pool), [0, 1, 2]);
        pool.keep(keys[0], connection(10));
        pool.keep(keys[0], connection(11));
        assert_eq!(pool.surplus(), None);
        pool.keep(keys[0], connection(12));
        assert_eq!(pool.surplus(), Some(connection(10)));
        pool.closed(keys[0], Some(connection(10)));
        assert_eq!(pool.longest_idle(), Some(connection(11)));
    }

    #[test]
    fn a_full_house_closes_an_idle_connection_for_another_origin() {
        let (mut pool, keys) = pool(
            Limits {
                connections: 1,
                ..Limits::default()
            },
            &["a", "b"],
        );
        assert_eq!(started(&mut pool), [0]);
        assert_eq!(pool.obstacle(Instant::now()), None);
        pool.complete();
        pool.keep(keys[0], connection(5));
        assert_eq!(pool.next(Instant::now()), None);
        assert_eq!(pool.obstacle(Instant::now()), Some(connection(5)));
        pool.closed(keys[0], Some(connection(5)));
        assert_eq!(started(&mut pool), [1]);
    }

    #[test]
    fn who_was_dispatched_already_goes_before_who_was_not() {
        let (mut pool, keys) = pool(
            Limits {
                transfers: 1,
                ..Limits::default()
            },
            &["a", "a"],
        );
        assert_eq!(started(&mut pool), [0]);
        let turn = Turn {
            is_connect_only: false,
            is_new: false,
            is_paced: false,
            ticket: pool.ticket(),
            is_apart: false,
        };
        pool.wait(keys[0], turn, id(0));
        assert_eq!(started(&mut pool), [0]);
    }

    #[test]
    fn starts_are_spread_and_who_has_started_goes_on() {
        let mut pool = Pool::default();
        let second = Duration::from_secs(1);
        pool.set_start_interval(second);
        let now = Instant::now();
        let wait = |pool: &mut Pool, index, (is_new, is_paced)| {
            let key = pool.enter(&origin("a")).unwrap();
            let turn = Turn {
                is_connect_only: false,
                is_new,
                is_paced,
                ticket: pool.ticket(),
                is_apart: false,
            };
            pool.wait(key, turn, id(index));
        };
        for index in 0..3 {
            wait(&mut pool, index, (true, true));
        }
        assert_eq!(pool.next(now), Some((id(0), Place::New)));
        assert_eq!(pool.next(now), None);
        assert_eq!(pool.next_release(), Some(now + second));
        // A part of a file that is under way is first among those that start.
        wait(&mut pool, 3, (false, true));
        wait(&mut pool, 4, (false, false));
        assert_eq!(pool.next(now), Some((id(4), Place::New)));
        assert_eq!(pool.next(now), None);
        assert_eq!(pool.next(now + second), Some((id(3), Place::New)));
        assert_eq!(pool.next(now + 2 * second), Some((id(1), Place::New)));
        assert_eq!(pool.next(now + 3 * second), Some((id(2), Place::New)));
        assert_eq!(pool.next(now + 3 * second), None);
        // Nobody waits any more, so nobody is woken.
        assert_eq!(pool.next_release(), None);
    }

    #[test]
    fn an_origin_that_nobody_uses_is_forgotten() {
        let (mut pool, keys) = pool(Limits::default(), &["a"]);
        assert_eq!(started(&mut pool), [0]);
        pool.complete();
        pool.leave(keys[0]);
        pool.closed(keys[0], None);
        assert!(pool.entries.is_empty() && pool.by_origin.is_empty());
    }

    #[test]
    fn an_origin_that_asked_for_less_gets_less_and_then_more_again() {
        let now = Instant::now();
        let (mut pool, keys) = pool(Limits::default(), &["a"; 12]);
        // Four are under way, the others wait.
        pool.hold(keys[0], now);
        pool.release_due(now);
        pool.limits.transfers = 4;
        assert_eq!(started(&mut pool), [0, 1, 2, 3]);
        pool.set_limits(Limits::default(), Protocol::Negotiated);
        pool.back_off(keys[0], now);
        // The second who is told so says nothing new.
        pool.back_off(keys[0], now);
        for _ in 0..4 {
            pool.closed(keys[0], None);
        }
        pool.release_due(now);
        assert_eq!(started(&mut pool), [4, 5]);
        pool.went_well(keys[0]);
        pool.went_well(keys[0]);
        assert_eq!(started(&mut pool), [6]);
        for _ in 0..3 {
            pool.went_well(keys[0]);
        }
        assert_eq!(started(&mut pool), [7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_held_origin_gives_no_place_until_it_is_let_go() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let (mut pool, keys) = pool(Limits::default(), &["a", "b"]);
        pool.hold(keys[0], later);
        pool.hold(keys[0], now);
        assert_eq!(started(&mut pool), [1]);
        assert_eq!(pool.next_release(), Some(later));
        pool.release_due(now);
        assert_eq!(started(&mut pool), [0; 0]);
        pool.release_due(later);
        assert_eq!(pool.next_release(), None);
        assert_eq!(started(&mut pool), [0]);
    }

    #[test]
    fn an_origin_is_remembered_for_as_long_as_it_is_held() {
        let now = Instant::now();
        let (mut pool, _) = pool(Limits::default(), &[]);
        let key = pool.enter(&origin("a")).unwrap();
        pool.hold(key, now);
        pool.leave(key);
        assert_eq!(pool.entries.len(), 1);
        pool.release_due(now);
        assert!(pool.entries.is_empty() && pool.by_origin.is_empty());
    }
}
