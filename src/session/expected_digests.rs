//! The expected digests of `--checksum` and `--checksums`, beside those in the rows. A list of digests on a server is
//! fetched before any file.

use std::io;
use std::time::Instant;

use super::Session;
use super::file::Event;
use super::job::Job;
use super::plan::{ListSource, Plan};
use super::report::BadRow;
use super::targets::Misplaced;
use crate::download::{Body, Download};
use crate::error::{Fault, MultiError};
use crate::http::{Expected, auth};
use crate::list::{Checksums, Row};
use crate::multi::{Easy, Multi};
use crate::sys;

/// The longest list of digests, in bytes: it is held in memory.
const LONGEST: u64 = 256 << 20;

/// The expected digests of the run's options.
#[derive(Debug)]
pub(super) struct ExpectedDigests {
    /// `--checksum`.
    digests: Vec<Expected>,
    /// `--checksums`.
    checksums: ChecksumList,
    /// The run has one URL.
    is_of_one_url: bool,
}

#[derive(Debug)]
enum ChecksumList {
    /// The run has no list.
    None,
    /// The list has not been read or requested yet.
    Wanted(ListSource),
    /// A transfer fetches the list.
    Awaited,
    /// The list has been read.
    Known(Checksums),
}

impl ExpectedDigests {
    /// Takes the digests out of a plan that still has its URLs.
    pub(super) fn new(plan: &mut Plan) -> Self {
        Self {
            digests: std::mem::take(&mut plan.digests),
            checksums: plan
                .checksums
                .take()
                .map_or(ChecksumList::None, ChecksumList::Wanted),
            is_of_one_url: plan.urls.len() == 1 && plan.lists.is_empty(),
        }
    }

    /// Adds the expected digests of its file to a row. Fails if the list has none for it.
    pub(super) fn add_to(&self, row: &mut Row) -> Result<(), Misplaced> {
        row.expect_all(&self.digests).map_err(Misplaced::Row)?;
        match &self.checksums {
            ChecksumList::Known(checksums) if checksums.is_of_one_file() && !self.is_of_one_url => {
                let why = "the list of digests has one digest without a name, which is for a run of one URL";
                Err(Misplaced::Fault(Fault::NoDigest(why.into())))
            }
            ChecksumList::Known(checksums) => checksums
                .add_to(row)
                .map_err(|why| Misplaced::Fault(Fault::NoDigest(why))),
            _ => Ok(()),
        }
    }

    /// Whether rows must wait for the list of digests.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.checksums, ChecksumList::Awaited)
    }
}

impl Session<'_> {
    /// Reads the list of digests, or starts the transfer that fetches it. Does nothing at later calls.
    pub(super) fn ask_for_checksums(
        &mut self,
        multi: &mut Multi<Job>,
        now: Instant,
    ) -> Result<(), MultiError> {
        let ChecksumList::Wanted(location) = &mut self.expected_digests.checksums else {
            return Ok(());
        };
        let location = std::mem::replace(location, ListSource::File("".into()));
        self.expected_digests.checksums = ChecksumList::Awaited;
        let url = match location {
            ListSource::Url(url) => url,
            ListSource::File(path) => {
                let name = path.display().to_string();
                let read = sys::read_all(&path, &self.source.stop);
                self.take_checksums(name, read);
                return Ok(());
            }
        };
        let download = Download::new(Body::Memory(Vec::new()), &self.hashing);
        let mut job = Job::aside(0, download);
        job.max_size = Some(LONGEST);
        let easy = self.easy(url, job);
        self.advance(multi, easy, Event::Begun(None), now)
    }

    /// Reads the list of digests from the body of its transfer.
    pub(super) fn checksums_arrived(&mut self, easy: &mut Easy<Job>) {
        if let Body::Memory(bytes) = &mut easy.sink.file.download.body {
            let bytes = std::mem::take(bytes);
            self.take_checksums(auth::masked(&easy.url), Ok(bytes));
        }
    }

    /// Ends the run, because no file can be verified without the list of digests.
    pub(super) fn checksums_failed(&mut self) {
        self.expected_digests.checksums = ChecksumList::None;
        self.ledger.has_ended = true;
    }

    fn take_checksums(&mut self, name: String, read: io::Result<Vec<u8>>) {
        let checksums = read.and_then(|bytes| {
            Checksums::read(&name, &bytes)
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
        });
        match checksums {
            Ok(checksums) => self.expected_digests.checksums = ChecksumList::Known(checksums),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.awaits_signal = true;
                self.checksums_failed();
            }
            Err(error) => {
                self.ledger.bad_row(&self.plan, &BadRow::List(name, error));
                self.checksums_failed();
            }
        }
    }
}
