//! Transfers that come, go, pause and resume at random, against a peer with random behaviour, in virtual time.
//! The invariants hold after every call, and every transfer ends in exactly one message, or was removed.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet::multi::{Detail, Easy, Interest, Limits, Options, Ready, Target, TransferId};

use super::fake::Fake;
use super::peer::{Peer, Talk};

/// The number of steps of one run, and the maximum number of added transfers.
const STEPS: usize = 3000;
const CROWD: usize = 30;

/// A seeded generator, so that a seed is enough to repeat a run: `GANNET_SEED=… cargo test`.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn seeded(fallback: u64) -> Self {
        let given = std::env::var("GANNET_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(fallback);
        println!("GANNET_SEED={seed}");
        Self::new(seed)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(super) fn is(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.roll(from.len().max(1) as u64) as usize)
            .copied()
    }

    fn mask(&mut self) -> Ready {
        let flags = [Ready::EMPTY, Ready::IN, Ready::OUT, Ready::ERR];
        flags[self.roll(4) as usize] | flags[self.roll(4) as usize]
    }
}

/// A connection, as the peer sees it.
struct Line {
    talk: Talk,
    /// Requests that have no response yet.
    unanswered: usize,
    /// Bytes of a body that are not sent yet.
    owed: usize,
}

struct World {
    dice: Dice,
    fake: Fake<u64>,
    peers: [Peer; 2],
    lines: Vec<Line>,
    added: BTreeSet<TransferId>,
    /// Completed, by their messages, and not removed.
    done: BTreeSet<TransferId>,
}

impl World {
    fn new(mut dice: Dice) -> Self {
        let limits = Limits {
            transfers: dice.roll(3) as usize * 8,
            connections: dice.roll(3) as usize * 4,
            per_origin: dice.roll(3) as usize * 2,
            idle: dice.roll(4) as usize,
        };
        let max_recv_speed = dice.is(3).then_some(200_000);
        let options = Options {
            limits,
            max_recv_speed,
            ..Options::default()
        };
        Self {
            dice,
            fake: Fake::with(options),
            peers: [Peer::new(), Peer::new()],
            lines: Vec::new(),
            added: BTreeSet::new(),
            done: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(16) {
            0 | 1 => self.add(),
            2 => self.remove(),
            3 => self.pause_or_resume(),
            4 | 5 => self.pass_time(),
            6..=8 => self.act_on_ready(),
            9 => self.act_on_anything(),
            10 => self.fake.answer_lookups(),
            11 if self.dice.is(8) => drop(self.fake.socket_all().expect("a live multi")),
            11 => drop(self.fake.kick().expect("a live multi")),
            12 => self.read(),
            _ => self.serve(),
        }
    }

    fn add(&mut self) {
        if self.added.len() >= CROWD {
            return;
        }
        let mut url = self.peers[self.dice.roll(2) as usize].url("/");
        if self.dice.is(4) {
            url.set_host(Some("name.test")).expect("a host");
        }
        let mut easy = Easy::new(url, 0);
        easy.delay = self
            .dice
            .is(4)
            .then(|| Duration::from_millis(self.dice.roll(3000)));
        easy.timeout = self
            .dice
            .is(4)
            .then(|| Duration::from_millis(self.dice.roll(20_000)));
        easy.max_recv_speed = self.dice.is(3).then(|| 1 + self.dice.roll(100_000));
        easy.max_size = self.dice.is(8).then(|| self.dice.roll(10_000));
        easy.events.head = self.added.len().is_multiple_of(2);
        easy.events.traces = self.added.len().is_multiple_of(3).then_some(Detail::All);
        let id = self.fake.add(easy).expect("a live multi");
        assert!(self.added.insert(id), "an id is never used again");
    }

    fn any(&mut self) -> Option<TransferId> {
        let added: Vec<_> = self.added.iter().copied().collect();
        self.dice.pick(&added)
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

    /// The application is late, or on time; it acts on what is due at once or later.
    fn pass_time(&mut self) {
        let most = if self.dice.is(10) { 40_000 } else { 300 };
        let time = Duration::from_millis(self.dice.roll(most));
        self.fake.ledger_mut().now += time;
        if self.fake.ledger().is_due() && self.dice.is(2) {
            self.fake.kick().expect("a live multi");
        }
    }

    fn act_on_ready(&mut self) {
        for (socket, ready) in self.fake.ready(Duration::ZERO) {
            let ready = if self.dice.is(4) {
                self.dice.mask()
            } else {
                ready
            };
            self.fake
                .act(Target::Socket(socket), ready)
                .expect("a live multi");
        }
    }

    /// A socket that is not ready, or not a socket any more, or was never one.
    fn act_on_anything(&mut self) {
        let mut numbers: Vec<_> = self.fake.ledger().numbers.iter().copied().collect();
        numbers.extend([-1, 0, 1 << 20, i32::MAX]);
        let socket = self.dice.pick(&numbers).expect("some number");
        let ready = self.dice.mask();
        self.fake
            .act(Target::Socket(socket), ready)
            .expect("a live multi");
    }

    fn read(&mut self) {
        self.fake.read();
        for done in std::mem::take(&mut self.fake.done) {
            assert!(
                self.added.contains(&done.id),
                "I3: a message of an unknown transfer"
            );
            assert!(self.done.insert(done.id), "I2: a second message");
        }
        assert_eq!(
            self.fake.multi.running(),
            self.added.len() - self.done.len(),
            "K4"
        );
    }

    fn serve(&mut self) {
        for peer in &self.peers {
            while let Some(talk) = peer.try_accept() {
                self.lines.push(Line {
                    talk,
                    unanswered: 0,
                    owed: 0,
                });
            }
        }
        if self.lines.is_empty() {
            return;
        }
        let at = self.dice.roll(self.lines.len() as u64) as usize;
        while self.lines[at].talk.try_request().is_some() {
            self.lines[at].unanswered += 1;
        }
        if self.dice.is(12) || self.lines[at].talk.is_closed() {
            let line = self.lines.swap_remove(at);
            if self.dice.is(2) {
                line.talk.reset();
            }
        } else if self.lines[at].owed > 0 {
            self.pay(at);
        } else if self.lines[at].unanswered > 0 {
            self.answer(at);
        } else if self.dice.is(20) {
            self.lines[at].talk.say("unasked");
        }
    }

    fn pay(&mut self, at: usize) {
        let piece = (1 + self.dice.roll(8000) as usize).min(self.lines[at].owed);
        self.lines[at].owed -= piece;
        self.lines[at].talk.say(vec![b'x'; piece]);
    }

    fn answer(&mut self, at: usize) {
        let other = self.peers[self.dice.roll(2) as usize].url("/next");
        let (choice, length) = (self.dice.roll(8), self.dice.roll(20_000) as usize);
        let line = &mut self.lines[at];
        line.unanswered -= 1;
        match choice {
            0 => line.talk.say(format!(
                "HTTP/1.1 302 Found\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n"
            )),
            1 => {
                line.talk.say(format!(
                    "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: {length}\r\n\r\n"
                ));
                line.owed = length;
            }
            2 => line
                .talk
                .say("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"),
            3 => line
                .talk
                .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            4 => line
                .talk
                .say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nas long as it lasts"),
            5 => line.talk.say("HTTP/1.1 2"),
            _ => {
                line.talk.head(length);
                line.owed = length;
            }
        }
    }

    /// All transfers may go on, and the peer sends nothing more: time limits end the rest.
    fn finish(&mut self) {
        for id in self.added.clone() {
            self.fake.resume(id).expect("it is there");
        }
        self.lines.clear();
        for _ in 0..10_000 {
            self.fake.answer_lookups();
            self.fake.elapse(Duration::from_secs(5));
            while self.peers.iter().any(|peer| peer.try_accept().is_some()) {}
            if self.fake.multi.running() == 0 {
                break;
            }
        }
        self.read();
        assert_eq!(self.done, self.added, "every transfer has its message");
        assert_eq!(self.fake.multi.timeout(self.fake.now()), None);
        assert!(
            self.fake.ledger().sockets.is_empty(),
            "a socket is watched without a transfer"
        );
        for id in self.added.clone() {
            self.fake.remove(id).expect("it is there");
        }
        let removals = |told: &_| matches!(told, super::ledger::Told::Socket(_, Interest::Remove));
        assert!(
            self.fake.told().iter().any(removals),
            "something has happened at all"
        );
    }
}

fn live(seed: u64) {
    let mut world = World::new(Dice::seeded(seed));
    for _ in 0..STEPS {
        world.step();
    }
    world.finish();
}

#[test]
fn every_invariant_holds_whatever_happens_in_whatever_order() {
    live(0x6761_6e6e_6574);
}

#[test]
fn every_invariant_holds_under_another_order_each_time() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    for run in 0..2 {
        live(clock.as_ref().map_or(7, |since| since.as_nanos() as u64) ^ (run << 60));
    }
}
