//! Readiness as edge-triggered polling reports it: each change once, and everything again after a new registration.
//! Events without a call yet are kept, as an application would keep them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use gannet::multi::{Interest, Ready};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// An epoll instance with EPOLLET, and the events that it has reported.
pub(super) struct Edges {
    epoll: OwnedFd,
    told: BTreeMap<RawFd, Ready>,
}

impl Edges {
    pub(super) fn new() -> Self {
        Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance"),
            told: BTreeMap::new(),
        }
    }

    /// Watches a socket, under its number, through a descriptor that is not watched yet.
    pub(super) fn watch(&self, socket: RawFd, fd: impl AsFd, interest: Interest) {
        let flags = match interest {
            Interest::In => epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            Interest::Out => epoll::EventFlags::OUT,
            Interest::InOut => {
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP
            }
            Interest::None | Interest::Remove => return,
        };
        let data = epoll::EventData::new_u64(socket as u64);
        epoll::add(&self.epoll, fd, data, flags | epoll::EventFlags::ET).expect("a registration");
    }

    /// Stops watching a socket, and drops its events.
    pub(super) fn forget(&mut self, socket: RawFd, fd: impl AsFd) {
        // A socket without interest was not registered.
        let _ = epoll::delete(&self.epoll, fd);
        self.told.remove(&socket);
    }

    /// A socket gets a call: its next event is reported after a change.
    pub(super) fn take(&mut self, socket: RawFd) {
        self.told.remove(&socket);
    }

    /// The sockets with activity, after at most `wait`.
    pub(super) fn ready(&mut self, wait: Duration) -> Vec<(RawFd, Ready)> {
        let wait = if self.told.is_empty() {
            wait
        } else {
            Duration::ZERO
        };
        let wait = Timespec::try_from(wait).expect("a short time");
        let mut events = Vec::with_capacity(256);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)).expect("epoll_wait");
        for event in &events {
            let told = self.told.entry(event.data.u64() as RawFd).or_default();
            *told = *told | mask(event.flags);
        }
        let told = self.told.iter();
        told.map(|(socket, ready)| (*socket, *ready)).collect()
    }
}

fn mask(events: epoll::EventFlags) -> Ready {
    let ends = epoll::EventFlags::HUP | epoll::EventFlags::RDHUP;
    let flags = [
        (epoll::EventFlags::IN | ends, Ready::IN),
        (epoll::EventFlags::OUT, Ready::OUT),
        (epoll::EventFlags::ERR, Ready::ERR),
    ];
    let set = flags.iter().filter(|(any, _)| events.intersects(*any));
    set.fold(Ready::EMPTY, |ready, (_, flag)| ready | *flag)
}
