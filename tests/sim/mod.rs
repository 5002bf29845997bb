//! Whole runs over a simulated network in virtual time: the real session, engine and files; only
//! the sockets and the clock are not.
//!
//! A seed decides everything: how bytes are cut into pieces and when they come, which sockets are
//! told of in which order, what goes wrong and where, what servers make of ranges, how many
//! transfers bring a file, how long retries wait. Every file must end as one of its versions, byte
//! by byte, or with the error that it has coming. `GANNET_SIM_RUNS=100000` makes more runs, on all
//! processors; `GANNET_SIM_SEED=17` those from that seed on.

mod dead;
mod driver;
mod net;
mod random;
mod reply;
mod site;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, panic, thread};

use gannet::list::Split;
use gannet::multi::Trace;
use gannet::session::{self, BadRow, Completion, Plan, Report, Retrying, Totals, Verdict};

use driver::Driver;
use net::Net;
use random::Random;
use site::{File, Kind, Parts, Promise};

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

    /// Shown when the test fails.
    fn warned(&mut self, url: &url::Url, why: &str) {
        if number("GANNET_SIM_SEED").is_some() {
            println!("{url}: {why}");
        }
    }

    fn traced(&mut self, number: u64, trace: &Trace) {
        println!("[{number}] {trace:?}");
    }
}

/// One run from a seed, ended by a signal and made again until it has ended by itself; gives how many files it was of.
fn run(seed: u64, dir: &Dir) -> usize {
    let mut random = Random::new(seed);
    let files = 1 + random.below(6);
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
    let plan = plan(urls, dir.path(), &mut random);
    loop {
        let mut driver = Driver {
            net: Rc::clone(&net),
            signal_in: (signals > 0).then(|| 1 + random.below(60)),
        };
        let mut verdicts = Verdicts::default();
        let retries = plan.retry.retries as usize;
        let totals = session::run_on(&mut driver, plan.clone(), &mut verdicts).expect("a run");
        assert_eq!(net.borrow().open(), 0, "connections left open");
        check(&net.borrow(), &verdicts, (&totals, retries), dir.path());
        if totals.signal.is_none() {
            assert_eq!(verdicts.0.len(), files, "each file has an end");
            check_leftovers(&verdicts, dir);
            return files;
        }
        signals -= 1;
    }
}

/// How a run is made.
fn plan(urls: Vec<String>, folder: &Path, random: &mut Random) -> Plan {
    let mut plan = Plan::new(urls, folder.to_owned());
    plan.jobs = 1 + random.below(8);
    plan.options.limits.per_origin = random.below(4);
    plan.is_traced = number("GANNET_SIM_SEED").is_some();
    plan.split = match random.below(4) {
        0 => Split::Auto,
        _ => Split::Most(NonZeroU32::MIN.saturating_add(random.below(5) as u32)),
    };
    plan.min_split = Some(*random.pick(&[1, 100, 5_000, 70_000]));
    plan.retry.first_delay = Duration::from_millis(*random.pick(&[0, 10, 1_000, 20_000]));
    plan.retry.retries = *random.pick(&[0, 1, 3, 9, 9, 9, 9, 9]);
    // Nothing but the seed decides anything.
    plan.seed = Some(random.next());
    plan.hashing_threads = Some(0);
    plan
}

/// Holds every file to what its server has.
fn check(net: &Net, verdicts: &Verdicts, (totals, retries): (&Totals, usize), folder: &Path) {
    for (number, file) in net.site.files.iter().enumerate() {
        let found = fs::read(folder.join(number.to_string()));
        let version = found.as_ref().ok().map(|bytes| {
            let version = (0..=file.version).find(|v| file.content(number, *v) == bytes);
            version.unwrap_or_else(|| panic!("file {number} is none of its versions"))
        });
        let faults = file.all_faults + net.all_dial_faults;
        match verdicts.0.get(&number) {
            None => assert!(totals.signal.is_some(), "file {number} was forgotten"),
            Some((tries, verdict)) => {
                let (tries, odd) = (*tries as usize, usize::from(!file.is_honest()));
                // What an earlier run has left may be to blame for a digest, and a server that
                // contradicts itself for much.
                let again = usize::from(file.promise != Promise::Nothing) + 100 * odd;
                let most = 1 + faults + file.version + again;
                assert!(
                    tries <= most,
                    "file {number} was tried {tries} times of {most}"
                );
                judge(file, (version, verdict), faults + odd > retries)
                    .unwrap_or_else(|why| panic!("file {number} is {why} {verdict:?}: {file:?}"));
            }
        }
    }
    let failed = verdicts.0.values().filter(|(_, verdict)| verdict.is_err());
    assert_eq!(totals.failed, failed.count() as u64);
}

/// Nothing is left of what is done with; what failed on the way may be gone on with.
fn check_leftovers(verdicts: &Verdicts, dir: &Dir) {
    for name in dir.names() {
        let Some((number, _)) = name.split_once('.') else {
            continue;
        };
        let verdict = number
            .parse()
            .ok()
            .and_then(|number: usize| verdicts.0.get(&number));
        let may_go_on = matches!(verdict, Some((_, Err(said))) if !is_digest(said));
        assert!(
            may_go_on,
            "{name} was left, though its file ended as {verdict:?}"
        );
    }
}

fn is_digest(said: &str) -> bool {
    said.starts_with("the digest is")
}

/// Whether a file ended as it had to: as which version it is there, and what was said.
fn judge(
    file: &File,
    (version, verdict): (Option<usize>, &Result<(), String>),
    may_fail: bool,
) -> Result<(), &'static str> {
    // Who says a size that the bytes never come up to has no file that could be right.
    // So has one that names each answer's version anew, or goes back and forth between two.
    let is_restless = matches!(verdict, Err(said) if said.contains("changed")) && !file.is_honest();
    let may_fail = may_fail || is_restless || file.parts == Parts::OtherTotal;
    let said = match verdict {
        Ok(()) if file.kind == Kind::Missing => return Err("not on the server, and"),
        Ok(()) if version.is_none() => return Err("not there, and"),
        Ok(()) => "",
        // An earlier run has brought it, and this one could not ask whether it is still the same.
        Err(_) if version.is_some() && !may_fail => return Err("there, and"),
        Err(said) => said,
    };
    let is_other = is_digest(said);
    let is_right = match (file.kind, file.promise) {
        (Kind::Missing, _) => said == "not found",
        (_, Promise::Nothing) => said.is_empty(),
        (_, Promise::Digest) => version == Some(0) || is_other && file.version > 0,
        (_, Promise::WrongDigest) => is_other,
    };
    if is_right || may_fail && !is_other && !said.is_empty() {
        Ok(())
    } else {
        Err("wrong:")
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Makes the run of a seed in a folder of its own.
fn run_seed(seed: u64) -> usize {
    let dir = Dir::in_memory();
    panic::catch_unwind(|| run(seed, &dir)).unwrap_or_else(|cause| {
        eprintln!("the seed was {seed}: GANNET_SIM_SEED={seed} GANNET_SIM_RUNS=1");
        panic::resume_unwind(cause);
    })
}

#[test]
fn every_file_ends_right_whatever_the_network_does() {
    let runs = number("GANNET_SIM_RUNS");
    let first = number("GANNET_SIM_SEED").unwrap_or(1);
    let end = first + runs.unwrap_or(700);
    // Other tests run beside it, unless it was asked for by name.
    let threads = runs.map_or(1, |_| {
        thread::available_parallelism().map_or(1, usize::from)
    });
    let started = Instant::now();
    let (next, files) = (AtomicU64::new(first), AtomicU64::new(0));
    thread::scope(|scope| {
        let work = || {
            let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            for seed in seeds.take_while(|seed| *seed < end) {
                files.fetch_add(run_seed(seed) as u64, Ordering::Relaxed);
            }
        };
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let files = files.into_inner();
    let each = files as f64 / started.elapsed().as_secs_f64();
    println!(
        "seeds {first} to {}: {files} downloads, {each:.0} a second on {threads} threads",
        end - 1
    );
}
