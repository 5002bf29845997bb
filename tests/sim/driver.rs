//! The simulated network as a poller: the event loop of the program runs over it, in virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use gannet::internals::reactor::{Dial, Event, Poller, run_on};
use gannet::multi::{Options, Ready, Sink, SocketChange};
use gannet::reactor::{Application, Drive, Wake};

use super::net::Net;

/// Turns without time passing, after which the loop is a busy one.
const BUSY: usize = 20_000;

/// Turns in all, after which a run goes on for ever.
const ENDLESS: usize = 500_000;

pub(super) struct Driver {
    pub(super) net: Rc<RefCell<Net>>,
    /// Turns until the run is ended from outside, if it is.
    pub(super) ends_in: Option<(usize, Outside)>,
}

/// What ends a run from outside.
#[derive(Debug, Clone)]
pub(super) enum Outside {
    Signal,
    /// What stands in the one folder then is moved to the other: nothing that happens later changes
    /// it.
    Kill(PathBuf, PathBuf),
}

impl Drive for Driver {
    fn drive<S: Sink>(
        &mut self,
        app: &mut impl Application<S>,
        options: Options,
    ) -> io::Result<()> {
        let mut poller = SimPoller {
            net: Rc::clone(&self.net),
            ends_in: self.ends_in.take(),
            is_woken: Arc::default(),
            sockets: VecDeque::new(),
            signal: None,
            has_told_of_wake: false,
            still: 0,
            turns: 0,
        };
        app.prepare();
        run_on(&mut poller, app, options)
    }
}

/// The simulated network, and how often the loop has waited for it.
struct SimPoller {
    net: Rc<RefCell<Net>>,
    ends_in: Option<(usize, Outside)>,
    is_woken: Arc<AtomicBool>,
    /// The sockets that the last wait found ready, and its signal.
    sockets: VecDeque<(RawFd, Ready)>,
    signal: Option<i32>,
    /// Whether the last wait has reported a wake of another thread.
    has_told_of_wake: bool,
    /// Turns since time has passed, and in all.
    still: usize,
    turns: usize,
}

impl Poller for SimPoller {
    fn socket_function(
        &self,
    ) -> io::Result<impl FnMut(&SocketChange<'_>) -> io::Result<()> + 'static + use<>> {
        let net = Rc::clone(&self.net);
        Ok(move |change: &SocketChange<'_>| {
            net.borrow_mut().watch(change.socket, change.interest);
            Ok(())
        })
    }

    fn resolve_function(&self) -> impl FnMut(&str) + 'static + use<> {
        let net = Rc::clone(&self.net);
        move |host: &str| {
            let net = &mut *net.borrow_mut();
            let at = net.now + net.random.delay(Duration::from_secs(2));
            net.lookups.push((at, host.to_owned()));
        }
    }

    fn dial_function(&self) -> Option<Dial> {
        let net = Rc::clone(&self.net);
        Some(Box::new(move |address| Net::dial(&net, address)))
    }

    fn wake(&self) -> Wake {
        let is_woken = Arc::clone(&self.is_woken);
        Arc::new(move || is_woken.store(true, Ordering::Relaxed))
    }

    fn now(&self) -> Instant {
        self.net.borrow().now
    }

    fn watch_input(&mut self, input: Option<RawFd>) -> io::Result<()> {
        assert_eq!(input, None, "a simulated list is a file");
        Ok(())
    }

    fn wait(&mut self, until: Option<Instant>, _: bool) -> io::Result<()> {
        self.assert_all_told();
        let is_due = until.is_some_and(|at| at <= self.now());
        let has_news = self.net.borrow().has_news() || self.is_woken.load(Ordering::Relaxed);
        if !has_news && !is_due {
            self.pass_time(until);
            self.still = 0;
        }
        self.still += 1;
        self.turns += 1;
        let open = self.net.borrow().open();
        assert!(self.still < BUSY, "a busy loop");
        assert!(
            self.turns < ENDLESS,
            "a run without an end, with {open} connections"
        );
        self.end_from_outside()?;
        self.sockets.extend(self.net.borrow_mut().ready());
        self.has_told_of_wake = false;
        Ok(())
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(signal) = self.signal.take() {
            return Some(Event::Signal(signal));
        }
        if let Some((number, mask)) = self.sockets.pop_front() {
            // The mask is a hint: now and then there is none.
            let is_hidden = self.net.borrow_mut().random.once_in(4);
            let mask = if is_hidden { Ready::EMPTY } else { mask };
            return Some(Event::Socket(number, mask));
        }
        if let Some(host) = self.net.borrow_mut().take_lookup() {
            let addresses = Net::addresses(&host);
            return Some(Event::Resolved(host, addresses));
        }
        let tells = !self.has_told_of_wake && self.is_woken.swap(false, Ordering::Relaxed);
        self.has_told_of_wake |= tells;
        tells.then_some(Event::Woken)
    }
}

impl SimPoller {
    /// The loop must not wait before it has taken all events of the last wait.
    fn assert_all_told(&self) {
        assert!(
            self.signal.is_none() && self.sockets.is_empty(),
            "events were left: {:?} {:?}",
            self.signal,
            self.sockets
        );
    }

    /// Lets time pass until something happens.
    fn pass_time(&self, until: Option<Instant>) {
        let net = &mut *self.net.borrow_mut();
        net.assert_drained();
        let next = until.into_iter().chain(net.next()).min();
        let next = next.unwrap_or_else(|| panic!("nothing would ever happen again"));
        // Loops are late, never early.
        let late = net.random.delay(Duration::from_millis(20));
        net.now = next.max(net.now) + late;
        net.speak();
    }

    /// Ends the run by a signal or a kill, when its turn has come.
    fn end_from_outside(&mut self) -> io::Result<()> {
        if let Some((turns, _)) = &mut self.ends_in {
            *turns = turns.saturating_sub(1);
        }
        match self.ends_in.take_if(|(turns, _)| *turns == 0) {
            None => {}
            Some((_, Outside::Signal)) => self.signal = Some(2),
            Some((_, Outside::Kill(from, to))) => {
                for entry in fs::read_dir(from)? {
                    let entry = entry?;
                    fs::rename(entry.path(), to.join(entry.file_name()))?;
                }
                return Err(io::Error::other("killed"));
            }
        }
        Ok(())
    }
}
