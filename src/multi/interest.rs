//! The interest in each socket, what the socket function was last told of it, and thus which changes to report.
//!
//! Interests are collected while transfers run; at the end of a call only the differences are announced. The removal
//! of a socket is announced before it closes, since another socket may then get its number.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use super::connections::ConnectionKey;
use super::info::{Done, Messages, TransferId};
use crate::conn::{Interest, Socket};

/// Returned by a socket or timer function to abort the multi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort;

impl From<io::Error> for Abort {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// One change of the interest in a socket.
pub struct SocketChange<'a> {
    /// A transfer that uses the socket, or the last one that used it.
    pub transfer: TransferId,
    /// The socket.
    pub socket: RawFd,
    /// The new interest.
    pub interest: Interest,
    stream: &'a Socket,
    assigned: &'a mut Option<Box<dyn Any>>,
    messages: &'a mut Messages,
}

impl SocketChange<'_> {
    /// The data that was last assigned to this socket. A removal still shows it.
    pub fn assigned(&self) -> Option<&dyn Any> {
        self.assigned.as_deref()
    }

    /// Assigns data to this socket, as [`Multi::assign`](super::Multi::assign) does.
    pub fn assign(&mut self, data: impl Any) {
        *self.assigned = Some(Box::new(data));
    }

    /// Takes the next message off the info queue, as [`Multi::info_read`](super::Multi::info_read) does.
    pub fn info_read(&mut self) -> Option<Done> {
        self.messages.pop()
    }
}

/// The socket, for pollers that need an owner instead of a number: duplicate it, and drop the duplicate at
/// [`Interest::Remove`].
impl AsFd for SocketChange<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl fmt::Debug for SocketChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketChange")
            .field("transfer", &self.transfer)
            .field("socket", &self.socket)
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}

pub(super) type SocketFunction = Box<dyn FnMut(SocketChange<'_>) -> Result<(), Abort>>;

/// One socket.
struct SocketEntry {
    /// Kept until the removal was announced, so an announced socket cannot close.
    stream: Socket,
    connection: ConnectionKey,
    transfer: TransferId,
    wanted: Interest,
    /// What the socket function was last told; `None` before the first time, and after a removal.
    announced: Option<Interest>,
    is_dirty: bool,
    assigned: Option<Box<dyn Any>>,
}

impl SocketEntry {
    /// Tells the function the interest in the socket, if it has changed. Returns true if the function aborts. A change
    /// counts as announced even if the function panics, so its removal will be announced too.
    fn tell(
        &mut self,
        socket: RawFd,
        function: Option<&mut SocketFunction>,
        messages: &mut Messages,
    ) -> bool {
        self.is_dirty = false;
        let is_news = self.announced.unwrap_or(Interest::Remove) != self.wanted;
        let (Some(function), true) = (function, is_news) else {
            return false;
        };
        self.announced = (self.wanted != Interest::Remove).then_some(self.wanted);
        let change = SocketChange {
            transfer: self.transfer,
            socket,
            interest: self.wanted,
            stream: &self.stream,
            assigned: &mut self.assigned,
            messages,
        };
        let is_aborted = function(change).is_err();
        if self.announced.is_none() {
            self.assigned = None;
        }
        is_aborted
    }
}

/// All sockets of a multi, by number.
#[derive(Default)]
pub(super) struct Sockets {
    function: Option<SocketFunction>,
    entries: Vec<Option<SocketEntry>>,
    dirty: Vec<RawFd>,
    is_aborted: bool,
}

impl Sockets {
    /// Sets the function. The next flush announces open sockets to it.
    pub(super) fn set_function(&mut self, function: SocketFunction) {
        self.function = Some(function);
        for (socket, entry) in self.entries.iter_mut().enumerate() {
            if let Some(entry) = entry {
                entry.announced = None;
                entry.is_dirty = true;
                self.dirty.push(socket as RawFd);
            }
        }
    }

    /// Adds a new socket, without an interest in it.
    pub(super) fn open(&mut self, stream: Socket, connection: ConnectionKey, transfer: TransferId) {
        let index = stream.number() as usize;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(SocketEntry {
            stream,
            connection,
            transfer,
            wanted: Interest::Remove,
            announced: None,
            is_dirty: false,
            assigned: None,
        });
    }

    /// Sets the interest in a socket that `transfer` uses.
    pub(super) fn want(&mut self, socket: RawFd, transfer: TransferId, interest: Interest) {
        let Some(Some(entry)) = self.entries.get_mut(socket as usize) else {
            return;
        };
        if interest != Interest::Remove {
            entry.transfer = transfer;
        }
        entry.wanted = interest;
        if !entry.is_dirty && entry.announced.unwrap_or(Interest::Remove) != interest {
            entry.is_dirty = true;
            self.dirty.push(socket);
        }
    }

    /// Forgets a socket before it closes. If it was announced, its removal is announced.
    pub(super) fn close(&mut self, socket: RawFd, messages: &mut Messages) {
        let entry = self.entries.get_mut(socket as usize);
        if let Some(mut entry) = entry.and_then(Option::take) {
            entry.wanted = Interest::Remove;
            self.is_aborted |= entry.tell(socket, self.function.as_mut(), messages);
        }
    }

    /// Forgets every socket, as [`close`](Self::close) does.
    pub(super) fn clear(&mut self, messages: &mut Messages) {
        self.dirty.clear();
        for socket in 0..self.entries.len() {
            self.close(socket as RawFd, messages);
        }
        self.is_aborted = false;
    }

    /// Announces every difference. Returns true if the function aborted, now or since the last flush.
    pub(super) fn flush(&mut self, messages: &mut Messages) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty);
        for socket in dirty.drain(..) {
            self.announce(socket, messages);
        }
        self.dirty = dirty;
        std::mem::take(&mut self.is_aborted)
    }

    fn announce(&mut self, socket: RawFd, messages: &mut Messages) {
        if let Some(Some(entry)) = self.entries.get_mut(socket as usize) {
            self.is_aborted |= entry.tell(socket, self.function.as_mut(), messages);
        }
    }

    /// Assigns data to an announced socket. Returns false if the socket is not announced.
    pub(super) fn assign(&mut self, socket: RawFd, data: Box<dyn Any>) -> bool {
        let entry = usize::try_from(socket)
            .ok()
            .and_then(|index| self.entries.get_mut(index)?.as_mut());
        match entry.filter(|entry| entry.announced.is_some()) {
            Some(entry) => {
                entry.assigned = Some(data);
                true
            }
            None => false,
        }
    }

    /// The connection that owns a socket.
    pub(super) fn connection(&self, socket: RawFd) -> Option<ConnectionKey> {
        usize::try_from(socket)
            .ok()
            .and_then(|index| self.entries.get(index)?.as_ref())
            .map(|entry| entry.connection)
    }

    /// Whether there is an interest in a socket.
    pub(super) fn is_wanted(&self, socket: RawFd) -> bool {
        self.entries
            .get(socket as usize)
            .and_then(Option::as_ref)
            .is_some_and(|entry| entry.wanted != Interest::Remove)
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("dirty", &self.dirty)
            .finish_non_exhaustive()
    }
}
