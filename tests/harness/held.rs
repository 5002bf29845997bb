//! A program that a shell holds: when the pipe from the test closes, for whatever reason, the program ends too.

use std::process::{Child, Command, Stdio};

/// A script that starts the program, and the process that runs it.
pub(super) struct Held(Child);

impl Held {
    /// Runs a script with these arguments. It ends what it started when its standard input does.
    pub(super) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().expect("sh"))
    }

    /// The shell that runs `script`, with `arguments` from `$1` on.
    pub(super) fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]);
        shell
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
