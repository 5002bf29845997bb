//! The exit codes, and their precedence if a run fails in several ways. Pure: std only.

#![warn(clippy::wildcard_enum_match_arm)]

/// An exit code.
///
/// The order is that of importance for a script. A run that fails in several ways ends with the greatest of them, so
/// the code does not depend on which failure came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Exit {
    /// All transfers succeeded, or there were none.
    #[default]
    Success,
    /// A failure without a more specific code.
    Other,
    /// An invalid command line, or an invalid line in a list. Less important than all failures of transfers, because
    /// reading the list is enough to find it; more important than `Other`, because it is more specific.
    Usage,
    /// The network, or the name service, failed.
    Network,
    /// A time limit was reached.
    TimedOut,
    /// The server answered with an error status.
    Status,
    /// The response was malformed.
    Protocol,
    /// A file existed with `--exists error`, or was created by another process during the run.
    Exists,
    /// The remote file changed, or cannot be resumed.
    Changed,
    /// The server or proxy required a login: 401, 407.
    Authentication,
    /// The certificate of the peer was refused, or the handshake failed.
    Tls,
    /// A local file could not be read or written.
    LocalFile,
    /// The disk is full, or the quota is used up.
    NoSpace,
    /// A digest or a lock file did not match.
    Integrity,
    /// SIGINT stopped the run. More important than all failures.
    Interrupted,
    /// SIGHUP stopped the run. More important than all failures.
    HungUp,
    /// SIGTERM stopped the run. More important than all failures.
    Terminated,
}

impl Exit {
    /// All exit codes and their meanings, in the order of the codes, for the table of the man page.
    #[cfg(test)]
    pub(crate) const TABLE: [(Self, &str); 17] = [
        (
            Self::Success,
            "all transfers succeeded (also for an empty list)",
        ),
        (Self::Other, "another failure"),
        (Self::Usage, "a usage error, or an invalid line in a list"),
        (Self::LocalFile, "a local file could not be read or written"),
        (Self::Network, "a network or name service failure"),
        (Self::Tls, "TLS verification failed"),
        (Self::Authentication, "authentication (status 401 or 407)"),
        (Self::Protocol, "a malformed response"),
        (
            Self::Status,
            "the server answered with an error status, or with one without a file (202, 204, 205)",
        ),
        (
            Self::Integrity,
            "a digest, a size or the lock file does not match",
        ),
        (
            Self::Changed,
            "the remote file changed or cannot be resumed",
        ),
        (
            Self::Exists,
            "the file exists (--exists error), or was created by another process during the run",
        ),
        (Self::NoSpace, "no space left"),
        (
            Self::TimedOut,
            "a timeout: while connecting, of a stalled transfer, or of a whole transfer",
        ),
        (Self::HungUp, "killed by SIGHUP, after an orderly stop"),
        (Self::Interrupted, "killed by SIGINT, after an orderly stop"),
        (Self::Terminated, "killed by SIGTERM, after an orderly stop"),
    ];

    /// The code as a shell reports it. For a signal it is 128 plus the number of the signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::LocalFile => 3,
            Self::Network => 4,
            Self::Tls => 5,
            Self::Authentication => 6,
            Self::Protocol => 7,
            Self::Status => 8,
            Self::Integrity => 9,
            Self::Changed => 10,
            Self::Exists => 11,
            Self::NoSpace => 12,
            Self::TimedOut => 28,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The exit code of a run that this signal stopped.
    pub(crate) fn of_signal(signal: i32) -> Self {
        match signal {
            1 => Self::HungUp,
            2 => Self::Interrupted,
            _ => Self::Terminated,
        }
    }

    /// The signal that stopped the run, by number: the process dies by it too, so that its parent sees it.
    pub(crate) fn signal(self) -> Option<i32> {
        match self {
            Self::HungUp => Some(1),
            Self::Interrupted => Some(2),
            Self::Terminated => Some(15),
            Self::Success
            | Self::Other
            | Self::Usage
            | Self::LocalFile
            | Self::Network
            | Self::Tls
            | Self::Authentication
            | Self::Protocol
            | Self::Status
            | Self::Integrity
            | Self::Changed
            | Self::Exists
            | Self::NoSpace
            | Self::TimedOut => None,
        }
    }

    /// The more important of two exit codes. Commutative and associative; `Success` is the neutral element.
    #[must_use]
    pub(crate) fn worst(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    fn of_run(failures: impl IntoIterator<Item = Exit>) -> u8 {
        failures.into_iter().fold(Exit::Success, Exit::worst).code()
    }

    #[test]
    fn a_run_without_failures_succeeds() {
        assert_eq!(of_run([]), 0);
    }

    #[test]
    fn of_several_failures_the_first_in_the_contracts_order_wins() {
        let order = [143, 129, 130, 9, 12, 3, 5, 6, 10, 11, 7, 8, 28, 4, 2, 1, 0];
        let mut all = Exit::TABLE.map(|(exit, _)| exit);
        all.sort();
        assert_eq!(
            all.map(Exit::code).into_iter().rev().collect::<Vec<_>>(),
            order
        );
    }

    #[test]
    fn bad_lines_alone_end_a_run_with_2() {
        assert_eq!(of_run([Exit::Success, Exit::Usage, Exit::Success]), 2);
        assert_eq!(of_run([Exit::Usage, Exit::Status]), 8);
    }

    #[test]
    fn a_run_that_a_signal_stopped_has_its_code() {
        let stopped = Exit::TABLE.map(|(exit, _)| (exit, exit.signal()));
        let signals: Vec<_> = stopped.iter().filter_map(|(_, signal)| *signal).collect();
        assert_eq!(signals, [1, 2, 15]);
        for (exit, signal) in stopped {
            if let Some(signal) = signal {
                assert_eq!(Exit::of_signal(signal), exit);
                assert_eq!(i32::from(exit.code()), 128 + signal);
            }
        }
    }

    #[test]
    fn the_table_has_every_code_once_and_in_order() {
        let codes = Exit::TABLE.map(|(exit, _)| exit.code());
        assert_eq!(
            codes,
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 28, 129, 130, 143]
        );
    }

    #[test]
    fn any_order_of_the_same_failures_gives_the_same_code() {
        for a in Exit::TABLE.map(|(exit, _)| exit) {
            for b in Exit::TABLE.map(|(exit, _)| exit) {
                assert_eq!(a.worst(b), b.worst(a));
                for c in Exit::TABLE.map(|(exit, _)| exit) {
                    assert_eq!(a.worst(b).worst(c), a.worst(b.worst(c)));
                }
            }
        }
        let seed = 0x9e37_79b9_7f4a_7c15_u64;
        println!("seed {seed:#x}");
        let mut random = seed;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % bound as u64).unwrap()
        };
        for _ in 0..1_000 {
            let mut failures: Vec<Exit> = (0..1 + below(12))
                .map(|_| Exit::TABLE[below(17)].0)
                .collect();
            let code = of_run(failures.iter().copied());
            for _ in 0..5 {
                for i in (1..failures.len()).rev() {
                    failures.swap(i, below(i + 1));
                }
                assert_eq!(of_run(failures.iter().copied()), code, "{failures:?}");
            }
        }
    }
}
