//! [`ProgressView`]: the progress of the run and of its active files, drawn on standard error with indicatif.
//!
//! It gets a [`Snapshot`] when [`ProgressView::next`] is due, at most ten times a second. Its cost depends on that rate
//! and on the height of the terminal, not on the number of files: a file that starts and ends between two redraws is
//! never shown. It reads no clock: the snapshot has the time.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use gannet::internals::sys;
use gannet::session::{ActiveFile, Snapshot};

use super::flags;
use super::format::{Safe, Size, Span, Speed};

/// The time between two redraws on a terminal.
const REDRAW: Duration = Duration::from_millis(100);
/// The time between two plain lines.
const PLAIN: Duration = Duration::from_secs(10);
/// The time over which the speed is averaged.
const WINDOW: Duration = Duration::from_secs(8);
/// The rows of the terminal that are reserved for completion lines.
const SPARE_ROWS: u16 = 4;
/// A narrower terminal shows figures without bars.
const COLUMNS_FOR_BARS: usize = 60;
/// The columns of a bar.
const BAR: usize = 20;
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// How progress is shown on this terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The run and its active files, updated in place.
    Bars,
    /// The run, updated in place.
    Line,
    /// A new line every ten seconds.
    Plain,
    /// Nothing.
    None,
}

impl Mode {
    /// The mode for a choice of `--progress`. Without a terminal that can move its cursor, bars and lines become
    /// `Plain`.
    pub(crate) fn choose(asked: flags::ProgressChoice, terminal: bool, term: Option<&str>) -> Self {
        let can_redraw = terminal && term.is_some_and(|term| !matches!(term, "" | "dumb"));
        match asked {
            flags::ProgressChoice::None => Self::None,
            flags::ProgressChoice::Line if can_redraw => Self::Line,
            flags::ProgressChoice::Auto | flags::ProgressChoice::Bars if can_redraw => Self::Bars,
            _ => Self::Plain,
        }
    }

    /// The mode for a choice of `--progress` on the standard error of this process.
    pub(crate) fn for_stderr(asked: flags::ProgressChoice) -> Self {
        let term = std::env::var("TERM").ok();
        Self::choose(asked, io::stderr().is_terminal(), term.as_deref())
    }
}

/// The terminal or file that the view is drawn on.
pub(crate) struct Screen {
    target: ProgressDrawTarget,
    /// For plain lines and cursor codes. Write errors are ignored: progress must not end a run.
    out: Box<dyn Write>,
    /// Returns rows and columns; called for each redraw.
    size: fn() -> (u16, u16),
}

impl Screen {
    /// Standard error.
    pub(crate) fn stderr() -> Self {
        Self {
            target: ProgressDrawTarget::stderr(),
            out: Box::new(io::stderr()),
            size: stderr_size,
        }
    }
}

fn stderr_size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// The progress view of a run. Dropping it clears the view and shows the cursor again.
pub(crate) struct ProgressView {
    mode: Mode,
    bar: ProgressBar,
    /// The lines of the view. The bar reads them when it draws.
    frame: Arc<Mutex<String>>,
    out: Box<dyn Write>,
    size: fn() -> (u16, u16),
    next: Duration,
    is_drawn: bool,
    speed: Window,
    /// The numbers of the files that were active at the last redraw, sorted. Only a file seen twice gets a line.
    seen: Vec<u64>,
}

impl ProgressView {
    /// A view that has drawn nothing yet.
    pub(crate) fn new(mode: Mode, screen: Screen) -> Self {
        let frame = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&frame);
        // The template is one placeholder, so it is valid.
        let style = ProgressStyle::with_template("{frame}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key(
                "frame",
                move |_: &indicatif::ProgressState, out: &mut dyn fmt::Write| {
                    let _ = out.write_str(&lock(&shown));
                },
            );
        let target = match mode {
            Mode::Bars | Mode::Line => screen.target,
            Mode::Plain | Mode::None => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style)
            .with_finish(ProgressFinish::AndClear);
        Self {
            mode,
            bar,
            frame,
            out: screen.out,
            size: screen.size,
            next: if mode == Mode::Plain { PLAIN } else { REDRAW },
            is_drawn: false,
            speed: Window::default(),
            seen: Vec::new(),
        }
    }

    /// When [`ProgressView::update`] is due next, as time since the start of the run; `None` in mode none.
    pub(crate) fn next(&self) -> Option<Duration> {
        (self.mode != Mode::None).then_some(self.next)
    }

    /// Whether the view is on the screen. Other output must then be printed within [`suspend`](Self::suspend), which
    /// clears and redraws the view; so print many lines together.
    pub(crate) fn is_drawn(&self) -> bool {
        self.is_drawn
    }

    /// Redraws the view if that is due.
    pub(crate) fn update(&mut self, snapshot: Snapshot<'_, '_>) {
        if self.mode == Mode::None || snapshot.elapsed < self.next {
            return;
        }
        self.speed.record(&snapshot);
        if self.mode == Mode::Plain {
            self.next = snapshot.elapsed + PLAIN;
            let mut line = String::new();
            self.speed.describe(&snapshot, ", ", &mut line);
            let _ = writeln!(self.out, "{line}");
            return;
        }
        self.next = snapshot.elapsed + REDRAW;
        self.compose(snapshot);
        if !self.is_drawn {
            self.is_drawn = true;
            sys::set_cursor_hidden(true);
            let _ = write!(self.out, "{HIDE_CURSOR}").and_then(|()| self.out.flush());
        }
        self.bar.tick();
    }

    /// Clears the view, calls `print`, and draws the view again.
    pub(crate) fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        if self.is_drawn {
            self.bar.suspend(print)
        } else {
            print()
        }
    }

    /// Clears the view for the rest of the run.
    pub(crate) fn finish(&mut self) {
        self.mode = Mode::None;
        if self.is_drawn {
            self.is_drawn = false;
            self.bar.finish_and_clear();
            let _ = write!(self.out, "{SHOW_CURSOR}").and_then(|()| self.out.flush());
            sys::set_cursor_hidden(false);
        }
    }

    /// Formats the lines of the view.
    fn compose(&mut self, snapshot: Snapshot<'_, '_>) {
        let (rows, columns) = (self.size)();
        // The last column stays free, because some terminals wrap as soon as it is written.
        let columns = usize::from(columns).saturating_sub(1);
        let mut frame = lock(&self.frame);
        frame.clear();
        let mut line = String::new();
        if columns >= COLUMNS_FOR_BARS && snapshot.list_ended {
            draw_bar(fraction_done(&snapshot), &mut line);
            line.push_str("  ");
        }
        self.speed.describe(&snapshot, "  ", &mut line);
        fit(&line, columns, &mut frame);
        if self.mode != Mode::Bars {
            return;
        }
        let room = usize::from(rows.saturating_sub(SPARE_ROWS));
        for file in seen_twice(snapshot.active, &mut self.seen, room) {
            line.clear();
            describe(&file, columns >= COLUMNS_FOR_BARS, &mut line);
            frame.push('\n');
            fit(&line, columns, &mut frame);
        }
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Formats the line of one file.
fn describe(file: &ActiveFile<'_>, with_bar: bool, line: &mut String) {
    // Writing to a String cannot fail.
    let _ = match file.expected {
        Some(expected) => {
            let done = fraction(file.received, expected);
            let _ = write!(line, "{:>3} %  ", percent(done));
            if with_bar {
                draw_bar(done, line);
                line.push_str("  ");
            }
            let whole = expected.max(file.received);
            write!(line, "{} of {}", Size(file.received), Size(whole))
        }
        None => {
            let blank = if with_bar { 7 + BAR + 4 } else { 7 };
            write!(line, "{:blank$}{}", "", Size(file.received))
        }
    };
    let figures = if with_bar { 7 + BAR + 4 + 24 } else { 7 + 24 };
    let gap = figures.saturating_sub(line.len()).max(2);
    let _ = write!(line, "{:gap$}{}", "", Safe(file.name));
}

/// The files that are active now and were at the last redraw, oldest first, at most `room` of them.
fn seen_twice<'a>(
    active: &mut dyn Iterator<Item = ActiveFile<'a>>,
    seen: &mut Vec<u64>,
    room: usize,
) -> Vec<ActiveFile<'a>> {
    let mut files: Vec<_> = active.collect();
    files.sort_unstable_by_key(|file| file.number);
    let before = std::mem::replace(seen, files.iter().map(|file| file.number).collect());
    files.retain(|file| before.binary_search(&file.number).is_ok());
    files.truncate(room);
    files
}

/// The recent history of the run, for the speed and the time left.
#[derive(Default)]
struct Window {
    /// Time, bytes and finished files. The first entry is the youngest one that is at least as old as the window.
    moments: VecDeque<(Duration, u64, u64)>,
}

impl Window {
    fn record(&mut self, now: &Snapshot<'_, '_>) {
        if self.moments.is_empty() {
            self.moments.push_back((Duration::ZERO, 0, 0));
        }
        self.moments
            .push_back((now.elapsed, now.bytes, finished(now)));
        let start = now.elapsed.saturating_sub(WINDOW);
        while self.moments.get(1).is_some_and(|(time, ..)| *time <= start) {
            self.moments.pop_front();
        }
    }

    /// The time, bytes and files since the oldest entry.
    fn gained(&self) -> (Duration, u64, u64) {
        match (self.moments.front(), self.moments.back()) {
            (Some(old), Some(new)) => (
                new.0.saturating_sub(old.0),
                new.1.saturating_sub(old.1),
                new.2.saturating_sub(old.2),
            ),
            _ => (Duration::ZERO, 0, 0),
        }
    }

    /// Estimated by bytes if their number is known, else by files. `None` if the list has not ended, or without
    /// progress.
    fn time_left(&self, now: &Snapshot<'_, '_>) -> Option<Duration> {
        let (time, bytes, files) = self.gained();
        let (left, gained) = match now.bytes_expected {
            Some(expected) => (expected.saturating_sub(now.bytes), bytes),
            None => (now.files_known.saturating_sub(finished(now)), files),
        };
        if !now.list_ended || left == 0 || gained == 0 {
            return None;
        }
        let millis = time.as_millis() * u128::from(left) / u128::from(gained);
        Some(Duration::from_secs(
            u64::try_from(millis / 1_000).unwrap_or(u64::MAX),
        ))
    }

    /// `12 of 340+ files  1.95 GiB of 3.20 GiB  9.9 MiB/s  2 m 03 s left  2 failed`
    fn describe(&self, now: &Snapshot<'_, '_>, gap: &str, line: &mut String) {
        let more = if now.list_ended { "" } else { "+" };
        let plural = if now.files_known == 1 && now.list_ended {
            ""
        } else {
            "s"
        };
        let known = now.files_known.max(finished(now));
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "{} of {known}{more} file{plural}{gap}{}",
            now.files_done,
            Size(now.bytes)
        );
        if let Some(expected) = now.bytes_expected
            && now.list_ended
        {
            let _ = write!(line, " of {}", Size(expected.max(now.bytes)));
        }
        let (time, bytes, _) = self.gained();
        let _ = write!(line, "{gap}{}", Speed(bytes, time));
        if let Some(left) = self.time_left(now) {
            let _ = match left.as_secs() {
                seconds @ 0..60 => write!(line, "{gap}{} s left", seconds.max(1)),
                _ => write!(line, "{gap}{} left", Span(left)),
            };
        }
        if now.files_failed > 0 {
            let _ = write!(line, "{gap}{} failed", now.files_failed);
        }
    }
}

fn finished(now: &Snapshot<'_, '_>) -> u64 {
    now.files_done.saturating_add(now.files_failed)
}

/// The fraction of the run that is done, in thousandths.
fn fraction_done(now: &Snapshot<'_, '_>) -> u64 {
    match now.bytes_expected {
        Some(expected) if expected > 0 => fraction(now.bytes, expected),
        _ => fraction(finished(now), now.files_known),
    }
}

/// `done` divided by `total` in thousandths, at most 1000. If the total is 0, everything is done.
fn fraction(done: u64, total: u64) -> u64 {
    match u128::from(done.min(total)) * 1_000 / u128::from(total.max(1)) {
        0 if total == 0 => 1_000,
        thousandths => u64::try_from(thousandths).unwrap_or(1_000),
    }
}

/// Rounded down, so that 100 % means complete.
fn percent(thousandths: u64) -> u64 {
    thousandths / 10
}

fn draw_bar(thousandths: u64, line: &mut String) {
    let full = usize::try_from(thousandths).unwrap_or(0) * BAR / 1_000;
    line.push('[');
    for at in 0..BAR {
        line.push(if at < full {
            '='
        } else if at == full {
            '>'
        } else {
            ' '
        });
    }
    line.push(']');
}

/// Appends a line, cut with an ellipsis if it is wider than `columns`.
fn fit(line: &str, columns: usize, frame: &mut String) {
    let mut used = 0;
    let mut cut = line.len();
    for (at, c) in line.char_indices() {
        // The position of the ellipsis if the line must be cut.
        if used < columns {
            cut = at;
        }
        used += columns_of(c);
        if used > columns {
            frame.push_str(&line[..cut]);
            if columns > 0 {
                frame.push('…');
            }
            return;
        }
    }
    frame.push_str(line);
}

/// The columns of a character. Characters that may be wide count as two: a line that is cut too early does no harm.
fn columns_of(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}

fn lock(frame: &Mutex<String>) -> MutexGuard<'_, String> {
    frame.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;

    /// A terminal of 80 columns and 12 rows that wraps as real ones do: when the next character comes.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<Grid>>);

    #[derive(Debug, Default)]
    struct Grid {
        lines: Vec<Vec<char>>,
        row: usize,
        column: usize,
        draws: usize,
        codes: String,
    }

    impl Grid {
        fn put(&mut self, c: char) {
            if c == '\n' || (c != '\r' && self.column == 80) {
                self.row += 1;
            }
            if matches!(c, '\r' | '\n') || self.column == 80 {
                self.column = 0;
            }
            let lines = self.lines.len().max(self.row + 1);
            self.lines.resize(lines, vec![' '; 80]);
            if !matches!(c, '\r' | '\n') {
                self.lines[self.row][self.column] = c;
                self.column += 1;
            }
        }
    }

    impl Terminal {
        fn text(&self) -> Vec<String> {
            let trimmed = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_string();
            let mut lines: Vec<_> = self.grid().lines.iter().map(trimmed).collect();
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            lines
        }

        fn grid(&self) -> MutexGuard<'_, Grid> {
            self.0.lock().unwrap()
        }

        fn progress(&self, mode: Mode) -> ProgressView {
            let target = ProgressDrawTarget::term_like(Box::new(self.clone()));
            let screen = Screen {
                target,
                out: Box::new(self.clone()),
                size: || (12, 80),
            };
            ProgressView::new(mode, screen)
        }
    }

    /// Cursor codes and plain lines.
    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.grid()
                .codes
                .push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn height(&self) -> u16 {
            12
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.grid().row -= n;
            Ok(())
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.grid().row += n;
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            unimplemented!()
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            unimplemented!()
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            text.chars().chain(['\n']).for_each(|c| self.grid().put(c));
            Ok(())
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            text.chars().for_each(|c| self.grid().put(c));
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            let mut grid = self.grid();
            let row = grid.row;
            if let Some(line) = grid.lines.get_mut(row) {
                line.fill(' ');
            }
            grid.column = 0;
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            self.grid().draws += 1;
            Ok(())
        }
    }

    const NO_FILE: (u64, &str, u64, Option<u64>) = (0, "", 0, None);

    fn show(view: &mut ProgressView, millis: u64, files: &[(u64, &str, u64, Option<u64>)]) {
        let mut active = files
            .iter()
            .map(|&(number, name, received, expected)| ActiveFile {
                number,
                name,
                received,
                expected,
            });
        view.update(Snapshot {
            files_done: 12,
            files_failed: 2,
            files_known: 340,
            list_ended: false,
            bytes: millis * 1_024,
            bytes_expected: None,
            elapsed: Duration::from_millis(millis),
            active: &mut active,
        });
    }

    fn line_of(change: impl FnOnce(&mut Snapshot<'_, '_>)) -> String {
        let mut snapshot = Snapshot {
            files_done: 12,
            files_failed: 0,
            files_known: 340,
            list_ended: true,
            bytes: 100 << 20,
            bytes_expected: Some(400 << 20),
            elapsed: Duration::from_secs(10),
            active: &mut std::iter::empty(),
        };
        change(&mut snapshot);
        let (mut window, mut line) = (Window::default(), String::new());
        window.record(&snapshot);
        window.describe(&snapshot, ", ", &mut line);
        line
    }

    #[test]
    fn the_whole_run_is_described_in_one_line() {
        assert_eq!(
            line_of(|_| ()),
            "12 of 340 files, 100.0 MiB of 400.0 MiB, 10.0 MiB/s, 30 s left"
        );
        let going_on = line_of(|now| (now.list_ended, now.files_failed) = (false, 3));
        assert_eq!(
            going_on,
            "12 of 340+ files, 100.0 MiB, 10.0 MiB/s, 3 failed"
        );
        let unsized_files = line_of(|now| now.bytes_expected = None);
        assert_eq!(
            unsized_files,
            "12 of 340 files, 100.0 MiB, 10.0 MiB/s, 4 m 33 s left"
        );
        let nothing = line_of(|now| (now.bytes, now.bytes_expected) = (0, Some(1)));
        assert_eq!(nothing, "12 of 340 files, 0 B of 1 B, 0 B/s");
    }

    #[test]
    fn nothing_is_ever_more_than_whole() {
        assert_eq!(fraction(7, 3), 1_000);
        assert_eq!(fraction(0, 0), 1_000);
        assert_eq!(percent(fraction(u64::MAX - 1, u64::MAX)), 99);
        assert!(line_of(|now| now.bytes = 500 << 20).contains("500.0 MiB of 500.0 MiB"));
        assert!(line_of(|now| now.files_done = 400).contains("400 of 400 files"));
    }

    #[test]
    fn the_speed_is_of_the_last_moments_only() {
        let mut window = Window::default();
        let mut empty = std::iter::empty();
        let mut now = Snapshot {
            files_done: 0,
            files_failed: 0,
            files_known: 1,
            list_ended: true,
            bytes: 0,
            bytes_expected: None,
            elapsed: Duration::ZERO,
            active: &mut empty,
        };
        for tenths in 0..1_000 {
            now.elapsed = Duration::from_millis(tenths * 100);
            now.bytes += if tenths < 500 { 1_000_000 } else { 1_000 };
            window.record(&now);
        }
        let (time, bytes, _) = window.gained();
        assert_eq!((time, bytes), (WINDOW, 80_000));
        assert!(window.moments.len() <= 82);
    }

    #[test]
    fn bars_show_the_run_and_what_stays_active() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        let files = [
            (7, "b.iso", 512, Some(1_024)),
            (3, "a\x1b[2J.tar", 2_048, None),
        ];
        show(&mut view, 100, &files);
        assert_eq!(
            terminal.text(),
            ["12 of 340+ files  100.0 KiB  1000.0 KiB/s  2 failed"]
        );
        show(&mut view, 200, &files);
        assert_eq!(
            terminal.text(),
            [
                "12 of 340+ files  200.0 KiB  1000.0 KiB/s  2 failed",
                "                               2.0 KiB                 a\\u{1b}[2J.tar",
                " 50 %  [==========>         ]  512 B of 1.0 KiB        b.iso",
            ]
        );
    }

    #[test]
    fn a_file_that_came_and_went_between_two_redraws_gets_no_bar() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        for at in 1..50 {
            show(&mut view, at * 100, &[(at, "tiny", 0, None)]);
            assert_eq!(terminal.text().len(), 1);
        }
    }

    #[test]
    fn no_more_lines_are_drawn_than_the_terminal_has_room_for() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        let files = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14].map(|id| (id, "x", 0, None));
        show(&mut view, 100, &files);
        show(&mut view, 200, &files);
        assert_eq!(terminal.text().len(), 1 + 12 - usize::from(SPARE_ROWS));
    }

    #[test]
    fn long_and_wide_names_stay_on_their_line() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        let long = "n".repeat(300);
        let files = [(1, long.as_str(), 0, Some(9)), (2, "b", 0, None)];
        show(&mut view, 100, &files);
        show(&mut view, 200, &files);
        let text = terminal.text();
        assert_eq!(text.len(), 3);
        assert!(
            text[1].ends_with('…') && text[1].chars().count() == 79,
            "{text:?}"
        );
        let mut frame = String::new();
        fit("日本語", 5, &mut frame);
        assert_eq!(frame, "日本…");
        frame.clear();
        fit("日本語", 6, &mut frame);
        assert_eq!(frame, "日本語");
    }

    #[test]
    fn redraws_are_at_most_ten_a_second_however_often_it_is_called() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Line);
        for millis in 0..1_000 {
            show(&mut view, millis, &[NO_FILE]);
        }
        assert_eq!(terminal.grid().draws, 9);
        assert_eq!(view.next(), Some(Duration::from_millis(1000)));
    }

    #[test]
    fn printing_while_suspended_tears_nothing() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        let files = [(1, "a", 0, None), (2, "b", 0, None)];
        show(&mut view, 100, &files);
        show(&mut view, 200, &files);
        for name in ["one", "two"] {
            view.suspend(|| terminal.write_line(&format!("done  200  {name}")).unwrap());
        }
        let text = terminal.text();
        assert_eq!(text[..2], ["done  200  one", "done  200  two"]);
        assert_eq!(text.len(), 5, "{text:?}");
        view.finish();
        assert_eq!(terminal.text(), ["done  200  one", "done  200  two"]);
    }

    #[test]
    fn the_cursor_is_hidden_while_bars_stand_and_given_back_even_by_drop() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Bars);
        assert!(terminal.grid().codes.is_empty());
        show(&mut view, 100, &[NO_FILE]);
        assert!(view.is_drawn());
        drop(view);
        assert_eq!(terminal.grid().codes, format!("{HIDE_CURSOR}{SHOW_CURSOR}"));
        assert_eq!(terminal.text(), [""; 0]);
    }

    #[test]
    fn plain_is_a_line_every_ten_seconds_and_no_codes() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::Plain);
        assert_eq!(view.next(), Some(Duration::from_secs(10)));
        for seconds in 0..25 {
            show(&mut view, seconds * 1_000, &[NO_FILE]);
        }
        assert_eq!(view.suspend(|| 7), 7);
        view.finish();
        let lines = terminal
            .grid()
            .codes
            .lines()
            .map(str::to_string)
            .collect::<Vec<_>>();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            "12 of 340+ files, 9.8 MiB, 1000.0 KiB/s, 2 failed"
        );
        assert_eq!(terminal.grid().draws, 0);
    }

    #[test]
    fn none_never_asks_to_be_called() {
        let terminal = Terminal::default();
        let mut view = terminal.progress(Mode::None);
        assert_eq!(view.next(), None);
        show(&mut view, 60_000, &[NO_FILE]);
        assert!(terminal.grid().codes.is_empty() && terminal.grid().draws == 0);
    }

    #[test]
    fn a_view_that_moves_the_cursor_needs_a_terminal_that_can() {
        use flags::ProgressChoice::{Auto, Bars, Line, None, Plain};
        assert_eq!(Mode::choose(Auto, true, Some("xterm")), Mode::Bars);
        assert_eq!(Mode::choose(Auto, false, Some("xterm")), Mode::Plain);
        assert_eq!(Mode::choose(Auto, true, Some("dumb")), Mode::Plain);
        assert_eq!(Mode::choose(Bars, true, Option::None), Mode::Plain);
        assert_eq!(Mode::choose(Line, true, Some("xterm")), Mode::Line);
        assert_eq!(Mode::choose(Line, false, Some("xterm")), Mode::Plain);
        assert_eq!(Mode::choose(Plain, true, Some("xterm")), Mode::Plain);
        assert_eq!(Mode::choose(None, true, Some("xterm")), Mode::None);
    }
}
