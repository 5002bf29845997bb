//! One row on its way: its download, and what is needed to report it and to try it again.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use url::Url;

use super::report::Landing;
use crate::download::{Body, Download, Segment, Tries};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::list::{Location, Split};
use crate::multi::Sink;

/// A row of the batch, and the sink of its transfers.
#[derive(Debug)]
pub(super) struct Job {
    /// Its number in the batch, from 1; 0 for what is fetched for the run itself.
    pub(super) number: u64,
    /// The row that it came from.
    pub(super) place: Location,
    /// Other URLs of the same file, for when the present one has failed for good.
    pub(super) mirrors: VecDeque<Url>,
    /// Several of them have brought what is there.
    pub(super) is_shared: bool,
    /// That did not fit: each is asked alone.
    pub(super) is_alone: bool,
    /// Tries at the present URL, and in all.
    pub(super) tries: u32,
    pub(super) tries_in_all: u32,
    /// When the first try at the present URL began.
    pub(super) began: Option<Instant>,
    /// The first of its URLs, where that is to be written down.
    pub(super) url: Option<Box<Url>>,
    /// Another row had its name.
    pub(super) is_renamed: bool,
    /// The largest file taken, in bytes.
    pub(super) max_size: Option<u64>,
    /// How many of the first header fields of its easy say what is asked for; they differ from try to try.
    pub(super) conditions: usize,
    /// How many transfers may bring it.
    pub(super) split: Split,
    /// Set when a head says that several may.
    pub(super) has_divisible: Rc<Cell<bool>>,
    /// Boxed: a job moves several times, and this is most of it.
    pub(super) download: Box<Download>,
}

impl Job {
    /// The sink of a transfer that no row asks for, for the sake of the row of that number.
    pub(super) fn aside(number: u64, download: Download, has_divisible: &Rc<Cell<bool>>) -> Self {
        Self {
            number,
            place: Location::typed(0),
            mirrors: VecDeque::new(),
            is_shared: false,
            is_alone: false,
            tries: 0,
            tries_in_all: 0,
            began: None,
            url: None,
            is_renamed: false,
            max_size: None,
            conditions: 0,
            split: Split::Auto,
            has_divisible: Rc::clone(has_divisible),
            download: Box::new(download),
        }
    }

    /// The sink of a transfer that brings a part of the same file.
    pub(super) fn segment(&self, segment: Segment) -> Self {
        Self {
            number: self.number,
            place: self.place.clone(),
            mirrors: VecDeque::new(),
            is_shared: false,
            is_alone: false,
            tries: 0,
            tries_in_all: 0,
            url: None,
            is_renamed: false,
            max_size: None,
            conditions: self.conditions,
            split: self.split,
            has_divisible: Rc::clone(&self.has_divisible),
            began: None,
            download: Box::new(self.download.share(segment)),
        }
    }

    /// The tries at the present URL so far.
    pub(super) fn tried(&self, now: Instant) -> Tries {
        Tries {
            count: self.tries,
            elapsed: self.began.map_or(Duration::ZERO, |at| now - at),
            is_begun: self.download.start() > 0,
        }
    }

    /// Where a transfer of a part of a file writes next; none of a whole one.
    pub(super) fn at(&self) -> Option<u64> {
        match &self.download.body {
            Body::Segment(segment) => Some(segment.at()),
            Body::File(_) | Body::Stream(_) | Body::Memory(_) => None,
        }
    }

    /// Whether several transfers may bring what is missing.
    pub(super) fn is_divisible(&self) -> bool {
        matches!(&self.download.body, Body::File(part) if part.is_divisible())
    }

    /// Has the next request ask for what is missing, and bounds what may come.
    pub(super) fn aim(&mut self, headers: &mut Vec<Field>, max_size: &mut Option<u64>) {
        let fields = self.download.ask();
        let conditions = std::mem::replace(&mut self.conditions, fields.len());
        headers.splice(..conditions, fields);
        // The engine counts what comes, and that may be less than it decodes to.
        *max_size = self.max_size.filter(|_| !self.download.decodes());
    }

    /// Where it lands.
    pub(super) fn landing(&self) -> Landing<'_> {
        match &self.download.body {
            Body::File(part) => Landing::File(part.folder().path(), part.name()),
            Body::Stream(stream) => match stream.path() {
                Some(path) => Landing::File(
                    path.parent().unwrap_or(Path::new("")),
                    path.file_name().unwrap_or_default(),
                ),
                None => Landing::Stdout,
            },
            Body::Segment(_) | Body::Memory(_) => Landing::Nowhere,
        }
    }

    /// The name for a progress bar.
    pub(super) fn name(&self) -> &str {
        match &self.download.body {
            Body::File(part) => part.name().to_str().unwrap_or("?"),
            Body::Stream(stream) => stream
                .path()
                .and_then(Path::to_str)
                .unwrap_or("standard output"),
            Body::Segment(_) => "",
            Body::Memory(_) => "checksums",
        }
    }
}

impl Sink for Job {
    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        // The engine has looked at how much comes now; this is how much there will be in all.
        let part = response.content_range().filter(|_| response.status == 206);
        let whole = part.and_then(|part| part.total);
        if let Some(limit) = self.max_size.filter(|_| !self.download.is_fragment())
            && whole.is_some_and(|size| size > limit)
        {
            return Err(Fault::TooLarge { limit });
        }
        self.download.head(response)?;
        // A whole answer begins with nothing.
        self.is_shared &= self.download.asks_part();
        if self.is_divisible() {
            self.has_divisible.set(true);
        }
        Ok(())
    }

    fn wanted(&self) -> Option<u64> {
        self.download.wanted()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.download.write(bytes)
    }

    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        self.download.target()
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        self.download.moved(result)
    }
}
