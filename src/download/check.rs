//! Verifies a body: its digests are computed while it arrives, and compared with the expected ones.
//!
//! A small body, or one that is not stored, is hashed as it arrives. For a larger one, threads read the written bytes
//! behind the writing transfers: see `hashing`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::Ranges;
use super::hashing::{Hashed, Hashing, TaskId};
use super::tally::{Found, Tally};
use crate::error::Fault;
use crate::http::digest::{Algorithm, Pieces, announced, announced_before, content_md5};
use crate::http::{Digest, Expected, Response};

/// Above this many bytes the threads hash a file.
const SMALL: u64 = 1 << 20;

/// How often wrong pieces are fetched again: for each server, and in all.
const MOST_REPAIRS: usize = 2;
const MOST_REPAIRS_IN_ALL: usize = 16;

/// The threads are told of new bytes in steps of this many.
const STEP: u64 = 1 << 20;

/// The digests of one download.
#[derive(Debug)]
pub(super) struct Check {
    /// The expected digests; the body must have all of them.
    asked: Vec<Expected>,
    /// The expected size in bytes.
    size: Option<u64>,
    /// The expected digests of the pieces.
    pieces: Option<Arc<Pieces>>,
    /// The pieces that were wrong at the last verification; how often pieces were fetched again; and a computation
    /// that has seen all bytes before them.
    wrong: Ranges,
    repairs: usize,
    rewound: Option<(Tally, u64)>,
    /// The digest that the server announced in this response.
    announced: Option<Digest>,
    /// The digest that is computed for a record, and all digests of the verified file.
    recorded: Option<Algorithm>,
    found: Vec<Digest>,
    hashing: Hashing,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Bytes are hashed as they arrive.
    Passing(Tally),
    /// A thread follows the written bytes, and was told this frontier.
    Followed(TaskId, u64),
    /// The computation is over.
    Done(Hashed),
}

/// The result of a check of a complete body.
#[derive(Debug)]
pub enum Checked {
    /// The body meets every expectation.
    Right,
    /// The digests are not known yet: the task will have a result.
    Waits(TaskId),
}

/// What to do about a body with wrong pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Fetch only those pieces again.
    Again,
    /// Fail: they were fetched again too often. The rest is right, and another run may resume it.
    Enough,
    /// Not repairable: no piece is known to be wrong, or none can be replaced.
    Impossible,
}

impl Check {
    /// A check against the digests in `asked` and a size.
    pub(super) fn new(asked: Vec<Expected>, size: Option<u64>, hashing: Hashing) -> Self {
        Self {
            asked,
            size,
            pieces: None,
            wrong: Ranges::default(),
            repairs: 0,
            rewound: None,
            announced: None,
            recorded: None,
            found: Vec::new(),
            hashing,
            state: State::Done(Ok(Found::default())),
        }
    }

    /// Adds the digests of pieces.
    pub(super) fn with_pieces(mut self, pieces: Option<Arc<Pieces>>) -> Self {
        self.pieces = pieces;
        self
    }

    /// Computes a digest that no check needs.
    pub(super) fn record(&mut self, algorithm: Algorithm) {
        self.recorded = Some(algorithm);
    }

    /// The digests of the verified body, or of the existing file that is kept.
    pub(super) fn found(&self) -> &[Digest] {
        &self.found
    }

    /// Stores the digests of the file at the final name, which may be kept.
    pub(super) fn stands(&mut self, digests: Vec<Digest>) {
        self.found = digests;
    }

    /// A computation of all digests that are expected, recorded or announced.
    fn tally(&self, announced: Option<Algorithm>) -> Tally {
        let asked = self.asked.iter().map(Expected::algorithm);
        let algorithms = asked.chain(self.recorded).chain(announced);
        Tally::new(algorithms, self.pieces.clone())
    }

    /// Hashes another file that may be the expected one.
    pub(super) fn hash(&self, file: File) -> TaskId {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let task = self.hashing.follow(file, self.tally(None), 0);
        self.hashing.finish(task, size);
        task
    }

    /// Whether a file has all expected digests.
    pub(super) fn is_met_by(&self, found: &Found) -> bool {
        let has_any = !self.asked.is_empty() || self.pieces.is_some();
        has_any && found.wrong.is_none() && judge(&self.asked, &found.digests).is_ok()
    }

    /// Starts the computation for a response; returns false if nothing is expected of it.
    ///
    /// # Errors
    /// [`Fault::Size`] or [`Fault::PieceCount`]: the body will not have the expected size.
    pub(super) fn begin(&mut self, response: &Response) -> Result<bool, Fault> {
        self.forget();
        self.rewound = None;
        if let Some(found) = response.content_length() {
            self.measure(found)?;
        }
        self.announced = announcement(response);
        let announced = self.announced.as_ref().map(Digest::algorithm);
        self.state = State::Passing(self.tally(announced));
        Ok(self.announced.is_some() || self.is_asked())
    }

    /// Checks the size of a body against the expected size and the pieces.
    pub(super) fn measure(&self, found: u64) -> Result<(), Fault> {
        match self.size {
            Some(expected) if expected != found => Err(Fault::Size { expected, found }),
            _ => self.measure_pieces(found),
        }
    }

    fn measure_pieces(&self, found: u64) -> Result<(), Fault> {
        match &self.pieces {
            Some(pieces) if !pieces.fit(found) => Err(Fault::PieceCount {
                found,
                count: pieces.count(),
                length: pieces.length(),
            }),
            _ => Ok(()),
        }
    }

    /// Starts the computation for a resumed body with `frontier` written bytes. A thread reads them, except those that
    /// a computation has already verified, and follows new writes.
    pub(super) fn resume(
        &mut self,
        frontier: u64,
        announced: Option<Digest>,
        file: Option<Arc<File>>,
    ) {
        self.forget();
        self.announced = announced;
        let rewound = self.rewound.take().filter(|(_, at)| *at <= frontier);
        let (tally, hashed) = rewound.unwrap_or_else(|| {
            let announced = announced.as_ref().map(Digest::algorithm);
            (self.tally(announced), 0)
        });
        if tally.is_empty() {
            self.state = State::Passing(tally);
            return;
        }
        self.state = match file {
            Some(file) => {
                let task = self.hashing.follow(file, tally, hashed);
                self.hashing.advance(task, frontier);
                State::Followed(task, frontier)
            }
            None => State::Done(Err(io::ErrorKind::NotFound.into())),
        };
    }

    /// Whether anything is expected or recorded, apart from an announced digest.
    pub(super) fn is_asked(&self) -> bool {
        let has_digests = !self.asked.is_empty() || self.pieces.is_some();
        has_digests || self.size.is_some() || self.recorded.is_some()
    }

    /// What to do about the wrong pieces, and their ranges. `servers` is the number of URLs that the file can be
    /// fetched from.
    pub(super) fn repair(&mut self, servers: usize) -> (Repair, Ranges) {
        let wrong = std::mem::take(&mut self.wrong);
        let most = MOST_REPAIRS_IN_ALL.min(MOST_REPAIRS.saturating_mul(servers));
        let repair = match self.repairs {
            _ if wrong.is_empty() => Repair::Impossible,
            repairs if repairs < most => Repair::Again,
            _ => Repair::Enough,
        };
        self.repairs += usize::from(repair == Repair::Again);
        (repair, wrong)
    }

    /// Whether a digest of the full file or those of all its pieces are expected.
    pub(super) fn has_digest(&self) -> bool {
        !self.asked.is_empty() || self.pieces.is_some()
    }

    /// Takes in bytes that were written up to `frontier`. `file` returns the file for the threads, if there is one.
    pub(super) fn written(
        &mut self,
        bytes: &[u8],
        frontier: u64,
        file: impl FnOnce() -> Option<Arc<File>>,
    ) {
        match &mut self.state {
            State::Passing(tally) => {
                tally.update(bytes);
                if frontier > SMALL && !tally.is_empty() {
                    self.follow(frontier, file);
                }
            }
            State::Followed(..) => self.advance(frontier),
            State::Done(_) => {}
        }
    }

    /// Lets a thread read the next bytes from the file, because they are spliced into it and do not pass through here.
    /// `frontier` bytes are written so far.
    ///
    /// Returns false if there is no file to read: then the bytes must not be spliced.
    pub(super) fn follow(
        &mut self,
        frontier: u64,
        file: impl FnOnce() -> Option<Arc<File>>,
    ) -> bool {
        let State::Passing(tally) = &mut self.state else {
            return true;
        };
        if tally.is_empty() {
            return true;
        }
        let Some(file) = file() else {
            return false;
        };
        let tally = std::mem::replace(tally, Tally::new([], None));
        let task = self.hashing.follow(file, tally, frontier);
        self.state = State::Followed(task, frontier);
        true
    }

    /// Tells the thread that the file is written up to `frontier`.
    pub(super) fn advance(&mut self, frontier: u64) {
        if let State::Followed(task, told) = &mut self.state
            && frontier >= *told + STEP
        {
            *told = frontier;
            self.hashing.advance(*task, frontier);
        }
    }

    /// Restarts the computation if it has read bytes from `at` on, which will be overwritten.
    pub(super) fn reread(
        &mut self,
        at: u64,
        frontier: u64,
        file: impl FnOnce() -> Option<Arc<File>>,
    ) {
        if matches!(self.state, State::Followed(_, told) if told > at) {
            self.rewound = None;
            self.resume(frontier, self.announced, file());
        }
    }

    /// Verifies the complete body of `size` bytes.
    ///
    /// # Errors
    /// [`Fault::Digest`], [`Fault::Piece`], [`Fault::Size`] or [`Fault::PieceCount`]: it is not the expected body.
    /// [`Fault::Disk`]: it could not be read.
    pub(super) fn finish(&mut self, size: u64) -> Result<Checked, Fault> {
        self.measure(size)?;
        if let State::Followed(task, _) = self.state {
            self.hashing.finish(task, size);
            return Ok(Checked::Waits(task));
        }
        let state = std::mem::replace(&mut self.state, State::Done(Ok(Found::default())));
        match state {
            State::Passing(tally) => self.judge(tally.finish()),
            State::Done(Ok(found)) => self.judge(found),
            State::Done(Err(source)) => Err(Fault::Disk {
                verb: "read back",
                path: "the partial file".into(),
                source,
            }),
            State::Followed(..) => Ok(Checked::Right),
        }
    }

    /// Stores the result of the task.
    pub(super) fn answer(&mut self, hashed: Hashed) {
        self.state = State::Done(hashed);
    }

    fn judge(&mut self, found: Found) -> Result<Checked, Fault> {
        self.wrong.clear();
        if let Some(wrong) = found.wrong {
            let fault = wrong.fault();
            self.wrong = wrong.ranges;
            self.rewound = Some(wrong.before);
            return Err(fault);
        }
        judge(&self.asked, &found.digests)?;
        if let Some(announced) = self.announced {
            meet(&announced.into(), &found.digests, true)?;
        }
        self.found = found.digests;
        Ok(Checked::Right)
    }

    fn forget(&self) {
        if let State::Followed(task, _) = self.state {
            self.hashing.forget(task);
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Checks the digests of a file against the expected ones.
fn judge(asked: &[Expected], found: &[Digest]) -> Result<(), Fault> {
    asked
        .iter()
        .try_for_each(|expected| meet(expected, found, false))
}

fn meet(expected: &Expected, found: &[Digest], is_announced: bool) -> Result<(), Fault> {
    let mut found = found.iter();
    match found.find(|digest| digest.algorithm() == expected.algorithm()) {
        Some(digest) if expected.is_met_by(digest) => Ok(()),
        digest => Err(Fault::Digest {
            expected: expected.to_string(),
            found: digest.map(ToString::to_string).unwrap_or_default(),
            is_announced,
        }),
    }
}

/// The digest of the full body that a response announces; the response may have only a range of it. Without content
/// codings the body is the representation, and in a full response also the content (RFC 9530 §2 and §3). Of the older
/// fields, Digest is that of the representation. Content-MD5 is read in full responses alone: servers send that of the
/// full file with a range.
pub(super) fn announcement(response: &Response) -> Option<Digest> {
    let fields: &[_] = match response.status {
        200 => &["repr-digest", "content-digest"],
        206 => &["repr-digest"],
        _ => return None,
    };
    let digests = fields.iter();
    let digests = digests.filter_map(|name| announced(response.headers.get_all(name)));
    let older = announced_before(response.headers.get_all("digest"));
    let md5 = if response.status == 200 {
        response.headers.get("content-md5")
    } else {
        None
    };
    let digests = digests.chain(older).chain(md5.and_then(content_md5));
    digests.max_by_key(Digest::algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, &str)]) -> Response {
        let mut response = Response {
            status: 200,
            ..Response::default()
        };
        for (name, value) in fields {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    fn check(asked: &[&str]) -> Check {
        let asked = asked.iter().map(|text| text.parse().unwrap()).collect();
        Check::new(asked, None, Hashing::default())
    }

    const MD5: &str = "md5:900150983cd24fb0d6963f7d28e17f72";
    const SHA1: &str = "sha1:a9993e364706816aba3e25717850c26c9cd0d89d";
    const ANNOUNCED: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";

    #[test]
    fn all_that_was_asked_for_is_to_be_met() {
        for (asked, body, is_right) in [
            (&[MD5][..], "abc", true),
            (&[MD5, SHA1], "abc", true),
            (&[MD5, SHA1], "abd", false),
            (&[], "abd", true),
        ] {
            let mut check = check(asked);
            assert_eq!(check.begin(&answer(&[])).unwrap(), !asked.is_empty());
            check.written(body.as_bytes(), 3, || None);
            assert_eq!(check.finish(3).is_ok(), is_right, "{asked:?} {body}");
        }
    }

    #[test]
    fn a_fault_names_both_digests() {
        let mut check = check(&[MD5]);
        check.begin(&answer(&[])).unwrap();
        let fault = check.finish(0).unwrap_err().to_string();
        assert_eq!(
            fault,
            format!("the digest is md5:d41d8cd98f00b204e9800998ecf8427e, not {MD5} as asked for")
        );
    }

    #[test]
    fn what_the_server_announces_is_checked_and_may_be_retried() {
        for name in ["Repr-Digest", "Content-Digest"] {
            let mut check = check(&[]);
            assert!(check.begin(&answer(&[(name, ANNOUNCED)])).unwrap());
            check.written(b"abc", 3, || None);
            assert!(check.finish(3).is_ok());
            check.begin(&answer(&[(name, ANNOUNCED)])).unwrap();
            check.written(b"abd", 3, || None);
            let fault = check.finish(3).unwrap_err();
            assert!(fault.to_string().ends_with("as the server announced"));
        }
        let mut part = answer(&[("Content-Digest", ANNOUNCED)]);
        part.status = 206;
        assert_eq!(announcement(&part), None);
    }
}
