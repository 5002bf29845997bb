//! One segment of a divided file: where it writes, where it ends, and which responses it accepts.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::landing::Landing;
use super::message::Message;
use super::part::{foreign_change, is_cut};
use super::{Asked, Promise, State, Validators};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::multi::Sink;

/// What the segments of one file share.
#[derive(Debug)]
pub struct SharedFile {
    /// The part file.
    pub file: Arc<File>,
    /// Its path, for errors.
    pub path: PathBuf,
    /// The size of the full file in bytes.
    pub size: u64,
    /// What the response that began it has said.
    pub promise: Promise,
    /// A segment other than the first has received a byte. Until then it is unknown whether the server honours a
    /// second request at all.
    pub has_begun: Cell<bool>,
    /// How far the first segment has written, which may be behind its end: other segments do not write those bytes
    /// again.
    pub reach: Cell<u64>,
    /// The end of the last written byte: a shorter file was truncated by another program.
    pub extent: Cell<u64>,
}

/// What proves that a response has the expected version.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The server's validators of that version; empty at first if another server began the file.
    pub validators: Validators,
    /// Another server began the file, and a digest of the full file will verify it: the size must match, and the
    /// validators must not contradict those of an earlier response.
    pub is_vouched: bool,
}

/// The sink of a transfer that fetches a segment.
#[derive(Debug)]
pub struct Segment {
    shared: Rc<SharedFile>,
    proof: Proof,
    /// The requested range; the segment may have been shortened since.
    asked: Asked,
    /// Where its response lands.
    landing: Landing,
    end: u64,
    /// The range of a response that did not have its announced digest.
    spoilt: Option<Range<u64>>,
}

impl Segment {
    /// A segment of `shared` that requests `range`.
    pub fn new(shared: Rc<SharedFile>, range: Range<u64>, proof: Proof) -> Self {
        let Range { start: at, end } = range;
        Self {
            shared,
            proof,
            asked: Asked {
                start: at,
                end: Some(end),
            },
            landing: Landing::new(at, end, None),
            end,
            spoilt: None,
        }
    }

    /// The segment of a transfer that is receiving a response, which lands here.
    pub(super) fn under_way(
        shared: Rc<SharedFile>,
        mut landing: Landing,
        validators: Validators,
    ) -> Self {
        let at = landing.next();
        let limit = *landing.limit.get_or_insert(shared.size);
        Self {
            proof: Proof {
                validators,
                is_vouched: false,
            },
            asked: Asked {
                start: at,
                end: None,
            },
            landing,
            end: limit,
            spoilt: None,
            shared,
        }
    }

    /// The received range that must be discarded: its digest is not the one that the server announced.
    pub fn spoilt(&self) -> Option<Range<u64>> {
        self.spoilt.clone()
    }

    /// What it shares with the other segments of its file.
    pub fn shared(&self) -> &Rc<SharedFile> {
        &self.shared
    }

    /// Whether the current response ends at the end of the file.
    pub fn has_all_behind(&self) -> bool {
        self.limit() == self.shared.size
    }

    /// The server's validators, as far as they are known.
    pub fn validators(&self) -> &Validators {
        &self.proof.validators
    }

    /// The offset of the next byte: everything from the start of the segment up to here is written.
    pub fn at(&self) -> u64 {
        self.landing.next()
    }

    /// The end offset of the response's range.
    fn limit(&self) -> u64 {
        self.landing.limit.unwrap_or(self.shared.size)
    }

    /// The end offset of the segment.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Moves the end of the segment, at most to the end of the current response.
    pub fn set_end(&mut self, end: u64) {
        self.end = end.min(self.limit());
    }

    /// The fields of its range request.
    pub fn ask(&self) -> Vec<Field> {
        self.asked.fields(&self.proof.validators)
    }

    /// Whether it continues behind its end: it is the first segment, and no other segment has received a byte.
    fn continues_behind_end(&self) -> bool {
        self.is_first() && self.has_all_behind() && !self.shared.has_begun.get()
    }

    /// Checks that no other program has truncated the file. The bytes of all segments count: this write may lengthen
    /// the file again, and leave a hole of zeros in another segment.
    fn check_uncut(&self) -> Result<(), Fault> {
        if is_cut(&self.shared.file, self.shared.extent.get()) {
            return Err(self.fault(foreign_change()));
        }
        Ok(())
    }

    /// Tells the other segments how far the first one has written, or that another one has received a byte.
    fn announce_progress(&self) {
        let extent = self.shared.extent.get();
        self.shared.extent.set(extent.max(self.at()));
        if self.is_first() {
            self.shared.reach.set(self.at());
        } else {
            self.shared.has_begun.set(true);
        }
    }

    /// How many of the next bytes the first segment has already written.
    fn superfluous(&self) -> u64 {
        if self.is_first() {
            return 0;
        }
        self.shared.reach.get().saturating_sub(self.at())
    }

    /// Whether it is the first segment: its response began the file.
    fn is_first(&self) -> bool {
        self.asked.end.is_none()
    }

    fn fault(&self, source: io::Error) -> Fault {
        Fault::Disk {
            verb: "write",
            path: self.shared.path.clone(),
            source,
        }
    }
}

impl Sink for Segment {
    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        let Proof {
            validators,
            is_vouched,
        } = &mut self.proof;
        let theirs = Validators::of(response);
        let size = Some(self.shared.size);
        if response.status != 206 && self.shared.promise.is_broken_by(response) {
            return Err(Fault::WebPage);
        }
        if response.status != 206 {
            let is_other_size = response.content_length().is_some_and(|s| Some(s) != size);
            return Err(if validators.contradict(&theirs) {
                Fault::Changed
            } else if *is_vouched && is_other_size {
                Fault::BadRange("the file has another size on that server")
            } else {
                Fault::BadRange("the server ignored the range")
            });
        }
        let is_other_size = response
            .content_range()
            .is_some_and(|range| range.total.is_some_and(|total| Some(total) != size));
        if *is_vouched && is_other_size {
            return Err(Fault::BadRange("the file has another size on that server"));
        }
        let held = State {
            size,
            validators: validators.clone(),
            ..State::default()
        };
        let range = self.asked.check(&held, response, *is_vouched)?;
        if *validators == Validators::default() {
            *validators = theirs;
        }
        let message = Message::of(response, range.first);
        self.landing = Landing::new(self.at(), range.last + 1, message);
        Ok(())
    }

    fn wanted(&self) -> Option<u64> {
        let end = if self.continues_behind_end() {
            self.limit()
        } else {
            self.end
        };
        Some(end.saturating_sub(self.at()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.landing.check_room(bytes.len() as u64)?;
        self.check_uncut()?;
        let there = usize::try_from(self.superfluous()).unwrap_or(usize::MAX);
        let (there, missing) = bytes.split_at(there.min(bytes.len()));
        self.landing.advance(there.len() as u64);
        let written = self.landing.write(&self.shared.file, missing);
        self.announce_progress();
        written.map_err(|error| self.fault(error))?;
        // If the segment was shortened, its response stays incomplete and is not verified.
        self.landing.judge(bytes).map_err(|spoilt| {
            self.landing.rewind(spoilt.range.start);
            self.spoilt = Some(spoilt.range);
            spoilt.fault
        })
    }

    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        if self.landing.message.is_some() || self.superfluous() > 0 {
            return Ok(None);
        }
        self.check_uncut()?;
        Ok(Some((self.shared.file.as_fd(), self.at())))
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        let written = result.map_err(|error| self.fault(error))?;
        self.landing.advance(written as u64);
        self.announce_progress();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(shared: &Rc<SharedFile>, range: Range<u64>) -> Segment {
        Segment::new(Rc::clone(shared), range, Proof::default())
    }

    /// Found by the simulation of other programs, seed 1293.
    #[test]
    fn a_file_that_is_cut_is_not_lengthened_by_a_share_that_has_written_nothing_yet() {
        let shared = Rc::new(SharedFile {
            file: Arc::new(tempfile::tempfile().unwrap()),
            path: PathBuf::from("a"),
            size: 60,
            promise: Promise {
                size: 60,
                is_page: false,
            },
            has_begun: Cell::new(false),
            reach: Cell::new(0),
            extent: Cell::new(0),
        });
        let mut first = share(&shared, 0..20);
        first.write(&[1; 10]).unwrap();
        share(&shared, 20..40).write(&[2; 20]).unwrap();
        shared.file.set_len(30).unwrap();
        for segment in [&mut share(&shared, 40..60), &mut first] {
            let cut = segment.write(&[3; 10]);
            assert!(matches!(cut, Err(Fault::Disk { .. })), "{cut:?}");
            assert!(segment.target().is_err());
        }
        assert_eq!(shared.file.metadata().unwrap().len(), 30);
    }
}
