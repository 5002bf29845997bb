//! What is read of a run that is under way: the events of its transfers, and its progress.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Instant;

use super::Session;
use super::job::Job;
use super::report::{ActiveFile, Snapshot};
use super::split::Split;
use crate::multi::{EventKind, Multi, Trace};

impl Session<'_> {
    /// Reads what happened to transfers since the last call: reports the traces, and keeps the heads.
    pub(super) fn read_events(&mut self, multi: &mut Multi<Job>) {
        while let Some(event) = multi.event_read() {
            let Some(easy) = multi.easy(event.id) else {
                continue;
            };
            match event.kind {
                EventKind::Head => self.heads.push(event.id),
                EventKind::Trace(Trace::Started) => self.ledger.start(easy),
                EventKind::Trace(trace) => self.ledger.report.traced(easy.sink.number, &trace),
            }
        }
    }

    /// Reports the progress of the run.
    pub(super) fn show_progress(&mut self, multi: &Multi<Job>, now: Instant) {
        let (mut received, mut expected) = (
            self.ledger.totals.bytes,
            self.ledger.has_ended.then_some(self.ledger.totals.bytes),
        );
        let files = || {
            let transfers = multi.transfers();
            transfers.filter(|(_, easy, _)| easy.sink.at().is_none() && !easy.is_connect_only)
        };
        for (_, _, progress) in files() {
            received += progress.received;
            let rest = progress.expected;
            expected = expected.zip(rest).map(|(sum, size)| sum + size);
        }
        for split in self.splits.values() {
            let (brought, missing) = split.progress(multi);
            received += brought;
            expected = expected.map(|sum| sum + brought + missing);
        }
        let under_way = files().filter(|(_, _, progress)| progress.is_dispatched);
        let active = under_way.map(|(_, easy, progress)| {
            // Bytes of earlier runs count as present, though this run did not receive them.
            let start = easy.sink.file.download.start();
            ActiveFile {
                number: easy.sink.number,
                name: easy.sink.name(),
                received: start + progress.received,
                expected: progress.expected.map(|rest| start + rest),
            }
        });
        let mut active = active.chain(self.splits.values().map(Split::active));
        self.ledger.report.progress(Snapshot {
            files_done: self.ledger.totals.done + self.ledger.totals.kept,
            files_failed: self.ledger.totals.failed,
            files_known: self.ledger.rows(),
            list_ended: self.ledger.has_ended,
            bytes: received,
            bytes_expected: expected,
            elapsed: self.ledger.elapsed(now),
            active: &mut active,
        });
    }
}
