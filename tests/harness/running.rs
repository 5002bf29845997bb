//! The program while it runs: what it says is captured as it comes, and a test waits for it, never for time.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Output;

pub(crate) struct Running {
    /// Process number, for signals.
    id: u32,
    stdin: Option<ChildStdin>,
    capture: Arc<Capture>,
    command: String,
    deadline: Instant,
    started: Instant,
}

#[derive(Default)]
struct Capture {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Streams still read from.
    open: usize,
    status: Option<ExitStatus>,
}

impl Capture {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("capture"));
        self.changed.notify_all();
    }

    /// Reads a stream to its end on another thread.
    fn follow(
        self: &Arc<Self>,
        mut stream: impl Read + Send + 'static,
        keep: fn(&mut State, &[u8]),
    ) {
        self.change(|state| state.open += 1);
        let capture = Arc::clone(self);
        thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                capture.change(|state| keep(state, &piece[..count]));
            }
            capture.change(|state| state.open -= 1);
        });
    }
}

impl Running {
    pub(super) fn new(
        mut child: Child,
        command: String,
        limit: Duration,
        drops_stdout: bool,
    ) -> Self {
        let capture = Arc::new(Capture::default());
        if let Some(stdout) = child.stdout.take()
            && !drops_stdout
        {
            capture.follow(stdout, |state, bytes| state.stdout.extend_from_slice(bytes));
        }
        let stderr = child.stderr.take().expect("standard error is piped");
        capture.follow(stderr, |state, bytes| state.stderr.extend_from_slice(bytes));
        let started = Instant::now();
        let (id, stdin) = (child.id(), child.stdin.take());
        let waiter = Arc::clone(&capture);
        thread::spawn(move || {
            let status = child.wait().expect("the program's end");
            waiter.change(|state| state.status = Some(status));
        });
        Self {
            id,
            stdin,
            capture,
            command,
            deadline: started + limit,
            started,
        }
    }

    /// Writes to its standard input; that it may be closed by now is no error.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
        }
    }

    /// Sends it a signal by name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        assert!(
            self.signal_if_there(name),
            "cannot send {name}: {}",
            self.output()
        );
    }

    /// Sends it a signal, and says whether it was still there to get it.
    pub(crate) fn signal_if_there(&self, name: &str) -> bool {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}"))
            .arg(self.id.to_string())
            .stderr(Stdio::null());
        kill.status().expect("kill").success()
    }

    /// Whether it ends within a moment.
    pub(crate) fn ends_soon(&self) -> bool {
        let state = self.capture.state.lock().expect("capture");
        let moment = Duration::from_millis(50);
        let (state, _) = self
            .capture
            .changed
            .wait_timeout_while(state, moment, |state| state.status.is_none())
            .expect("capture");
        state.status.is_some()
    }

    /// Waits until it catches this signal.
    #[track_caller]
    pub(crate) fn wait_until_caught(&self, signal: u32) {
        let status = format!("/proc/{}/status", self.id);
        let is_caught = || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
        };
        while !is_caught() {
            assert!(!self.ends_soon(), "it has ended: {}", self.output());
        }
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until `count` lines stand on standard output.
    #[track_caller]
    pub(crate) fn wait_for_completions(&self, count: usize) {
        let lines = |state: &State| state.stdout.iter().filter(|byte| **byte == b'\n').count();
        let seen = self.wait(|state| lines(state) >= count || state.status.is_some());
        assert!(seen, "no {count} completions");
    }

    /// Waits for a line on standard output that contains `part`.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, part: &str) {
        let seen = self.wait(|state| contains(&state.stdout, part) || state.status.is_some());
        let has_it = contains(&self.capture.state.lock().expect("capture").stdout, part);
        assert!(
            seen && has_it,
            "no {part:?} on standard output: {}",
            self.output()
        );
    }

    /// Waits for its end, closing its standard input first.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Output {
        self.stdin = None;
        self.end()
    }

    /// Waits for its end, its standard input held open.
    #[track_caller]
    pub(crate) fn end(self) -> Output {
        if self.wait(|state| state.status.is_some() && state.open == 0) {
            return self.output();
        }
        let _ = Command::new("kill")
            .arg("-KILL")
            .arg(self.id.to_string())
            .status();
        panic!(
            "over its limit after {:?}: {}",
            self.started.elapsed(),
            self.output()
        );
    }

    fn wait(&self, wanted: impl Fn(&State) -> bool) -> bool {
        let state = self.capture.state.lock().expect("capture");
        let left = self.deadline.saturating_duration_since(Instant::now());
        let (_state, waited) = self
            .capture
            .changed
            .wait_timeout_while(state, left, |state| !wanted(state))
            .expect("capture");
        !waited.timed_out()
    }

    /// What it has said so far.
    fn output(&self) -> Output {
        let state = self.capture.state.lock().expect("capture");
        Output {
            command: self.command.clone(),
            status: state.status,
            stdout: state.stdout.clone(),
            stderr: String::from_utf8_lossy(&state.stderr).into_owned(),
            took: self.started.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let has_ended = self
            .capture
            .state
            .lock()
            .is_ok_and(|state| state.status.is_some());
        if !has_ended {
            let _ = Command::new("kill")
                .arg("-KILL")
                .arg(self.id.to_string())
                .status();
        }
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}
