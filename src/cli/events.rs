//! [`Events`]: the JSON Lines of `--events`. Field names and meanings are a contract with scripts.

use std::borrow::Cow;
use std::time::Duration;

use gannet::http::masked;
use gannet::session::{ActiveFile, Retrying, Starting};
use serde::Serialize;

use super::exit::Exit;
use super::record::{ErrorRecord, Record, VERSION, path_of};

/// The time between two progress events of a file.
const PROGRESS: Duration = Duration::from_secs(1);

/// Formats events. All times are since the start of the run.
pub(super) struct Events {
    /// The time of the current event.
    time: Duration,
    /// The time of the last progress events.
    last_progress: Duration,
    /// When progress events are due next.
    next: Duration,
    /// The files that were active at the last progress events, sorted: their numbers and bytes.
    seen: Vec<(u64, u64)>,
}

/// The two ends of a redirect, with credentials masked.
#[derive(Clone, Copy)]
pub(super) struct Redirect<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// One event. Fields that do not apply are left out.
#[derive(Default, Serialize)]
struct EventRecord<'a> {
    event: &'static str,
    /// Seconds since the run began.
    time: f64,
    version: u32,
    /// The number of the file in the run, from 1.
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The URL that sent a redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    /// The URL that a redirect leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// The final path of the file; `-` is standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// The list and the line of the row, `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The number of the try that started or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    /// Seconds until the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<f64>,
    /// The bytes of the file that were received.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// The size of the file in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The bytes per second since the last progress event of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorRecord>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            time: Duration::ZERO,
            last_progress: Duration::ZERO,
            next: PROGRESS,
            seen: Vec::new(),
        }
    }

    pub(super) fn set_time(&mut self, elapsed: Duration) {
        self.time = elapsed;
    }

    /// When progress events are due next.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn started(&self, start: &Starting<'_>, text: &mut String) {
        let event = EventRecord {
            url: Some(masked(start.url).to_string()),
            path: path_of(start.landing),
            row: start
                .location
                .is_listed()
                .then(|| start.location.to_string()),
            tries: Some(start.tries),
            ..self.event("start", start.number)
        };
        write(&event, text);
    }

    pub(super) fn redirected(
        &self,
        number: u64,
        status: u16,
        redirect: Redirect<'_>,
        text: &mut String,
    ) {
        let event = EventRecord {
            status: Some(status),
            from: Some(redirect.from),
            to: Some(redirect.to),
            ..self.event("redirect", number)
        };
        write(&event, text);
    }

    /// A failed try; `exit` is the exit code of its error.
    pub(super) fn retrying(&self, retry: &Retrying<'_>, exit: Exit, text: &mut String) {
        let event = EventRecord {
            url: Some(masked(retry.url).to_string()),
            status: retry.error.status(),
            tries: Some(retry.tries),
            delay: Some(retry.delay.as_secs_f64()),
            error: Some(ErrorRecord::of(retry.error, exit)),
            ..self.event("retry", retry.number)
        };
        write(&event, text);
    }

    /// A progress event for each active file.
    pub(super) fn progress(&mut self, files: &[ActiveFile<'_>], text: &mut String) {
        let span = self.time.saturating_sub(self.last_progress).as_secs_f64();
        for file in files {
            let before = self.seen.binary_search_by_key(&file.number, |seen| seen.0);
            let before = before.ok().map(|at| self.seen[at].1);
            let added = before.map(|before| file.received.saturating_sub(before));
            let event = EventRecord {
                bytes: Some(file.received),
                size: file.expected,
                rate: added.map(|added| (added as f64 / span) as u64),
                ..self.event("progress", file.number)
            };
            write(&event, text);
        }
        self.seen.clear();
        let seen = files.iter().map(|file| (file.number, file.received));
        self.seen.extend(seen);
        self.seen.sort_unstable();
        self.last_progress = self.time;
        self.next = self.time + PROGRESS;
    }

    /// The end of a file: its record of `--json`, with the name and time of the event in front.
    pub(super) fn completed(&self, record: &Record<'_>, text: &mut String) {
        let line = record.line();
        let (event, time) = (record.event(), self.time.as_secs_f64());
        let head = format!("{{\"event\":\"{event}\",\"time\":{time},");
        text.extend([&head, line.trim_start_matches('{'), "\n"]);
    }

    fn event(&self, event: &'static str, number: u64) -> EventRecord<'static> {
        EventRecord {
            event,
            time: self.time.as_secs_f64(),
            version: VERSION,
            number,
            ..EventRecord::default()
        }
    }
}

fn write(event: &EventRecord<'_>, text: &mut String) {
    // Nothing in an event can fail to be written: its keys are names, its figures finite.
    text.push_str(&serde_json::to_string(event).unwrap_or_default());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64, received: u64, expected: Option<u64>) -> ActiveFile<'static> {
        ActiveFile {
            number,
            name: "a",
            received,
            expected,
        }
    }

    #[test]
    fn a_rate_is_of_the_time_since_progress_was_last_told() {
        let mut events = Events::new();
        let mut text = String::new();
        events.set_time(Duration::from_millis(1000));
        events.progress(&[file(2, 500, Some(4000)), file(1, 7, None)], &mut text);
        assert_eq!(events.next(), Duration::from_millis(2000));
        events.set_time(Duration::from_millis(3000));
        let files = [
            file(1, 5, None),
            file(2, 2500, Some(4000)),
            file(3, 1, None),
        ];
        events.progress(&files, &mut text);
        let event = |time, rest| {
            format!("{{\"event\":\"progress\",\"time\":{time},\"version\":1,\"number\":{rest}}}\n")
        };
        let wanted = [
            event("1.0", "2,\"bytes\":500,\"size\":4000"),
            event("1.0", "1,\"bytes\":7"),
            // One that started over has brought nothing.
            event("3.0", "1,\"bytes\":5,\"rate\":0"),
            event("3.0", "2,\"bytes\":2500,\"size\":4000,\"rate\":1000"),
            event("3.0", "3,\"bytes\":1"),
        ];
        assert_eq!(text, wanted.concat());
    }
}
