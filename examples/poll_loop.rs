//! The engine on another event loop: plain, level-triggered poll(2) on one page, and nothing of mio.
//!
//! `cargo run --example poll_loop URL…` fetches URLs into memory and prints the status and the length of each.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::multi::{Done, Easy, Interest, Multi, Options, Ready, Target};
use gannet::reactor::{Resolver, load_certificates};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What poll(2) watches, by the engine's number for it.
type Table = HashMap<RawFd, (OwnedFd, PollFlags)>;

/// The engine, and a loop that drives it.
pub(crate) struct PollLoop {
    pub(crate) multi: Multi<Vec<u8>>,
    watched: Rc<RefCell<Table>>,
    deadline: Rc<Cell<Option<Instant>>>,
    resolver: Rc<Resolver>,
    /// Readable when the resolver has answers.
    woken: UnixStream,
}

impl PollLoop {
    pub(crate) fn new(options: Options) -> io::Result<Self> {
        // 1. Create a multi handle.
        let mut multi = Multi::new();
        multi.set_options(options);

        // 2. Set the socket function: it keeps the table of watched sockets.
        let watched = Rc::new(RefCell::new(Table::new()));
        let table = Rc::clone(&watched);
        multi.set_socket_function(move |change| {
            let flags = match change.interest {
                Interest::None => PollFlags::empty(),
                Interest::In => PollFlags::IN,
                Interest::Out => PollFlags::OUT,
                Interest::InOut => PollFlags::IN | PollFlags::OUT,
                Interest::Remove => {
                    table.borrow_mut().remove(&change.socket);
                    return Ok(());
                }
            };
            // A duplicate: the engine may close its own as soon as it has said so, this one is ours.
            let socket = change.as_fd().try_clone_to_owned()?;
            table.borrow_mut().insert(change.socket, (socket, flags));
            Ok(())
        });

        // 3. Set the timer function: it keeps the one time at which the engine wants to be called.
        let deadline = Rc::new(Cell::new(None));
        let timer = Rc::clone(&deadline);
        multi.set_timer_function(move |timeout| {
            timer.set(timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
            Ok(())
        });

        // Names are looked up on other threads, which wake the loop through a pipe.
        let (woken, waker) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let resolver = Rc::new(Resolver::new(move || drop((&waker).write(&[0]))));
        let lookups = Rc::clone(&resolver);
        multi.set_resolve_function(move |host| lookups.look_up(host));

        // The first https URL has the authorities read from their files.
        multi.set_certificate_function(load_certificates);
        Ok(Self {
            multi,
            watched,
            deadline,
            resolver,
            woken,
        })
    }

    /// Drives the engine until no transfer is running, and hands on each that completes.
    pub(crate) fn run(
        &mut self,
        mut completed: impl FnMut(&mut Multi<Vec<u8>>, Done),
    ) -> Result<(), Box<dyn Error>> {
        while self.multi.running() > 0 {
            self.turn(Duration::MAX)?;
            while let Some(done) = self.multi.info_read() {
                completed(&mut self.multi, done);
            }
            // 8. Go back to step 6.
        }
        Ok(())
    }

    /// Waits once, no longer than `at_most`, and acts on what has happened.
    pub(crate) fn turn(&mut self, at_most: Duration) -> Result<(), Box<dyn Error>> {
        // 6. Wait for activity on any of the sockets, no longer than the timer function was told.
        let now = Instant::now();
        let left = self
            .deadline
            .get()
            .map(|at| at.saturating_duration_since(now));
        let active = self.wait(left.map_or(at_most, |left| left.min(at_most)))?;

        // 7. Act on each socket that had activity; if the timeout expires, act on that.
        let now = Instant::now();
        let _ = self.woken.read(&mut [0; 64]);
        for (host, addresses) in self.resolver.answers() {
            self.multi.resolved(&host, addresses, now)?;
        }
        for (socket, ready) in active {
            // An earlier one may have ended this one's transfer: that is no error.
            self.multi
                .socket_action(Target::Socket(socket), ready, now)?;
        }
        if self.deadline.get().is_some_and(|at| at <= now) {
            self.deadline.set(None);
            self.multi
                .socket_action(Target::Timeout, Ready::EMPTY, now)?;
        }
        Ok(())
    }

    /// 5. Manage the sockets: here a poll(2) over the table, and the pipe beside it.
    fn wait(&self, at_most: Duration) -> Result<Vec<(RawFd, Ready)>, Errno> {
        let table = self.watched.borrow();
        let mut polled = vec![PollFd::new(&self.woken, PollFlags::IN)];
        polled.extend(table.values().map(|(fd, flags)| PollFd::new(fd, *flags)));
        match poll(&mut polled, Timespec::try_from(at_most).ok().as_ref()) {
            Err(Errno::INTR) => return Ok(Vec::new()),
            result => result?,
        };
        let sockets = table.keys().zip(&polled[1..]);
        let active = sockets.filter(|(_, polled)| !polled.revents().is_empty());
        Ok(active.map(|(&fd, p)| (fd, ready(p.revents()))).collect())
    }
}

fn ready(events: PollFlags) -> Ready {
    let flags = [
        (PollFlags::IN | PollFlags::HUP, Ready::IN),
        (PollFlags::OUT, Ready::OUT),
        (PollFlags::ERR, Ready::ERR),
    ];
    let set = flags.iter().filter(|(any, _)| events.intersects(*any));
    set.fold(Ready::EMPTY, |ready, (_, flag)| ready | *flag)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut code = ExitCode::SUCCESS;
    let mut event_loop = PollLoop::new(Options::default())?;
    // 4. Add transfers.
    for url in std::env::args().skip(1) {
        event_loop.multi.add(Easy::new(url.parse()?, Vec::new()))?;
    }
    event_loop.run(|multi, done| {
        let Ok(easy) = multi.remove(done.id, Instant::now()) else {
            return;
        };
        match done.result {
            Ok(outcome) => println!("{} {} {}", outcome.status, easy.sink.len(), easy.url),
            Err(error) => {
                println!("--- {}: {error}", easy.url);
                code = ExitCode::FAILURE;
            }
        }
    })?;
    Ok(code)
}
