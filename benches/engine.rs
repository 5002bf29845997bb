//! What the engine costs: transfers a second against a server in the same process, and its timers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gannet::MultiError;
use gannet::multi::{Done, Easy, Limits, Multi, Options, Timers};
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

/// So many transfers of one URL.
struct Many {
    url: url::Url,
    left: usize,
}

impl Application<u64> for Many {
    fn start(&mut self, _: &mut Multi<u64>) {}

    fn refill(&mut self, multi: &mut Multi<u64>, _: Instant) -> Result<(), MultiError> {
        while self.left > 0 && multi.running() < 128 {
            self.left -= 1;
            multi.add(Easy::new(self.url.clone(), 0))?;
        }
        Ok(())
    }

    fn is_over(&self, multi: &Multi<u64>) -> bool {
        self.left == 0 && multi.running() == 0
    }

    fn completed(
        &mut self,
        multi: &mut Multi<u64>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        done.result.expect("an answer");
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
                let mut app = Many {
                    url: url.clone(),
                    left: 2000,
                };
                reactor::run(
                    &mut app,
                    Options {
                        limits,
                        ..Options::default()
                    },
                )
                .expect("a run");
            });
        });
    }
    group.finish();
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
