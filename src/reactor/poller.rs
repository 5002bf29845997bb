//! The seam of the event loop: what waits, and the events that it reports. mio's poll is one implementation, and the
//! simulated network of the tests is another.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

use super::Wake;
use crate::multi::{Addresses, Ready, SocketChange, Wire};

/// What has happened during a wait.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A socket is ready, or has failed.
    Socket(RawFd, Ready),
    /// A host name was looked up.
    Resolved(String, Addresses),
    /// The application's input is readable, or at its end. It is not watched any more.
    Input,
    /// A signal that ends the run.
    Signal(i32),
    /// Another thread has called [`Wake`].
    Woken,
}

/// A function that makes connections, as [`Multi::set_dial_function`](crate::multi::Multi::set_dial_function) takes it.
pub type Dial = Box<dyn FnMut(SocketAddr) -> io::Result<Rc<dyn Wire>>>;

/// Waits for sockets, times and other threads.
pub trait Poller {
    /// The function that watches sockets. It is told the interest in each socket, and a new registration also reports
    /// readiness from before.
    ///
    /// # Errors
    /// The function cannot be made.
    fn socket_function(
        &self,
    ) -> io::Result<impl FnMut(&SocketChange<'_>) -> io::Result<()> + 'static + use<Self>>;

    /// The function that begins the lookup of a host name, which ends as [`Event::Resolved`].
    fn resolve_function(&self) -> impl FnMut(&str) + 'static + use<Self>;

    /// The function that makes connections; `None` is the kernel's TCP.
    fn dial_function(&self) -> Option<Dial> {
        None
    }

    /// The function by which other threads interrupt a wait; see [`Event::Woken`].
    fn wake(&self) -> Wake;

    /// The time at which the last wait ended.
    fn now(&self) -> Instant;

    /// Watches the application's input, or nothing. Readiness from before is reported too.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    fn watch_input(&mut self, input: Option<RawFd>) -> io::Result<()>;

    /// Waits for an event, at most until this time. `has_threads` is whether threads of the application may call
    /// [`Wake`].
    ///
    /// # Errors
    /// The poller cannot wait.
    fn wait(&mut self, until: Option<Instant>, has_threads: bool) -> io::Result<()>;

    /// The next event of the last wait. Each wait ends with a finite number of them, whatever the application does
    /// meanwhile.
    fn next_event(&mut self) -> Option<Event>;
}
