//! What the report is shown of a run that is under way: its progress, and the traces of its transfers.

use std::time::Instant;

use super::Session;
use super::job::Job;
use super::report::{ActiveFile, Snapshot};
use super::split::Split;
use crate::multi::{Multi, Trace};

impl Session<'_> {
    /// Reports what transfers did since the last call.
    pub(super) fn show_traces(&mut self, multi: &Multi<Job>) {
        for (id, trace) in self.traces.take() {
            let Some(easy) = multi.easy(id) else { continue };
            if trace == Trace::Started {
                self.ledger.start(easy);
            } else {
                self.ledger.report.traced(easy.sink.number, &trace);
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
