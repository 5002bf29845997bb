//! Whole runs over a simulated network in virtual time: the real session, engine and files; only the sockets and the clock are not.
//!
//! A seed decides everything: how bytes are cut into pieces and when they come, which sockets are told of in which order, what
//! goes wrong and where. Every file must end as one of its versions, byte by byte, or with the error that it has coming.
//! `GANNET_SIM_RUNS=100000` makes more runs, `GANNET_SIM_SEED=17` those from that seed on.

mod driver;
mod net;
mod random;
mod site;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use gannet::multi::Trace;
use gannet::session::{
    self, BadRow, Completion, Plan, Report, Retrying, Snapshot, Totals, Verdict,
};

use driver::Driver;
use net::Net;
use random::Random;
use site::Kind;

use crate::harness::Dir;

/// How each URL ended, by its number: after how many tries, and what was said of its failure.
#[derive(Default)]
struct Verdicts(BTreeMap<usize, (u32, Result<(), String>)>);

impl Report for Verdicts {
    fn completed(&mut self, completion: &Completion<'_>) {
        let verdict = match completion.verdict {
            Verdict::Done { .. } | Verdict::Kept => Ok(()),
            Verdict::Failed(error) => Err(error.to_string()),
        };
        let number = completion.url.path().rsplit('/').next();
        let number = number.and_then(|number| number.parse().ok());
        let tries = completion.tries;
        let before = self.0.insert(number.expect("a number"), (tries, verdict));
        assert!(before.is_none(), "two ends of one file");
    }

    fn bad_row(&mut self, _: &BadRow) {
        panic!("no row is bad");
    }

    /// Shown when the test fails.
    fn retrying(&mut self, retry: &Retrying<'_>) {
        if number("GANNET_SIM_SEED").is_some() {
            println!("{}: {} ({:?})", retry.url, retry.error, retry.error.doing());
        }
    }

    fn warned(&mut self, _: &url::Url, _: &str) {}

    fn dropped(&mut self, _: &url::Url, _: &gannet::Error) {}

    fn planned(&mut self, _: &str, _: Option<&Path>) {}

    fn traced(&mut self, number: u64, trace: &Trace) {
        println!("[{number}] {trace:?}");
    }

    fn due(&self) -> Option<Duration> {
        None
    }

    fn progress(&mut self, _: Snapshot<'_, '_>) {}

    fn flush(&mut self) {}
}

/// One run from a seed, ended by a signal and made again until it has ended by itself; gives how many files it was of.
fn run(seed: u64, folder: &Path) -> usize {
    let mut random = Random::new(seed);
    let files = 1 + random.below(6);
    let jobs = 1 + random.below(8);
    let per_origin = random.below(4);
    let mut signals = random.below(3);
    let first = random.below(3);
    let net = Rc::new(RefCell::new(Net::new(
        Instant::now(),
        files,
        Random::new(random.next()),
    )));
    let urls: Vec<String> = {
        let net = net.borrow();
        let url = |at| format!("http://h{}.test{}", (first + at) % 3, net.site.path(at));
        (0..files).map(url).collect()
    };
    loop {
        let mut plan = Plan::new(urls.clone(), folder.to_owned());
        plan.jobs = jobs;
        plan.is_traced = number("GANNET_SIM_SEED").is_some();
        plan.options.limits.per_origin = per_origin;
        // Without a delay there is no jitter, which no seed decides. Each fault costs a try at most.
        plan.retry.first_delay = Duration::ZERO;
        plan.retry.retries = 8;
        let mut driver = Driver {
            net: Rc::clone(&net),
            signal_in: (signals > 0).then(|| 1 + random.below(60)),
        };
        let mut verdicts = Verdicts::default();
        let totals = session::run_on(&mut driver, plan, &mut verdicts).expect("a run");
        assert_eq!(net.borrow().open(), 0, "connections left open");
        check(&net.borrow(), &verdicts, &totals, folder);
        if totals.signal.is_none() {
            assert_eq!(verdicts.0.len(), files, "each file has an end");
            return files;
        }
        signals -= 1;
    }
}

/// Holds every file to what its server has.
fn check(net: &Net, verdicts: &Verdicts, totals: &Totals, folder: &Path) {
    for (number, file) in net.site.files.iter().enumerate() {
        let found = fs::read(folder.join(number.to_string()));
        if let Ok(bytes) = &found {
            let is_version = (0..=file.version).any(|v| file.content(number, v) == *bytes);
            assert!(is_version, "file {number} is none of its versions");
        }
        let ended = verdicts.0.get(&number);
        let most = 1 + file.all_faults + net.all_dial_faults;
        let tries = ended.map_or(0, |(tries, _)| *tries as usize);
        assert!(
            tries <= most,
            "file {number} failed {tries} times of {most}"
        );
        match (ended.map(|(_, verdict)| verdict), file.kind) {
            (None, _) => assert!(totals.signal.is_some(), "file {number} was forgotten"),
            (Some(Ok(())), Kind::There) => assert!(found.is_ok(), "file {number} is not there"),
            (Some(Err(said)), Kind::Missing) => {
                assert_eq!(said, "not found", "file {number}");
                assert!(found.is_err(), "file {number} is there");
            }
            (Some(verdict), kind) => panic!("file {number} is {kind:?} and ended as {verdict:?}"),
        }
    }
    let failed = verdicts.0.values().filter(|(_, verdict)| verdict.is_err());
    assert_eq!(totals.failed, failed.count() as u64);
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_file_ends_right_whatever_the_network_does() {
    let runs = number("GANNET_SIM_RUNS").unwrap_or(700);
    let first = number("GANNET_SIM_SEED").unwrap_or(1);
    let started = Instant::now();
    let mut files = 0;
    for seed in first..first + runs {
        let dir = Dir::in_memory();
        let result = panic::catch_unwind(|| run(seed, dir.path()));
        match result {
            Ok(count) => files += count,
            Err(cause) => {
                eprintln!("the seed was {seed}: GANNET_SIM_SEED={seed} GANNET_SIM_RUNS=1");
                panic::resume_unwind(cause);
            }
        }
        let mut left = dir.names();
        left.retain(|name| name.contains('.'));
        assert!(left.is_empty(), "seed {seed} left {left:?}");
    }
    let each = files as f64 / started.elapsed().as_secs_f64();
    println!(
        "seeds {first} to {}: {files} downloads, {each:.0} a second",
        first + runs - 1
    );
}
