//! HTTP/2 at random, in virtual time: transfers that come, go, pause, resume and become extra, limits and rates that
//! change, origins that are held, against peers that answer, reset, send GOAWAY, fall silent and do not read.
//! `GANNET_SEED=17 GANNET_RUNS=2000` chooses the seeds.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use gannet::multi::{Detail, Easy, Limits, Options, Protocol, Ready, Target, TransferId, Windows};

use super::fake::Fake;
use super::peer::{Peer, Talk};
use super::random::Dice;
use crate::server::frames::{
    self, ACK, END_STREAM, Frame, HEADERS, PING, RST_STREAM, SETTINGS, data, frame, goaway, head,
    max_streams, reset,
};

/// The number of steps of one run, and the maximum number of added transfers.
const STEPS: usize = 1500;
const CROWD: usize = 40;
/// The default number of runs with each kind of loop.
const RUNS: u64 = 10;

/// A connection, as the peer sees it.
struct Line {
    talk: Talk,
    unread: Vec<u8>,
    has_preface: bool,
    /// Streams without a head.
    asked: Vec<u32>,
    /// Streams with a body under way, and the bytes of it that are not sent yet.
    owed: Vec<(u32, usize)>,
    is_deaf: bool,
}

impl Line {
    /// Reads what has come, if it reads at all.
    fn hear(&mut self) {
        if self.is_deaf {
            return;
        }
        let mut piece = [0; 65_536];
        while let Ok(count @ 1..) = self.talk.tcp.read(&mut piece) {
            self.unread.extend_from_slice(&piece[..count]);
        }
        if !self.has_preface {
            if !self.unread.starts_with(frames::PREFACE) {
                return;
            }
            self.unread.drain(..frames::PREFACE.len());
            self.has_preface = true;
            self.talk.say(frame(SETTINGS, ACK, 0, &[]));
        }
        while let Some(frame) = Frame::take(&mut self.unread) {
            match frame.kind {
                HEADERS => self.asked.push(frame.stream),
                RST_STREAM => {
                    self.asked.retain(|stream| *stream != frame.stream);
                    self.owed.retain(|(stream, _)| *stream != frame.stream);
                }
                _ => {}
            }
        }
    }

    /// The last stream that was begun.
    fn last(&self) -> u32 {
        let owed = self.owed.iter().map(|(stream, _)| stream);
        self.asked.iter().chain(owed).max().copied().unwrap_or(0)
    }

    /// Answers one of the streams that have no head yet.
    fn answer(&mut self, dice: &mut Dice, other: &str) {
        if self.asked.is_empty() {
            return;
        }
        let at = dice.roll(self.asked.len() as u64) as usize;
        let stream = self.asked.swap_remove(at);
        let mut say = |status: &str, fields: &[(&str, &str)], flags| {
            self.talk.say(head(stream, status, fields, flags));
        };
        match dice.roll(8) {
            0 => say("302", &[("location", other)], END_STREAM),
            1 => {
                say("301", &[("location", other)], 0);
                self.owed.push((stream, dice.roll(3000) as usize));
            }
            2 => say("404", &[], END_STREAM),
            3 => say(["503", "429"][dice.roll(2) as usize], &[], END_STREAM),
            4 => {
                say("103", &[], 0);
                self.asked.push(stream);
            }
            _ => {
                say("200", &[], 0);
                self.owed.push((stream, dice.roll(60_000) as usize));
            }
        }
    }

    /// Sends a piece of one of the bodies under way.
    fn pay(&mut self, dice: &mut Dice) {
        if self.owed.is_empty() {
            return;
        }
        let at = dice.roll(self.owed.len() as u64) as usize;
        let (stream, owed) = self.owed[at];
        let piece = (1 + dice.roll(8000) as usize).min(owed);
        let is_last = piece == owed;
        let flags = if is_last { END_STREAM } else { 0 };
        self.talk.say(data(stream, &vec![b'x'; piece], flags));
        if is_last {
            self.owed.swap_remove(at);
        } else {
            self.owed[at].1 -= piece;
        }
    }
}

struct World {
    dice: Dice,
    fake: Fake<u64>,
    peers: [Peer; 3],
    lines: Vec<Line>,
    added: BTreeSet<TransferId>,
    /// Completed, by their messages, and not removed.
    done: BTreeSet<TransferId>,
}

/// Options of any kind that may change while transfers run.
fn any_options(dice: &mut Dice) -> Options {
    let narrow = Windows {
        stream: 65_535,
        connection: 70_000,
    };
    Options {
        limits: Limits {
            transfers: dice.roll(3) as usize * 8,
            connections: dice.roll(4) as usize * 2,
            per_origin: dice.roll(3) as usize,
            idle: dice.roll(4) as usize,
        },
        max_recv_speed: dice.is(3).then_some(200_000),
        protocol: Protocol::Http2,
        windows: if dice.is(2) {
            Windows::default()
        } else {
            narrow
        },
        ..Options::default()
    }
}

impl World {
    fn new(mut dice: Dice, begin: fn(Options) -> Fake<u64>) -> Self {
        let options = any_options(&mut dice);
        Self {
            dice,
            fake: begin(options),
            peers: [Peer::new(), Peer::new(), Peer::new()],
            lines: Vec::new(),
            added: BTreeSet::new(),
            done: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(20) {
            0..=2 => self.add(),
            3 => self.remove(),
            4 => self.pause_or_resume(),
            5 | 6 => self.pass_time(),
            7..=9 => {
                for (socket, ready) in self.fake.ready(Duration::ZERO) {
                    self.fake.act(Target::Socket(socket), ready).expect("live");
                }
            }
            10 => self.act_on_anything(),
            11 => self.change_something(),
            12 => self.read(),
            13 if self.dice.is(4) => self.set_extra(),
            _ => self.serve(),
        }
    }

    fn any(&mut self) -> Option<TransferId> {
        let added: Vec<_> = self.added.iter().copied().collect();
        self.dice.pick(&added)
    }

    fn any_url(&mut self) -> url::Url {
        self.peers[self.dice.roll(3) as usize].url("/")
    }

    fn add(&mut self) {
        if self.added.len() >= CROWD {
            return;
        }
        let mut easy = Easy::new(self.any_url(), 0);
        let dice = &mut self.dice;
        let millis = |dice: &mut Dice, most| Duration::from_millis(dice.roll(most));
        easy.delay = dice.is(6).then(|| millis(dice, 3000));
        easy.timeout = dice.is(6).then(|| millis(dice, 20_000));
        easy.max_recv_speed = dice.is(4).then(|| 1 + dice.roll(100_000));
        easy.max_size = dice.is(8).then(|| dice.roll(10_000));
        easy.is_extra = dice.is(6);
        easy.events.head = self.added.len().is_multiple_of(2);
        easy.events.traces = self.added.len().is_multiple_of(3).then_some(Detail::All);
        let id = self.fake.add(easy).expect("a live multi");
        assert!(self.added.insert(id), "an id is never used again");
    }

    fn remove(&mut self) {
        if let Some(id) = self.any() {
            self.fake.remove(id).expect("it is there");
            self.added.remove(&id);
            self.done.remove(&id);
        }
    }

    fn pause_or_resume(&mut self) {
        let Some(id) = self.any() else { return };
        if self.dice.is(2) {
            self.fake.pause(id).expect("it is there");
        } else {
            self.fake.resume(id).expect("it is there");
        }
    }

    /// The application acts on what is due at once or later.
    fn pass_time(&mut self) {
        let most = if self.dice.is(10) { 40_000 } else { 300 };
        self.fake.ledger_mut().now += Duration::from_millis(self.dice.roll(most));
        if self.fake.ledger().is_due() && self.dice.is(2) {
            self.fake.kick().expect("a live multi");
        }
    }

    fn act_on_anything(&mut self) {
        let numbers: Vec<_> = self.fake.ledger().numbers.iter().copied().collect();
        if let Some(socket) = self.dice.pick(&numbers) {
            let nothing = Ready::EMPTY;
            self.fake
                .act(Target::Socket(socket), nothing)
                .expect("a live multi");
        }
    }

    /// Changes options, reserved slots or a hold; or only passes the time.
    fn change_something(&mut self) {
        if self.dice.is(6) {
            let options = any_options(&mut self.dice);
            self.fake.call(|multi, _| multi.set_options(options));
        } else if self.dice.is(4) {
            let slots = self.dice.roll(4) as usize;
            let reserved = self.fake.call(|multi, now| multi.reserve(slots, now));
            reserved.expect("a live multi");
        } else if self.dice.is(4) {
            let (url, time) = (self.any_url(), Duration::from_millis(self.dice.roll(2000)));
            let held = self
                .fake
                .call(|multi, now| multi.hold(&url, now + time, now));
            held.expect("a live multi");
        } else {
            self.fake.kick().expect("a live multi");
        }
    }

    fn set_extra(&mut self) {
        if let Some(id) = self.any() {
            let set = self.fake.call(|multi, _| multi.set_extra(id));
            set.expect("it is there");
        }
    }

    fn read(&mut self) {
        self.fake.read();
        for done in std::mem::take(&mut self.fake.done) {
            assert!(
                self.added.contains(&done.id),
                "I3: a message of no transfer"
            );
            assert!(self.done.insert(done.id), "I2: a second message");
        }
        let running = self.added.len() - self.done.len();
        assert_eq!(self.fake.multi.running(), running, "K4");
    }

    fn accept(&mut self) {
        for peer in &self.peers {
            while let Some(mut talk) = peer.try_accept() {
                let least = u32::from(!self.dice.is(3));
                let streams = self
                    .dice
                    .pick(&[1000, 100, 3, 1, 0])
                    .unwrap_or(0)
                    .max(least);
                talk.say(frames::settings(&[max_streams(streams)]));
                self.lines.push(Line {
                    talk,
                    unread: Vec::new(),
                    has_preface: false,
                    asked: Vec::new(),
                    owed: Vec::new(),
                    is_deaf: self.dice.is(12),
                });
            }
        }
    }

    fn serve(&mut self) {
        self.accept();
        if self.lines.is_empty() {
            return;
        }
        let at = self.dice.roll(self.lines.len() as u64) as usize;
        let other = self.peers[self.dice.roll(3) as usize]
            .url("/next")
            .to_string();
        let (line, dice) = (&mut self.lines[at], &mut self.dice);
        line.hear();
        match dice.roll(24) {
            0 => {
                let line = self.lines.swap_remove(at);
                if dice.is(2) {
                    line.talk.reset();
                }
            }
            1 => {
                let last = if dice.is(2) { line.last() } else { 0x7fff_ffff };
                line.talk.say(goaway(last, 0));
            }
            2 => {
                let streams = max_streams(dice.roll(5) as u32);
                line.talk.say(frames::settings(&[streams]));
            }
            3 => line.talk.say(frame(PING, 0, 0, b"are you?")),
            4 => line.is_deaf = !line.is_deaf,
            5 => {
                if let Some(stream) = line.asked.pop() {
                    let code = dice.pick(&[7, 8, 11, 2]).unwrap_or(7);
                    line.talk.say(reset(stream, code));
                }
            }
            6..=13 => line.answer(dice, &other),
            _ => line.pay(dice),
        }
    }

    /// All transfers may go on, and the peers send nothing more: time limits end the rest.
    fn finish(&mut self) {
        let reserved = self.fake.call(|multi, now| multi.reserve(0, now));
        reserved.expect("a live multi");
        for id in self.added.clone() {
            self.fake.resume(id).expect("it is there");
        }
        self.lines.clear();
        for _ in 0..2000 {
            self.fake.elapse(Duration::from_secs(5));
            while self.peers.iter().any(|peer| peer.try_accept().is_some()) {}
            if self.fake.multi.running() == 0 {
                break;
            }
        }
        self.read();
        assert_eq!(self.done, self.added, "every transfer has its message");
        assert_eq!(self.fake.multi.timeout(self.fake.now()), None);
        assert_eq!(self.fake.multi.sleeping(), 0);
        assert!(self.fake.ledger().sockets.is_empty());
        for id in self.added.clone() {
            self.fake.remove(id).expect("it is there");
        }
    }
}

/// Runs several seeds, and names one that fails.
fn live(begin: fn(Options) -> Fake<u64>) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number("GANNET_SEED").unwrap_or(1);
    for seed in first..first + number("GANNET_RUNS").unwrap_or(RUNS) {
        let run = || {
            let mut world = World::new(Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), begin);
            (0..STEPS).for_each(|_| world.step());
            world.finish();
        };
        if let Err(cause) = panic::catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("the seed was {seed}: GANNET_SEED={seed} GANNET_RUNS=1");
            panic::resume_unwind(cause);
        }
    }
}

#[test]
fn every_invariant_holds_over_http2_while_limits_change() {
    live(Fake::with);
}

#[test]
fn every_invariant_holds_over_http2_under_edges_while_limits_change() {
    live(Fake::edge_triggered);
}
