//! Name lookups by getaddrinfo, which respects nsswitch, the hosts file and VPNs, but blocks, so it runs on threads.
//!
//! A thread starts when there is a lookup and no thread is idle. Threads are never joined: a lookup that hangs delays
//! neither others nor the end of the process. If no thread can start (a limit of processes), the event loop's thread
//! does the lookups, between two waits.

use std::collections::VecDeque;
use std::fmt;
use std::net::ToSocketAddrs;
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{io, thread};

use super::Wake;
use crate::error::MultiError;
use crate::multi::{Addresses, Multi, Sink};

/// The number of lookups at once. Most lookups are fast, and a few that hang must not block the others.
const THREADS: usize = 16;

/// Looks names up, and wakes the loop when there are answers.
pub struct Resolver(Arc<LookupThreads>);

struct LookupThreads {
    work: Mutex<Work>,
    has_work: Condvar,
    wake: Wake,
    /// Does one lookup, and blocks.
    ask: fn(&str) -> Addresses,
    spawn: fn(Arc<Self>) -> io::Result<()>,
}

#[derive(Default)]
struct Work {
    hosts: VecDeque<String>,
    answers: Vec<(String, Addresses)>,
    threads: usize,
    idle: usize,
}

impl Resolver {
    /// A resolver that calls `wake` when there are answers, usually from another thread.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::waking(Arc::new(wake))
    }

    pub(super) fn waking(wake: Wake) -> Self {
        Self::with(wake, look_up, spawn)
    }

    fn with(
        wake: Wake,
        ask: fn(&str) -> Addresses,
        spawn: fn(Arc<LookupThreads>) -> io::Result<()>,
    ) -> Self {
        Self(Arc::new(LookupThreads {
            work: Mutex::default(),
            has_work: Condvar::new(),
            wake,
            ask,
            spawn,
        }))
    }

    /// Starts a lookup.
    pub fn look_up(&self, host: &str) {
        let mut work = self.0.lock();
        work.hosts.push_back(host.to_owned());
        if work.idle < work.hosts.len()
            && work.threads < THREADS
            && (self.0.spawn)(Arc::clone(&self.0)).is_ok()
        {
            work.threads += 1;
        }
        if work.threads == 0 {
            drop(work);
            // The event loop must run, and do the lookup itself.
            return (self.0.wake)();
        }
        drop(work);
        self.0.has_work.notify_one();
    }

    /// Does one lookup on the calling thread if there is no other thread, and calls `wake` while more are left.
    pub(super) fn work(&self) {
        let mut work = self.0.lock();
        if work.threads > 0 {
            return;
        }
        let Some(host) = work.hosts.pop_front() else {
            return;
        };
        let is_last = work.hosts.is_empty();
        drop(work);
        let found = self.0.ask(&host);
        self.0.lock().answers.push((host, found));
        if !is_last {
            (self.0.wake)();
        }
    }

    /// Whether other threads may call `wake`.
    pub fn has_threads(&self) -> bool {
        self.0.lock().threads > 0
    }

    /// The answers since the last call.
    pub fn answers(&self) -> impl Iterator<Item = (String, Addresses)> {
        std::mem::take(&mut self.0.lock().answers).into_iter()
    }
}

impl Resolver {
    /// Passes the answers to the engine. Call it after each call of `wake`: without threads it does a lookup itself.
    ///
    /// # Errors
    /// As [`Multi::resolved`].
    pub fn tell<S: Sink>(&self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError> {
        self.work();
        for (host, addresses) in self.answers() {
            multi.resolved(&host, addresses, now)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl LookupThreads {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut work = self.lock();
        loop {
            let Some(host) = work.hosts.pop_front() else {
                work.idle += 1;
                work = self
                    .has_work
                    .wait(work)
                    .unwrap_or_else(PoisonError::into_inner);
                work.idle -= 1;
                continue;
            };
            drop(work);
            let found = self.ask(&host);
            work = self.lock();
            work.answers.push((host, found));
            (self.wake)();
        }
    }

    /// Does one lookup. A panic counts as a failure, else the transfers of the host would wait for ever.
    fn ask(&self, host: &str) -> Addresses {
        let ask = self.ask;
        panic::catch_unwind(|| ask(host)).unwrap_or_else(|_| Err("the lookup panicked".to_owned()))
    }
}

fn spawn(shared: Arc<LookupThreads>) -> io::Result<()> {
    let thread = thread::Builder::new().name("resolver".to_owned());
    thread.spawn(move || shared.serve()).map(drop)
}

/// Does one lookup. The addresses are in the system's order of preference (RFC 6724), each once. Names below
/// `localhost` have its addresses (RFC 6761 §6.3), which not every system knows.
fn look_up(host: &str) -> Addresses {
    let name = host.strip_suffix('.').unwrap_or(host);
    let host = if name.ends_with(".localhost") {
        "localhost"
    } else {
        host
    };
    let found = (host, 0).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        text.rsplit_once(": ")
            .map_or(text.clone(), |(_, reason)| reason.to_owned())
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn nowhere(host: &str) -> Addresses {
        Err(format!("{host} is nowhere"))
    }

    #[test]
    fn without_threads_the_caller_looks_up_one_name_after_the_other() {
        let (wake, woken) = mpsc::channel();
        let wake = Arc::new(move || wake.send(()).unwrap());
        let none = |_| Err(io::ErrorKind::WouldBlock.into());
        let resolver = Resolver::with(wake, nowhere, none);
        resolver.look_up("a");
        resolver.look_up("b");
        let mut hosts = Vec::new();
        // Each call of `wake` is a turn of the loop.
        while woken.try_recv().is_ok() {
            resolver.work();
            hosts.extend(resolver.answers().map(|(host, _)| host));
        }
        assert_eq!(hosts, ["a", "b"]);
        assert!(!resolver.has_threads());
    }

    #[test]
    fn a_lookup_that_panics_is_answered_and_so_is_the_next() {
        let (wake, woken) = mpsc::channel();
        let ask = |host: &str| {
            assert_ne!(host, "panic", "this one is meant");
            nowhere(host)
        };
        let resolver = Resolver::with(Arc::new(move || wake.send(()).unwrap()), ask, spawn);
        for host in ["panic", "next"] {
            resolver.look_up(host);
            woken.recv().unwrap();
            let (answered, found) = resolver.answers().next().unwrap();
            assert_eq!((answered.as_str(), found.is_err()), (host, true));
        }
    }

    #[test]
    fn answers_come_with_a_wake_up() {
        let (wake, woken) = mpsc::channel();
        let resolver = Resolver::new(move || wake.send(()).unwrap());
        resolver.look_up("localhost");
        resolver.look_up("host.invalid");
        resolver.look_up("x.localhost.");
        let mut answers = Vec::new();
        while answers.len() < 3 {
            woken.recv().unwrap();
            answers.extend(resolver.answers());
        }
        answers.sort();
        assert_eq!(answers[0].0, "host.invalid");
        assert!(answers[0].1.is_err());
        for (host, found) in &answers[1..] {
            let mut found = found.as_ref().unwrap().iter();
            assert!(found.all(|address| address.is_loopback()), "{host}");
        }
    }
}
