//! One row under way: its download, and the data for its retries and its report.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use url::Url;

use super::file::File;
use super::report::Landing;
use crate::download::{Body, Download, Segment};
use crate::error::Fault;
use crate::http::{Field, Response};
use crate::list::{Location, Split};
use crate::multi::Sink;

/// One row of the run, which is the sink of its transfers.
#[derive(Debug)]
pub(super) struct Job {
    /// Its number in the run, from 1; 0 for the run's own list of digests.
    pub(super) number: u64,
    /// Where its row is listed.
    pub(super) location: Location,
    pub(super) file: File,
    /// The row's first URL, for the lock file; `None` if no lock file is written.
    pub(super) url: Option<Box<Url>>,
    /// The file has another name than it asked for, because that one was taken.
    pub(super) is_renamed: bool,
    /// The largest size accepted, in bytes.
    pub(super) max_size: Option<u64>,
    /// The number of conditional and range fields, which are the first header fields of its easy. They change with
    /// each try.
    pub(super) conditions: usize,
    /// How many transfers may fetch the file.
    pub(super) split: Split,
}

impl Job {
    /// The sink of a transfer without a row: a preconnect for row `number`, or the list of digests (0).
    pub(super) fn aside(number: u64, download: Download) -> Self {
        Self {
            number,
            location: Location::typed(0),
            file: File::new(Box::new(download), VecDeque::new()),
            url: None,
            is_renamed: false,
            max_size: None,
            conditions: 0,
            split: Split::Auto,
        }
    }

    /// The sink of a transfer that fetches a segment of the file.
    pub(super) fn segment(&self, segment: Segment) -> Self {
        Self {
            number: self.number,
            location: self.location.clone(),
            file: File::new(Box::new(self.file.download.share(segment)), VecDeque::new()),
            url: None,
            is_renamed: false,
            max_size: None,
            conditions: self.conditions,
            split: self.split,
        }
    }

    /// The offset at which the transfer of a segment writes next; `None` if the job is not a segment.
    pub(super) fn at(&self) -> Option<u64> {
        match &self.file.download.body {
            Body::Segment(segment) => Some(segment.at()),
            Body::File(_) | Body::Stream(_) | Body::Memory(_) => None,
        }
    }

    /// Whether several transfers may fetch the missing bytes.
    pub(super) fn is_divisible(&self) -> bool {
        matches!(&self.file.download.body, Body::File(part) if part.is_divisible())
    }

    /// Sets the range and the conditions of the next request, and the largest body that it accepts.
    pub(super) fn aim(&mut self, headers: &mut Vec<Field>, max_size: &mut Option<u64>) {
        let fields = self.file.download.ask();
        let conditions = std::mem::replace(&mut self.conditions, fields.len());
        headers.splice(..conditions, fields);
        // The engine counts encoded bytes, which may decode to more.
        *max_size = if self.file.download.decodes() {
            None
        } else {
            self.max_size
        };
    }

    /// The path of the file, or standard output.
    pub(super) fn landing(&self) -> Landing<'_> {
        match &self.file.download.body {
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

    /// The name of the file for the progress view.
    pub(super) fn name(&self) -> &str {
        match &self.file.download.body {
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
    fn redirected(&mut self, url: &Url) {
        self.file.download.redirected(url);
    }

    fn head(&mut self, response: &Response) -> Result<(), Fault> {
        // The engine checks the size of this response; Content-Range has the size of the full file.
        let range = if response.status == 206 {
            response.content_range()
        } else {
            None
        };
        if let Some(limit) = self.max_size
            && !self.file.download.is_fragment()
            && let Some(size) = range.and_then(|range| range.total)
            && size > limit
        {
            return Err(Fault::TooLarge { limit });
        }
        self.file.download.head(response)?;
        // A response to a request without a range starts the file from its first byte.
        self.file.is_shared &= self.file.download.asks_part();
        Ok(())
    }

    fn wanted(&self) -> Option<u64> {
        self.file.download.wanted()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.download.write(bytes)
    }

    fn target(&mut self) -> Result<Option<(BorrowedFd<'_>, u64)>, Fault> {
        self.file.download.target()
    }

    fn moved(&mut self, result: io::Result<usize>) -> Result<(), Fault> {
        self.file.download.moved(result)
    }
}
