//! The engine alone: fetches every URL of a list, JOBS at a time, and discards the bodies.
//!
//! `cargo run --release --example discard -- LIST JOBS [CACERT]` prints transfers, failures, bytes
//! and seconds. It shows how an application stands on `reactor` and `multi`, and what the engine
//! costs without files.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::os::fd::RawFd;
use std::time::Instant;

use gannet::MultiError;
use gannet::multi::{Done, Easy, Limits, Multi, Options, TlsOptions, TrustRoots};
use gannet::reactor::{self, Application};

/// Counts what comes; the sink of each transfer is a number of bytes.
struct Discard {
    urls: Lines<BufReader<File>>,
    jobs: usize,
    has_ended: bool,
    done: u64,
    failed: u64,
    bytes: u64,
}

impl Application<u64> for Discard {
    fn start(&mut self, _: &mut Multi<u64>) {}

    fn refill(&mut self, multi: &mut Multi<u64>, _: Instant) -> Result<(), MultiError> {
        while !self.has_ended && multi.running() < 2 * self.jobs {
            match self
                .urls
                .next()
                .and_then(Result::ok)
                .map(|line| line.parse())
            {
                Some(Ok(url)) => drop(multi.add(Easy::new(url, 0))?),
                Some(Err(_)) => self.failed += 1,
                None => self.has_ended = true,
            }
        }
        Ok(())
    }

    fn is_over(&self, multi: &Multi<u64>) -> bool {
        self.has_ended && multi.running() == 0
    }

    fn completed(
        &mut self,
        multi: &mut Multi<u64>,
        done: Done,
        now: Instant,
    ) -> Result<(), MultiError> {
        self.done += 1;
        self.failed += u64::from(done.result.is_err());
        self.bytes += multi.remove(done.id, now)?.sink;
        Ok(())
    }

    fn input(&self) -> Option<RawFd> {
        None
    }

    fn read_input(&mut self) {}

    fn due(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &Multi<u64>, _: Instant) {}

    fn signalled(&mut self, _: i32) {
        self.has_ended = true;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "discard LIST JOBS [CACERT]";
    let urls = BufReader::new(File::open(args.next().ok_or(usage)?)?).lines();
    let jobs = args.next().ok_or(usage)?.parse()?;
    let roots = args
        .next()
        .map_or(TrustRoots::Platform, |path| TrustRoots::Given {
            file: Some(path.into()),
            folder: None,
        });
    let options = Options {
        limits: Limits {
            transfers: jobs,
            idle: jobs,
            ..Limits::default()
        },
        tls: TlsOptions {
            roots,
            ..TlsOptions::default()
        },
        ..Options::default()
    };
    let mut app = Discard {
        urls,
        jobs,
        has_ended: false,
        done: 0,
        failed: 0,
        bytes: 0,
    };
    let start = Instant::now();
    reactor::run(&mut app, options)?;
    let wall = start.elapsed().as_secs_f64();
    let mib = app.bytes as f64 / f64::from(1 << 20);
    let (done, failed, rate) = (app.done, app.failed, app.done as f64 / wall);
    println!(
        "transfers {done} failed {failed} MiB {mib:.1} wall {wall:.3} transfers/s {rate:.0} MiB/s {:.0}",
        mib / wall
    );
    Ok(())
}
