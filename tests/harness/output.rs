//! What the program said and how it ended, taken apart along CLI.md.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

pub(crate) struct Output {
    pub(super) command: String,
    pub(super) status: Option<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

/// A completion line: `done  200  12.3 MiB  1.24 s  9.9 MiB/s  URL -> PATH`, or `kept …  URL -> PATH`.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) word: String,
    /// What stands between the first word and the URL.
    pub(crate) columns: Vec<String>,
    pub(crate) url: String,
    pub(crate) path: String,
    /// The line says that the name was taken.
    pub(crate) is_renamed: bool,
}

/// A failure line: `fail  404  URL: not found (1 try)`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: String,
    /// URL and reason.
    pub(crate) text: String,
    /// 0 where nothing was tried.
    pub(crate) tries: usize,
}

impl Output {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(&self, wanted: i32) -> &Self {
        assert_eq!(self.exit_code(), Some(wanted), "the exit code: {self}");
        self
    }

    /// Asserts that all went well.
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        self.code(0)
    }

    /// Asserts one of several exit codes, where the contract leaves it open.
    #[track_caller]
    pub(crate) fn code_in(&self, wanted: &[i32]) -> &Self {
        assert!(
            self.exit_code().is_some_and(|code| wanted.contains(&code)),
            "an exit code among {wanted:?}: {self}"
        );
        self
    }

    /// As a shell has it: 128 and the number of the signal, if one ended it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        let status = self.status?;
        status.code().or(self.signal().map(|signal| 128 + signal))
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }

    /// Asserts that this signal ended it, after it had stopped in good order or not.
    #[track_caller]
    pub(crate) fn died_by(&self, signal: i32) -> &Self {
        assert_eq!(self.signal(), Some(signal), "the signal: {self}");
        self
    }

    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Both streams, for what may stand in neither or either.
    pub(crate) fn both(&self) -> String {
        self.stdout() + &self.stderr
    }

    /// Asserts that neither stream has `secret`.
    #[track_caller]
    pub(crate) fn never_says(&self, secret: &str) -> &Self {
        assert!(
            !self.both().contains(secret),
            "{secret:?} is in the output: {self}"
        );
        self
    }

    /// Asserts that standard error has `part`.
    #[track_caller]
    pub(crate) fn complains(&self, part: &str) -> &Self {
        assert!(
            self.stderr.contains(part),
            "no {part:?} on standard error: {self}"
        );
        self
    }

    /// Asserts that standard error names this row of a list: `list:3`, or `list line 3`.
    #[track_caller]
    pub(crate) fn names_row(&self, list: &str, row: usize) -> &Self {
        let is_named = [":", " line "]
            .iter()
            .any(|between| self.stderr.contains(&format!("{list}{between}{row}")));
        assert!(
            is_named,
            "row {row} of {list} is not on standard error: {self}"
        );
        self
    }

    /// Asserts that a line on standard error begins with this mark (`*`, `>`, `<`) and has `part`.
    #[track_caller]
    pub(crate) fn traces(&self, mark: char, part: &str) -> &Self {
        let is_traced = self
            .stderr
            .lines()
            .any(|line| line.starts_with(mark) && line.contains(part));
        assert!(
            is_traced,
            "no {mark} line with {part:?} on standard error: {self}"
        );
        self
    }

    /// The completion lines on standard output.
    pub(crate) fn completions(&self) -> Vec<Completion> {
        self.stdout().lines().filter_map(completion).collect()
    }

    /// The only completion line.
    #[track_caller]
    pub(crate) fn completion(&self) -> Completion {
        let mut lines = self.completions();
        assert_eq!(lines.len(), 1, "one completion line: {self}");
        lines.remove(0)
    }

    /// The failure lines on standard error.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.stderr.lines().filter_map(failure).collect()
    }

    /// The only failure line.
    #[track_caller]
    pub(crate) fn failure(&self) -> Failure {
        let mut lines = self.failures();
        assert_eq!(lines.len(), 1, "one failure line: {self}");
        lines.remove(0)
    }

    /// All that is neither a completion nor a failure line: the summary, warnings.
    pub(crate) fn other_lines(&self) -> Vec<String> {
        let both = self.both();
        let is_other = |line: &&str| {
            !line.trim().is_empty() && completion(line).is_none() && failure(line).is_none()
        };
        both.lines().filter(is_other).map(str::to_owned).collect()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self
            .status
            .map_or_else(|| "still running".to_owned(), |status| status.to_string());
        let (stdout, stderr) = (self.stdout(), &self.stderr);
        write!(
            f,
            "\n$ {}\n{status}, {:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---",
            self.command, self.took
        )
    }
}

fn completion(line: &str) -> Option<Completion> {
    let mut columns = columns(line);
    let word = columns
        .first()
        .filter(|word| ["done", "kept"].contains(&word.as_str()))?
        .clone();
    let (url, path) = columns
        .pop()?
        .split_once(" -> ")
        .map(|(url, path)| (url.to_owned(), path.to_owned()))?;
    let (path, is_renamed) = path
        .split_once(" (renamed")
        .map_or((path.clone(), false), |(path, _)| (path.to_owned(), true));
    columns.remove(0);
    Some(Completion {
        word,
        columns,
        url,
        path,
        is_renamed,
    })
}

fn failure(line: &str) -> Option<Failure> {
    let columns = columns(line);
    let (first, rest) = columns.split_first()?;
    if first != "fail" {
        return None;
    }
    let (text, before) = rest.split_last()?;
    let tries = text
        .rsplit_once(" (")
        .and_then(|(_, end)| end.split(' ').next()?.parse().ok());
    let status = before.first().cloned();
    Some(Failure {
        status: status.unwrap_or_default(),
        text: text.clone(),
        tries: tries.unwrap_or(0),
    })
}

/// A line's columns, which stand at least two blanks apart.
fn columns(line: &str) -> Vec<String> {
    line.split("  ")
        .map(str::trim)
        .filter(|column| !column.is_empty())
        .map(str::to_owned)
        .collect()
}
