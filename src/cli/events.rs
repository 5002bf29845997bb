//! What happens as it happens (--events): a JSON object a line. Names and meanings here are a contract with scripts.

use std::borrow::Cow;
use std::time::Duration;

use gannet::http::masked;
use gannet::session::{ActiveFile, Retrying, Starting};
use serde::Serialize;

use super::exit::Exit;
use super::record::{Record, Trouble, VERSION, path_of};

/// Between two objects that say how far a file is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Puts what happens into words.
pub(super) struct Events {
    /// Since the run began: when what comes next has happened, when progress was told, and when it
    /// is told next.
    time: Duration,
    told: Duration,
    next: Duration,
    /// Files that were active then and what they had, by number.
    seen: Vec<(u64, u64)>,
}

/// One thing that has happened. What does not apply is left out.
#[derive(Default, Serialize)]
struct Event<'a> {
    event: &'static str,
    /// Seconds since the run began.
    time: f64,
    version: u32,
    /// The file's number in the batch, from 1.
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where a redirect leads from, and to.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// Where the file is to stand; `-` is standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// The row of the list that it came from, `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Which try started, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    /// Seconds until the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<f64>,
    /// What is there of the file, its size, and what came of it lately, in bytes and bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            time: Duration::ZERO,
            told: Duration::ZERO,
            next: PROGRESS,
            seen: Vec::new(),
        }
    }

    pub(super) fn set_time(&mut self, elapsed: Duration) {
        self.time = elapsed;
    }

    /// When progress is due, as time since the run began.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn started(&self, start: &Starting<'_>, text: &mut String) {
        let event = Event {
            url: Some(masked(start.url).to_string()),
            path: path_of(start.landing),
            row: start.place.is_listed().then(|| start.place.to_string()),
            tries: Some(start.tries),
            ..self.event("start", start.number)
        };
        write(&event, text);
    }

    /// A redirect, from and to URLs that may be shown.
    pub(super) fn redirected(
        &self,
        number: u64,
        status: u16,
        (from, to): (&str, &str),
        text: &mut String,
    ) {
        let event = Event {
            status: Some(status),
            from: Some(from),
            to: Some(to),
            ..self.event("redirect", number)
        };
        write(&event, text);
    }

    /// A try that failed; `exit` is what the shell would be told of it.
    pub(super) fn retrying(&self, retry: &Retrying<'_>, exit: Exit, text: &mut String) {
        let event = Event {
            url: Some(masked(retry.url).to_string()),
            status: retry.error.status(),
            tries: Some(retry.tries),
            delay: Some(retry.delay.as_secs_f64()),
            error: Some(Trouble::of(retry.error, exit)),
            ..self.event("retry", retry.number)
        };
        write(&event, text);
    }

    /// How far each file is.
    pub(super) fn progress(&mut self, files: &[ActiveFile<'_>], text: &mut String) {
        let span = self.time.saturating_sub(self.told).as_secs_f64();
        for file in files {
            let before = self.seen.binary_search_by_key(&file.number, |seen| seen.0);
            let before = before.ok().map(|at| self.seen[at].1);
            let came = before.map(|before| file.received.saturating_sub(before));
            let event = Event {
                bytes: Some(file.received),
                size: file.expected,
                rate: came.map(|came| (came as f64 / span) as u64),
                ..self.event("progress", file.number)
            };
            write(&event, text);
        }
        self.seen.clear();
        let seen = files.iter().map(|file| (file.number, file.received));
        self.seen.extend(seen);
        self.seen.sort_unstable();
        self.told = self.time;
        self.next = self.time + PROGRESS;
    }

    /// The end of a file, as --json has it.
    pub(super) fn completed(&self, record: &Record<'_>, text: &mut String) {
        let line = record.line();
        let (event, time) = (record.event(), self.time.as_secs_f64());
        let head = format!("{{\"event\":\"{event}\",\"time\":{time},");
        text.extend([&head, line.trim_start_matches('{'), "\n"]);
    }

    fn event(&self, event: &'static str, number: u64) -> Event<'static> {
        Event {
            event,
            time: self.time.as_secs_f64(),
            version: VERSION,
            number,
            ..Event::default()
        }
    }
}

fn write(event: &Event<'_>, text: &mut String) {
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
