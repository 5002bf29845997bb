//! Policy for one file: its name, its tries, where its bytes land. Knows nothing of sockets.
//!
//! A [`Download`] is the sink of its own transfers: of each try, until the body is whole, or the
//! server says that the file which stands at the final name is still the same.

mod check;
mod coded;
mod fragment;
mod hashing;
mod message;
mod mirrors;
pub mod name;
mod names;
mod part;
pub mod plan;
mod ramp;
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

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use url::Url;

use crate::error::{Fault, Malformed};
use crate::http::digest::{Algorithm, Pieces};
use crate::http::{ByteRange, ContentRange, Digest, Expected, Field, Response, disposition};
use crate::multi::Sink;
use check::Check;
use coded::Coded;
use fragment::Fragment;

pub use check::{Checked, Repair};
pub use hashing::{Hashed, Hashing, TaskId};
pub use mirrors::Mirrors;
pub use names::Names;
pub use part::{Claim, Notice, Part, PartOptions, Placed};
pub use plan::Plan;
pub use ramp::Ramp;
pub use range::Asked;
pub use ranges::Ranges;
pub use retry::{Decision, Jitter, Retry, Tries, WORTH_A_TRY};
pub use segment::{Proof, Segment, Whole};
pub use state::{Source, State};
pub use stored::Stored;
pub use stream::Stream;
pub use syncing::Syncing;
pub use tally::{Found, Tally};
pub use template::Template;
pub use validators::Validators;

/// A body of at most this many bytes that comes in one piece goes the short way.
const SMALL: u64 = 64 * 1024;

/// What to do when the final name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Exists {
    /// Keep it when it is known to be the same; else fetch it anew and replace it.
    #[default]
    Verify,
    /// Keep it, whatever it holds.
    Skip,
    /// Fetch it anew and replace it.
    Overwrite,
    /// Keep it, and give the new file another name.
    Rename,
    /// Count it as a failure.
    Error,
}

/// Where the bytes of a download land.
#[derive(Debug)]
pub enum Body {
    /// In a file.
    File(Box<Part>),
    /// In a part of a file that others bring too.
    Segment(Segment),
    /// On standard output, or a device.
    Stream(Stream),
    /// In memory: what the run itself needs to read.
    Memory(Vec<u8>),
}

/// What holds the bytes of several servers to one version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// A digest of the whole, that was asked for.
    Digest,
    /// The same strong entity tag at each of them.
    Tag,
}

/// One file on its way to its final name.
#[derive(Debug)]
pub struct Download {
    /// What is known of the file that stands at the final name: the server is asked for another only.
    pub known: Option<Stored>,
    /// The server said that there is no other.
    pub is_unchanged: bool,
    /// Where it lands.
    pub body: Body,
    /// The smallest share that it may be divided into, in bytes; none if it is not to be divided.
    pub least: Option<u64>,
    /// Whether the server may name the file.
    pub takes_name: bool,
    /// The request fields that offer codings to undo; `None` where bodies land as they are sent.
    offer: Option<Arc<[Field]>>,
    /// The most bytes that it may have, where what comes is not what lands.
    limit: Option<u64>,
    /// The part that alone is wanted.
    fragment: Option<Box<Fragment>>,
    /// The codings of the present answer, which are undone.
    coded: Option<Box<Coded>>,
    /// Its digests, where there are any to check.
    check: Option<Box<Check>>,
    /// The size of the file that stands at the final name, where it was hashed.
    standing: Option<u64>,
    /// Who computes them.
    hashing: Hashing,
}

impl Download {
    /// A download to `body`, to be fetched without asking first.
    pub fn new(body: Body, hashing: &Hashing) -> Self {
        Self {
            known: None,
            is_unchanged: false,
            body,
            least: None,
            takes_name: false,
            offer: None,
            limit: None,
            fragment: None,
            coded: None,
            check: None,
            standing: None,
            hashing: hashing.clone(),
        }
    }

    /// Has it checked by all these digests, by its size in bytes, and by those of its pieces.
    pub fn expect(&mut self, asked: Vec<Expected>, size: Option<u64>, pieces: Option<Arc<Pieces>>) {
        if !asked.is_empty() || size.is_some() || pieces.is_some() {
            let check = Check::new(asked, size, self.hashing.clone());
            self.check = Some(Box::new(check.with_pieces(pieces)));
        }
    }

    /// Has codings undone, which these request fields offer to the server whenever the whole is asked
    /// for; of what is decoded, so many bytes are taken at most.
    pub fn decode(&mut self, offer: Arc<[Field]>, limit: Option<u64>) {
        self.offer = Some(offer);
        self.limit = limit;
    }

    /// Whether codings are undone: then the bytes that come may not be those that count.
    pub fn decodes(&self) -> bool {
        self.offer.is_some()
    }

    /// Has a part alone of what the URL names fetched, as a file of its own.
    pub fn take_part(&mut self, range: ByteRange) {
        self.fragment = Some(Box::new(Fragment::new(range)));
    }

    /// Whether it is a part alone of what the URL names.
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    /// Bytes of the file so far, where it is decoded from what comes.
    pub fn decoded(&self) -> Option<u64> {
        self.coded.as_ref().map(|_| self.body.written())
    }

    /// The download of a share of the same file.
    #[must_use]
    pub fn share(&self, segment: Segment) -> Self {
        Self::new(Body::Segment(segment), &self.hashing)
    }

    /// Hands what is missing over to several transfers: gives the share of the one under way, and
    /// what is there. `None` where the file cannot be made, or not be read by whoever is to hash
    /// it, or there is none.
    pub fn divide(&mut self) -> Option<(Segment, Ranges)> {
        let Body::File(part) = &mut self.body else {
            return None;
        };
        part.create_shared().ok()?;
        if let Some(check) = &mut self.check
            && !check.follow(part.written(), || part.reader())
        {
            return None;
        }
        part.divide().ok()
    }

    /// What would hold the bytes of several servers to one version of the file: without it they are not put together.
    pub fn bond(&self) -> Option<Bond> {
        let Body::File(part) = &self.body else {
            return None;
        };
        if self.check.as_ref().is_some_and(|check| check.has_digest()) {
            return Some(Bond::Digest);
        }
        part.has_strong_tag().then_some(Bond::Tag)
    }

    /// Some of what is there came from servers whose versions only a digest shows to be the same.
    pub fn set_mixed(&mut self) {
        if let Body::File(part) = &mut self.body {
            part.set_mixed();
        }
    }

    /// Whether anything of it has come that the next try may go on with.
    pub fn has_bytes(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.has_bytes())
    }

    /// Another server, which says this of its version, is to prove what is there from now on.
    pub fn rely_on(&mut self, validators: &Validators) {
        if let Body::File(part) = &mut self.body {
            part.rely_on(validators);
        }
    }

    /// Takes note of what the transfers have brought. Nobody writes again what is before `settled`,
    /// so that it may be hashed.
    pub fn set_written(&mut self, done: &Ranges, settled: u64) {
        if let Body::File(part) = &mut self.body {
            part.set_written(done);
            if let Some(check) = &mut self.check {
                check.advance(settled.min(part.written()));
            }
        }
    }

    /// Has its SHA-256 known, whether that was asked for or not.
    pub fn record(&mut self) {
        let new = || Box::new(Check::new(Vec::new(), None, self.hashing.clone()));
        let check = self.check.get_or_insert_with(new);
        check.record(Algorithm::Sha256);
    }

    /// The size in bytes, SHA-256 and entity tag of a file that is done with, where all that was to be recorded.
    pub fn found(&self) -> Option<(u64, Digest, Option<String>)> {
        let check = self.check.as_ref()?;
        let is_sha256 = |digest: &&Digest| digest.algorithm() == Algorithm::Sha256;
        let digest = check.found().iter().find(is_sha256)?;
        let known = self.known.as_ref().filter(|_| self.is_unchanged);
        let etag = match (&self.body, known) {
            (_, Some(known)) => known.etag(),
            (Body::File(part), None) => part.etag(),
            _ => None,
        };
        let size = self.standing.unwrap_or_else(|| self.body.written());
        Some((size, *digest, etag.map(str::to_owned)))
    }

    /// The file that stands at the final name has this size and these digests; should it be kept,
    /// that is what is known of it.
    pub fn stands(&mut self, size: u64, digests: Vec<Digest>) {
        self.standing = Some(size);
        if let Some(check) = &mut self.check {
            check.stands(digests);
        }
    }

    /// Whether the body, which is whole, is what it was to be. Where its digests are not known yet,
    /// [`Download::hashed`] is to be called with the task's answer, and then this again.
    ///
    /// # Errors
    /// [`Fault::Digest`], [`Fault::Piece`], [`Fault::Size`] or [`Fault::PieceCount`]: it is
    /// another; [`Fault::Disk`]: it could not be read.
    pub fn verify(&mut self) -> Result<Checked, Fault> {
        if self.is_unchanged {
            // What stands there was looked at before it was asked about.
            return Ok(Checked::Right);
        }
        let size = self.body.written();
        self.check
            .as_mut()
            .map_or(Ok(Checked::Right), |check| check.finish(size))
    }

    /// Has another file hashed that may have the digests asked for. Without any it is not that file.
    pub fn hash(&self, file: File) -> Option<TaskId> {
        self.check.as_ref().map(|check| check.hash(file))
    }

    /// Whether these are the digests asked for.
    pub fn is_met_by(&self, found: &Found) -> bool {
        self.check
            .as_ref()
            .is_some_and(|check| check.is_met_by(found))
    }

    /// The digests are known.
    pub fn hashed(&mut self, hashed: Hashed) {
        if let Some(check) = &mut self.check {
            check.answer(hashed);
        }
    }

    /// Has what is there of a body hashed up to `settled`, from where on an answer may write it
    /// again, and what comes behind it, if anything says what the digest of the whole is to be.
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

    /// Takes note of what the transfers have brought, but for some of it, from `at` on, that is not
    /// what it was said to be.
    pub fn spoil(&mut self, done: &Ranges, at: u64) {
        if let Body::File(part) = &mut self.body {
            part.set_written(done);
            part.unclaim();
            if let Some(check) = &mut self.check {
                check.reread(at, part.written(), || part.reader());
            }
        }
    }

    /// Has the body of an answer hashed, if anything says what its digest is to be.
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

    /// The request fields for the next try: for what is missing, or for another version than the one that is known.
    pub fn ask(&mut self) -> Vec<Field> {
        // What a try has been told that failed all the same, the next may be told otherwise.
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
        // A part of a coded form fits no file: a request for one offers nothing.
        if let Some(offer) = self.offer.as_ref().filter(|_| !self.asks_part()) {
            fields.extend_from_slice(offer);
        }
        fields
    }

    /// Whether the present try asks for what is missing, and not for the whole.
    pub fn asks_part(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.has_asked())
    }

    /// The offset of the first byte that the present try brings.
    pub fn start(&self) -> u64 {
        match &self.body {
            Body::File(part) => part.start(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => 0,
        }
    }

    /// Writes down what another run needs to go on; `url` is where the body comes from.
    pub fn save(&mut self, url: &Url) {
        if let Body::File(part) = &mut self.body {
            part.save(url);
        }
    }

    /// Writes down what another run needs to go on, now that no try brings any more of it.
    pub fn leave(&mut self, url: &Url) {
        if let Body::File(part) = &mut self.body {
            part.leave(url);
        }
    }

    /// Whether much of it is there, and another run could not go on with any.
    pub fn lacks_state(&self) -> bool {
        matches!(&self.body, Body::File(part) if part.lacks_state())
    }

    /// What the user has to know of it, once.
    pub fn take_notice(&mut self) -> Option<Notice> {
        match &mut self.body {
            Body::File(part) => part.take_notice(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => None,
        }
    }

    /// Has the pieces that were found wrong count as missing: the next try asks for them. There are
    /// so many `mirrors` beside the present URL; where there are any, the next try goes to one.
    pub fn repair(&mut self, mirrors: usize) -> Repair {
        let (Some(check), Body::File(part)) = (&mut self.check, &mut self.body) else {
            return Repair::Impossible;
        };
        let (repair, wrong) = check.repair(mirrors + 1);
        if repair == Repair::Impossible || part.lose(&wrong, mirrors > 0 && repair == Repair::Again)
        {
            repair
        } else {
            Repair::Impossible
        }
    }

    /// Whether all that was asked for has come, and more is missing.
    pub fn has_more(&mut self) -> bool {
        match &mut self.body {
            Body::File(part) => part.has_more(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// What is wrong with a body whose last answer was whole.
    pub fn missing(&mut self) -> Option<Fault> {
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

    /// The server has nothing behind what is there: whether that is all of a file of `size` bytes.
    /// It is to be verified then.
    ///
    /// # Errors
    /// [`Fault::Disk`] and [`Fault::BadRange`]: what is there cannot be opened, or is not what it was.
    pub fn is_all(&mut self, size: Option<u64>) -> Result<bool, Fault> {
        let Body::File(part) = &mut self.body else {
            return Ok(false);
        };
        if !part.is_all(size) {
            return Ok(false);
        }
        if part.is_foreign() {
            // It stands at the final name. If a digest was asked for, it is known by now that it is another.
            self.is_unchanged = self.check.is_none();
            return Ok(self.is_unchanged);
        }
        part.open()?;
        self.resume_check(&Response::default(), u64::MAX);
        Ok(true)
    }

    /// What came is not what was promised: none of it is used again. Whether an earlier run may be
    /// to blame for it, and not the server.
    pub fn discard(&mut self) -> bool {
        match &mut self.body {
            Body::File(part) => part.discard(),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// The file that stands at the final name is kept: nothing stays beside it.
    pub fn put_away(&mut self) {
        if let Body::File(part) = &mut self.body
            && !part.is_foreign()
        {
            part.put_away();
        }
    }

    /// The next try is at another URL of the same file: what was learnt of the server does not count.
    pub fn turn_to_another(&mut self) {
        if let Body::File(part) = &mut self.body {
            part.turn_to_another();
        }
    }

    /// After an answer that does not continue what is there: whether the whole may be asked for.
    pub fn may_start_over(&mut self, fault: &Fault) -> bool {
        match &mut self.body {
            Body::File(part) => part.may_start_over(fault),
            Body::Segment(_) | Body::Stream(_) | Body::Memory(_) => false,
        }
    }

    /// Whether so many bytes are more than there may be.
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

    /// The head of an answer that is to have the part alone that is wanted, or the rest of it.
    fn fragment_head(&mut self, fragment: &mut Fragment, response: &Response) -> Result<(), Fault> {
        // What is said of the whole, its digest among it, is not said of the part.
        let mut own = Response {
            status: 200,
            ..Response::default()
        };
        match &mut self.body {
            Body::File(part) if part.has_asked() => {
                part.append(&fragment.go_on(response)?)?;
                let start = part.start();
                self.resume_check(&own, start);
                return Ok(());
            }
            Body::File(part) => {
                fragment.begin(response)?;
                part.begin_fragment(response)?;
                part.note_given_name(given_name(response).filter(|_| self.takes_name));
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

    /// Writes the next bytes of the file.
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

    /// Whether another try can still lead to a right file.
    pub fn can_start_over(&self) -> bool {
        match &self.body {
            Body::File(_) | Body::Segment(_) | Body::Memory(_) => true,
            Body::Stream(out) => !out.has_written(),
        }
    }
}

/// Whether an answer says nothing of the whole, which was asked for. A part that is all of it is
/// the whole under another status: some servers answer so, and everybody takes it.
fn is_unasked(response: &Response) -> bool {
    let length = response.content_length();
    let is_all = |range: ContentRange| {
        range.first == 0 && range.total == Some(range.last + 1) && range.total == length
    };
    match response.status {
        206 => !response.content_range().is_some_and(is_all),
        status => status >= 300,
    }
}

/// The name that an answer gives its body, made safe.
fn given_name(response: &Response) -> Option<String> {
    let given = response.headers.get("content-disposition")?;
    let given = disposition::file_name(given)?;
    Some(name::safe(last_part(&given)))
}

/// The last part of a path that a server has given for a name, whatever system it thinks of (RFC 6266 §4.3).
fn last_part(path: &str) -> &str {
    let mut parts = path.rsplit(['/', '\\']);
    parts.find(|part| !part.is_empty()).unwrap_or(path)
}

impl Body {
    /// How many bytes of it have come.
    fn written(&self) -> u64 {
        match self {
            Self::File(part) => part.written(),
            Self::Segment(segment) => segment.at(),
            Self::Stream(stream) => stream.written(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// What has come of it, to be read; `None` where nothing is kept.
    fn reader(&self) -> Option<Arc<File>> {
        match self {
            Self::File(part) => part.reader(),
            Self::Segment(_) | Self::Stream(_) | Self::Memory(_) => None,
        }
    }
}

impl Sink for Download {
    fn head(&mut self, response: &Response) -> Result<(), Fault> {
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
        if let Some(known) = self.known.as_ref().filter(|_| !asks_part)
            && (response.status == 304 || response.status == 200 && known.is_still(response, SMALL))
        {
            self.is_unchanged = true;
            return Ok(());
        }
        if let (206, true, Body::File(part)) = (response.status, asks_part, &mut self.body) {
            part.append(response)?;
            if let Some(given) = given_name(response).filter(|_| self.takes_name) {
                part.note_given_name(Some(given));
            }
            part.look_whether_divisible(response, self.least);
            let (size, start) = (part.size(), part.start());
            self.resume_check(response, start);
            return match (&self.check, size) {
                (Some(check), Some(size)) => check.measure(size),
                _ => Ok(()),
            };
        }
        match &self.body {
            Body::File(part) if asks_part => part.is_whole(response)?,
            _ if is_unasked(response) => return Err(Malformed::Unasked(response.status).into()),
            _ => {}
        }
        if self.decodes() {
            self.coded = Coded::of(response)?;
        }
        if self.coded.is_none() {
            self.bound(response.content_length().unwrap_or(0))?;
        }
        match &mut self.body {
            Body::File(part) => {
                part.begin(response, self.coded.is_some())?;
                part.note_given_name(given_name(response).filter(|_| self.takes_name));
                part.look_whether_divisible(response, self.least);
            }
            Body::Segment(_) | Body::Stream(_) => {}
            Body::Memory(bytes) => bytes.clear(),
        }
        match self.coded {
            // What its head says of a body holds for the coded form.
            Some(_) => self.begin_check(&Response::default()),
            None => self.begin_check(response),
        }
    }

    fn wanted(&self) -> Option<u64> {
        match &self.body {
            Body::Segment(segment) => segment.wanted(),
            // Of a whole answer that is the file which stands there, nothing is.
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
