//! The network of a simulated run: connections in memory, in virtual time; their bytes come when
//! and in the pieces that a seed says.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::multi::{Addresses, Interest, Ready, Wire};

use super::http2::{Fate, Peer};
use super::random::Random;
use super::reply::{Answer, Cut, CutAt, Encoded, Request, Serve};

#[derive(Debug)]
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) random: Random,
    site: Rc<RefCell<dyn Serve>>,
    connections: BTreeMap<RawFd, Connection>,
    pub(super) lookups: Vec<(Instant, String)>,
    /// Attempts that are still to fail at an address that works, and were in the beginning.
    dial_faults: usize,
    pub(super) all_dial_faults: usize,
    /// Where HTTP/2 is spoken: how many connections are still to meet a fate.
    fates: Option<usize>,
    /// Events come once, as under edge-triggered polling.
    is_edge: bool,
    null: Rc<File>,
}

/// How a connection ends, from the peer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// Bytes that come at once, and how many of them have been received.
#[derive(Debug)]
struct Piece {
    at: Instant,
    bytes: Vec<u8>,
    received: usize,
}

#[derive(Debug)]
struct Connection {
    /// When it stands, or fails; a wall answers never.
    connects: Option<Result<Instant, Instant>>,
    /// The HTTP/2 peer at its other end, and when the last bytes of that peer arrive.
    peer: Option<Peer>,
    last: Instant,
    /// What is on its way to the client, in order of its arrival.
    pieces: VecDeque<Piece>,
    end: Option<(Instant, End)>,
    /// Until when it takes no bytes.
    full_until: Instant,
    /// What has come of the next request.
    request: Vec<u8>,
    /// The last answer said that it is the last, or will never end.
    is_over: bool,
    interest: Interest,
    /// Happenings that would make an edge: of input, of room for output; and how many of each have
    /// been told.
    arrivals: Vec<Instant>,
    openings: Vec<Instant>,
    told: (usize, usize),
}

impl Net {
    /// A network in which all hosts have the same servers.
    pub(super) fn new(now: Instant, site: Rc<RefCell<dyn Serve>>, random: Random) -> Self {
        let mut random = random;
        let most = if random.once_in(8) { 12 } else { 3 };
        let dial_faults = random.below(most);
        Self {
            now,
            site,
            connections: BTreeMap::new(),
            lookups: Vec::new(),
            dial_faults,
            all_dial_faults: dial_faults,
            fates: None,
            is_edge: random.once_in(2),
            null: Rc::new(File::open("/dev/null").expect("the null device")),
            random,
        }
    }

    /// The servers speak HTTP/2, and this number of connections meet a fate.
    pub(super) fn over_http2(mut self, fates: usize) -> Self {
        self.fates = Some(fates);
        self
    }

    /// One in which nothing goes wrong or takes time, but for hosts that are dead.
    pub(super) fn calm(now: Instant, site: Rc<RefCell<dyn Serve>>, random: Random) -> Self {
        let mut net = Self::slow(now, site, random);
        net.random.is_prompt = true;
        net
    }

    /// One in which nothing goes wrong, but bytes take their time.
    pub(super) fn slow(now: Instant, site: Rc<RefCell<dyn Serve>>, random: Random) -> Self {
        let mut net = Self::new(now, site, random);
        (net.dial_faults, net.all_dial_faults) = (0, 0);
        net
    }

    /// The addresses of a host: several, some of which are dead, at least one of which is not. All
    /// of `h7.test` are walls, all of `h8.test` refuse, and `h9.test` has none.
    pub(super) fn addresses(host: &str) -> Addresses {
        let number = host.as_bytes()[1] - b'0';
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, number, last));
        // 1 works, 2 refuses, 3 is a wall.
        let last: &[u8] = match number {
            0 | 3..=6 => &[1],
            1 => &[2, 1, 3],
            2 => &[3, 1],
            7 => &[3],
            8 => &[2, 2],
            _ => return Err("no such host".to_owned()),
        };
        Ok(last.iter().map(|last| address(*last)).collect())
    }

    pub(super) fn dial(net: &Rc<RefCell<Self>>, address: SocketAddr) -> io::Result<Rc<dyn Wire>> {
        let this = &mut *net.borrow_mut();
        let IpAddr::V4(ip) = address.ip() else {
            return Err(ErrorKind::AddrNotAvailable.into());
        };
        let at = this.now + this.random.delay(Duration::from_secs(2));
        let is_fault = this.dial_faults > 0 && this.random.once_in(3);
        this.dial_faults -= usize::from(is_fault && ip.octets()[3] == 1);
        let connects = match ip.octets()[3] {
            1 if is_fault && this.random.once_in(2) => {
                return Err(ErrorKind::NetworkUnreachable.into());
            }
            1 if is_fault => Some(Err(at)),
            1 => Some(Ok(at)),
            2 => Some(Err(at)),
            _ => None,
        };
        // As the kernel does it: the lowest number that is free.
        let number = (3..)
            .find(|number| !this.connections.contains_key(number))
            .expect("a number");
        let peer = this.fates.as_mut().map(|fates| {
            let has_fate = *fates > 0 && this.random.once_in(2);
            *fates -= usize::from(has_fate);
            Peer::new(has_fate.then(|| Fate::any(&mut this.random)))
        });
        this.connections
            .insert(number, Connection::new(this.now, connects, peer));
        Ok(Rc::new(Line {
            number,
            net: Rc::clone(net),
            null: Rc::clone(&this.null),
        }))
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.connections.len()
    }

    /// Records the interest in a socket; what is ready already is an event again.
    pub(super) fn watch(&mut self, number: RawFd, interest: Interest) {
        let connection = self.connections.get_mut(&number);
        let connection = connection.expect("only what is open is announced");
        connection.interest = interest;
        connection.told = (0, 0);
    }

    /// The sockets that have something to tell, in any order; now and then one that has not.
    pub(super) fn ready(&mut self) -> Vec<(RawFd, Ready)> {
        let mut ready = Vec::new();
        for (number, connection) in &mut self.connections {
            let (is_in, is_out) = connection.is_ready(self.now, self.is_edge);
            let mut mask = Ready::EMPTY;
            if is_in {
                mask = mask | Ready::IN;
            }
            if is_out {
                mask = mask | Ready::OUT;
            }
            let is_spurious = connection.is_watched()
                && self.random.once_in(50)
                && connection.is_settled(self.now);
            if is_in || is_out || is_spurious {
                ready.push((*number, mask));
            }
        }
        self.random.shuffle(&mut ready);
        // A socket that is left out now is reported later.
        let told = 1 + self.random.below(4);
        ready.truncate(told);
        for (number, mask) in &ready {
            if let Some(connection) = self.connections.get_mut(number) {
                connection.tell(self.now, *mask);
            }
        }
        ready
    }

    /// Whether an event is ready.
    pub(super) fn has_news(&self) -> bool {
        let is_news = |connection: &Connection| {
            let (is_in, is_out) = connection.is_ready(self.now, self.is_edge);
            is_in || is_out
        };
        let has_answer = self.lookups.iter().any(|(at, _)| *at <= self.now);
        has_answer || self.connections.values().any(is_news)
    }

    /// Takes a lookup that is due.
    pub(super) fn take_lookup(&mut self) -> Option<String> {
        let mut due = self.lookups.iter();
        let due = due.position(|(at, _)| *at <= self.now)?;
        Some(self.lookups.remove(due).1)
    }

    /// A socket with interest in input that was reported has been read empty: under edges there would be no
    /// second word of them.
    pub(super) fn assert_drained(&self) {
        for (number, connection) in &self.connections {
            let wants_in = matches!(connection.interest, Interest::In | Interest::InOut);
            let has_left = wants_in && connection.is_readable(self.now);
            assert!(!has_left, "bytes were left unread on {number}");
        }
    }

    /// When something next happens without an action of the client.
    pub(super) fn next(&self) -> Option<Instant> {
        let times = self.connections.values().flat_map(Connection::times);
        let speakers = self.connections.values();
        let times = times.chain(speakers.filter_map(|connection| connection.peer.as_ref()?.next()));
        let lookups = self.lookups.iter().map(|(at, _)| *at);
        times.chain(lookups).filter(|at| *at > self.now).min()
    }

    /// Lets each peer send what is due by now.
    pub(super) fn speak(&mut self) {
        for connection in self.connections.values_mut() {
            connection.speak(self.now, &mut self.random);
        }
    }

    /// Acts on a request, once it is whole.
    fn serve(&mut self, number: RawFd) {
        let connection = self.connections.get_mut(&number).expect("open");
        if let Some(peer) = &mut connection.peer {
            let heard = std::mem::take(&mut connection.request);
            let site = &mut *self.site.borrow_mut();
            peer.hear(&heard, site, self.now, &mut self.random);
            connection.speak(self.now, &mut self.random);
            return;
        }
        let Some(end) = connection
            .request
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
        else {
            return;
        };
        let head: Vec<u8> = connection.request.drain(..end + 4).collect();
        assert!(connection.request.is_empty(), "nothing is sent ahead");
        let head = String::from_utf8(head).expect("a head is text");
        let request = Request {
            at: Some(self.now),
            connection: number,
            ..Request::read(&head)
        };
        let answer = self.site.borrow_mut().answer(&request, &mut self.random);
        let Answer {
            reply,
            cut,
            cut_at,
            pace,
        } = answer;
        let is_cut = matches!(cut, Some(Cut::Close | Cut::Reset));
        let encoded = reply.encode(is_cut, &mut self.random);
        let Encoded {
            bytes,
            body,
            closes,
        } = encoded;
        let mut at = self.now + self.random.delay(Duration::from_secs(5));
        let length = match cut {
            Some(_) => match cut_at {
                CutAt::Start => 0,
                CutAt::Anywhere => self.random.below(bytes.len()),
                CutAt::Body => body + self.random.below((bytes.len() - body).max(1)),
            },
            None => bytes.len(),
        };
        at = connection.arrive_in_pieces(at, &bytes[..length], pace, &mut self.random);
        connection.is_over = cut.is_some() || closes;
        match cut {
            Some(Cut::Stall) => {}
            Some(Cut::Reset) => connection.end_at(at, End::Reset),
            Some(Cut::Close) => connection.end_at(at, End::Close),
            None if closes => connection.end_at(at, End::Close),
            None => {}
        }
    }
}

impl Connection {
    fn new(now: Instant, connects: Option<Result<Instant, Instant>>, peer: Option<Peer>) -> Self {
        Self {
            connects,
            peer,
            last: now,
            pieces: VecDeque::new(),
            end: None,
            full_until: now,
            request: Vec::new(),
            is_over: false,
            interest: Interest::Remove,
            arrivals: Vec::new(),
            openings: connects
                .map(|result| result.unwrap_or_else(|at| at))
                .into_iter()
                .collect(),
            told: (0, 0),
        }
    }

    fn arrive(&mut self, at: Instant, bytes: &[u8]) {
        self.pieces.push_back(Piece {
            at,
            bytes: bytes.to_vec(),
            received: 0,
        });
        self.arrivals.push(at);
    }

    /// Schedules bytes to arrive in pieces, from this time on; gives when the last one arrives.
    fn arrive_in_pieces(
        &mut self,
        mut at: Instant,
        mut rest: &[u8],
        pace: Duration,
        random: &mut Random,
    ) -> Instant {
        let most = if random.once_in(4) { 7 } else { 200_000 };
        while !rest.is_empty() {
            let dribbles = self.pieces.len() < 40;
            let piece = if dribbles {
                1 + random.below(most)
            } else {
                rest.len()
            };
            let (piece, more) = rest.split_at(piece.min(rest.len()));
            self.arrive(at, piece);
            at += random.delay(pace);
            rest = more;
        }
        at
    }

    fn end_at(&mut self, at: Instant, end: End) {
        self.end = Some((at, end));
        self.arrivals.push(at);
    }

    /// Lets the other end send what is due by now.
    fn speak(&mut self, now: Instant, random: &mut Random) {
        let Some(peer) = &mut self.peer else { return };
        let (bytes, end) = peer.speak(now, random);
        if !bytes.is_empty() {
            let at = self
                .last
                .max(now + random.delay(Duration::from_millis(300)));
            self.last = self.arrive_in_pieces(at, &bytes, Duration::from_millis(300), random);
        }
        if end.is_some() && !self.is_over {
            self.is_over = true;
            match end {
                Some(Cut::Reset) => self.end_at(self.last.max(now), End::Reset),
                Some(Cut::Close) => self.end_at(self.last.max(now), End::Close),
                _ => {}
            }
        }
    }

    fn is_watched(&self) -> bool {
        matches!(
            self.interest,
            Interest::In | Interest::Out | Interest::InOut
        )
    }

    /// Whether its attempt has come to an end.
    fn is_settled(&self, now: Instant) -> bool {
        matches!(self.connects, Some(Ok(at) | Err(at)) if at <= now)
    }

    fn is_readable(&self, now: Instant) -> bool {
        let has_piece = self.pieces.front().is_some_and(|piece| piece.at <= now);
        has_piece || self.end.is_some_and(|(at, _)| at <= now)
    }

    fn is_ready(&self, now: Instant, is_edge: bool) -> (bool, bool) {
        if !self.is_settled(now) {
            return (false, false);
        }
        let past = |times: &[Instant]| times.iter().filter(|at| **at <= now).count();
        let is_news = |times: &[Instant], told: usize| !is_edge || past(times) > told;
        let wants_in = matches!(self.interest, Interest::In | Interest::InOut);
        let wants_out = matches!(self.interest, Interest::Out | Interest::InOut);
        (
            wants_in && self.is_readable(now) && is_news(&self.arrivals, self.told.0),
            wants_out && self.full_until <= now && is_news(&self.openings, self.told.1),
        )
    }

    fn tell(&mut self, now: Instant, mask: Ready) {
        let past = |times: &[Instant]| times.iter().filter(|at| **at <= now).count();
        if mask.contains(Ready::IN) {
            self.told.0 = past(&self.arrivals);
        }
        if mask.contains(Ready::OUT) {
            self.told.1 = past(&self.openings);
        }
    }

    fn times(&self) -> impl Iterator<Item = Instant> {
        self.arrivals.iter().chain(&self.openings).copied()
    }
}

/// The client's end of a connection.
#[derive(Debug)]
struct Line {
    number: RawFd,
    net: Rc<RefCell<Net>>,
    null: Rc<File>,
}

impl Line {
    fn with<T>(&self, act: impl FnOnce(&mut Connection, Instant, &mut Random) -> T) -> T {
        let net = &mut *self.net.borrow_mut();
        let connection = net.connections.get_mut(&self.number).expect("it is open");
        act(connection, net.now, &mut net.random)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

impl Wire for Line {
    fn number(&self) -> RawFd {
        self.number
    }

    fn is_connected(&self) -> io::Result<bool> {
        self.with(|connection, now, _| match connection.connects {
            Some(Ok(at)) => Ok(at <= now),
            Some(Err(at)) if at <= now => Err(ErrorKind::ConnectionRefused.into()),
            _ => Ok(false),
        })
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|connection, now, random| {
            let piece = connection.pieces.front_mut();
            let Some(piece) = piece.filter(|piece| piece.at <= now) else {
                return match connection.end {
                    Some((at, End::Close)) if at <= now => Ok(0),
                    Some((at, End::Reset)) if at <= now => Err(ErrorKind::ConnectionReset.into()),
                    _ => Err(ErrorKind::WouldBlock.into()),
                };
            };
            if random.once_in(100) {
                return Err(ErrorKind::Interrupted.into());
            }
            let rest = &piece.bytes[piece.received..];
            let most = rest.len().min(buffer.len());
            let count = if random.once_in(3) {
                1 + random.below(most)
            } else {
                most
            };
            buffer[..count].copy_from_slice(&rest[..count]);
            piece.received += count;
            if piece.received == piece.bytes.len() {
                connection.pieces.pop_front();
            }
            Ok(count)
        })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.with(|connection, now, random| {
            if matches!(connection.end, Some((at, _)) if at <= now) {
                return Err(io::Error::from(ErrorKind::BrokenPipe));
            }
            if now < connection.full_until || random.once_in(20) {
                if connection.full_until <= now {
                    connection.full_until = now + Duration::from_millis(50);
                    connection.openings.push(connection.full_until);
                }
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = if random.once_in(4) {
                1 + random.below(bytes.len())
            } else {
                bytes.len()
            };
            // A peer that has said its last word hears no more.
            if !connection.is_over {
                connection.request.extend(&bytes[..count]);
            }
            Ok(count)
        })?;
        self.net.borrow_mut().serve(self.number);
        Ok(taken)
    }

    fn is_silent(&self) -> bool {
        self.with(|connection, now, _| !connection.is_readable(now))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.net.borrow_mut().connections.remove(&self.number);
    }
}
