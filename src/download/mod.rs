//! Policy for one file: its name, its tries, and where its bytes are written. Knows nothing of sockets.
//!
//! A [`Download`] is the sink of its transfers: of each try, until the body is complete or the server says that the
//! file at the final name is current.

mod answer;
mod check;
mod coded;
pub mod division;
mod fragment;
mod hashing;
mod landing;
mod message;
mod mirror;
pub mod name;
mod names;
mod part;
mod patience;
mod range;
mod ranges;
mod retry;
mod segment;
mod spill;
pub mod state;
mod stored;
mod stream;
mod syncing;
mod tally;
mod template;
mod validators;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use url::Url;

use crate::error::{Fault, Malformed};
use crate::http::digest::{Algorithm, Pieces};
use crate::http::{ByteRange, Digest, Expected, Field, Response, disposition};
use crate::multi::Sink;
use check::Check;
use coded::Coded;
use fragment::Fragment;

pub use answer::{Promise, Refusal};
pub use check::{Checked, Repair};
pub use hashing::{Hashed, Hashing, TaskId};
pub use mirror::{Mirror, Record};
pub use names::Names;
pub use part::{Claim, Notice, Part, PartOptions, Placed, Reliability};
pub use patience::Patience;
pub use range::Asked;
pub use ranges::Ranges;
pub use retry::{Decision, Jitter, Retries, Retry, Tries, WORTH_A_TRY};
pub use segment::{Proof, Segment, SharedFile};
pub use state::{Source, State};
pub use stored::Stored;
pub use stream::Stream;
pub use syncing::Syncing;
pub use tally::{Found, Tally};
pub use template::Template;
pub use validators::Validators;

/// A body of at most this many bytes that arrives in one piece gets no part file.
const SMALL: u64 = 64 * 1024;

/// What to do when the final name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Exists {
    /// Keep it if it is known to be current; otherwise fetch it again and replace it.
    #[default]
    Verify,
    /// Keep it, whatever its contents.
    Skip,
    /// Fetch the file again and replace the existing one.
    Overwrite,
    /// Keep it, and give the new file another name.
    Rename,
    /// Count it as a failure.
    Error,
}

/// Where the bytes of a download are written.
#[derive(Debug)]
pub enum Body {
    /// To a file.
    File(Box<Part>),
    /// To a segment of a divided file.
    Segment(Segment),
    /// To standard output or a device.
    Stream(Stream),
    /// To memory: bodies that the run itself reads.
    Memory(Vec<u8>),
}

/// What proves that several servers send the same version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// A digest of the full file, which the user asked for.
    Digest,
    /// One strong entity tag that all of them send.
    Tag,
}

/// A file that is being fetched to its final name.
#[derive(Debug)]
pub struct Download {
    /// The record of the file at the final name: the request is conditional on a newer version.
    pub known: Option<Stored>,
    /// The server said that the file at the final name is current.
    pub is_unchanged: bool,
    /// Where the body is written.
    pub body: Body,
    /// The smallest segment that it may be divided into, in bytes; `None` if it must not be divided.
    pub least: Option<u64>,
    /// Whether the server may name the file by a header.
    pub takes_name: bool,
    /// Whether the URL that redirects lead to may name the file.
    pub takes_final_name: bool,
    /// What the user must know of the current response.
    notice: Option<Notice>,
    /// The name in that URL, of the current response.
    final_name: Option<String>,
    /// The request fields that offer content codings; `None` if bodies are stored as they are sent.
    offer: Option<Arc<[Field]>>,
    /// The largest size of the decoded body, in bytes.
    limit: Option<u64>,
    /// The fragment that `--range` asks for.
    fragment: Option<Box<Fragment>>,
    /// The decoder of this response's body, if it is coded.
    coded: Option<Box<Coded>>,
    /// The digests of the body, if any are checked or recorded.
    check: Option<Box<Check>>,
    /// The size of the file at the final name, if it was hashed.
    standing: Option<u64>,
    /// The threads that compute the digests.
    hashing: Hashing,
}

impl Download {
    /// A download to `body`. Its first request is unconditional.
    pub fn new(body: Body, hashing: &Hashing) -> Self {
        Self {
            known: None,
            is_unchanged: false,
            body,
            least: None,
            takes_name: false,
            takes_final_name: false,
            final_name: None,
            notice: None,
            offer: None,
            limit: None,
            fragment: None,
            coded: None,
            check: None,
            standing: None,
            hashing: hashing.clone(),
        }
    }

    /// Checks the body against all these digests, its size in bytes, and the digests of its pieces.
    pub fn expect(&mut self, asked: Vec<Expected>, size: Option<u64>, pieces: Option<Arc<Pieces>>) {
        if !asked.is_empty() || size.is_some() || pieces.is_some() {
            let check = Check::new(asked, size, self.hashing.clone());
            self.check = Some(Box::new(check.with_pieces(pieces)));
        }
    }

    /// Decodes content codings. The fields in `offer` are added to each request for the full file; a decoded body of
    /// more than `limit` bytes is an error.
    pub fn decode(&mut self, offer: Arc<[Field]>, limit: Option<u64>) {
        self.offer = Some(offer);
        self.limit = limit;
    }

    /// Whether content codings are decoded: then the received bytes can differ from those of the file.
    pub fn decodes(&self) -> bool {
        self.offer.is_some()
    }

    /// Fetches only a range of the resource, and stores it as a file.
    pub fn take_part(&mut self, range: ByteRange) {
        self.fragment = Some(Box::new(Fragment::new(range)));
    }

    /// Whether a response may name the file.
    pub fn is_named_by_server(&self) -> bool {
        self.takes_name || self.takes_final_name
    }

    /// Whether only a range of the resource is fetched.
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    /// How many decoded bytes are written, if the response is coded.
    pub fn decoded(&self) -> Option<u64> {
        self.coded.as_ref().map(|_| self.body.written())
    }

    /// The download of a segment of this file.
    #[must_use]
    pub fn share(&self, segment: Segment) -> Self {
        Self::new(Body::Segment(segment), &self.hashing)
    }

    /// Hands the missing ranges over to several transfers. Returns the segment of the current transfer and the written
    /// ranges; `None` if the body goes to no file, or its part file cannot be created or read for hashing.
    pub fn divide(&mut self) -> Option<(Segment, Ranges)> {
        let Body::File(part) = &mut self.body else {
            return None;
        };
        if part.is_same() {
            return None;
        }
        part.create_shared().ok()?;
        if let Some(check) = &mut self.check
            && !check.follow(part.written(), || part.reader())
        {
            return None;
        }
        part.divide().ok()
    }

    /// What proves that several servers send the same version of this file; without it their bytes are not combined.
    pub fn bond(&self) -> Option<Bond> {
        let Body::File(part) = &self.body else {
            return None;
        };
        if self.check.as_ref().is_some_and(|check| check.has_digest()) {
            return Some(Bond::Digest);
        }
        part.has_strong_tag().then_some(Bond::Tag)
    }

    /// Marks the body as mixed: only a digest can prove that its bytes, from several servers, belong to one version.
    pub fn set_mixed(&mut self) {
        if let Body::File(part) = &mut self.body {
            part.set_mixed();
        }
    }

    /// How many bytes are written from the first one on, without a gap.
    pub fn written(&self) -> u64 {
        self.body.written()
    }

    /// Whether any byte is written that the next try may resume from.
    pub fn has_bytes(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.has_bytes())
    }

    /// From now on the written bytes are continued under the validators of another server.
    pub fn rely_on(&mut self, validators: &Validators) {
        if let Body::File(part) = &mut self.body {
            part.rely_on(validators);
        }
    }

    /// Sets the ranges that the segments have written. The bytes before `settled` will not be overwritten, so they may
    /// be hashed.
    pub fn set_written(&mut self, done: &Ranges, settled: u64) {
        if let Body::File(part) = &mut self.body {
            part.set_written(done);
            if let Some(check) = &mut self.check {
                check.advance(settled.min(part.written()));
            }
        }
    }

    /// Computes the SHA-256 of the file, even if no check asks for it.
    pub fn record(&mut self) {
        let check = self
            .check
            .get_or_insert_with(|| Box::new(Check::new(Vec::new(), None, self.hashing.clone())));
        check.record(Algorithm::Sha256);
    }

    /// The size in bytes, SHA-256 and entity tag of a finished file, if [`record`](Self::record) asked for them.
    pub fn found(&self) -> Option<(u64, Digest, Option<String>)> {
        let check = self.check.as_ref()?;
        let mut digests = check.found().iter();
        let digest = digests.find(|digest| digest.algorithm() == Algorithm::Sha256)?;
        let etag = match (&self.known, &self.body) {
            (Some(known), _) if self.is_unchanged => known.etag(),
            (_, Body::File(part)) => part.etag(),
            _ => None,
        };
        let size = self.standing.unwrap_or_else(|| self.body.written());
        Some((size, *digest, etag.map(str::to_owned)))
    }

    /// Stores the size and digests of the file at the final name. They are its record if that file is kept.
    pub fn stands(&mut self, size: u64, digests: Vec<Digest>) {
        self.standing = Some(size);
        if let Some(check) = &mut self.check {
            check.stands(digests);
        }
    }

    /// Verifies a complete body. If its digests are not known yet, pass the task's result to [`Download::hashed`] and
    /// call this again.
    ///
    /// # Errors
    /// [`Fault::Digest`], [`Fault::Piece`], [`Fault::Size`] or [`Fault::PieceCount`]: it is not the expected file;
    /// [`Fault::Disk`]: it could not be read.
    pub fn verify(&mut self) -> Result<Checked, Fault> {
        if self.is_unchanged {
            // The file at the final name was verified before the request.
            return Ok(Checked::Right);
        }
        let size = self.body.written();
        self.check
            .as_mut()
            .map_or(Ok(Checked::Right), |check| check.finish(size))
    }

    /// Hashes another file that may have the expected digests. Returns `None` if there are none to compare.
    pub fn hash(&self, file: File) -> Option<TaskId> {
        self.check.as_ref().map(|check| check.hash(file))
    }

    /// Whether these are the expected digests.
    pub fn is_met_by(&self, found: &Found) -> bool {
        self.check
            .as_ref()
            .is_some_and(|check| check.is_met_by(found))
    }

    /// Stores the digests that a task has computed.
    pub fn hashed(&mut self, hashed: Hashed) {
        if let Some(check) = &mut self.check {
            check.answer(hashed);
        }
    }

    /// Restarts the digest of a resumed body: a thread reads the bytes before `settled`, because later bytes may still
    /// be overwritten, and then follows new writes. Does nothing if no digest is expected.
    fn resume_check(&mut self, response: &Response, settled: u64) {
        let announced = check::announcement(response);
        self.check = self.check.take().filter(|check| check.is_asked());
        if self.check.is_none() && announced.is_some() {
            self.check = Some(Box::new(Check::new(Vec::new(), None, self.hashing.clone())));
        }
        if let (Some(check), Body::File(part)) = (&mut self.check, &self.body) {
            check.resume(settled.min(part.written()), announced, part.reader());
        }
    }

    /// Sets the ranges that the segments have written, after those from `at` on have turned out to be damaged.
    pub fn spoil(&mut self, done: &Ranges, at: u64) {
        if let Body::File(part) = &mut self.body {
            part.set_written(done);
            part.unclaim();
            if let Some(check) = &mut self.check {
                check.reread(at, part.written(), || part.reader());
            }
        }
    }

    /// Starts the digests of a response's body, if any are expected.
    fn begin_check(&mut self, response: &Response) -> Result<(), Fault> {
        self.standing = None;
        if self.check.is_none() && check::announcement(response).is_some() {
            let check = Check::new(Vec::new(), None, self.hashing.clone());
            self.check = Some(Box::new(check));
        }
        if let Some(check) = &mut self.check
            && !check.begin(response)?
        {
            self.check = None;
        }
        Ok(())
    }

    /// The fields of the next request: a range for the missing bytes, or a condition that only a newer version meets.
    pub fn ask(&mut self) -> Vec<Field> {
        // A failed try's result is not reused: the next response may differ.
        self.is_unchanged = false;
        let part = match &mut self.body {
            Body::File(part) => part.ask(),
            Body::Segment(segment) => segment.ask(),
            Body::Stream(_) | Body::Memory(_) => Vec::new(),
        };
        if let Some(fragment) = &self.fragment {
            return fragment.ask(part, self.asks_part().then(|| self.start()));
        }
        let mut fields = match &self.known {
            Some(known) if part.is_empty() => known.condition(),
            _ => part,
        };
        // A range of a coded body cannot be decoded alone, so a range request offers no codings.
        if let Some(offer) = &self.offer
            && !self.asks_part()
        {
            fields.extend_from_slice(offer);
        }
        fields
    }

    /// Whether this try requests a range, and not the full file.
    pub fn asks_part(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.has_asked())
    }

    /// The offset of the first byte that this try requests.
    pub fn start(&self) -> u64 {
        match &self.body {
            Body::File(part) => part.start(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => 0,
        }
    }

    /// Writes the state that another run needs to resume; `url` is the source of the body.
    pub fn save(&mut self, url: &Url) {
        if let Body::File(part) = &mut self.body {
            part.save(url);
        }
    }

    /// Writes the state that another run needs to resume, after the last try.
    pub fn leave(&mut self, url: &Url) {
        if let Body::File(part) = &mut self.body {
            part.leave(url);
        }
    }

    /// Whether a large part of the body is written, and has no state that another run could resume from.
    pub fn lacks_state(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.lacks_state())
    }

    /// The message for the user; it is returned once.
    pub fn take_notice(&mut self) -> Option<Notice> {
        let of_part = match &mut self.body {
            Body::File(part) => part.take_notice(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => None,
        };
        of_part.or_else(|| self.notice.take())
    }

    /// Counts the wrong pieces as missing, so that the next try requests them. If the current URL has any `mirrors`,
    /// the next try goes to one.
    pub fn repair(&mut self, mirrors: usize) -> Repair {
        let (Some(check), Body::File(part)) = (&mut self.check, &mut self.body) else {
            return Repair::Impossible;
        };
        let (repair, wrong) = check.repair(mirrors + 1);
        if repair == Repair::Impossible
            || part.count_as_missing(&wrong, mirrors > 0 && repair == Repair::Again)
        {
            repair
        } else {
            Repair::Impossible
        }
    }

    /// Whether the requested range is complete, and more of the file is missing.
    pub fn has_more(&mut self) -> bool {
        match &mut self.body {
            Body::File(part) => part.has_more(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// The fault of a body after a complete response: it is too short, or its coding is damaged.
    pub fn missing(&mut self) -> Option<Fault> {
        if self.is_unchanged {
            // The response has no body: the existing file is the right one.
            return None;
        }
        if let Some(coded) = &mut self.coded {
            return coded.finish().err();
        }
        if let Some(size) = self.fragment.as_ref().and_then(|fragment| fragment.size())
            && self.body.written() < size
        {
            return Some(Fault::Truncated {
                received: self.body.written(),
                expected: Some(size),
            });
        }
        match &mut self.body {
            Body::File(part) => part.missing(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => None,
        }
    }

    /// The server has no bytes behind the written ones: whether these are all of a file of `size` bytes, which must
    /// then be verified.
    ///
    /// # Errors
    /// [`Fault::Disk`] and [`Fault::BadRange`]: the part file cannot be opened, or has changed.
    pub fn is_all(&mut self, size: Option<u64>) -> Result<bool, Fault> {
        let Body::File(part) = &mut self.body else {
            return Ok(false);
        };
        if !part.is_all(size) {
            return Ok(false);
        }
        if part.is_foreign() {
            // It has the final name. If there is a check, the file was hashed before and did not match.
            self.is_unchanged = self.check.is_none();
            return Ok(self.is_unchanged);
        }
        part.open()?;
        self.resume_check(&Response::default(), u64::MAX);
        Ok(true)
    }

    /// Discards a body that is not the expected one. Returns whether an earlier run may be the cause, and not the
    /// server.
    pub fn discard(&mut self) -> bool {
        match &mut self.body {
            Body::File(part) => part.discard(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Removes the part file and the state file, because the file at the final name is kept.
    pub fn put_away(&mut self) {
        if let Body::File(part) = &mut self.body
            && !part.is_foreign()
        {
            part.put_away();
        }
    }

    /// Takes over what is known of the server of the next try. Returns what was learnt of the present one.
    pub fn turn_to_another(&mut self, next: Reliability) -> Reliability {
        match &mut self.body {
            Body::File(part) => part.turn_to_another(next),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => Reliability::default(),
        }
    }

    /// Requests the full file from the present server from now on, because it refused a range. Returns false if that
    /// was done before, or no range was requested.
    pub fn refuse_ranges(&mut self) -> bool {
        match &mut self.body {
            Body::File(part) => part.refuse_ranges(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Whether the present server has sent bytes of the file.
    pub fn server_has_sent(&self) -> bool {
        match &self.body {
            Body::File(part) => part.server_has_sent(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Decides after failures of range requests what is requested next. `may_probe` allows a request for the full
    /// file, which shows whether only ranges fail. If one has shown that, the full file is requested from now on.
    pub fn suspect_ranges(&mut self, may_probe: bool) {
        if let Body::File(part) = &mut self.body {
            part.suspect_ranges(may_probe);
        }
    }

    /// Whether the response was to a request that only shows whether the full file is available.
    pub fn was_probed(&self) -> bool {
        match &self.body {
            Body::File(part) => part.was_probed(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Decides after a response that does not continue the written bytes whether the full file may be requested.
    pub fn may_start_over(&mut self, fault: &Fault) -> bool {
        match &mut self.body {
            Body::File(part) => part.may_start_over(fault),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Checks that a body of `size` bytes is within its limit.
    fn bound(&self, size: u64) -> Result<(), Fault> {
        if let Some(limit) = self.limit.filter(|limit| size > *limit) {
            return Err(Fault::TooLarge { limit });
        }
        let fragment = self.fragment.as_ref().and_then(|fragment| fragment.size());
        if fragment.is_some_and(|most| size > most) {
            return Err(Malformed::OtherRange.into());
        }
        Ok(())
    }

    /// Accepts the head of a response with the requested part of the file.
    fn partial_head(&mut self, response: &Response, given: Option<String>) -> Result<(), Fault> {
        let Body::File(part) = &mut self.body else {
            return Err(Malformed::Unasked(response.status).into());
        };
        part.append(response)?;
        if given.is_some() {
            part.note_given_name(given);
        }
        part.decide_divisible(response, self.least);
        let (size, start) = (part.size(), part.start());
        self.resume_check(response, start);
        match (&self.check, size) {
            (Some(check), Some(size)) => check.measure(size),
            _ => Ok(()),
        }
    }

    /// Checks that a response has the full file, and that its body is needed. `asks_part` says that a range was
    /// requested.
    fn check_full(&mut self, response: &Response, asks_part: bool) -> Result<(), Fault> {
        if let Body::File(part) = &mut self.body {
            if part.is_broken_by(response) {
                return Err(Fault::WebPage);
            }
            if asks_part {
                return part.is_whole(response);
            }
            if part.ends_probe() {
                return Err(Fault::BadRange("the full file is available"));
            }
        }
        if is_unasked(response, &self.body) {
            return Err(Malformed::Unasked(response.status).into());
        }
        Ok(())
    }

    /// Accepts the head of a response with the full file.
    fn full_head(&mut self, response: &Response, given: Option<String>) -> Result<(), Fault> {
        let name = match &self.body {
            Body::File(part) => given
                .as_deref()
                .map_or(Some(part.name()), |given| Some(OsStr::new(given))),
            _ => None,
        };
        let is_archive = coded::is_archive(response, name);
        if self.decodes() && !is_archive {
            self.coded = Coded::of(response)?;
        } else if !self.decodes() && !is_archive {
            self.notice = unasked_coding(response);
        }
        if self.coded.is_none() {
            self.bound(response.content_length().unwrap_or(0))?;
        }
        match &mut self.body {
            Body::File(part) => {
                part.begin(response, self.coded.is_some())?;
                part.note_given_name(given);
                part.decide_divisible(response, self.least);
            }
            Body::Segment(_) | Body::Stream(_) => {}
            Body::Memory(bytes) => bytes.clear(),
        }
        match self.coded {
            // The digests and lengths in the head are those of the coded body.
            Some(_) => self.begin_check(&Response::default()),
            None => self.begin_check(response),
        }
    }

    /// Accepts the head of a response to a request for the fragment, or for the rest of it.
    fn fragment_head(&mut self, fragment: &mut Fragment, response: &Response) -> Result<(), Fault> {
        // Fields that describe the full file, such as its digest, do not apply to the fragment.
        let mut own = Response {
            status: 200,
            ..Response::default()
        };
        let given = self.given_name(response);
        match &mut self.body {
            Body::File(part) if part.has_asked() => {
                part.append(&fragment.go_on(response)?)?;
                let start = part.start();
                self.resume_check(&own, start);
                return Ok(());
            }
            Body::File(part) => {
                fragment.begin(response)?;
                part.begin_fragment(response, fragment.size())?;
                part.note_given_name(given);
            }
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => {
                fragment.begin(response)?;
                for digest in response.headers.get_all("content-digest") {
                    own.headers.push(b"Content-Digest", digest);
                }
            }
        }
        self.begin_check(&own)
    }

    /// Writes the next bytes of the body, after decoding.
    fn land(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bound(self.body.written().saturating_add(bytes.len() as u64))?;
        match &mut self.body {
            Body::File(part) => part.write(bytes)?,
            Body::Segment(segment) => segment.write(bytes)?,
            Body::Stream(out) => out.write(bytes)?,
            Body::Memory(held) => held.extend_from_slice(bytes),
        }
        if let Some(check) = &mut self.check {
            let body = &self.body;
            check.written(bytes, body.written(), || body.reader());
        }
        Ok(())
    }

    /// The name that a response gives the file, if the server may name it.
    fn given_name(&mut self, response: &Response) -> Option<String> {
        let final_name = self.final_name.take();
        let given = if self.takes_name {
            given_name(response)
        } else {
            None
        };
        given.or(final_name)
    }

    /// Whether another try can still produce a correct body.
    pub fn can_start_over(&self) -> bool {
        match &self.body {
            Body::File(_) | Body::Segment(_) | Body::Memory(_) => true,
            Body::Stream(out) => !out.has_written(),
        }
    }
}

/// Whether a response does not fit a request for the full file. A 206 with the range of the full file does fit: some
/// servers send it, and all clients accept it.
fn is_unasked(response: &Response, body: &Body) -> bool {
    match response.status {
        // Only a file is checked against the size of the range.
        206 if response.content_length().is_none() && !matches!(body, Body::File(_)) => true,
        206 => full_range(response).is_none(),
        status => status >= 300,
    }
}

/// The size of the file if a 206 has its full range, and the response has that length. Without Content-Length, chunks
/// or the stream must show where the body ends.
fn full_range(response: &Response) -> Option<u64> {
    let range = response.content_range()?;
    let size = range.total?;
    let is_full = range.first == 0 && size == range.last + 1;
    let has_length = match response.content_length() {
        Some(length) => length == size,
        None => !response.ends_with_connection(),
    };
    (response.status == 206 && is_full && has_length).then_some(size)
}

/// A warning that the body is stored in a coded form, if it is.
fn unasked_coding(response: &Response) -> Option<Notice> {
    let coding = Validators::coding_of(response)?;
    let coding = coding.escape_default();
    let what =
        format!("it is stored compressed, as it was sent ({coding}) without being asked for");
    Some(Notice::Warning(what.into()))
}

/// The file name in a response's Content-Disposition, made safe.
fn given_name(response: &Response) -> Option<String> {
    let given = response.headers.get("content-disposition")?;
    let given = disposition::file_name(given)?;
    Some(name::safe(last_component(&given)))
}

/// The last component of a path that a server gives as a name, in the syntax of any system (RFC 6266 §4.3).
fn last_component(path: &str) -> &str {
    let mut components = path.rsplit(['/', '\\']);
    components
        .find(|component| !component.is_empty())
        .unwrap_or(path)
}

impl Body {
    /// How many bytes are written.
    fn written(&self) -> u64 {
        match self {
            Self::File(part) => part.written(),
            Self::Segment(segment) => segment.at(),
            Self::Stream(stream) => stream.written(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The written bytes as a file to be read; `None` if there is no file.
    fn reader(&self) -> Option<Arc<File>> {
        match self {
            Self::File(part) => part.reader(),
            Self::Segment(_) | Self::Stream(_) | Self::Memory(_) => None,
        }
    }
}

impl Sink for Download {
    fn redirected(&mut self, url: &Url) {
        self.final_name = self.takes_final_name.then(|| name::from_url(url));
    }

    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        if let Some(fault) = answer::without_file(response) {
            return Err(fault);
        }
        if let Body::Segment(segment) = &mut self.body {
            return segment.head(response);
        }
        if let Some(mut fragment) = self.fragment.take() {
            let result = self.fragment_head(&mut fragment, response);
            self.fragment = Some(fragment);
            return result;
        }
        self.coded = None;
        let asks_part = self.asks_part();
        if !asks_part
            && let Some(known) = &self.known
            && (response.status == 304 || response.status == 200 && known.is_still(response, SMALL))
        {
            self.is_unchanged = true;
            return Ok(());
        }
        let given = self.given_name(response);
        if response.status == 206 && asks_part {
            return self.partial_head(response, given);
        }
        self.check_full(response, asks_part)?;
        self.full_head(response, given)
    }

    fn wanted(&self) -> Option<u64> {
        match &self.body {
            Body::Segment(segment) => segment.wanted(),
            // A response that holds the file at the final name again needs no body.
            Body::File(_) if self.is_unchanged => Some(0),
            Body::File(_) | Body::Stream(_) | Body::Memory(_) => None,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(mut coded) = self.coded.take() else {
            return self.land(bytes);
        };
        let result = coded.decode(bytes, &mut |decoded| self.land(decoded));
        self.coded = Some(coded);
        result
    }

    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        match &mut self.body {
            _ if self.coded.is_some() => Ok(None),
            Body::Stream(_) | Body::Memory(_) => Ok(None),
            Body::Segment(segment) => segment.target(),
            Body::File(part) => {
                if part.has_message() {
                    return Ok(None);
                }
                part.target()?;
                let check = self.check.as_mut();
                if check.is_some_and(|check| !check.follow(part.written(), || part.reader())) {
                    return Ok(None);
                }
                part.target().map(Some)
            }
        }
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        match &mut self.body {
            Body::File(part) => part.moved(result)?,
            Body::Segment(segment) => segment.moved(result)?,
            Body::Stream(_) | Body::Memory(_) => {}
        }
        if let Some(check) = &mut self.check {
            check.advance(self.body.written());
        }
        self.bound(self.body.written())
    }
}
