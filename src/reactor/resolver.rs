//! Name lookups by getaddrinfo on threads of their own: it honours nsswitch, the hosts file and VPNs, but it waits.
//!
//! Threads are started when there is something to look up and nobody idle to do it. They are never joined:
//! a lookup that hangs holds up neither the others nor the end of the process.

use std::collections::VecDeque;
use std::fmt;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::MultiError;
use crate::multi::{Addresses, Multi, Sink};

/// Lookups at once: most names fail fast or come fast, and a few that hang must not block the rest.
const THREADS: usize = 16;

/// Looks names up, and wakes the loop when there are answers.
pub struct Resolver(Arc<Shared>);

struct Shared {
    work: Mutex<Work>,
    has_work: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Work {
    hosts: VecDeque<String>,
    answers: Vec<(String, Addresses)>,
    threads: usize,
    idle: usize,
}

impl Resolver {
    /// A resolver that calls `wake`, on a thread of its own, when there are answers.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            work: Mutex::default(),
            has_work: Condvar::new(),
            wake: Box::new(wake),
        }))
    }

    /// Starts a lookup.
    pub fn look_up(&self, host: &str) {
        let mut work = self.0.lock();
        work.hosts.push_back(host.to_owned());
        if work.idle < work.hosts.len() && work.threads < THREADS {
            let shared = Arc::clone(&self.0);
            let started = thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || shared.serve());
            match started {
                Ok(_) => work.threads += 1,
                Err(error) if work.threads == 0 => {
                    let host = work.hosts.pop_back().unwrap_or_default();
                    work.answers
                        .push((host, Err(format!("no thread for the lookup: {error}"))));
                    drop(work);
                    (self.0.wake)();
                    return;
                }
                Err(_) => {}
            }
        }
        drop(work);
        self.0.has_work.notify_one();
    }

    /// The answers that have come since the last call.
    pub fn answers(&self) -> impl Iterator<Item = (String, Addresses)> {
        std::mem::take(&mut self.0.lock().answers).into_iter()
    }
}

impl Resolver {
    /// Hands the answers that have come to the engine.
    ///
    /// # Errors
    /// As [`Multi::resolved`].
    pub fn tell<S: Sink>(&self, multi: &mut Multi<S>, now: Instant) -> Result<(), MultiError> {
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

impl Shared {
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
            let found = look_up(&host);
            work = self.lock();
            work.answers.push((host, found));
            (self.wake)();
        }
    }
}

/// One lookup. Addresses come in the system's order of preference (RFC 6724), each once.
fn look_up(host: &str) -> Addresses {
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

    #[test]
    fn answers_come_with_a_wake_up() {
        let (wake, woken) = mpsc::channel();
        let resolver = Resolver::new(move || wake.send(()).unwrap());
        resolver.look_up("localhost");
        resolver.look_up("host.invalid");
        let mut answers = Vec::new();
        while answers.len() < 2 {
            woken.recv().unwrap();
            answers.extend(resolver.answers());
        }
        answers.sort();
        assert_eq!(answers[0].0, "host.invalid");
        assert!(answers[0].1.is_err());
        assert!(
            answers[1]
                .1
                .as_ref()
                .is_ok_and(|found| found.iter().all(|address| address.is_loopback()))
        );
    }
}
