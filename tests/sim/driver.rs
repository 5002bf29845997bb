//! A loop in virtual time over the simulated network, in the place of the reactor.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use gannet::multi::{Multi, Options, Ready, Sink, Target};
use gannet::reactor::{Application, Drive};

use super::net::Net;

/// Turns without time passing, after which the loop is a busy one.
const BUSY: usize = 20_000;

pub(super) struct Driver {
    pub(super) net: Rc<RefCell<Net>>,
    /// Turns until a signal comes, if one does.
    pub(super) signal_in: Option<usize>,
}

impl Drive for Driver {
    fn drive<S: Sink>(
        &mut self,
        app: &mut impl Application<S>,
        options: Options,
    ) -> io::Result<()> {
        let deadline = Rc::new(Cell::new(None));
        let mut multi = self.multi(&deadline, options);
        app.start(&mut multi);
        let mut still = 0;
        loop {
            let now = self.net.borrow().now;
            app.refill(&mut multi, now)?;
            if app.is_over(&multi) {
                return Ok(());
            }
            if let Some(turns) = &mut self.signal_in {
                *turns = turns.saturating_sub(1);
                if *turns == 0 {
                    self.signal_in = None;
                    app.signalled(2);
                }
            }
            still += 1;
            assert!(still < BUSY, "a busy loop");
            let ready = self.net.borrow_mut().ready();
            for (number, mask) in &ready {
                // The mask is a hint: now and then there is none.
                let mask = if self.net.borrow_mut().random.once_in(4) {
                    Ready::EMPTY
                } else {
                    *mask
                };
                multi.socket_action(Target::Socket(*number), mask, now)?;
                complete(app, &mut multi, now)?;
            }
            self.resolve(&mut multi)?;
            if deadline.get().is_some_and(|at| at <= now) {
                deadline.set(None);
                multi.socket_action(Target::Timeout, Ready::EMPTY, now)?;
                complete(app, &mut multi, now)?;
            }
            app.tick(&multi, now);
            let is_due = self.net.borrow().has_news() || deadline.get().is_some_and(|at| at <= now);
            if !is_due && !app.is_over(&multi) {
                self.net.borrow().assert_drained();
                let times = [deadline.get(), app.due(), self.net.borrow().next()];
                let next = times.into_iter().flatten().min();
                let next = next.unwrap_or_else(|| panic!("nothing would ever happen again"));
                let mut net = self.net.borrow_mut();
                // Loops are late, never early.
                let late = net.random.delay(Duration::from_millis(20));
                net.now = next.max(now) + late;
                still = 0;
            }
        }
    }
}

impl Driver {
    fn multi<S: Sink>(
        &self,
        deadline: &Rc<Cell<Option<std::time::Instant>>>,
        options: Options,
    ) -> Multi<S> {
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

    /// Answers the lookups whose time has come.
    fn resolve<S: Sink>(&self, multi: &mut Multi<S>) -> io::Result<()> {
        let now = self.net.borrow().now;
        let due = |(at, _): &mut (std::time::Instant, String)| *at <= now;
        let answered: Vec<_> = self.net.borrow_mut().lookups.extract_if(.., due).collect();
        for (_, host) in answered {
            multi.resolved(&host, Ok(Net::addresses(&host)), now)?;
        }
        Ok(())
    }
}

fn complete<S: Sink>(
    app: &mut impl Application<S>,
    multi: &mut Multi<S>,
    now: std::time::Instant,
) -> io::Result<()> {
    while let Some(done) = multi.info_read() {
        app.completed(multi, done, now)?;
    }
    Ok(())
}
