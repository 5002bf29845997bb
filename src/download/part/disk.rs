//! The files of an incomplete body: `NAME.part`, or a file without a name, and the state file.
//!
//! Their invariant: before the part file gets bytes that its state does not describe, the part file is locked and the
//! state file is removed. A kill between any two calls leaves a part file with a true state, or without one.
//!
//! Other programs use the name `NAME.part` too. gannet marks its part file with an extended attribute when it creates
//! it or, if the file system has no attributes, with a state file at the first byte. An unmarked part file is left
//! alone, and the body is written to `NAME.gannet.part`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::rc::Rc;
use std::sync::Arc;

use super::super::state::LONGEST;
use super::super::{SMALL, State, name};
use crate::sys::{self, Folder};

/// The mark of a part file. The record of the complete file replaces it.
const MARK: &[u8] = b"part\n";

/// How often another process may take a free name first, before this fails.
const MOST_RIVALS: usize = 100;

/// The rest of the warning for a body that is written to `NAME.gannet.part`.
const LEFT_ALONE: &str =
    "and is left alone; this file is written to NAME.gannet.part until it is complete";

/// Why `NAME.part` is left alone.
enum NotOurs {
    /// Another program has written it.
    Foreign,
    /// Its mark cannot be read.
    Unknown(io::Error),
}

/// The files of one body.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) folder: Rc<Folder>,
    /// `NAME`: the files are named after it.
    stem: OsString,
    /// `NAME.part` belongs to another program, so `NAME.gannet.part` is used.
    is_aside: bool,
    file: Held,
    /// A part file or a state file, of this run or an earlier one, may exist.
    has_leftover: bool,
    marks: Marks,
    /// How many bytes the state file claims; 0 if there is none.
    pub(super) saved: u64,
}

/// What shows that the part file is gannet's.
#[derive(Debug, Default)]
struct Marks {
    /// The part file has a state file, which does not require the extended attribute.
    has_state: bool,
    /// The part file has the extended attribute.
    has_attribute: bool,
}

/// The file that bytes are written to.
#[derive(Debug)]
enum Held {
    Nothing,
    /// A file without a name, which has the complete body.
    Unnamed(Arc<File>),
    /// `NAME.part`, locked.
    Named(Arc<File>),
}

/// The state that an earlier run has left, or why it is unusable.
pub(super) type Earlier = Result<State, &'static str>;

impl Disk {
    pub(super) fn new(folder: Rc<Folder>, stem: OsString) -> Self {
        Self {
            folder,
            stem,
            is_aside: false,
            file: Held::Nothing,
            has_leftover: false,
            marks: Marks::default(),
            saved: 0,
        }
    }

    /// The name that the files are named after.
    pub(super) fn stem(&self) -> &OsStr {
        &self.stem
    }

    fn beside(&self, suffix: &str) -> OsString {
        let aside = if self.is_aside { name::ASIDE } else { "" };
        let mut name = OsString::with_capacity(self.stem.len() + aside.len() + suffix.len());
        name.push(&self.stem);
        name.push(aside);
        name.push(suffix);
        name
    }

    pub(super) fn part_name(&self) -> OsString {
        self.beside(name::PART)
    }

    /// The open file, with or without a name.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        match &self.file {
            Held::Nothing => None,
            Held::Unnamed(file) | Held::Named(file) => Some(file),
        }
    }

    /// The part file, if it is open.
    pub(super) fn named(&self) -> Option<&Arc<File>> {
        match &self.file {
            Held::Named(file) => Some(file),
            Held::Nothing | Held::Unnamed(_) => None,
        }
    }

    /// The file without a name, if there is one.
    pub(super) fn unnamed(&self) -> Option<&Arc<File>> {
        match &self.file {
            Held::Unnamed(file) => Some(file),
            Held::Nothing | Held::Named(_) => None,
        }
    }

    /// Closes the file, which now has its final name.
    pub(super) fn release(&mut self) {
        self.file = Held::Nothing;
    }

    /// Whether a part file or a state file may exist.
    pub(super) fn has_leftover(&self) -> bool {
        self.has_leftover
    }

    /// Reads the state that an earlier run has left. Also returns a warning if `NAME.part` is left alone, because it
    /// belongs to another program or may do so.
    pub(super) fn look(&mut self) -> (Option<Earlier>, Option<Box<str>>) {
        match self.look_once() {
            Ok(earlier) => (earlier, None),
            Err(why) => {
                self.is_aside = true;
                let what = match why {
                    NotOurs::Foreign => "belongs to another program".to_owned(),
                    NotOurs::Unknown(error) => format!("cannot be examined ({error})"),
                };
                let warning = format!("the .part file {what} {LEFT_ALONE}");
                (self.look_once().unwrap_or(None), Some(warning.into()))
            }
        }
    }

    fn look_once(&mut self) -> Result<Option<Earlier>, NotOurs> {
        let state = match self.folder.read(&self.beside(name::STATE), LONGEST) {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(State::parse(&bytes).map_err(|why| why.as_str())),
            Err(_) => Some(Err("the state of the partial file cannot be read")),
        };
        self.has_leftover = state.is_some();
        let entry = self.folder.entry(&self.part_name());
        // While a body is written to NAME.gannet.part, what cannot be examined is as good as absent.
        let entry = if self.is_aside {
            entry.unwrap_or(None)
        } else {
            entry.map_err(NotOurs::Unknown)?
        };
        let Some(part) = entry.filter(sys::Entry::is_file) else {
            // The run that published the file was stopped before it removed the state file.
            let _ = self.remove_state();
            return Ok(None);
        };
        self.marks.has_state = state
            .as_ref()
            .is_some_and(|state| !state.as_ref().is_ok_and(|state| state.is_marked));
        let is_known = self.is_aside || part.size() == 0 || self.marks.has_state;
        // A state file is kept if the ownership is unknown: another run may continue the part file.
        if !is_known && !self.has_attribute().map_err(NotOurs::Unknown)? {
            let _ = self.remove_state();
            return Err(NotOurs::Foreign);
        }
        self.has_leftover = true;
        if matches!(&state, Some(Ok(state)) if state.ranges.is_empty()) {
            // This state only marks the part file as gannet's.
            return Ok(None);
        }
        let Some(state) = state else {
            return Ok(None);
        };
        let state = state.map(|state| state.believed(sys::boot()));
        Ok(Some(state.and_then(|state| {
            if part.size() < state.ranges.end() {
                Err("the partial file is shorter than its state says")
            } else if part.has_other_names() {
                // A run that was stopped between link and unlink has published it, or a backup shares its inode.
                Err("the .part file is a hard link: the file under its other name must not change")
            } else {
                Ok(state)
            }
        })))
    }

    fn has_attribute(&self) -> io::Result<bool> {
        let attribute = self.folder.attribute(&self.part_name())?;
        Ok(attribute.is_some())
    }

    /// Writes a complete body to a file without a name; returns false if the file system has no such files.
    pub(super) fn write_unnamed(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(file) = self.folder.create_unnamed() else {
            return Ok(false);
        };
        sys::write_all_at(&file, bytes, 0)?;
        self.file = Held::Unnamed(Arc::new(file));
        Ok(true)
    }

    /// The part file, created if it is not open. A file without a name is given the part file's name. A part file that
    /// was last changed before the time `since` is taken over.
    pub(super) fn create(&mut self, since: i128) -> io::Result<&Arc<File>> {
        let file = match std::mem::replace(&mut self.file, Held::Nothing) {
            Held::Named(file) => file,
            Held::Unnamed(file) => self.give_name(file, since)?,
            Held::Nothing => Arc::new(self.create_part(since)?),
        };
        self.file = Held::Named(file);
        // It was assigned in the line above.
        self.named().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Links a file without a name to the part file's name. If the link fails, its bytes are copied to a new part
    /// file.
    fn give_name(&mut self, file: Arc<File>, since: i128) -> io::Result<Arc<File>> {
        self.has_leftover |= !self.folder.was_empty();
        self.remove_state()?;
        if self.folder.link(&file, &self.part_name()).is_ok() {
            self.mark(&file);
            return Ok(file);
        }
        let size = file.metadata()?.size();
        let mut bytes = vec![0; usize::try_from(size.min(SMALL)).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        let part = self.create_part(since)?;
        sys::write_all_at(&part, &bytes, 0)?;
        Ok(Arc::new(part))
    }

    /// Creates the part file, or empties the one of an earlier run. The old state file is removed first.
    fn create_part(&mut self, since: i128) -> io::Result<File> {
        // A folder that was empty has no files of an earlier run.
        self.has_leftover |= !self.folder.was_empty();
        let file = match self.folder.create_new(&self.part_name()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.take_over(since)?,
            result => {
                let file = result?;
                if let Err(error) = self.remove_state() {
                    // An empty part file must not remain beside a state that claims bytes.
                    let _ = self.folder.remove(&self.part_name());
                    return Err(error);
                }
                file
            }
        };
        self.mark(&file);
        Ok(file)
    }

    /// Takes over a part file that exists.
    fn take_over(&mut self, since: i128) -> io::Result<File> {
        let part = self.part_name();
        let Some(file) = self.folder.open_locked(&part)? else {
            // The run that wrote it has just published or removed it.
            self.has_leftover = true;
            self.remove_state()?;
            return self.folder.create_new(&part);
        };
        if !self.is_ours(&file)? {
            self.is_aside = true;
            return self.create_part(since);
        }
        self.check_leftover(&part, since)?;
        self.has_leftover = true;
        self.remove_state()?;
        // With other links its bytes are shared; and some file systems cannot truncate.
        if file.metadata()?.nlink() > 1 || sys::set_len(&file, 0).is_err() {
            self.folder.remove(&part)?;
            return self.folder.create_new(&part);
        }
        Ok(file)
    }

    /// Checks that a part file was last changed before the run began. A later change was made by another process, or
    /// by another row with a name that the file system treats as equal: not every file system supports locks.
    fn check_leftover(&self, part: &OsStr, since: i128) -> io::Result<()> {
        let entry = self.folder.entry(part)?;
        let is_left = entry.is_none_or(|entry| !self.folder.has_changed_since(&entry, since));
        is_left
            .then_some(())
            .ok_or_else(|| io::Error::new(ErrorKind::ResourceBusy, "another process is writing it"))
    }

    /// Names the files of the body after the first of `NAME.1`, `NAME.2`, … that has no part file, and creates them.
    pub(super) fn create_beside(&mut self, since: i128) -> io::Result<()> {
        let first = self.stem.clone();
        let mut rivals = 0;
        for number in 1_u64.. {
            self.stem = first.clone();
            self.stem.push(name::numbered("", number));
            if self.folder.entry(&self.part_name())?.is_some() {
                continue;
            }
            // The files of the previous name belong to another body.
            self.has_leftover = false;
            match self.create(since).map(drop) {
                Err(error) if sys::is_being_written(&error) && rivals < MOST_RIVALS => rivals += 1,
                result => return result,
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Whether a part file is gannet's, and may be overwritten.
    fn is_ours(&self, file: &File) -> io::Result<bool> {
        Ok(self.is_aside
            || self.marks.has_state
            || sys::noted(file).is_ok_and(|mark| mark.is_some())
            || file.metadata()?.len() == 0)
    }

    fn mark(&mut self, file: &File) {
        self.marks.has_attribute = !self.is_aside && sys::note(file, MARK);
    }

    /// Marks the part file as gannet's by a state that claims no bytes, if the file system has no attributes.
    pub(super) fn claim(&mut self) {
        let is_known = self.marks.has_attribute || self.is_aside || self.has_leftover;
        if !is_known && self.named().is_some() {
            // If the write fails, later runs leave the part file of a killed run alone.
            let _ = self.write_state(&mut State::default());
        }
    }

    /// Removes the mark of a file that gets no record.
    pub(super) fn unmark(&self, file: &File) {
        if self.marks.has_attribute {
            sys::remove_note(file);
        }
    }

    /// Opens the part file that an earlier run has left with `state`. Returns `None` if either has changed since it
    /// was read.
    pub(super) fn open_earlier(&mut self, state: &State) -> io::Result<Option<()>> {
        let file = self.folder.open_locked(&self.part_name())?;
        let found = self.folder.read(&self.beside(name::STATE), LONGEST);
        let found = found
            .ok()
            .flatten()
            .and_then(|bytes| State::parse(&bytes).ok());
        let is_as_it_was = found.is_some_and(|found| found.believed(sys::boot()) == *state);
        let (Some(file), true) = (file, is_as_it_was) else {
            return Ok(None);
        };
        if file.metadata()?.nlink() > 1 {
            return Ok(None);
        }
        if state.is_marked && !self.is_aside && sys::noted(&file)?.is_none() {
            return Ok(None);
        }
        let (length, end) = (file.metadata()?.len(), state.ranges.end());
        if length < end {
            // It was truncated in the meantime. Writing on would fill the hole with zeros.
            return Ok(None);
        }
        if length > end {
            // Bytes behind the ranges of the state are not known to be right.
            sys::set_len(&file, end)?;
        }
        self.marks.has_attribute = state.is_marked;
        self.saved = state.ranges.count();
        self.file = Held::Named(Arc::new(file));
        Ok(Some(()))
    }

    /// Renames another tool's incomplete file of `size` bytes from `name` to the part file, with a state that claims
    /// its bytes. An old part file is removed after its state. The new state is written before the rename, so that a
    /// kill leaves either the file in place or everything that a resumption needs. An error leaves the file in place.
    pub(super) fn adopt(&mut self, name: &OsStr, size: u64, state: &mut State) -> io::Result<()> {
        self.has_leftover = true;
        let mut old = self.folder.open_locked(&self.part_name())?;
        if let Some(part) = &old
            && !self.is_ours(part)?
        {
            self.is_aside = true;
            old = self.folder.open_locked(&self.part_name())?;
        }
        let file = self.folder.open_locked(name)?.ok_or_else(busy)?;
        if file.metadata()?.len() != size {
            return Err(busy());
        }
        self.remove_state()?;
        if old.is_some() {
            self.folder.remove(&self.part_name())?;
        }
        self.mark(&file);
        let mut claim = state.clone();
        claim.ranges.insert(0..size);
        let stated = self.write_state(&mut claim);
        let moved = stated.and_then(|()| self.folder.rename(name, &self.part_name()));
        if let Err(error) = moved {
            let _ = self.remove_state();
            return Err(if error.kind() == ErrorKind::AlreadyExists {
                busy()
            } else {
                error
            });
        }
        self.saved = claim.ranges.count();
        *state = claim;
        self.file = Held::Named(Arc::new(file));
        Ok(())
    }

    /// Writes the state file.
    pub(super) fn write_state(&mut self, state: &mut State) -> io::Result<()> {
        self.stamp(state);
        let (name, next) = (self.beside(name::STATE), self.beside(name::NEXT_STATE));
        self.has_leftover = true;
        self.folder.write_whole(&name, &next, &state.to_bytes())
    }

    /// A task for another thread: it syncs the part file and then writes a state that claims every byte as synced.
    pub(super) fn state_writer(
        &self,
        state: &mut State,
    ) -> io::Result<impl FnOnce(&File) + Send + use<>> {
        self.stamp(state);
        let bytes = state.to_bytes();
        let folder = self.folder.try_clone()?;
        let (name, next) = (self.beside(name::STATE), self.beside(name::NEXT_STATE));
        Ok(move |file: &File| {
            if sys::sync_data(file).is_ok() {
                // If the write fails, the previous state remains and is true.
                let _ = folder.write_whole(&name, &next, &bytes);
            }
        })
    }

    /// Adds what a later run needs to match the state with this part file, and to judge what a power loss may have
    /// taken.
    fn stamp(&self, state: &mut State) {
        state.is_marked = self.marks.has_attribute;
        state.boot = Some(sys::boot().into());
    }

    /// Removes the state file, before the part file gets other bytes.
    ///
    /// # Errors
    /// The state file still exists: the part file must not change.
    pub(super) fn remove_state(&mut self) -> io::Result<()> {
        if self.has_leftover {
            for suffix in [name::STATE, name::NEXT_STATE] {
                self.folder.remove(&self.beside(suffix))?;
            }
            self.has_leftover = false;
        }
        self.saved = 0;
        Ok(())
    }

    /// Empties the part file, after its state file is removed.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.file, Held::Nothing) {
            Held::Nothing | Held::Unnamed(_) => {}
            Held::Named(file) => {
                if let Err(error) = self.remove_state() {
                    self.file = Held::Named(file);
                    return Err(error);
                }
                if sys::set_len(&file, 0).is_ok() {
                    self.file = Held::Named(file);
                } else if self.folder.entry_of(&self.part_name(), &file)?.is_some() {
                    self.folder.remove(&self.part_name())?;
                }
            }
        }
        Ok(())
    }

    /// Removes the state, and with it the part file of an earlier run that was not opened: no run could resume it, and
    /// a body that arrives at once would leave it beside its file.
    pub(super) fn discard(&mut self) {
        let leftover = if self.has_leftover && matches!(self.file, Held::Nothing) {
            // A locked part file is being written by another process.
            self.folder.open_locked(&self.part_name()).ok().flatten()
        } else {
            None
        };
        let is_unstated = self.remove_state().is_ok();
        if let Some(part) = leftover
            && is_unstated
            && self.is_ours(&part).unwrap_or(false)
        {
            let _ = self.folder.remove(&self.part_name());
        }
    }

    /// Schedules the files of an earlier run for removal when this is dropped.
    pub(super) fn put_away(&mut self) {
        if self.has_leftover && matches!(self.file, Held::Nothing) {
            // A locked part file is being written by another process.
            let part = self.folder.open_locked(&self.part_name()).ok().flatten();
            if let Some(part) = part.filter(|part| self.is_ours(part).unwrap_or(false)) {
                self.file = Held::Named(Arc::new(part));
            }
        }
        // If the removal fails, a later run finds that the state does not fit its part file.
        let _ = self.remove_state();
    }

    /// The entry of the part file, if it is still the written file and has `size` bytes.
    pub(super) fn intact(&self, size: u64) -> io::Result<Option<sys::Entry>> {
        let Some(file) = self.named() else {
            return Ok(None);
        };
        let entry = self.folder.entry_of(&self.part_name(), file)?;
        Ok(entry.filter(|entry| entry.size() == size))
    }
}

fn busy() -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, "another program writes it")
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The lock is held until the part file is removed: another process may wait to create its own.
        if let Held::Named(file) = std::mem::replace(&mut self.file, Held::Nothing)
            && self.saved == 0
            && self.remove_state().is_ok()
            && matches!(self.folder.entry_of(&self.part_name(), &file), Ok(Some(_)))
        {
            // No run could resume it. If the removal fails, its name shows what it is.
            let _ = self.folder.remove(&self.part_name());
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::download::Ranges;
    use crate::sys::fault::{Call, Script, Scripted};

    /// A script that refuses one call.
    struct Refusing(Call, Errno);

    impl Script for Refusing {
        fn before(&mut self, call: Call, _: &OsStr) -> io::Result<()> {
            if call == self.0 {
                return Err(self.1.into());
            }
            Ok(())
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_file_that_the_system_calls_busy_is_not_taken_for_one_that_is_being_written() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("other"), "").unwrap();
        let folder = Rc::new(Folder::make(top.path(), false).unwrap());
        let mut disk = Disk::new(folder, "a".into());
        let scripted = Scripted::new(Refusing(Call::Remove, Errno::BUSY));
        let error = disk.create_beside(i128::MAX).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::BUSY));
        drop((disk, scripted));
        let names = std::fs::read_dir(top.path()).unwrap().count();
        assert!(names <= 2, "{names} files");
    }

    #[cfg(debug_assertions)]
    #[test]
    fn what_cannot_be_taken_over_for_the_moment_stays_and_is_taken_over_by_the_next_try() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("a"), [1; 10]).unwrap();
        let folder = Rc::new(Folder::make(top.path(), false).unwrap());
        let mut disk = Disk::new(folder, "a".into());
        let mut state = State::default();
        let scripted = Scripted::new(Refusing(Call::CreateState, Errno::MFILE));
        let error = disk.adopt("a".as_ref(), 10, &mut state).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE));
        assert_eq!(state, State::default());
        drop(scripted);
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1);
        disk.adopt("a".as_ref(), 10, &mut state).unwrap();
        assert_eq!(state.ranges.count(), 10);
        let part = std::fs::read(top.path().join("a.part")).unwrap();
        assert_eq!(part, [1; 10]);
    }

    /// Found by the simulation of other programs, seed 7000452.
    #[test]
    fn a_part_that_was_cut_after_it_was_looked_at_is_not_filled_up_with_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("a.part");
        let disk = || {
            Disk::new(
                Rc::new(Folder::make(folder.path(), false).unwrap()),
                "a".into(),
            )
        };
        let mut state = State {
            ranges: Ranges::in_order(std::iter::once(0..10)).unwrap(),
            ..State::default()
        };
        let mut first = disk();
        first
            .create(i128::MAX)
            .unwrap()
            .write_all_at(&[1; 12], 0)
            .unwrap();
        first.write_state(&mut state).unwrap();
        first.saved = 10;
        drop(first);
        for (cut, length) in [(12, Some(10)), (10, Some(10)), (7, None)] {
            let mut next = disk();
            let (earlier, _) = next.look();
            let state = earlier.unwrap().unwrap();
            File::options()
                .write(true)
                .open(&part)
                .unwrap()
                .set_len(cut)
                .unwrap();
            let opened = next.open_earlier(&state).unwrap();
            assert_eq!(opened, length.map(|_| ()));
            assert_eq!(
                std::fs::metadata(&part).unwrap().len(),
                length.unwrap_or(cut)
            );
        }
    }
}
