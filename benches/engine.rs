//! What the engine costs: transfers a second against a server in the same process, and its timers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gannet::MultiError;
use gannet::internals::multi::Timers;
use gannet::multi::{Done, Easy, Limits, Multi, Options};
use gannet::reactor::{self, Application};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

/// A server that answers every request alike, for as long as the process lives.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    // A request comes in one piece: the client writes it in one.
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) && stream.write_all(ANSWER).is_ok() {}
}

/// A number of transfers of one URL.
struct Many {
    url: url::Url,
    left: usize,
    /// How many of them stand in the engine at a time.
    added: usize,
    /// The run ends with this many completed; the rest is dropped.
    wanted: usize,
    /// When the first of them was complete, and how long the others took.
    first: Option<Instant>,
    took: Duration,
}

impl Many {
    fn new(url: &url::Url, wanted: usize) -> Self {
        Self {
            url: url.clone(),
            left: wanted,
            added: 128,
            wanted,
            first: None,
            took: Duration::ZERO,
        }
    }

    /// These transfers, with a number of others pending behind them from the start.
    fn before(self, pending: usize) -> Self {
        Self {
            left: self.wanted + pending,
            added: self.wanted + pending,
            ..self
        }
    }
}

impl Application<u64> for Many {
    fn start(&mut self, _: &mut Multi<u64>) {}

    fn refill(&mut self, multi: &mut Multi<u64>, _: Instant) -> Result<(), MultiError> {
        while self.left > 0 && multi.running() < self.added {
            self.left -= 1;
            multi.add(Easy::new(self.url.clone(), 0))?;
        }
        Ok(())
    }

    fn is_over(&self, multi: &Multi<u64>) -> bool {
        self.wanted == 0 || (self.left == 0 && multi.running() == 0)
    }

    fn completed(
        &mut self,
        multi: &mut Multi<u64>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        done.result.expect("an answer");
        self.wanted = self.wanted.saturating_sub(1);
        self.took = now.duration_since(*self.first.get_or_insert(now));
        multi.remove(done.id, now).map(drop)
    }

    fn input(&self) -> Option<i32> {
        None
    }

    fn read_input(&mut self) {}

    fn due(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &Multi<u64>, _: Instant) {}

    fn signalled(&mut self, _: i32) {
        self.left = 0;
    }
}

fn transfers(c: &mut Criterion) {
    let url: url::Url = format!("http://{}/x", serve()).parse().expect("a URL");
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(2000));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for jobs in [1, 64] {
        group.bench_function(format!("2,000 transfers, {jobs} at once"), |b| {
            b.iter(|| {
                let limits = Limits {
                    transfers: jobs,
                    ..Limits::default()
                };
                run(&mut Many::new(&url, 2000), limits);
            });
        });
    }
    group.throughput(Throughput::Elements(10_000));
    // Six connections, and a queue behind them that no call need look at.
    for pending in [0, 100_000] {
        group.bench_function(format!("10,000 transfers before {pending} pending"), |b| {
            b.iter_custom(|times| {
                let limits = || Limits {
                    per_origin: 6,
                    ..Limits::default()
                };
                let one = |_| {
                    let mut app = Many::new(&url, 10_000).before(pending);
                    run(&mut app, limits());
                    app.took
                };
                (0..times).map(one).sum()
            });
        });
    }
    group.finish();
}

fn run(app: &mut Many, limits: Limits) {
    let options = Options {
        limits,
        ..Options::default()
    };
    reactor::run(app, options).expect("a run");
}

fn timers(c: &mut Criterion) {
    let start = Instant::now();
    let at = |n: u32| start + Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761)));
    let mut timers = Timers::new();
    (0..100_000).for_each(|key| timers.set(key, Some(at(key))));
    let mut turn = 0_u32;
    c.bench_function("moving one of 100,000 timers", |b| {
        b.iter(|| {
            turn = turn.wrapping_add(1);
            timers.set(turn % 100_000, Some(at(turn ^ 0x5555)));
            timers.next()
        });
    });
}

criterion_group!(benches, transfers, timers);
criterion_main!(benches);
