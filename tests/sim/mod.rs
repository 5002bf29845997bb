//! Whole runs over a simulated network in virtual time: the real session, engine and files; only
//! the sockets and the clock are not, and the disk where its calls are to fail.
//!
//! A seed decides everything: how bytes are cut into pieces and when they come, which sockets are
//! told of in which order, what goes wrong and where, what servers make of ranges, which mirrors
//! have what and say what of it, what becomes of a connection of HTTP/2, how many transfers bring a
//! file, how long retries wait, when a run is ended from outside. Every file must end as one of its
//! versions, byte by byte, or with the error that it has coming. `GANNET_SIM_RUNS=100000` makes
//! more runs of each kind, on all processors; `GANNET_SIM_SEED=17` those from that seed on.

mod backends;
mod dead;
mod dead_mirrors;
mod disk;
mod disks;
mod driver;
mod farm;
mod field;
mod files;
mod heads;
mod http2;
mod mirrors;
mod net;
mod odd;
mod pages;
mod random;
mod refusals;
mod reply;
mod site;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use gannet::list::Split;
use gannet::multi::{Detail, Trace};
use gannet::session::{BadRow, Completion, Landing, Plan, Report, Retrying, Verdict};

use random::Random;

use crate::harness::Dir;

/// Seeds that fail before no more are tried.
const MOST_FAILURES: usize = 20;

/// How each file ended, by the number that its URLs end in: after how many tries, and what was said
/// of its failure; and the names of those that were done.
#[derive(Default)]
struct Verdicts(BTreeMap<usize, (u32, Result<(), String>)>, BTreeSet<String>);

impl Verdicts {
    /// Nothing is left in a folder of what is done with; what failed on the way may be gone on with.
    fn assert_nothing_left(&self, dir: &Dir) {
        for name in dir.names() {
            let Some((number, _)) = name.split_once('.') else {
                continue;
            };
            if self.1.contains(&name) {
                // Another program took its name meanwhile.
                continue;
            }
            let number = number.parse().ok();
            let verdict = number.and_then(|number: usize| self.0.get(&number));
            let may_go_on = matches!(verdict, Some((_, Err(said))) if !is_digest(said));
            assert!(
                may_go_on,
                "{name} was left, though its file ended as {verdict:?}"
            );
        }
    }
}

fn is_digest(said: &str) -> bool {
    said.starts_with("the digest is")
}

impl Report for Verdicts {
    fn completed(&mut self, completion: &Completion<'_>) {
        if let (Verdict::Done(_), Landing::File(_, name)) =
            (&completion.verdict, completion.landing)
        {
            self.1.insert(name.to_string_lossy().into_owned());
        }
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

    fn bad_row(&mut self, row: &BadRow) {
        // The disk refused to sync at the end.
        assert!(
            matches!(row, BadRow::Unsynced(..)),
            "no row is bad: {row:?}"
        );
    }

    /// Shown when the test fails.
    fn retrying(&mut self, retry: &Retrying<'_>) {
        if number("GANNET_SIM_SEED").is_some() {
            println!("{}: {} ({:?})", retry.url, retry.error, retry.error.doing());
        }
    }

    /// Shown when the test fails.
    fn warned(&mut self, url: &url::Url, why: &str) {
        if number("GANNET_SIM_SEED").is_some() {
            println!("{url}: {why}");
        }
    }

    /// Shown when the test fails.
    fn dropped(&mut self, url: &url::Url, error: &gannet::Error) {
        if number("GANNET_SIM_SEED").is_some() {
            println!("{url} is dropped: {error}");
        }
    }

    fn traced(&mut self, number: u64, trace: &Trace) {
        println!("[{number}] {trace:?}");
    }
}

/// How a run of any kind is made.
fn plan(urls: Vec<String>, folder: &Path, random: &mut Random) -> Plan {
    let mut plan = Plan::new(urls, folder.to_owned());
    plan.jobs = 1 + random.below(8);
    plan.options.limits.per_origin = random.below(4);
    plan.traces = number("GANNET_SIM_SEED").map(|_| Detail::All);
    plan.split = match random.below(4) {
        0 => Split::Auto,
        _ => Split::Most(NonZeroU32::MIN.saturating_add(random.below(5) as u32)),
    };
    plan.min_split = Some(*random.pick(&[1, 100, 5_000, 70_000]));
    plan.retry.first_delay = Duration::from_millis(*random.pick(&[0, 10, 1_000, 20_000]));
    plan.retry.retries = Some(*random.pick(&[0, 1, 3, 9, 9, 9, 9, 9]));
    // Nothing but the seed decides anything.
    plan.seed = Some(random.next());
    plan.hashing_threads = Some(0);
    plan
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Makes the run of a seed, and names it if it fails.
fn run_seed(seed: u64, run: &impl Fn(u64) -> usize) -> Option<usize> {
    let files = panic::catch_unwind(AssertUnwindSafe(|| run(seed)));
    if files.is_err() {
        eprintln!("the seed was {seed}: GANNET_SIM_SEED={seed} GANNET_SIM_RUNS=1");
    }
    files.ok()
}

/// Makes `usually` runs, or as many as GANNET_SIM_RUNS says; each gives its number of files. Continues after a run
/// that fails, and names all of those.
fn each_seed(what: &str, usually: u64, run: impl Fn(u64) -> usize + Sync) {
    let runs = number("GANNET_SIM_RUNS");
    let first = number("GANNET_SIM_SEED").unwrap_or(1);
    let end = first + runs.unwrap_or(usually);
    // Other tests run beside it, unless it was asked for by name.
    let threads = runs.map_or(1, |_| {
        thread::available_parallelism().map_or(1, usize::from)
    });
    let started = Instant::now();
    let (next, files) = (AtomicU64::new(first), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let work = || {
            let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            for seed in seeds.take_while(|seed| *seed < end) {
                match run_seed(seed, &run) {
                    Some(count) => drop(files.fetch_add(count as u64, Ordering::Relaxed)),
                    None => failed.lock().expect("no panic").push(seed),
                }
                if failed.lock().expect("no panic").len() >= MOST_FAILURES {
                    break;
                }
            }
        };
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let files = files.into_inner();
    let each = files as f64 / started.elapsed().as_secs_f64();
    println!(
        "{what}, seeds {first} to {}: {files} downloads, {each:.0} a second on {threads} threads",
        end - 1
    );
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{what}: the seeds {failed:?} failed");
}
