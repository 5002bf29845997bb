//! The disk of a simulated run: calls that fail, now and then or always, room that runs out and comes back, and other
//! programs that write to the same folder between any two calls.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gannet::internals::download::State;
use gannet::internals::sys::fault::{Call, Script};

use super::random::Random;
use super::site::Site;
use crate::harness::noise;

const EPERM: i32 = 1;
pub(super) const EIO: i32 = 5;
pub(super) const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ENOLCK: i32 = 37;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;
pub(super) const EDQUOT: i32 = 122;

/// The calls that fail, and how.
const FAILURES: [(Call, &[i32]); 17] = [
    (Call::OpenFolder, &[EIO, EACCES, EMFILE]),
    (Call::Lock, &[ENOLCK, EOPNOTSUPP]),
    (Call::Close, &[EIO, ENOSPC, EDQUOT]),
    (Call::Look, &[EIO, EACCES]),
    (Call::Create, &[ENOSPC, EDQUOT, EACCES, EROFS, EMFILE]),
    (
        Call::CreateUnnamed,
        &[ENOSPC, EDQUOT, EOPNOTSUPP, EMFILE, EACCES],
    ),
    (Call::Open, &[EIO, EACCES, EMFILE]),
    (Call::CreateState, &[ENOSPC, EDQUOT, EACCES, EIO]),
    (Call::Link, &[EPERM, ENOSYS, ENOSPC, EACCES, EIO]),
    (Call::Rename, &[EINVAL, ENOSYS, EPERM, ENOSPC, EIO]),
    (Call::Replace, &[ENOSPC, EACCES, EIO]),
    (Call::Remove, &[EACCES, EIO, EROFS]),
    (Call::Write, &[ENOSPC, EDQUOT, EIO]),
    (Call::Resize, &[EIO, ENOSPC, EPERM]),
    (Call::Note, &[EOPNOTSUPP, ENOSPC, EIO]),
    (Call::ReadNote, &[EOPNOTSUPP, EIO]),
    (Call::Sync, &[EIO, ENOSPC, EINVAL]),
];

/// What another program puts at a final name.
pub(super) const FOREIGN: &[u8] = b"the file of another program";

/// What another program does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    RemovePart,
    CutPart,
    ReplacePart,
    LockPart,
    /// Makes a folder of the name of the part.
    MakeFolder,
    RemoveState,
    DamageState,
    TakeName,
    RemoveFile,
}

const STEPS: [Step; 9] = [
    Step::RemovePart,
    Step::CutPart,
    Step::ReplacePart,
    Step::LockPart,
    Step::MakeFolder,
    Step::RemoveState,
    Step::DamageState,
    Step::TakeName,
    Step::RemoveFile,
];

impl Step {
    /// Whether a program can notice it that is about to make a call. No call looks at a file and renames it or writes
    /// to it at once.
    fn is_noticeable_at(self, call: Call) -> bool {
        let is_completing = matches!(
            call,
            Call::Rename | Call::Replace | Call::Link | Call::Note | Call::Sync
        );
        match self {
            Self::RemovePart | Self::ReplacePart => !is_completing,
            Self::CutPart => !is_completing && call != Call::Write,
            _ => true,
        }
    }
}

/// A call that fails with this error: once in `odds` calls on average, and `left` times at most.
#[derive(Debug)]
struct Failure {
    call: Call,
    error: i32,
    odds: usize,
    left: usize,
}

impl Failure {
    fn any(random: &mut Random) -> Self {
        let (call, errors) = *random.pick(&FAILURES);
        Self {
            call,
            error: *random.pick(errors),
            odds: *random.pick(&[1, 1, 2, 5, 20]),
            left: *random.pick(&[1, 1, 2, 7, usize::MAX]),
        }
    }
}

/// What has gone wrong with a disk so far, over several runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage {
    /// Calls that have failed.
    pub(super) failed: BTreeSet<Call>,
    /// Files with a part or a state that another program has changed or locked.
    pub(super) changed: BTreeSet<usize>,
    /// Files with a part that another program has replaced by another file.
    pub(super) replaced: BTreeSet<usize>,
    /// Files that another program has removed, or has replaced at their final names.
    pub(super) taken: BTreeSet<usize>,
}

impl Damage {
    /// Whether a part of a file may stay for good: it is another program's, or gannet could not mark it as its own,
    /// look at it or remove it.
    pub(super) fn excuses_part(&self, number: usize) -> bool {
        use Call::{Look, Note, Open, ReadNote, Remove};
        let could_not = [Look, Note, Open, ReadNote, Remove];
        self.replaced.contains(&number) || could_not.iter().any(|call| self.failed.contains(call))
    }

    /// Whether nothing may stay of a run.
    pub(super) fn excuses_nothing(&self) -> bool {
        self.failed.is_empty() && self.changed.is_empty()
    }
}

/// What has happened to a disk, and what is still to come.
#[derive(Debug)]
struct Happenings {
    folder: PathBuf,
    files: usize,
    /// What the states in it have to agree with, if that is known.
    site: Option<Rc<RefCell<Site>>>,
    random: Random,
    failures: Vec<Failure>,
    /// Bytes that there is room for, if that is little; and how many writes fail before there is more.
    room: Option<(usize, usize)>,
    /// Steps that other programs will still take, one in `odds` calls on average.
    steps: usize,
    odds: usize,
    /// Files that other programs have locked, and for how many calls.
    locked: Vec<(File, usize)>,
    damage: Damage,
    is_told: bool,
}

/// A disk on which a seed has calls fail.
#[derive(Debug, Clone)]
pub(super) struct Disk(Rc<RefCell<Happenings>>);

impl Disk {
    pub(super) fn new(folder: &Path, files: usize, mut random: Random) -> Self {
        let failures = random.below(4);
        let is_small = random.once_in(4);
        Self(Rc::new(RefCell::new(Happenings {
            folder: folder.to_owned(),
            files,
            site: None,
            failures: (0..failures).map(|_| Failure::any(&mut random)).collect(),
            room: is_small.then(|| (random.below(100_000), 1 + random.below(6))),
            steps: 0,
            odds: 1,
            locked: Vec::new(),
            damage: Damage::default(),
            is_told: super::number("GANNET_SIM_SEED").is_some(),
            random,
        })))
    }

    /// Checks the states on the disk against the bytes beside them at each call.
    pub(super) fn hold_to(self, site: &Rc<RefCell<Site>>) -> Self {
        self.0.borrow_mut().site = Some(Rc::clone(site));
        self
    }

    /// Starts with the damage of an earlier run.
    pub(super) fn after(self, damage: Damage) -> Self {
        self.0.borrow_mut().damage = damage;
        self
    }

    /// Lets other programs use the disk, and no call fail.
    pub(super) fn share(self) -> Self {
        {
            let this = &mut *self.0.borrow_mut();
            this.failures.clear();
            this.room = None;
            this.steps = 1 + this.random.below(4);
            this.odds = *this.random.pick(&[3, 10, 30, 100]);
        }
        self
    }

    pub(super) fn damage(&self) -> Damage {
        self.0.borrow().damage.clone()
    }

    pub(super) fn assert_states_are_true(&self) {
        self.0.borrow().assert_states_are_true();
    }
}

impl Script for Disk {
    fn before(&mut self, call: Call, name: &OsStr) -> io::Result<()> {
        self.0.borrow_mut().before(call, name)
    }

    fn room(&mut self, length: usize) -> io::Result<usize> {
        self.0.borrow_mut().room(length)
    }
}

impl Happenings {
    fn before(&mut self, call: Call, name: &OsStr) -> io::Result<()> {
        self.locked.retain_mut(|(_, calls)| {
            *calls = calls.saturating_sub(1);
            *calls > 0
        });
        if self.random.once_in(4) {
            self.assert_states_are_true();
        }
        if self.steps > 0 && self.random.once_in(self.odds) {
            self.step(call);
        }
        let random = &mut self.random;
        let failure = self.failures.iter_mut().find_map(|failure| {
            let is_it = failure.call == call && failure.left > 0 && random.once_in(failure.odds);
            is_it.then(|| {
                failure.left -= 1;
                failure.error
            })
        });
        if self.is_told {
            println!("  {call:?} {name:?} {failure:?}");
        }
        let Some(error) = failure else { return Ok(()) };
        self.damage.failed.insert(call);
        Err(io::Error::from_raw_os_error(error))
    }

    fn room(&mut self, length: usize) -> io::Result<usize> {
        let length = if length > 1 && self.random.once_in(20) {
            1 + self.random.below(length)
        } else {
            length
        };
        match &mut self.room {
            None => Ok(length),
            Some((0, failures)) if length > 0 => {
                *failures -= 1;
                if *failures == 0 {
                    self.room = None;
                }
                self.damage.failed.insert(Call::Write);
                if self.is_told {
                    println!("  no room");
                }
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Some((room, _)) => {
                let taken = length.min(*room);
                *room -= taken;
                Ok(taken)
            }
        }
    }

    /// Another program takes a step.
    fn step(&mut self, call: Call) {
        let step = *self.random.pick(&STEPS);
        if !step.is_noticeable_at(call) {
            return;
        }
        self.steps -= 1;
        let number = self.random.below(self.files);
        if self.is_told {
            println!("  another program: {step:?} {number}");
        }
        let damage = &mut self.damage;
        match step {
            Step::TakeName | Step::RemoveFile => damage.taken.insert(number),
            Step::ReplacePart => {
                damage.replaced.insert(number);
                damage.changed.insert(number)
            }
            _ => damage.changed.insert(number),
        };
        // Where a file is missing, nothing happens.
        let _ = self.take(step, number);
    }

    fn take(&mut self, step: Step, number: usize) -> io::Result<()> {
        let part = self.path(number, ".part");
        let state = self.path(number, ".part.gannet");
        match step {
            Step::RemovePart => fs::remove_file(part),
            Step::CutPart => self.cut(&part),
            Step::ReplacePart => self.put(&part),
            Step::LockPart => self.lock(&part),
            Step::MakeFolder => fs::create_dir(part),
            Step::RemoveState => fs::remove_file(state),
            Step::DamageState => {
                let damaged = &b"{\"version\":1,\"url\":"[..self.random.below(19)];
                fs::write(state, damaged)
            }
            Step::TakeName => fs::write(self.path(number, ""), FOREIGN),
            Step::RemoveFile => fs::remove_file(self.path(number, "")),
        }
    }

    fn path(&self, number: usize, suffix: &str) -> PathBuf {
        self.folder.join(format!("{number}{suffix}"))
    }

    fn cut(&mut self, path: &Path) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        let length = file.metadata()?.len() as usize;
        file.set_len(self.random.below(length + 1) as u64)
    }

    /// Puts a file of another program in the place of a part.
    fn put(&mut self, path: &Path) -> io::Result<()> {
        let next = self.folder.join("next");
        let mut bytes = noise(self.random.below(5_000));
        bytes.reverse();
        bytes.extend(FOREIGN);
        fs::write(&next, bytes)?;
        fs::rename(&next, path).or_else(|_| fs::remove_file(next))
    }

    fn lock(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if file.try_lock().is_ok() {
            let calls = 1 + self.random.below(50);
            self.locked.push((file, calls));
        }
        Ok(())
    }

    /// A kill at any moment leaves states that are true: what one claims, the part beside it has.
    fn assert_states_are_true(&self) {
        let Some(site) = &self.site else { return };
        let site = site.borrow();
        for (number, file) in site.files.iter().enumerate() {
            if self.damage.changed.contains(&number) || !file.is_honest() {
                continue;
            }
            let state = fs::read(self.path(number, ".part.gannet"));
            let part = fs::read(self.path(number, ".part"));
            let (Ok(state), Ok(part)) = (state, part) else {
                continue;
            };
            let state = State::parse(&state).expect("a whole state");
            if state.ranges.is_empty() {
                // It says that the part is gannet's, and no more.
                continue;
            }
            let tag = state.validators.etag.expect("a tag");
            let version = tag.trim_matches('"').trim_start_matches('v').parse();
            let content = file.content(number, version.expect("a version"));
            // Where a name cannot be removed, the next run finds that the part is too short.
            let is_short = (part.len() as u64) < state.ranges.end();
            if is_short && self.damage.failed.contains(&Call::Remove) {
                continue;
            }
            for range in state.ranges.iter() {
                let range = range.start as usize..range.end as usize;
                assert!(
                    part.get(range.clone()) == content.get(range.clone()),
                    "the state of {number} claims {range:?} of {tag}, but its part of {} bytes has other bytes",
                    part.len(),
                );
            }
        }
    }
}

/// Only for those that a build without debug assertions would not let fail.
pub(super) fn is_scriptable() -> bool {
    let is_scriptable = cfg!(debug_assertions);
    if !is_scriptable {
        eprintln!("SKIPPED: a build without debug assertions has no calls that fail");
    }
    is_scriptable
}
