//! Servers and links in virtual time, in the place of the engine and the sinks: carries out the actions of a division,
//! and holds it to what must always be true.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Error as IoError, ErrorKind};
use std::iter;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use url::Url;

use super::super::{Action, Begun, Division, End, Frontier, Lane, Opening, Servers, Sources};
use crate::download::{Bond, Jitter, Patience, Ranges, Record, Retries, Retry, Validators};
use crate::error::{Doing, Error, Fault, RetryAfter, Timeout};
use crate::multi::Outcome;

const TICK: Duration = Duration::from_millis(50);
const BEAT: Duration = Duration::from_millis(200);

/// The time from a request to its response.
const LATENCY: Duration = Duration::from_millis(100);

/// A transfer fails after this time without a byte.
const STALL: Duration = Duration::from_secs(10);

/// No division takes longer, in virtual time, or needs more requests.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
const MOST_REQUESTS: usize = 3000;

/// What a server does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wrong {
    Nothing,
    /// It loses every connection from this time on.
    DiesAt(Duration),
    /// It responds to a range request with the full file.
    IgnoresRanges,
    /// It has another version of the file.
    Differs,
    /// It does not have the file.
    Lacks,
    /// Each of its range responses is complete after this many bytes.
    IsShort(u64),
    /// Each of its connections is lost after this many bytes.
    Breaks(u64),
    /// Each of its responses stops after this many bytes.
    Stalls(u64),
    /// Every second complete response does not have its announced digest.
    Damages,
    /// It refuses requests until this time, and names a delay.
    IsBusy {
        until: Duration,
        retry_after: Duration,
    },
}

/// A server of the file. Speeds are in bytes a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    /// The speed of one connection.
    pub(super) speed: f64,
    /// The speed of all its connections together.
    pub(super) link: f64,
    /// The most connections that it serves. It refuses further ones.
    pub(super) most: usize,
    pub(super) wrong: Wrong,
}

impl Server {
    /// A server. Each of its connections has this speed.
    pub(super) fn at(speed: f64) -> Self {
        Self {
            speed,
            link: f64::INFINITY,
            most: usize::MAX,
            wrong: Wrong::Nothing,
        }
    }

    pub(super) fn that(self, wrong: Wrong) -> Self {
        Self { wrong, ..self }
    }
}

/// The number of transfers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Fixed(usize),
    /// As many as increase the speed, up to this number.
    Found(usize),
}

/// A file and how it is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) size: u64,
    pub(super) least: u64,
    /// The rate limit of all transfers together, in bytes a second. The first transfer gets most of it.
    pub(super) limit: Option<f64>,
    /// How far the first transfer has come.
    pub(super) at: u64,
    pub(super) number: Number,
    pub(super) per_origin: usize,
    pub(super) retries: u32,
}

/// What a division did, with the time since it began.
#[derive(Debug)]
pub(super) enum Did {
    Opened {
        at: Duration,
        server: usize,
        range: Range<u64>,
        delay: Option<Duration>,
    },
    Retried {
        server: usize,
        tries: u32,
    },
    Dropped {
        server: usize,
    },
    /// A transfer ended or was cancelled, after this many bytes.
    Closed {
        server: usize,
        bytes: u64,
    },
}

#[derive(Debug, Clone)]
struct Transfer {
    /// Tells it from an earlier transfer of its lane.
    serial: usize,
    server: usize,
    from: u64,
    at: u64,
    end: u64,
    limit: u64,
    /// Its request leaves then.
    starts: Instant,
    /// Its last byte, or its start.
    moved: Instant,
    is_first: bool,
}

impl Transfer {
    /// How much of a rate limit it gets.
    fn weight(&self) -> f64 {
        if self.is_first { 10.0 } else { 1.0 }
    }
}

/// One division with its servers.
pub(super) struct World {
    pub(super) division: Division,
    pub(super) did: Vec<Did>,
    /// The end of the division.
    pub(super) end: Option<Result<(), Error>>,
    setting: Setting,
    servers: Vec<Server>,
    held: Vec<Instant>,
    began: Instant,
    now: Instant,
    beats_at: Instant,
    open: BTreeMap<Lane, Transfer>,
    written: Ranges,
    has_begun: bool,
    serial: usize,
    retry: Retry,
    jitter: Jitter,
    patience: Patience,
}

fn url(server: usize) -> Url {
    format!("http://h{server}/").parse().unwrap()
}

fn validators() -> Validators {
    Validators {
        etag: Some("\"v\"".to_owned()),
        ..Validators::default()
    }
}

fn error(fault: Fault) -> Error {
    Error::new(fault, Doing::Receiving, None)
}

fn refusal(status: u16, retry_after: Option<Duration>) -> Error {
    error(Fault::Status {
        status,
        retry_after: retry_after.map(RetryAfter::Delay),
        size: None,
    })
}

impl World {
    /// A file. Its first transfer, from the first of `servers`, has written everything before `setting.at`.
    pub(super) fn new(setting: Setting, servers: Vec<Server>) -> Self {
        let now = Instant::now();
        let mirrors: VecDeque<_> = (1..servers.len()).map(|n| url(n).into()).collect();
        let sources = Sources {
            url: &url(0),
            record: Record {
                tries: 1,
                began: Some(now),
                ..Record::default()
            },
            mirrors: &mirrors,
            bond: Some(Bond::Digest),
            validators: &validators(),
            per_origin: setting.per_origin,
        };
        let ranges = iter::once(0..setting.at).filter(|range| !range.is_empty());
        let written = Ranges::in_order(ranges).unwrap();
        let begun = Begun {
            size: setting.size,
            least: setting.least,
            done: written.clone(),
            start: 0,
            at: setting.at,
            has_all: true,
        };
        let (mut division, lane) = Division::new(begun, Servers::new(&sources, now), now);
        match setting.number {
            Number::Fixed(most) => division.allow(most),
            Number::Found(most) => division.ramp_up(most, now),
        }
        let first = Transfer {
            serial: 0,
            server: 0,
            from: setting.at,
            at: setting.at,
            end: setting.size,
            limit: setting.size,
            starts: now,
            moved: now,
            is_first: true,
        };
        let mut world = Self {
            division,
            did: Vec::new(),
            end: None,
            setting,
            held: vec![now; servers.len()],
            servers,
            began: now,
            now,
            beats_at: now + BEAT,
            open: BTreeMap::from([(lane, first)]),
            written,
            has_begun: false,
            serial: 0,
            retry: Retry {
                retries: Some(setting.retries),
                ..Retry::default()
            },
            jitter: Jitter::new(1),
            patience: Patience::default(),
        };
        world.advance();
        world.division.proceed(now);
        world.carry_out();
        world
    }

    /// Runs until the division ends.
    pub(super) fn run(mut self) -> Self {
        while self.end.is_none() {
            self.step();
            assert!(self.elapsed() < LONGEST, "it goes on and on");
            let requests = self.opened().count();
            assert!(requests < MOST_REQUESTS, "{requests} requests");
        }
        self
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// The server and the range of each request.
    pub(super) fn opened(&self) -> impl Iterator<Item = (usize, Range<u64>)> {
        self.did.iter().filter_map(|did| match did {
            Did::Opened { server, range, .. } => Some((*server, range.clone())),
            _ => None,
        })
    }

    /// The bytes that a server has sent.
    pub(super) fn brought(&self, wanted: usize) -> u64 {
        let closed = self.did.iter().filter_map(|did| match did {
            Did::Closed { server, bytes } if *server == wanted => Some(*bytes),
            _ => None,
        });
        closed.sum()
    }

    /// One tick of the clock: bytes arrive, transfers end, and a beat may follow.
    fn step(&mut self) {
        self.now += TICK;
        let serials: Vec<_> = self.open.values().map(|one| one.serial).collect();
        for serial in serials {
            let mut open = self.open.iter();
            let found = open.find(|(_, transfer)| transfer.serial == serial);
            if let Some((&lane, _)) = found
                && let Some(result) = self.receive(lane)
            {
                self.close(lane, result);
            }
        }
        if self.end.is_none() && self.now >= self.beats_at {
            self.beats_at = self.now + BEAT;
            self.advance();
            let speed = self.division.speed();
            let limit = self.setting.limit;
            self.division
                .set_limited(limit.is_some_and(|limit| 2.0 * speed >= limit));
            self.division.measure(16, self.now);
            self.division.proceed(self.now);
            self.carry_out();
        }
    }

    /// Lets a transfer receive what arrives in a tick. Returns its result if it has ended.
    fn receive(&mut self, lane: Lane) -> Option<Result<(), Error>> {
        let transfer = &self.open[&lane];
        let server = self.servers[transfer.server];
        let since = self.now.checked_duration_since(transfer.starts)?;
        if let Wrong::DiesAt(at) = server.wrong
            && self.now - self.began >= at
        {
            let reset = IoError::from(ErrorKind::ConnectionReset);
            return Some(Err(error(Fault::ConnectionLost(reset))));
        }
        if !transfer.is_first && since < LATENCY {
            return None;
        }
        if !transfer.is_first
            && transfer.at == transfer.from
            && let Some(refused) = self.refuses(transfer)
        {
            return Some(Err(refused));
        }
        self.write(lane);
        self.judge(lane)
    }

    /// Why a server refuses the request of a transfer.
    fn refuses(&self, transfer: &Transfer) -> Option<Error> {
        let server = self.servers[transfer.server];
        match server.wrong {
            Wrong::IgnoresRanges => {
                return Some(error(Fault::BadRange("the server ignored the range")));
            }
            Wrong::Differs => return Some(error(Fault::Changed)),
            Wrong::Lacks => return Some(refusal(404, None)),
            Wrong::IsBusy { until, retry_after } if self.elapsed() < until => {
                return Some(refusal(503, Some(retry_after)));
            }
            _ => {}
        }
        let others = self.open.values().filter(|other| {
            other.server == transfer.server && (other.is_first || other.at > other.from)
        });
        (others.count() >= server.most).then(|| refusal(503, None))
    }

    /// The part of the rate limit that a transfer gets, in bytes a second.
    fn granted(&self, lane: Lane) -> f64 {
        let Some(limit) = self.setting.limit else {
            return f64::INFINITY;
        };
        let active = self.open.values().filter(|one| one.starts <= self.now);
        let all: f64 = active.map(Transfer::weight).sum();
        limit * self.open[&lane].weight() / all.max(1.0)
    }

    /// Writes the bytes that a transfer receives in a tick.
    fn write(&mut self, lane: Lane) {
        let active = self.open.values();
        let server = self.open[&lane].server;
        let active = active.filter(|one| one.server == server && one.starts <= self.now);
        let share = self.servers[server].link / active.count().max(1) as f64;
        let speed = self.servers[server]
            .speed
            .min(share)
            .min(self.granted(lane));
        let wrong = self.servers[server].wrong;
        let transfer = self.open.get_mut(&lane).unwrap();
        let end = if transfer.is_first && !self.has_begun {
            transfer.limit
        } else {
            transfer.end
        };
        let mut amount = ((speed * TICK.as_secs_f64()) as u64).min(end.saturating_sub(transfer.at));
        if let Wrong::IsShort(most) | Wrong::Breaks(most) | Wrong::Stalls(most) = wrong
            && !transfer.is_first
        {
            amount = amount.min((transfer.from + most).saturating_sub(transfer.at));
        }
        if amount > 0 {
            self.written.insert(transfer.at..transfer.at + amount);
            transfer.at += amount;
            transfer.moved = self.now;
            self.has_begun |= !transfer.is_first;
        }
    }

    /// The result of a transfer, if it has ended.
    fn judge(&self, lane: Lane) -> Option<Result<(), Error>> {
        let transfer = &self.open[&lane];
        let (wrong, brought) = (
            self.servers[transfer.server].wrong,
            transfer.at - transfer.from,
        );
        let is_damaged = wrong == Wrong::Damages && transfer.serial % 2 == 1;
        if transfer.at == transfer.limit && is_damaged && !transfer.is_first {
            return Some(Err(error(Fault::Digest {
                expected: "one".to_owned(),
                found: "another".to_owned(),
                is_announced: true,
            })));
        }
        let is_complete = transfer.at >= transfer.end;
        if is_complete && (!transfer.is_first || self.has_begun || transfer.at == transfer.limit) {
            return Some(Ok(()));
        }
        match wrong {
            Wrong::IsShort(most) if brought >= most && !transfer.is_first => Some(Ok(())),
            Wrong::Breaks(most) if brought >= most && !transfer.is_first => {
                let reset = IoError::from(ErrorKind::ConnectionReset);
                Some(Err(error(Fault::ConnectionLost(reset))))
            }
            _ if self.now - transfer.moved >= STALL => Some(Err(error(Fault::Timeout {
                kind: Timeout::Stall,
                limit: STALL,
            }))),
            _ => None,
        }
    }

    /// Reports the end of a transfer, as the session does.
    fn close(&mut self, lane: Lane, result: Result<(), Error>) {
        let mut transfer = self.open.remove(&lane).unwrap();
        self.closed(&transfer);
        self.advance();
        let received = transfer.at - transfer.from;
        let mut spoilt = None;
        if matches!(&result, Err(error) if matches!(error.fault(), Fault::Digest { .. })) {
            spoilt = Some(transfer.from..transfer.limit);
            self.written.remove(transfer.from..transfer.limit);
            transfer.at = transfer.from;
        }
        let (at, end) = (transfer.at, transfer.end);
        let validators = &validators();
        let end = End {
            at,
            end,
            spoilt,
            validators,
        };
        let outcome = Outcome {
            received,
            ..Outcome::default()
        };
        let failure = self
            .division
            .ended(lane, end, result.map(|()| &outcome), self.now);
        match failure {
            None => self.division.proceed(self.now),
            Some(failure) => {
                let mut retries = Retries {
                    retry: &self.retry,
                    jitter: &mut self.jitter,
                    wall: || SystemTime::UNIX_EPOCH,
                    patience: &mut self.patience,
                };
                self.division.failed(failure, &mut retries, self.now);
            }
        }
        self.carry_out();
    }

    fn closed(&mut self, transfer: &Transfer) {
        self.did.push(Did::Closed {
            server: transfer.server,
            bytes: transfer.at - transfer.from,
        });
    }

    /// Reports how far the transfers have come.
    fn advance(&mut self) {
        let validators = validators();
        for (&lane, transfer) in &self.open {
            let frontier = Frontier {
                at: transfer.at,
                validators: &validators,
                received: transfer.at - transfer.from,
                is_dispatched: transfer.starts <= self.now,
            };
            self.division.advance(lane, &frontier);
        }
        if self.has_begun {
            self.division.confirm();
        }
    }

    /// Carries out the actions of the division.
    fn carry_out(&mut self) {
        while let Some(action) = self.division.poll_action() {
            assert!(self.end.is_none(), "{action:?} after the end");
            match action {
                Action::Open(opening) => self.open(opening),
                Action::Trim { lane, end } => {
                    let transfer = self.open.get_mut(&lane).expect("an open transfer");
                    transfer.end = end.min(transfer.limit);
                }
                Action::Cancel(lane) => {
                    let transfer = self.open.remove(&lane).expect("an open transfer");
                    self.closed(&transfer);
                }
                Action::Hold { url, until } => {
                    let server = self.server(&url);
                    self.held[server] = self.held[server].max(until);
                }
                Action::Retrying { url, tries, .. } => {
                    let server = self.server(&url);
                    self.did.push(Did::Retried { server, tries });
                }
                Action::Dropped { url, .. } => {
                    let server = self.server(&url);
                    self.did.push(Did::Dropped { server });
                }
                Action::Done => self.end = Some(Ok(())),
                Action::Fail(error) => self.end = Some(Err(error)),
            }
        }
        self.check();
    }

    fn server(&self, wanted: &Url) -> usize {
        let mut servers = 0..self.servers.len();
        servers.find(|server| url(*server) == *wanted).unwrap()
    }

    fn open(&mut self, opening: Opening) {
        let server = self.server(&opening.url);
        let mirrors = self.division.servers.mirrors();
        assert!(!mirrors.is_dropped(server), "server {server} was dropped");
        assert!(opening.range.start < opening.range.end);
        assert!(opening.range.end <= self.setting.size);
        self.serial += 1;
        let starts = self.now + opening.delay.unwrap_or_default();
        let starts = starts.max(self.held[server]);
        let transfer = Transfer {
            serial: self.serial,
            server,
            from: opening.range.start,
            at: opening.range.start,
            end: opening.range.end,
            limit: opening.range.end,
            starts,
            moved: starts,
            is_first: false,
        };
        let before = self.open.insert(opening.lane, transfer);
        assert!(before.is_none(), "two transfers of one lane");
        self.did.push(Did::Opened {
            at: self.elapsed(),
            server,
            range: opening.range,
            delay: opening.delay,
        });
        let at_server = self.open.values().filter(|one| one.server == server);
        let per_origin = self.setting.per_origin;
        assert!(per_origin == 0 || at_server.count() <= per_origin);
        let (Number::Fixed(most) | Number::Found(most)) = self.setting.number;
        assert!(self.open.len() <= most, "{} are open", self.open.len());
    }

    /// What is true between two events.
    fn check(&mut self) {
        let mut written = self.written.clone();
        written.insert_all(self.division.done());
        assert_eq!(written, self.written, "what counts as written is written");
        if let Some(end) = &self.end {
            assert!(self.open.is_empty(), "transfers are open after the end");
            let is_whole = self.written.frontier() == self.setting.size;
            assert!(end.is_err() || is_whole, "bytes are missing");
            return;
        }
        assert!(!self.open.is_empty(), "nothing is on its way");
        assert_eq!(self.open.len(), self.division.transfers.count());
        for server in 0..self.servers.len() {
            let open = self.open.values().filter(|one| one.server == server);
            let counted = self.division.servers.mirrors().lanes(server);
            assert_eq!(open.count(), counted, "connections to server {server}");
        }
        // Each missing byte of a segment is on its way, once. Those of no segment are in gaps, from which segments are
        // taken.
        for (&lane, transfer) in &self.open {
            let planned = self.division.plan.rest(lane).end;
            let end = transfer.end.max(transfer.at);
            assert!(planned <= end, "nothing brings the end of a segment");
            let mut behind = self.written.clone();
            behind.insert(planned..end);
            assert_eq!(
                behind, self.written,
                "a transfer goes on behind its segment"
            );
        }
    }
}
