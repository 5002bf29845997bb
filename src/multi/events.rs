//! What happens to transfers before they complete, as events: heads that arrived, and traces. The info queue in
//! `info.rs` has completions alone.

use std::collections::VecDeque;

use super::info::TransferId;
use super::trace::{Detail, Trace, masked};
use crate::http::Response;

/// Which events of a transfer the application reads. By default none: then nothing is formatted or queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventMask {
    /// [`EventKind::Head`].
    pub head: bool,
    /// [`EventKind::Trace`], with this detail.
    pub traces: Option<Detail>,
}

/// Something that happened to a transfer. [`Multi::event_read`](super::Multi::event_read) returns each once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Which transfer.
    pub id: TransferId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The sink has accepted the head of the final response, and the transfer has not completed. A response that
    /// arrives at once has no such event: its completion tells as much.
    Head,
    /// What the transfer did, for logs.
    Trace(Trace),
}

/// A transfer that events are about, and the events that are read of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) id: TransferId,
    pub(super) mask: EventMask,
}

impl Subject {
    /// Whether lines of heads are events.
    pub(super) fn has_lines(self) -> bool {
        matches!(self.mask.traces, Some(Detail::All))
    }
}

/// The queue of events, in the order in which they happened.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
}

impl Events {
    /// Takes the first event off the queue. Its transfer may have been removed.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// A head has arrived.
    pub(super) fn head(&mut self, id: TransferId) {
        let kind = EventKind::Head;
        self.queue.push_back(Event { id, kind });
    }

    /// A step, traced with any detail.
    pub(super) fn step(&mut self, subject: Subject, step: impl FnOnce() -> Trace) {
        if subject.mask.traces.is_some() {
            self.trace(subject.id, step());
        }
    }

    /// A step as text, traced with full detail.
    pub(super) fn info(&mut self, subject: Subject, text: impl FnOnce() -> String) {
        if subject.has_lines() {
            self.trace(subject.id, Trace::Info(text()));
        }
    }

    /// The head of a request is sent.
    pub(super) fn sent(&mut self, subject: Subject, head: &[u8]) {
        if !subject.has_lines() {
            return;
        }
        for line in head.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.trace(subject.id, Trace::Sent(masked(line)));
            }
        }
    }

    /// The head of a response was received, possibly an interim one.
    pub(super) fn received(&mut self, subject: Subject, response: &Response) {
        if !subject.has_lines() {
            return;
        }
        let status_line = format!("{} {}", response.version, response.status);
        self.trace(subject.id, Trace::Received(status_line));
        for (name, value) in response.headers.iter() {
            let line = [name, b": ", value].concat();
            self.trace(subject.id, Trace::Received(masked(&line)));
        }
    }

    fn trace(&mut self, id: TransferId, trace: Trace) {
        let kind = EventKind::Trace(trace);
        self.queue.push_back(Event { id, kind });
    }
}
