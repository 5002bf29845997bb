//! What the application says has happened: a target, and what it is ready for.

use std::ops::BitOr;
use std::os::fd::RawFd;

/// What a call of [`Multi::socket_action`](super::Multi::socket_action) is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A socket had activity.
    Socket(RawFd),
    /// The timeout expired, or the engine starts (CURL_SOCKET_TIMEOUT).
    Timeout,
}

/// What a socket is ready for: a set of IN, OUT and ERR. Empty is unknown: look yourself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// Unknown.
    pub const EMPTY: Self = Self(0);
    /// Readable (CURL_CSELECT_IN).
    pub const IN: Self = Self(1);
    /// Writable (CURL_CSELECT_OUT).
    pub const OUT: Self = Self(2);
    /// In error (CURL_CSELECT_ERR).
    pub const ERR: Self = Self(4);

    /// The empty set.
    pub fn empty() -> Self {
        Self::EMPTY
    }

    /// Whether every member of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
