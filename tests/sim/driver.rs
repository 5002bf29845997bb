//! A loop in virtual time over the simulated network, in the place of the reactor.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use gannet::multi::{Multi, Options, Ready, Sink, Target};
use gannet::reactor::{Application, Drive};

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
        let deadline = Rc::new(Cell::new(None));
        let is_woken = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&is_woken);
        app.set_wake(Arc::new(move || wake.store(true, Ordering::Relaxed)));
        let mut multi = self.multi(&deadline, options);
        app.start(&mut multi);
        let (mut still, mut turns) = (0, 0);
        loop {
            let now = self.net.borrow().now;
            app.refill(&mut multi, now)?;
            if app.is_over(&multi) {
                return Ok(());
            }
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let has_news = self.net.borrow().has_news() || is_woken.load(Ordering::Relaxed);
            if !has_news && !is_due(deadline.get()) {
                self.wait([deadline.get(), app.due()]);
                still = 0;
            }
            still += 1;
            turns += 1;
            assert!(still < BUSY, "a busy loop");
            assert!(
                turns < ENDLESS,
                "a run without an end, of {} transfers",
                multi.running()
            );
            self.act(app, &mut multi, &deadline, &is_woken)?;
        }
    }
}

impl Driver {
    /// Lets time pass until something happens.
    fn wait(&self, times: [Option<Instant>; 2]) {
        let net = &mut *self.net.borrow_mut();
        net.assert_drained();
        let next = times.into_iter().chain([net.next()]).flatten().min();
        let next = next.unwrap_or_else(|| panic!("nothing would ever happen again"));
        // Loops are late, never early.
        let late = net.random.delay(Duration::from_millis(20));
        net.now = next.max(net.now) + late;
        net.speak();
    }

    /// Acts on whatever has happened.
    fn act<S: Sink>(
        &mut self,
        app: &mut impl Application<S>,
        multi: &mut Multi<S>,
        deadline: &Cell<Option<Instant>>,
        is_woken: &AtomicBool,
    ) -> io::Result<()> {
        let now = self.net.borrow().now;
        if let Some((turns, _)) = &mut self.ends_in {
            *turns = turns.saturating_sub(1);
        }
        match self.ends_in.take_if(|(turns, _)| *turns == 0) {
            Some((_, Outside::Signal)) => app.signalled(2),
            Some((_, Outside::Kill(from, to))) => {
                for entry in fs::read_dir(from)? {
                    let entry = entry?;
                    fs::rename(entry.path(), to.join(entry.file_name()))?;
                }
                return Err(io::Error::other("killed"));
            }
            None => {}
        }
        let ready = self.net.borrow_mut().ready();
        for (number, mask) in ready {
            // The mask is a hint: now and then there is none.
            let mask = if self.net.borrow_mut().random.once_in(4) {
                Ready::EMPTY
            } else {
                mask
            };
            multi.socket_action(Target::Socket(number), mask, now)?;
            complete(app, multi, now)?;
        }
        self.resolve(multi)?;
        complete(app, multi, now)?;
        if is_woken.swap(false, Ordering::Relaxed) {
            app.woken(multi, now)?;
        }
        if deadline.get().is_some_and(|at| at <= now) {
            deadline.set(None);
            multi.socket_action(Target::Timeout, Ready::EMPTY, now)?;
            complete(app, multi, now)?;
        }
        app.tick(multi, now);
        Ok(())
    }

    fn multi<S: Sink>(&self, deadline: &Rc<Cell<Option<Instant>>>, options: Options) -> Multi<S> {
        let mut multi = Multi::new();
        multi.set_options(options);
        let net = Rc::clone(&self.net);
        multi.set_dial_function(move |address| Net::dial(&net, address));
        let net = Rc::clone(&self.net);
        multi.set_socket_function(move |change| {
            net.borrow_mut().watch(change.socket, change.interest);
            Ok(())
        });
        let (net, timer) = (Rc::clone(&self.net), Rc::clone(deadline));
        multi.set_timer_function(move |timeout| {
            timer.set(timeout.map(|timeout| net.borrow().now + timeout));
            Ok(())
        });
        let net = Rc::clone(&self.net);
        multi.set_resolve_function(move |host| {
            let net = &mut *net.borrow_mut();
            let at = net.now + net.random.delay(Duration::from_secs(2));
            net.lookups.push((at, host.to_owned()));
        });
        multi
    }

    /// Answers the lookups that are due.
    fn resolve<S: Sink>(&self, multi: &mut Multi<S>) -> io::Result<()> {
        let now = self.net.borrow().now;
        let due = |(at, _): &mut (Instant, String)| *at <= now;
        let answered: Vec<_> = self.net.borrow_mut().lookups.extract_if(.., due).collect();
        for (_, host) in answered {
            multi.resolved(&host, Net::addresses(&host), now)?;
        }
        Ok(())
    }
}

fn complete<S: Sink>(
    app: &mut impl Application<S>,
    multi: &mut Multi<S>,
    now: Instant,
) -> io::Result<()> {
    while let Some(done) = multi.info_read() {
        app.completed(multi, done, now)?;
    }
    Ok(())
}
