//! One transfer's share of a file that several bring: where it writes, where it ends, and which answers it believes.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::message::Message;
use super::part::{foreign_change, is_cut};
use super::{Asked, State, Validators};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::multi::Sink;
use crate::sys;

/// What the segments of one file have in common.
#[derive(Debug)]
pub struct Whole {
    /// The file that they write to.
    pub file: Arc<File>,
    /// Its path, for errors.
    pub path: PathBuf,
    /// Bytes of it.
    pub size: u64,
    /// Somebody has brought a byte beside the one who began the file. Until then nobody knows
    /// whether the server has more for another than a refusal, or anything at all.
    pub has_begun: Cell<bool>,
    /// How far the one who began the file has come, which may be behind the end of its share: what
    /// others bring of that is not written a second time.
    pub reach: Cell<u64>,
    /// Where its last written byte ends: a file that is shorter was cut by another program.
    pub extent: Cell<u64>,
}

/// How an answer is known to be of the version that is wanted.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// What its server says of that version; nothing at first, where another began the file.
    pub validators: Validators,
    /// Another server began it, and a digest of the whole is asked for: the size is to be right,
    /// and no validator another than before.
    pub is_vouched: bool,
}

/// The sink of a transfer that brings a part of a file.
#[derive(Debug)]
pub struct Segment {
    whole: Rc<Whole>,
    proof: Proof,
    /// What was asked for; it may end sooner since.
    asked: Asked,
    at: u64,
    end: u64,
    /// The offset behind the last byte that the answer may have.
    limit: u64,
    /// The digest of the answer, where that says what it is.
    message: Option<Box<Message>>,
    /// What the answer brought, which is not what it said it is.
    spoilt: Option<Range<u64>>,
}

impl Segment {
    /// A segment of `whole`.
    pub fn new(whole: Rc<Whole>, range: Range<u64>, proof: Proof) -> Self {
        let Range { start: at, end } = range;
        Self {
            whole,
            proof,
            asked: Asked {
                start: at,
                end: Some(end),
            },
            at,
            end,
            limit: end,
            message: None,
            spoilt: None,
        }
    }

    /// The segment of a transfer whose answer is under way, and has all up to `limit`.
    pub(super) fn under_way(whole: Rc<Whole>, at: u64, limit: u64, validators: Validators) -> Self {
        Self {
            whole,
            proof: Proof {
                validators,
                is_vouched: false,
            },
            asked: Asked {
                start: at,
                end: None,
            },
            at,
            end: limit,
            limit,
            message: None,
            spoilt: None,
        }
    }

    /// The same with the digest of the answer.
    pub(super) fn with_message(mut self, message: Option<Box<Message>>) -> Self {
        self.message = message;
        self
    }

    /// What it has brought and is to be thrown away: it is not what the server said it is.
    pub fn spoilt(&self) -> Option<Range<u64>> {
        self.spoilt.clone()
    }

    /// What it has in common with the others of its file.
    pub fn whole(&self) -> &Rc<Whole> {
        &self.whole
    }

    /// Whether the answer under way has all up to the end of the file.
    pub fn has_all_behind(&self) -> bool {
        self.limit == self.whole.size
    }

    /// What its server says of the version that it has, as far as that is known.
    pub fn validators(&self) -> &Validators {
        &self.proof.validators
    }

    /// Where the next byte belongs: all from the start up to here is written.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Has it end elsewhere; the answer under way must have as much.
    pub fn set_end(&mut self, end: u64) {
        self.end = end.min(self.limit);
    }

    /// The request fields that ask for it.
    pub fn ask(&self) -> Vec<Field> {
        self.asked.fields(&self.proof.validators)
    }

    /// Whether it leaves the end of its share behind: it is the one that began the file, and nobody
    /// has begun on what lies there.
    fn goes_on(&self) -> bool {
        self.is_first() && self.has_all_behind() && !self.whole.has_begun.get()
    }

    /// Checks that no other program has cut the file. Whatever any segment has written counts: this one may be about
    /// to lengthen the file again, which would leave a hole of zeros in another's share.
    fn look_whether_cut(&self) -> Result<(), Fault> {
        if is_cut(&self.whole.file, self.whole.extent.get()) {
            return Err(self.fault(foreign_change()));
        }
        Ok(())
    }

    /// Takes note of bytes that were written.
    fn advance(&mut self, written: u64) {
        self.at += written;
        self.whole.extent.set(self.whole.extent.get().max(self.at));
    }

    /// Has the others know how far the one that began the file has come, and that one that another
    /// brings bytes.
    fn tell_of_bytes(&self) {
        if self.is_first() {
            self.whole.reach.set(self.at);
        } else {
            self.whole.has_begun.set(true);
        }
    }

    /// How many of the next bytes are there already: the one that began the file has brought them.
    fn superfluous(&self) -> u64 {
        let reach = Some(self.whole.reach.get()).filter(|_| !self.is_first());
        reach.unwrap_or(0).saturating_sub(self.at)
    }

    /// Whether it is the one that began the file.
    fn is_first(&self) -> bool {
        self.asked.end.is_none()
    }

    /// Judges the answer once it is whole; one that others have relieved of its end cannot be.
    fn judge(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(message) = &mut self.message {
            message.update(bytes);
        }
        let Some(message) = self.message.take_if(|_| self.at == self.limit) else {
            return Ok(());
        };
        let start = message.start();
        message.finish().inspect_err(|_| {
            self.spoilt = Some(start..self.limit);
            self.at = start;
        })
    }

    fn fault(&self, source: io::Error) -> Fault {
        Fault::Disk {
            verb: "write",
            path: self.whole.path.clone(),
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
        let size = Some(self.whole.size);
        if response.status != 206 {
            let is_other_size = response.content_length().is_some_and(|s| Some(s) != size);
            return Err(if validators.contradict(&theirs) {
                Fault::Changed
            } else if *is_vouched && is_other_size {
                Fault::BadRange("the file has another size there")
            } else {
                Fault::BadRange("the server sends no parts")
            });
        }
        let is_other_size = response
            .content_range()
            .is_some_and(|range| range.total.is_some_and(|total| Some(total) != size));
        if *is_vouched && is_other_size {
            return Err(Fault::BadRange("the file has another size there"));
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
        self.limit = range.last + 1;
        self.message = Message::of(response, range.first);
        Ok(())
    }

    fn wanted(&self) -> Option<u64> {
        let end = if self.goes_on() { self.limit } else { self.end };
        Some(end.saturating_sub(self.at))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() as u64 > self.limit.saturating_sub(self.at) {
            return Err(Fault::BadRange("it is longer than it says"));
        }
        self.look_whether_cut()?;
        let mut written =
            usize::try_from(self.superfluous()).map_or(bytes.len(), |there| there.min(bytes.len()));
        self.at += written as u64;
        while written < bytes.len() {
            match sys::write_at(&self.whole.file, &bytes[written..], self.at) {
                Ok(0) => return Err(self.fault(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    written += n;
                    self.advance(n as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(error)),
            }
        }
        self.tell_of_bytes();
        self.judge(bytes)
    }

    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        if self.message.is_some() || self.superfluous() > 0 {
            return Ok(None);
        }
        self.look_whether_cut()?;
        Ok(Some((self.whole.file.as_fd(), self.at)))
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        let written = result.map_err(|error| self.fault(error))?;
        self.advance(written as u64);
        self.tell_of_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(whole: &Rc<Whole>, range: Range<u64>) -> Segment {
        Segment::new(Rc::clone(whole), range, Proof::default())
    }

    /// Found by the simulation of other programs, seed 1293.
    #[test]
    fn a_file_that_is_cut_is_not_lengthened_by_a_share_that_has_written_nothing_yet() {
        let whole = Rc::new(Whole {
            file: Arc::new(tempfile::tempfile().unwrap()),
            path: PathBuf::from("a"),
            size: 60,
            has_begun: Cell::new(false),
            reach: Cell::new(0),
            extent: Cell::new(0),
        });
        let mut first = share(&whole, 0..20);
        first.write(&[1; 10]).unwrap();
        share(&whole, 20..40).write(&[2; 20]).unwrap();
        whole.file.set_len(30).unwrap();
        for segment in [&mut share(&whole, 40..60), &mut first] {
            let cut = segment.write(&[3; 10]);
            assert!(matches!(cut, Err(Fault::Disk { .. })), "{cut:?}");
            assert!(segment.target().is_err());
        }
        assert_eq!(whole.file.metadata().unwrap().len(), 30);
    }
}
