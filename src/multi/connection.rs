//! One connection: sockets that race until one has won, then a stack of filters with HTTP/1.1 on it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use super::info::TransferId;
use crate::conn::{Filter, Race, Socket};
use crate::http1::Exchange;

/// A connection and whom it serves.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its origin's key in the pool.
    pub(super) origin: usize,
    /// The transfer it serves; none while it is idle.
    pub(super) user: Option<TransferId>,
    pub(super) stage: Stage,
    pub(super) exchange: Exchange,
    /// The request, and how much of it the filters have taken.
    pub(super) request: Vec<u8>,
    pub(super) taken: usize,
    /// Requests that were sent over it.
    pub(super) requests: u32,
    /// When, and in which call, it became idle.
    pub(super) idle_since: Option<(Instant, u64)>,
}

/// How far the connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Attempts to several addresses run, each with its own socket.
    Racing {
        /// Who is next.
        race: Race,
        /// The attempts under way.
        attempts: Vec<(SocketAddr, Socket)>,
        /// Why the last one to fail did.
        last: Option<io::Error>,
    },
    /// One socket is connected; the stack over it opens, or stands.
    Connected {
        /// The winner.
        socket: RawFd,
        /// Its peer.
        address: SocketAddr,
        /// The stack.
        filter: Box<dyn Filter>,
    },
}

impl Connection {
    pub(super) fn new(origin: usize, user: TransferId, race: Race) -> Self {
        Self {
            origin,
            user: Some(user),
            stage: Stage::Racing {
                race,
                attempts: Vec::new(),
                last: None,
            },
            exchange: Exchange::new(),
            request: Vec::new(),
            taken: 0,
            requests: 0,
            idle_since: None,
        }
    }

    /// The stack, once there is one.
    pub(super) fn filter(&mut self) -> Option<&mut dyn Filter> {
        match &mut self.stage {
            Stage::Connected { filter, .. } => Some(filter.as_mut()),
            Stage::Racing { .. } => None,
        }
    }

    /// Every socket of the connection.
    pub(super) fn sockets(&self) -> Vec<RawFd> {
        match &self.stage {
            Stage::Racing { attempts, .. } => attempts
                .iter()
                .map(|(_, socket)| socket.stream().as_raw_fd())
                .collect(),
            Stage::Connected { socket, .. } => vec![*socket],
        }
    }

    /// The address it is connected to, or tries.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Racing { attempts, .. } => attempts.last().map(|(address, _)| *address),
            Stage::Connected { address, .. } => Some(*address),
        }
    }

    /// Whether nothing has come over an idle connection: no byte, no end, no error.
    pub(super) fn is_silent(&self) -> bool {
        match &self.stage {
            Stage::Connected { filter, .. } => Socket::is_silent(filter.socket()),
            Stage::Racing { .. } => false,
        }
    }

    /// Whether the transfer may be tried again elsewhere without anyone noticing: the connection had served
    /// before, and not one byte of this answer has come (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    pub(super) fn may_be_stale(&self) -> bool {
        self.requests > 1 && !self.exchange.has_begun()
    }
}
