//! The differences of file systems: their clocks, whether they fold case, and the names they accept. Only a temporary
//! file can show them, so each is tested only when needed, and once for each folder.

use std::cell::Cell;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::latest_stamp;

/// The prefix of the names of temporary files.
const PROBE: &str = ".gannet-probe-";

/// The longest tick of a clock that stamps files, in nanoseconds, if its stamps have fractions of a second.
const LONGEST_TICK: i128 = 50_000_000;

/// The longest names of file systems, in bytes: of most, of UDF, of gocryptfs and similar, of eCryptfs, and fallbacks.
const LENGTHS: [usize; 6] = [255, 254, 175, 143, 100, 64];

/// The known properties of a folder's file system.
#[derive(Debug, Default)]
pub(super) struct FileSystem {
    /// By how many nanoseconds the clock that stamps its files is ahead of the local one; it may be a server's.
    lead: Cell<Option<i128>>,
    /// Names that differ only in case are one name.
    folds_case: Cell<Option<bool>>,
}

impl FileSystem {
    /// Whether a file may have been stamped within a span of local time, in nanoseconds since 1970. `unnamed` creates
    /// a file without a name, if the file system supports that. A stamp in the future counts as old: the clock was set
    /// back, or is not set yet.
    pub(super) fn is_within(
        &self,
        folder: &OwnedFd,
        stamp: i128,
        span: RangeInclusive<i128>,
        unnamed: impl FnOnce() -> Option<OwnedFd>,
    ) -> bool {
        let lead = self.lead.get().unwrap_or_else(|| {
            let lead = clock_lead(folder, unnamed);
            self.lead.set(Some(lead));
            lead
        });
        let stamped = stamp - lead;
        stamped + grain(stamp) > *span.start() && stamped <= span.end() + grain(stamp)
    }

    /// Whether names that differ only in case are one name.
    pub(super) fn folds_case(&self, folder: &OwnedFd) -> bool {
        if let Some(folds) = self.folds_case.get() {
            return folds;
        }
        let found = probe(folder, "a", |_, name| {
            let other = name.to_ascii_uppercase();
            rustix::fs::statat(folder, &*other, AtFlags::SYMLINK_NOFOLLOW).map(drop)
        });
        self.folds_case.set(Some(found.is_ok()));
        found.is_ok()
    }
}

/// By how many nanoseconds the clock that stamps the files of a folder is ahead of the local one.
fn clock_lead(folder: &OwnedFd, unnamed: impl FnOnce() -> Option<OwnedFd>) -> i128 {
    let before = latest_stamp();
    let stat = match unnamed() {
        Some(file) => rustix::fs::fstat(&file),
        None => probe(folder, "", |file, _| rustix::fs::fstat(file)),
    };
    let after = latest_stamp();
    stat.map_or(0, |stat| {
        let stamp = changed(&stat);
        // A coarse clock is behind until its next tick.
        let earliest = before - grain(stamp).max(LONGEST_TICK);
        if (earliest..=after).contains(&stamp) {
            0
        } else {
            stamp - before
        }
    })
}

fn changed(stat: &Stat) -> i128 {
    i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec)
}

/// How much later than its stamp, in nanoseconds, a change may have happened: FAT has a resolution of two seconds,
/// exFAT of ten milliseconds, and older file systems of one second.
fn grain(stamp: i128) -> i128 {
    if stamp % 1_000_000_000 == 0 {
        2_000_000_000
    } else if stamp % 10_000_000 == 0 {
        10_000_000
    } else {
        0
    }
}

/// Whether the name of a file may contain `text`; `None` if another error prevents the test.
pub(super) fn takes(folder: &OwnedFd, text: &str) -> Option<bool> {
    match probe(folder, text, |_, _| Ok(())) {
        Ok(()) => Some(true),
        Err(Errno::INVAL | Errno::NAMETOOLONG | Errno::NOENT | Errno::ILSEQ) => Some(false),
        Err(_) => None,
    }
}

/// The longest file name, in bytes; `None` if another error prevents the test.
pub(super) fn longest_name(folder: &OwnedFd) -> Option<usize> {
    let said = rustix::fs::fstatvfs(folder).ok();
    let said = said.and_then(|said| usize::try_from(said.f_namemax).ok());
    let lengths = said.filter(|said| *said < LENGTHS[0]);
    for length in lengths.into_iter().chain(LENGTHS) {
        let padding = length.saturating_sub(probe_name("").len());
        if takes(folder, &"x".repeat(padding))? {
            return Some(length);
        }
    }
    None
}

/// Whether the listing of a folder has a name in this spelling. A folder that cannot be read counts as having it.
pub(super) fn lists(folder: &OwnedFd, name: &OsStr) -> bool {
    let Ok(mut entries) = rustix::fs::Dir::read_from(folder) else {
        return true;
    };
    entries.any(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_bytes() == name.as_encoded_bytes())
    })
}

fn probe_name(suffix: &str) -> String {
    format!("{PROBE}{}{suffix}", std::process::id())
}

/// Creates a temporary file with a name that ends in `suffix`, calls `look`, and removes the file.
fn probe<T>(
    folder: &OwnedFd,
    suffix: &str,
    look: impl FnOnce(&OwnedFd, &str) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let name = probe_name(suffix);
    let flags =
        OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, &*name, flags, Mode::from_raw_mode(0o600))?;
    let found = look(&file, &name);
    drop(file);
    let _ = rustix::fs::unlinkat(folder, &*name, AtFlags::empty());
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::Folder;

    fn open(path: &std::path::Path) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    #[test]
    fn what_came_since_a_moment_is_told_from_what_stood_there() {
        let top = tempfile::tempdir().unwrap();
        let folder = Folder::make(top.path(), false).unwrap();
        fs::write(top.path().join("a"), "a").unwrap();
        let entry = folder.entry("a".as_ref()).unwrap().unwrap();
        assert!(!folder.has_changed_since(&entry, latest_stamp()));
        assert!(folder.has_changed_since(&entry, entry.changed() - 1));
    }

    #[test]
    fn a_clock_that_is_ahead_or_behind_is_taken_into_account() {
        let top = tempfile::tempdir().unwrap();
        let folder = open(top.path());
        let time = 1_000_000_000_000_000_007;
        for lead in [3_600_000_000_000, -3_600_000_000_000] {
            let server = FileSystem::default();
            server.lead.set(Some(lead));
            let until = time + 1_000_000_000;
            let is_within = |stamp| server.is_within(&folder, stamp, time..=until, || None);
            assert!(!is_within(time + lead) && is_within(time + lead + 1));
            assert!(is_within(until + lead) && !is_within(until + lead + 1));
        }
        assert_eq!(clock_lead(&folder, || None), 0);
        assert_eq!(
            [1, 1_510_000_000, 1_510_000_001, 4_000_000_000].map(grain),
            [0, 10_000_000, 0, 2_000_000_000]
        );
    }

    #[test]
    fn a_probe_tells_what_a_file_system_takes_and_leaves_nothing() {
        let top = tempfile::tempdir().unwrap();
        let folder = open(top.path());
        assert!(!FileSystem::default().folds_case(&folder));
        assert_eq!(takes(&folder, "\"*:<>?|"), Some(true));
        assert_eq!(takes(&folder, &"x".repeat(300)), Some(false));
        assert_eq!(longest_name(&folder), Some(255));
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
        fs::write(top.path().join("ä"), "").unwrap();
        assert!(lists(&folder, "ä".as_ref()) && !lists(&folder, "ö".as_ref()));
    }
}
