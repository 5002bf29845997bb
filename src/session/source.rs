//! Where rows come from: URLs that were typed, then one list after the other, each read only as far as needed.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use url::Url;

use super::plan::Plan;
use super::report::BadRow;
use crate::http::auth;
use crate::list::{Format, Input, Next, Place, Row, Shard, parse_url};

/// What a source has next.
pub(super) enum Item {
    /// A row, or something that is none.
    Row(Result<Row, BadRow>),
    /// A row of another worker's share.
    Passed(Row),
    /// Nothing yet.
    Wait,
    /// Nothing any more.
    End,
}

/// All rows of a run.
pub(super) struct Source {
    urls: std::iter::Enumerate<std::vec::IntoIter<String>>,
    lists: std::vec::IntoIter<PathBuf>,
    format: Format,
    base: Option<Url>,
    shard: Option<Shard>,
    input: Option<Input>,
    /// A list that broke off while it was read from a pipe.
    broken: Option<BadRow>,
}

impl Source {
    /// The URLs and lists of a plan, which keeps none of them.
    pub(super) fn new(plan: &mut Plan) -> Self {
        Self {
            urls: std::mem::take(&mut plan.urls).into_iter().enumerate(),
            lists: std::mem::take(&mut plan.lists).into_iter(),
            format: plan.format,
            base: plan.base.clone(),
            shard: plan.shard,
            input: None,
            broken: None,
        }
    }

    /// The next row, of this worker's share or another's.
    pub(super) fn next(&mut self, now: Instant) -> Item {
        match (self.next_of_all(now), self.shard) {
            (Item::Row(Ok(row)), Some(shard)) if !shard.has(&row.url) => Item::Passed(row),
            (item, _) => item,
        }
    }

    fn next_of_all(&mut self, now: Instant) -> Item {
        if let Some((index, text)) = self.urls.next() {
            let place = Place::typed(index as u64 + 1);
            let row = parse_url(&text, None).and_then(|url| {
                let shown = auth::masked(&url);
                Row::new(url, place).map_err(|fault| format!("{fault}: {shown}"))
            });
            return Item::Row(row.map_err(BadRow::Typed));
        }
        loop {
            if let Some(broken) = self.broken.take() {
                return Item::Row(Err(broken));
            }
            let Some(input) = &mut self.input else {
                let Some(path) = self.lists.next() else {
                    return Item::End;
                };
                match Input::open(&path, self.format, self.base.clone()) {
                    Ok(input) => self.input = Some(input),
                    Err(error) => self.broken = Some(BadRow::List(shown(&path), error)),
                }
                continue;
            };
            match input.next(now) {
                Ok(Next::Row(row)) => return Item::Row(row.map_err(BadRow::Line)),
                Ok(Next::Wait) => return Item::Wait,
                Ok(Next::End) => self.input = None,
                Err(error) => self.break_off(error),
            }
        }
    }

    /// The pipe to watch while [`Source::next`] has to wait.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.input.as_ref().map(Input::descriptor)
    }

    /// Reads from that pipe, once.
    pub(super) fn read(&mut self) {
        if let Some(Err(error)) = self.input.as_mut().map(Input::read) {
            self.break_off(error);
        }
    }

    /// Waits for more of that pipe, outside the reactor.
    pub(super) fn wait(&mut self) {
        if let Some(Err(error)) = self.input.as_mut().map(Input::wait) {
            self.break_off(error);
        }
    }

    /// When a row that is held back is to be given out.
    pub(super) fn due(&self) -> Option<Instant> {
        self.input.as_ref().and_then(Input::settles)
    }

    /// Gives such a row out, if it is time.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some(input) = &mut self.input {
            input.settle(now);
        }
    }

    fn break_off(&mut self, error: std::io::Error) {
        self.broken = self
            .input
            .take()
            .map(|input| BadRow::List(input.name().to_owned(), error));
    }
}

/// The name of a list in a message: a URL may have been typed in its place.
fn shown(path: &Path) -> String {
    let name = path.display().to_string();
    match Url::parse(&name) {
        Ok(url) if url.has_host() => auth::masked(&url),
        _ => name,
    }
}
