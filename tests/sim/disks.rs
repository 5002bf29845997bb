//! Files on a disk that refuses calls, fills and empties, and that other programs use; over runs that are
//! interrupted or killed, until one without any of that brings everything.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;
use std::{fs, io};

use gannet::internals::download::Exists;
use gannet::internals::sys::fault::{Call, Script, Scripted};
use gannet::list::Split;
use gannet::session::{self, Durability, Plan, Resume, Totals};

use super::disk::{Damage, Disk, EACCES, EDQUOT, EIO, ENOSPC, FOREIGN, is_scriptable};
use super::driver::{Driver, Outside};
use super::net::Net;
use super::random::Random;
use super::reply::{Answer, Reply, Request, Serve};
use super::site::{Parts, Promise, Site};
use super::{Verdicts, each_seed, plan};
use crate::harness::{Dir, noise};

fn run_failing(seed: u64) -> usize {
    run(seed, false)
}

fn run_shared(seed: u64) -> usize {
    run(seed, true)
}

fn urls(site: &Site) -> Vec<String> {
    let url = |number| format!("http://h{}.test{}", number % 3, site.path(number));
    (0..site.files.len()).map(url).collect()
}

fn any_plan(site: &Site, folder: &Path, random: &mut Random) -> Plan {
    let mut plan = plan(urls(site), folder, random);
    plan.exists = *random.pick(&[Exists::Verify, Exists::Verify, Exists::Overwrite]);
    plan.durability = *random.pick(&[
        Durability::System,
        Durability::System,
        Durability::File,
        Durability::Batch,
    ]);
    plan.resume = *random.pick(&[Resume::Proven, Resume::Proven, Resume::Never]);
    plan
}

/// Runs from a seed on a disk that fails, or that is `shared` with other programs, and then one on a
/// disk that is well; gives how many files they were of.
fn run(seed: u64, is_shared: bool) -> usize {
    let mut random = Random::new(seed);
    let files = 1 + random.below(4);
    let site = Rc::new(RefCell::new(Site::new(files, &mut random)));
    let own = Random::new(random.next());
    let net = Net::new(Instant::now(), Rc::clone(&site) as _, own);
    let net = Rc::new(RefCell::new(net));
    let mut folder = Dir::in_memory();
    let mut damage = Damage::default();
    let mut landed = BTreeSet::new();
    for _ in 0..=random.below(3) {
        let next = Dir::in_memory();
        let ends_in = random.once_in(2).then(|| {
            let (from, to) = (folder.path().to_owned(), next.path().to_owned());
            let outside = [Outside::Signal, Outside::Kill(from, to)];
            (1 + random.below(100), random.pick(&outside).clone())
        });
        let mut driver = Driver {
            net: Rc::clone(&net),
            ends_in,
        };
        let plan = any_plan(&site.borrow(), folder.path(), &mut random);
        let own = Random::new(random.next());
        let disk = Disk::new(folder.path(), files, own)
            .hold_to(&site)
            .after(damage);
        let disk = if is_shared { disk.share() } else { disk };
        let scripted = Scripted::new(disk.clone());
        let mut verdicts = Verdicts(BTreeMap::new(), std::mem::take(&mut landed));
        let totals = session::run_on(&mut driver, plan, &mut verdicts);
        landed.clone_from(&verdicts.1);
        drop(scripted);
        damage = disk.damage();
        assert_eq!(net.borrow().open(), 0, "connections left open");
        let Ok(totals) = totals else {
            folder = next;
            check_found(&site.borrow(), folder.path(), &damage);
            continue;
        };
        disk.assert_states_are_true();
        check_found(&site.borrow(), folder.path(), &damage);
        check(&verdicts, &totals, &folder, files, &damage);
        if damage.excuses_nothing() && totals.signal.is_none() {
            verdicts.assert_nothing_left(&folder);
        }
    }
    bring_all(&site, &folder, &damage, &mut random);
    files
}

/// What stands at a final name is all of a version that is right, or another program's.
fn check_found(site: &Site, folder: &Path, damage: &Damage) {
    for (number, file) in site.files.iter().enumerate() {
        let Ok(found) = fs::read(folder.join(number.to_string())) else {
            continue;
        };
        let may_be = |version: &usize| match file.promise {
            Promise::Nothing => *version <= file.version,
            Promise::Digest => *version == 0,
            Promise::WrongDigest => false,
        };
        let is_version = (0..=file.version)
            .filter(may_be)
            .any(|version| file.content(number, version) == found);
        assert!(
            is_version || damage.taken.contains(&number) && found == FOREIGN,
            "file {number} has {} bytes that are none of its versions: {file:?}",
            found.len()
        );
    }
}

/// Each file has an end, and one that ended well is there.
fn check(verdicts: &Verdicts, totals: &Totals, folder: &Dir, files: usize, damage: &Damage) {
    for number in 0..files {
        match verdicts.0.get(&number) {
            None => assert!(totals.signal.is_some(), "file {number} was forgotten"),
            Some((_, Ok(()))) => {
                let is_there = folder.has(&number.to_string());
                let is_taken = damage.taken.contains(&number);
                assert!(is_there || is_taken, "file {number} is not there");
            }
            Some((_, Err(said))) => {
                assert!(!said.is_empty(), "file {number} failed without a word")
            }
        }
    }
    let failed = verdicts.0.values().filter(|(_, verdict)| verdict.is_err());
    assert_eq!(totals.failed, failed.count() as u64);
}

/// One more run, in which nothing goes wrong, brings every file and leaves nothing else.
fn bring_all(site: &Rc<RefCell<Site>>, folder: &Dir, damage: &Damage, random: &mut Random) {
    // A folder at the name of a part would stop every run.
    for number in 0..site.borrow().files.len() {
        let _ = fs::remove_dir(folder.join(format!("{number}.part")));
    }
    site.borrow_mut().calm_down();
    let own = Random::new(random.next());
    let net = Net::calm(Instant::now(), Rc::clone(site) as _, own);
    let mut driver = Driver {
        net: Rc::new(RefCell::new(net)),
        ends_in: None,
    };
    let mut plan = plan(urls(&site.borrow()), folder.path(), random);
    plan.retry.retries = Some(9);
    let mut verdicts = Verdicts::default();
    session::run_on(&mut driver, plan, &mut verdicts).expect("a run");
    for (number, file) in site.borrow().files.iter().enumerate() {
        let verdict = &verdicts.0[&number];
        if file.parts == Parts::OtherTotal && verdict.1.is_err() {
            // A server that lies about the size may use up all tries.
            continue;
        }
        assert_eq!(verdict.1, Ok(()), "file {number}: {file:?}");
        let found = folder.read(number.to_string());
        let first = if file.is_honest() { file.version } else { 0 };
        let is_right = (first..=file.version).any(|version| file.content(number, version) == found);
        assert!(is_right, "file {number} is wrong: {file:?}");
    }
    for name in folder.names() {
        let (number, suffix) = name.split_once('.').unwrap_or((&name, ""));
        let number: usize = number.parse().expect("a number");
        if site.borrow().files[number].parts == Parts::OtherTotal {
            continue;
        }
        if damage.taken.contains(&number) && suffix.parse::<u64>().is_ok() {
            // Another program took its name in an earlier run.
            let (site, found) = (site.borrow(), folder.read(&name));
            let file = &site.files[number];
            let is_right = (0..=file.version).any(|version| file.content(number, version) == found);
            assert!(is_right, "{name} is wrong: {file:?}");
            continue;
        }
        // A body is written aside while another program's part has its name. If that goes, no run looks for the body.
        let is_aside = suffix.starts_with("gannet.part") && damage.changed.contains(&number);
        assert!(
            suffix.is_empty() || is_aside || damage.excuses_part(number),
            "{name} was left after {damage:?}"
        );
    }
}

/// A server of one file that is larger than those of a site.
#[derive(Debug)]
struct Large(Vec<u8>);

impl Serve for Large {
    fn answer(&mut self, request: &Request, _: &mut Random) -> Answer {
        let content = Cow::Owned(self.0.clone());
        Reply::of(content, "\"v\"", Parts::Right, request).into()
    }
}

/// Refuses all calls of a kind for states.
#[derive(Debug)]
struct Refuses(Call, i32);

impl Script for Refuses {
    fn before(&mut self, call: Call, name: &OsStr) -> io::Result<()> {
        if call == self.0 && name.as_encoded_bytes().ends_with(b"gannet") {
            return Err(io::Error::from_raw_os_error(self.1));
        }
        Ok(())
    }
}

/// Seeds 52, 57 and 590: where a folder had room for bytes, but not for a state, the last bytes that had come made room
/// for one while more came, and what followed them was written in their place.
#[test]
fn a_folder_that_takes_no_states_costs_no_byte_of_a_body() {
    let refusals = [
        (Call::CreateState, ENOSPC),
        (Call::CreateState, EDQUOT),
        (Call::CreateState, EACCES),
        (Call::Write, ENOSPC),
        (Call::Write, EDQUOT),
        (Call::Replace, ENOSPC),
        (Call::Replace, EIO),
    ];
    for (at, (call, error)) in refusals.into_iter().enumerate() {
        for split in [1, 4] {
            let mut random = Random::new(at as u64);
            let whole = noise(3 << 20);
            let site = Rc::new(RefCell::new(Large(whole.clone())));
            let own = Random::new(random.next());
            let net = Net::slow(Instant::now(), site as _, own);
            let mut driver = Driver {
                net: Rc::new(RefCell::new(net)),
                ends_in: None,
            };
            let folder = Dir::in_memory();
            let url = "http://h0.test/0/0".to_owned();
            let mut plan = Plan::new(vec![url], folder.path().to_owned());
            plan.split = Split::Most(NonZeroU32::new(split).expect("a number"));
            (plan.seed, plan.hashing_threads) = (Some(1), Some(0));
            let scripted = Scripted::new(Refuses(call, error));
            let mut verdicts = Verdicts::default();
            session::run_on(&mut driver, plan, &mut verdicts).expect("a run");
            drop(scripted);
            assert_eq!(verdicts.0[&0], (1, Ok(())), "{call:?} {error} {split}");
            folder.assert_file("0", &whole);
            folder.assert_names(&["0"]);
        }
    }
}

#[test]
fn every_file_ends_right_whatever_the_disk_does() {
    if is_scriptable() {
        each_seed("disks", 200, run_failing);
    }
}

#[test]
fn every_file_ends_right_whatever_other_programs_do() {
    if is_scriptable() {
        each_seed("neighbours", 200, run_shared);
    }
}
