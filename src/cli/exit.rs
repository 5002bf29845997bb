//! The exit codes, and which of them wins when a run failed in several ways. Pure: std only.

/// What the process ends with.
///
/// Ordered by what a script needs to know first: a run that failed in several ways ends with the greatest of them,
/// so the code does not depend on which failure came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Exit {
    /// All transfers succeeded, or there were none.
    #[default]
    Success,
    /// Nothing more precise can be said.
    Other,
    /// A bad command line, or a bad line in a list. After all that a transfer can fail of, because it is known
    /// by reading the list alone; before `Other`, because it is more precise.
    Usage,
    /// The network, or the name service, failed.
    Network,
    /// A time limit was reached.
    TimedOut,
    /// The server answered with an error status.
    Status,
    /// The answer was malformed.
    Protocol,
    /// A file was there already, and that was to be an error.
    Exists,
    /// The remote file changed, or cannot be resumed.
    Changed,
    /// The server or proxy asked for a login: 401, 407.
    Authentication,
    /// The peer's certificate or the handshake was not right.
    Tls,
    /// A local file could not be read or written.
    LocalFile,
    /// The disk is full, or the quota used up.
    NoSpace,
    /// A digest or a lock file did not match.
    Integrity,
    /// SIGINT stopped the run, whatever had failed before.
    Interrupted,
    /// SIGHUP stopped the run, whatever had failed before.
    HungUp,
    /// SIGTERM stopped the run, whatever had failed before.
    Terminated,
}

impl Exit {
    /// Every exit code with what it means, in the order of the codes; the man page's table comes from here.
    #[cfg(test)]
    pub(crate) const TABLE: [(Self, &str); 17] = [
        (Self::Success, "all transfers succeeded (an empty list too)"),
        (Self::Other, "another failure"),
        (Self::Usage, "usage, or a bad line in a list"),
        (Self::LocalFile, "a local file could not be read or written"),
        (Self::Network, "network or name service"),
        (Self::Tls, "TLS verification"),
        (Self::Authentication, "authentication (status 401 or 407)"),
        (Self::Protocol, "malformed answer"),
        (Self::Status, "the server answered with an error status"),
        (
            Self::Integrity,
            "integrity: what came is not what was promised",
        ),
        (
            Self::Changed,
            "the remote file changed or cannot be resumed",
        ),
        (
            Self::Exists,
            "the file exists (--exists error), or came to stand there meanwhile",
        ),
        (Self::NoSpace, "no space left"),
        (Self::TimedOut, "timed out (connecting, stalled or in all)"),
        (
            Self::HungUp,
            "killed by SIGHUP, having stopped in good order",
        ),
        (Self::Interrupted, "killed by SIGINT, likewise"),
        (Self::Terminated, "killed by SIGTERM, likewise"),
    ];

    /// What the shell sees: of a process that died by a signal, 128 and its number.
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

    /// What a run ends with that this signal stopped.
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
            _ => None,
        }
    }

    /// The one of two that the run ends with: commutative, associative, `Success` changes nothing.
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
