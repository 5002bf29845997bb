//! Syncs files to the disk on a thread: a sync may take seconds, and the event loop must not wait for it.

use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::{cell::RefCell, rc::Rc};

use crate::sys;

/// The thread, started when the first file is synced. A clone is another handle on that thread.
#[derive(Clone)]
pub struct Syncing(Rc<RefCell<Worker>>);

enum Worker {
    /// The thread starts with the first task.
    Ready,
    Running(Sender<Task>, JoinHandle<()>),
    /// There is no thread, and none will be started: nothing is synced.
    Gone,
    /// The caller runs each task at once.
    Inline,
}

type Task = Box<dyn FnOnce() + Send>;

impl Default for Syncing {
    /// Tasks run on a thread.
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Worker::Ready)))
    }
}

impl Syncing {
    /// Tasks run in the caller, which waits for the disk. For runs that must not depend on a scheduler.
    pub fn inline() -> Self {
        Self(Rc::new(RefCell::new(Worker::Inline)))
    }

    /// Starts a sync of the bytes that are written now.
    pub(super) fn sync(&self, file: Arc<File>) -> Ticket {
        let result = Promise::default();
        let ticket = Ticket(Arc::clone(&result.0));
        self.run(Box::new(move || result.keep(sys::sync_data(&file))));
        ticket
    }

    /// Queues a task for the thread. Without a thread the task is dropped.
    pub(super) fn run(&self, task: Task) {
        let mut worker = self.0.borrow_mut();
        if matches!(*worker, Worker::Ready) {
            *worker = start().map_or(Worker::Gone, |(tasks, thread)| {
                Worker::Running(tasks, thread)
            });
        }
        match &*worker {
            Worker::Running(tasks, _) => drop(tasks.send(task)),
            Worker::Inline => task(),
            Worker::Ready | Worker::Gone => {}
        }
    }

    /// Waits until all tasks are done. Later tasks are dropped.
    pub fn finish(&self) {
        let worker = self.0.replace(Worker::Gone);
        if let Worker::Running(tasks, thread) = worker {
            drop(tasks);
            // The thread catches the panics of its tasks.
            let _ = thread.join();
        }
    }
}

fn start() -> io::Result<(Sender<Task>, JoinHandle<()>)> {
    let (sender, tasks) = mpsc::channel::<Task>();
    let thread = thread::Builder::new().name("syncs".to_owned());
    let thread = thread.spawn(move || {
        for task in tasks {
            // A panic counts as a failure of the task.
            let _ = catch_unwind(AssertUnwindSafe(task));
        }
    })?;
    Ok((sender, thread))
}

impl fmt::Debug for Syncing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncing").finish_non_exhaustive()
    }
}

/// The result of a sync, once it has ended.
#[derive(Debug)]
pub(super) struct Ticket(Arc<OnceLock<bool>>);

impl Ticket {
    /// Whether all bytes that were written when the sync began are on the disk; `None` before it has ended.
    pub(super) fn result(&self) -> Option<bool> {
        self.0.get().copied()
    }
}

/// The other end of a ticket: a task that never ran, or that panicked, has failed.
#[derive(Debug, Default)]
struct Promise(Arc<OnceLock<bool>>);

impl Promise {
    fn keep(&self, result: io::Result<()>) {
        let _ = self.0.set(result.is_ok());
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let _ = self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    #[test]
    fn all_that_was_asked_for_is_done_before_the_end() {
        for syncing in [Syncing::default(), Syncing::inline()] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let ticket = syncing.sync(file());
            for number in 0..10 {
                let seen = Arc::clone(&seen);
                syncing.run(Box::new(move || seen.lock().unwrap().push(number)));
            }
            syncing.finish();
            assert_eq!(ticket.result(), Some(true));
            assert_eq!(*seen.lock().unwrap(), (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_task_that_panics_has_failed_and_stops_no_other() {
        let syncing = Syncing::default();
        let promise = Promise::default();
        let ticket = Ticket(Arc::clone(&promise.0));
        syncing.run(Box::new(move || {
            let _promise = promise;
            panic!("on purpose");
        }));
        let next = syncing.sync(file());
        syncing.finish();
        assert_eq!((ticket.result(), next.result()), (Some(false), Some(true)));
        assert_eq!(syncing.sync(file()).result(), Some(false));
    }
}
