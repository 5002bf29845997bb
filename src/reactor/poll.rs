//! The poller of the program: mio's poll for sockets, the input and signals, and threads that look names up.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Poll, Registry, Token};

use super::Wake;
use super::poller::{Event, Poller};
use super::resolver::Resolver;
use super::signals::Signals;
use super::waker::Waker;
use crate::multi::{Interest, Ready, SocketChange};

/// The token of other threads. The token of a socket is its number.
const THREADS: Token = Token(usize::MAX);
/// The token of signals.
pub(super) const SIGNALS: Token = Token(usize::MAX - 1);
/// The token of the application's input.
const INPUT: Token = Token(usize::MAX - 2);

/// mio's poll, and what it was last told.
pub(super) struct MioPoller<'a> {
    poll: Poll,
    readiness: Events,
    signals: Option<&'a mut Signals>,
    waker: Waker,
    resolver: Rc<Resolver>,
    input: Option<RawFd>,
    now: Instant,
    /// What the last wait has brought and the loop has not read.
    events: VecDeque<Event>,
    /// Whether the results of other threads since the last wait are among the events.
    has_results: bool,
}

impl<'a> MioPoller<'a> {
    /// A poller that watches nothing yet, and these signals.
    ///
    /// # Errors
    /// The poll cannot be duplicated.
    pub(super) fn new(poll: Poll, signals: Option<&'a mut Signals>) -> io::Result<Self> {
        let waker = Waker::new(poll.registry().try_clone()?, THREADS);
        Ok(Self {
            resolver: Rc::new(Resolver::waking(waker.wake())),
            poll,
            readiness: Events::with_capacity(1024),
            signals,
            waker,
            input: None,
            now: Instant::now(),
            events: VecDeque::new(),
            has_results: false,
        })
    }

    /// Stops watching the input.
    fn ignore_input(&mut self) -> io::Result<()> {
        self.input.take().map_or(Ok(()), |descriptor| {
            let registry = self.poll.registry();
            registry.deregister(&mut SourceFd(&descriptor))
        })
    }

    /// Translates what the poll has reported.
    fn collect(&mut self) -> io::Result<()> {
        let mut is_input_ready = false;
        for event in &self.readiness {
            match event.token() {
                THREADS => {} // The waker's flag says so, too.
                SIGNALS => {
                    let signals = self
                        .signals
                        .iter_mut()
                        .flat_map(|signals| signals.pending());
                    self.events.extend(signals.map(Event::Signal));
                }
                INPUT => {
                    is_input_ready = true;
                    self.events.push_back(Event::Input);
                }
                Token(socket) => {
                    let event = Event::Socket(socket as RawFd, ready(event));
                    self.events.push_back(event);
                }
            }
        }
        if is_input_ready {
            // The application reads next, and may close the descriptor.
            self.ignore_input()?;
        }
        Ok(())
    }

    /// Adds the results of other threads to the events, once a wait.
    fn collect_results(&mut self) {
        if self.has_results {
            return;
        }
        self.has_results = true;
        if self.waker.take_news() {
            self.resolver.work();
            let resolved = self.resolver.answers();
            let resolved = resolved.map(|(host, addresses)| Event::Resolved(host, addresses));
            self.events.extend(resolved);
            self.events.push_back(Event::Woken);
        }
    }
}

impl<'a> Poller for MioPoller<'a> {
    fn socket_function(
        &self,
    ) -> io::Result<impl FnMut(&SocketChange<'_>) -> io::Result<()> + 'static + use<'a>> {
        let registry = self.poll.registry().try_clone()?;
        Ok(move |change: &SocketChange<'_>| watch(&registry, change))
    }

    fn resolve_function(&self) -> impl FnMut(&str) + 'static + use<'a> {
        let resolver = Rc::clone(&self.resolver);
        move |host: &str| resolver.look_up(host)
    }

    fn wake(&self) -> Wake {
        self.waker.wake()
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn watch_input(&mut self, input: Option<RawFd>) -> io::Result<()> {
        if self.input == input {
            return Ok(());
        }
        self.ignore_input()?;
        if let Some(descriptor) = input {
            let source = &mut SourceFd(&descriptor);
            let registry = self.poll.registry();
            let watched = registry.register(source, INPUT, mio::Interest::READABLE);
            watched.map_err(unwatched)?;
        }
        self.input = input;
        Ok(())
    }

    /// A signal that interrupts the wait is an event of the next one.
    fn wait(&mut self, until: Option<Instant>, has_threads: bool) -> io::Result<()> {
        let has_threads = has_threads || self.resolver.has_threads();
        let until = self.waker.bound(until, self.now, has_threads);
        let timeout = until.map(|at| at.saturating_duration_since(self.now));
        match self.poll.poll(&mut self.readiness, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.readiness.clear(),
            result => result?,
        }
        self.now = Instant::now();
        self.has_results = false;
        if let Some(signals) = &mut self.signals {
            signals.grow_old(self.now);
        }
        self.collect()
    }

    fn next_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.collect_results();
        }
        self.events.pop_front()
    }
}

/// Registers the interest in a socket. A new registration also reports readiness from before.
fn watch(registry: &Registry, change: &SocketChange<'_>) -> io::Result<()> {
    let source = &mut SourceFd(&change.socket);
    let interest = match change.interest {
        Interest::In => mio::Interest::READABLE,
        Interest::Out => mio::Interest::WRITABLE,
        Interest::InOut => mio::Interest::READABLE | mio::Interest::WRITABLE,
        Interest::None | Interest::Remove => return registry.deregister(source),
    };
    let token = Token(change.socket as usize);
    let watched = registry.register(source, token, interest);
    let watched = watched.or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => registry.reregister(source, token, interest),
        _ => Err(error),
    });
    watched.map_err(unwatched)
}

/// The error for sockets that cannot be watched. The system's text for ENOSPC would name a disk.
pub(super) fn unwatched(error: io::Error) -> io::Error {
    let limit = match error.kind() {
        io::ErrorKind::StorageFull => " (fs.epoll.max_user_watches)",
        _ => "",
    };
    io::Error::other(format!("the sockets cannot be watched: {error}{limit}"))
}

fn ready(event: &mio::event::Event) -> Ready {
    let flags = [
        (event.is_readable(), Ready::IN),
        (event.is_writable(), Ready::OUT),
        (event.is_error(), Ready::ERR),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(Ready::EMPTY, |ready, (_, flag)| ready | flag)
}
