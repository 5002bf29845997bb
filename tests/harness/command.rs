//! The program under test: arguments, environment, standard input, and a hard limit on its time.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Output, Running};

/// Where the program is: the one that was built with these tests, unless GANNET_BIN names another.
fn program() -> PathBuf {
    env::var_os("GANNET_BIN").map_or_else(|| env!("CARGO_BIN_EXE_gannet").into(), PathBuf::from)
}

/// One call of the program, in the making.
pub(crate) struct Gannet {
    dir: PathBuf,
    args: Vec<OsString>,
    variables: Vec<(String, OsString)>,
    input: Option<Vec<u8>>,
    limit: Duration,
    shell: Option<String>,
    under: Vec<OsString>,
    stdout: Option<File>,
    drops_stdout: bool,
}

impl Gannet {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            args: Vec::new(),
            variables: Vec::new(),
            input: None,
            limit: Duration::from_secs(25),
            shell: None,
            under: Vec::new(),
            stdout: None,
            drops_stdout: false,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Flags in one string, parted by blanks: `.flags("-t 0 -j 1")`.
    pub(crate) fn flags(self, flags: &str) -> Self {
        self.args(flags.split_whitespace())
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What is written to its standard input, which is then closed.
    pub(crate) fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = Some(bytes.as_ref().to_vec());
        self
    }

    /// Shell commands that go before it in the same process: `ulimit -n 32`.
    pub(crate) fn shell(mut self, commands: &str) -> Self {
        self.shell = Some(commands.to_owned());
        self
    }

    /// A program, and its arguments, that runs this one: `strace -f`.
    pub(crate) fn under<A: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = A>) -> Self {
        self.under
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Standard output goes to this file, and is not captured.
    pub(crate) fn stdout_to(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Standard output is a pipe without a reader.
    pub(crate) fn stdout_without_reader(mut self) -> Self {
        self.drops_stdout = true;
        self
    }

    /// How long it may take; 25 s unless told.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end. Standard input is what was given, or empty.
    pub(crate) fn run(self) -> Output {
        let input = self.input.clone().unwrap_or_default();
        let mut running = self.spawn();
        running.write(&input);
        running.finish()
    }

    /// Starts it, its standard input held open.
    pub(crate) fn spawn(self) -> Running {
        let mut words = self.under;
        words.push(program().into());
        let mut command = match &self.shell {
            None => Command::new(&words[0]),
            Some(commands) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("{commands}; exec \"$0\" \"$@\""))
                    .arg(&words[0]);
                shell
            }
        };
        command
            .args(&words[1..])
            .args(&self.args)
            .current_dir(&self.dir)
            .env_clear();
        // Nothing of the tester's own configuration; coverage tools need their variable.
        for name in ["PATH", "LLVM_PROFILE_FILE", "SYSTEMROOT", "TMPDIR"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("HOME", "/nonexistent")
            .env("RUST_BACKTRACE", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(self.stdout.map_or_else(Stdio::piped, Stdio::from));
        let said: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program().display()));
        Running::new(
            child,
            format!("gannet {}", said.join(" ")),
            self.limit,
            self.drops_stdout,
        )
    }
}
