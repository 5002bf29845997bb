//! Whether a body is the one that was promised: its digests, computed while it comes.
//!
//! A small body, or one that is not kept, is hashed as it passes. Of a larger one threads hash what is written, behind whoever
//! writes it: see `hashing`.

use std::fs::File;
use std::io;

use super::hashing::{Hashed, Hashing, TaskId};
use crate::error::Fault;
use crate::http::digest::{Algorithm, Hashers, announced};
use crate::http::{Digest, Expected, Response};

/// Beyond this many bytes a file's digest is left to the threads.
const SMALL: u64 = 1 << 20;

/// The threads are told of the next bytes when there are so many.
const STEP: u64 = 1 << 20;

/// The digests of one download.
#[derive(Debug)]
pub(super) struct Check {
    /// What was asked for: all of it is to be met.
    asked: Vec<Expected>,
    /// How large the body is to be, in bytes.
    size: Option<u64>,
    /// What the server announced in the present answer.
    announced: Option<Digest>,
    /// The digest that is computed although nothing asks for it, and all that were.
    recorded: Option<Algorithm>,
    found: Vec<Digest>,
    hashing: Hashing,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The bytes that passed were hashed.
    Passing(Hashers),
    /// A thread follows what is written, and was told to come so far.
    Followed(TaskId, u64),
    /// All is hashed.
    Done(Hashed),
}

/// How a check stands when the body is whole.
#[derive(Debug)]
pub enum Checked {
    /// It is what was promised, as far as anything was.
    Right,
    /// The digests are not known yet: the task will be answered.
    Waits(TaskId),
}

impl Check {
    /// A check of what was asked for.
    pub(super) fn new(asked: Vec<Expected>, size: Option<u64>, hashing: Hashing) -> Self {
        Self {
            asked,
            size,
            announced: None,
            recorded: None,
            found: Vec::new(),
            hashing,
            state: State::Done(Ok(Vec::new())),
        }
    }

    /// Computes a digest although nothing asks for it.
    pub(super) fn record(&mut self, algorithm: Algorithm) {
        self.recorded = Some(algorithm);
    }

    /// The digests of the whole body, once it was judged, or of the file that is kept in its place.
    pub(super) fn found(&self) -> &[Digest] {
        &self.found
    }

    /// The digests of the file that stands there, which may be kept.
    pub(super) fn stands(&mut self, digests: Vec<Digest>) {
        self.found = digests;
    }

    /// What is computed of any file.
    fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let asked = self.asked.iter().map(Expected::algorithm);
        asked.chain(self.recorded)
    }

    /// Has another file hashed that may be the one asked for.
    pub(super) fn hash(&self, file: File) -> TaskId {
        let hashers = Hashers::new(self.algorithms());
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let task = self.hashing.follow(file, hashers, 0);
        self.hashing.finish(task, size);
        task
    }

    /// Whether a file's digests are all that was asked for.
    pub(super) fn is_met_by(&self, found: &[Digest]) -> bool {
        !self.asked.is_empty() && judge(&self.asked, found).is_ok()
    }

    /// Begins anew for an answer; false if it needs no check at all.
    ///
    /// # Errors
    /// [`Fault::Size`]: the body will be larger or smaller than it was to be.
    pub(super) fn begin(&mut self, response: &Response) -> Result<bool, Fault> {
        self.forget();
        if let Some(found) = response.content_length() {
            self.measure(found)?;
        }
        self.announced = announcement(response);
        let announced = self.announced.as_ref().map(Digest::algorithm);
        self.state = State::Passing(Hashers::new(self.algorithms().chain(announced)));
        Ok(self.announced.is_some() || self.is_asked())
    }

    /// Whether a body of so many bytes is as large as it was to be.
    fn measure(&self, found: u64) -> Result<(), Fault> {
        match self.size {
            Some(expected) if expected != found => Err(Fault::Size { expected, found }),
            _ => Ok(()),
        }
    }

    /// Begins anew for a body of which `frontier` bytes are there already: a thread reads them, and follows what comes behind.
    pub(super) fn resume(&mut self, frontier: u64, file: Option<io::Result<File>>) {
        self.forget();
        self.announced = None;
        let hashers = Hashers::new(self.algorithms());
        if hashers.is_empty() {
            self.state = State::Passing(hashers);
            return;
        }
        let file = file.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        self.state = match file {
            Ok(file) => {
                let task = self.hashing.follow(file, hashers, 0);
                self.hashing.advance(task, frontier);
                State::Followed(task, frontier)
            }
            Err(error) => State::Done(Err(error)),
        };
    }

    /// Whether anything was asked for, and not only announced.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty() || self.size.is_some() || self.recorded.is_some()
    }

    /// These bytes were written, up to `frontier`. `file` gives the file to be read by others, if it can be.
    pub(super) fn written(
        &mut self,
        bytes: &[u8],
        frontier: u64,
        file: impl FnOnce() -> Option<io::Result<File>>,
    ) {
        match &mut self.state {
            State::Passing(hashers) => {
                hashers.update(bytes);
                if frontier > SMALL && !hashers.is_empty() {
                    self.follow(frontier, file);
                }
            }
            State::Followed(..) => self.advance(frontier),
            State::Done(_) => {}
        }
    }

    /// The next bytes are moved to the file without being seen: a thread is to read them there. `frontier` bytes were written so far.
    ///
    /// Whether that can be done: without it the bytes have to pass.
    pub(super) fn follow(
        &mut self,
        frontier: u64,
        file: impl FnOnce() -> Option<io::Result<File>>,
    ) -> bool {
        let State::Passing(hashers) = &mut self.state else {
            return true;
        };
        if hashers.is_empty() {
            return true;
        }
        let Some(Ok(file)) = file() else {
            return false;
        };
        let hashers = std::mem::replace(hashers, Hashers::new([]));
        let task = self.hashing.follow(file, hashers, frontier);
        self.state = State::Followed(task, frontier);
        true
    }

    /// The file has been written up to `frontier`.
    pub(super) fn advance(&mut self, frontier: u64) {
        if let State::Followed(task, told) = &mut self.state
            && frontier >= *told + STEP
        {
            *told = frontier;
            self.hashing.advance(*task, frontier);
        }
    }

    /// The body is whole, `size` bytes of it: how it stands.
    ///
    /// # Errors
    /// [`Fault::Digest`] or [`Fault::Size`]: it is not what was promised.
    pub(super) fn finish(&mut self, size: u64) -> Result<Checked, Fault> {
        self.measure(size)?;
        if let State::Followed(task, _) = self.state {
            self.hashing.finish(task, size);
            return Ok(Checked::Waits(task));
        }
        let state = std::mem::replace(&mut self.state, State::Done(Ok(Vec::new())));
        match state {
            State::Passing(hashers) => self.judge(hashers.finish()),
            State::Done(Ok(digests)) => self.judge(digests),
            State::Done(Err(source)) => Err(Fault::Disk {
                verb: "read back",
                path: "the partial file".into(),
                source,
            }),
            State::Followed(..) => Ok(Checked::Right),
        }
    }

    /// The thread's answer has come.
    pub(super) fn answer(&mut self, hashed: Hashed) {
        self.state = State::Done(hashed);
    }

    fn judge(&mut self, found: Vec<Digest>) -> Result<Checked, Fault> {
        judge(&self.asked, &found)?;
        if let Some(announced) = self.announced {
            meet(&announced.into(), &found, true)?;
        }
        self.found = found;
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

/// Whether a file's digests are all that was asked for.
fn judge(asked: &[Expected], found: &[Digest]) -> Result<(), Fault> {
    asked
        .iter()
        .try_for_each(|expected| meet(expected, found, false))
}

fn meet(expected: &Expected, found: &[Digest], is_announced: bool) -> Result<(), Fault> {
    let is_same = |digest: &&Digest| digest.algorithm() == expected.algorithm();
    match found.iter().find(is_same) {
        Some(digest) if expected.is_met_by(digest) => Ok(()),
        digest => Err(Fault::Digest {
            expected: expected.to_string(),
            found: digest.map(ToString::to_string).unwrap_or_default(),
            is_announced,
        }),
    }
}

/// What an answer says of the digest of its body. Where nothing is decoded the body is the representation, and a whole one the content too
/// (RFC 9530 §2 and §3).
pub(super) fn announcement(response: &Response) -> Option<Digest> {
    if response.status != 200 {
        return None;
    }
    let fields = ["repr-digest", "content-digest"];
    let digests = fields.into_iter().filter_map(|name| {
        let value = response.headers.get(name)?;
        announced(value)
    });
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
