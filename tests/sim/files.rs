//! Files that come from one server each, whatever that makes of parts, versions and digests.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use gannet::multi::{Protocol, Windows};
use gannet::session::{self, Totals};

use super::driver::{Driver, Outside};
use super::net::Net;
use super::random::Random;
use super::site::{File, Kind, Parts, Promise, Site};
use super::{Verdicts, each_seed, is_digest, plan};
use crate::harness::Dir;

fn run(seed: u64) -> usize {
    run_over(Protocol::Http1, seed)
}

fn run_over_http2(seed: u64) -> usize {
    run_over(Protocol::Http2, seed)
}

/// One run from a seed, ended by a signal and made again until it has ended by itself; gives how
/// many files it was of.
fn run_over(protocol: Protocol, seed: u64) -> usize {
    let dir = Dir::in_memory();
    let mut random = Random::new(seed);
    let files = 1 + random.below(6);
    let mut signals = random.below(3);
    let first = random.below(3);
    let site = Rc::new(RefCell::new(Site::new(files, &mut random)));
    let own = Random::new(random.next());
    let net = Net::new(Instant::now(), Rc::clone(&site) as _, own);
    let (net, fates) = match protocol {
        Protocol::Http2 => {
            let most = *random.pick(&[4, 4, 4, 4, 4, 12]);
            let fates = random.below(most);
            (net.over_http2(fates), fates)
        }
        _ => (net, 0),
    };
    let net = Rc::new(RefCell::new(net));
    let url = |at| {
        format!(
            "http://h{}.test{}",
            (first + at) % 3,
            site.borrow().path(at)
        )
    };
    let urls = (0..files).map(url).collect();
    let mut plan = plan(urls, dir.path(), &mut random);
    plan.options.protocol = protocol;
    plan.options.windows = *random.pick(&[
        Windows::default(),
        Windows {
            stream: 1_000,
            connection: 65_535,
        },
        Windows {
            stream: 20_000,
            connection: 65_535,
        },
    ]);
    loop {
        let mut driver = Driver {
            net: Rc::clone(&net),
            ends_in: (signals > 0).then(|| (1 + random.below(60), Outside::Signal)),
        };
        let mut verdicts = Verdicts::default();
        let retries = plan.retry.retries.unwrap_or(0) as usize;
        let totals = session::run_on(&mut driver, plan.clone(), &mut verdicts).expect("a run");
        assert_eq!(net.borrow().open(), 0, "connections left open");
        // A connection that falls silent may cost two tries: one of which it has still said
        // something.
        let allowed = Allowed {
            connection_faults: net.borrow().all_dial_faults + 2 * fates,
            retries,
        };
        check(&site.borrow(), &verdicts, &totals, &allowed, dir.path());
        if totals.signal.is_none() {
            assert_eq!(verdicts.0.len(), files, "each file has an end");
            verdicts.assert_nothing_left(&dir);
            return files;
        }
        signals -= 1;
    }
}

/// What may go wrong before a file may fail.
struct Allowed {
    connection_faults: usize,
    retries: usize,
}

/// Compares every file with what its server has.
fn check(site: &Site, verdicts: &Verdicts, totals: &Totals, allowed: &Allowed, folder: &Path) {
    for (number, file) in site.files.iter().enumerate() {
        let found = fs::read(folder.join(number.to_string()));
        let version = found.as_ref().ok().map(|bytes| {
            let version = (0..=file.version).find(|v| file.content(number, *v) == bytes);
            version.unwrap_or_else(|| panic!("file {number} is none of its versions"))
        });
        let faults = file.all_faults + allowed.connection_faults;
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
                judge(file, version, verdict, faults + odd > allowed.retries)
                    .unwrap_or_else(|why| panic!("file {number} is {why} {verdict:?}: {file:?}"));
            }
        }
    }
    let failed = verdicts.0.values().filter(|(_, verdict)| verdict.is_err());
    assert_eq!(totals.failed, failed.count() as u64);
}

/// Whether a file ended as it had to: as which version it is there, and what was said.
fn judge(
    file: &File,
    version: Option<usize>,
    verdict: &Result<(), String>,
    may_fail: bool,
) -> Result<(), &'static str> {
    // A server that states a size beyond its bytes has no file that could be right.
    // Neither has one that changes the version with each answer, or alternates between two.
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

#[test]
fn every_file_ends_right_whatever_the_network_does() {
    each_seed("files", 500, run);
}

#[test]
fn every_file_ends_right_over_http2_whatever_a_connection_does() {
    each_seed("files over HTTP/2", 100, run_over_http2);
}
