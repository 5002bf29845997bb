//! One interface over two event loops: the reactor, edge-triggered on mio, and the example, level-triggered on poll(2).

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use gannet::multi::{Done, Easy, Multi, Options, Outcome, TransferId};
use gannet::reactor::{self, Application};
use gannet::{Error, MultiError};

use poll_loop::PollLoop;

#[path = "../../examples/poll_loop.rs"]
#[expect(dead_code, reason = "the example's main is its own")]
mod poll_loop;

/// The longest time that a loop may take for its transfers.
const LIMIT: Duration = Duration::from_secs(10);

/// A loop that runs transfers to their end.
pub(crate) trait EventLoop {
    /// The result of each, in the given order.
    fn run(options: Options, easies: Vec<Easy<Vec<u8>>>) -> Vec<Fetched>;
}

/// The result of a transfer.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) result: Result<Outcome, Error>,
    pub(crate) body: Vec<u8>,
}

impl Fetched {
    #[track_caller]
    pub(crate) fn outcome(&self) -> &Outcome {
        self.result.as_ref().expect("a transfer that succeeds")
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Error {
        self.result.as_ref().expect_err("a transfer that fails")
    }
}

/// Transfers, their results as they come, and the time by which all must have come.
struct Batch {
    easies: Vec<Easy<Vec<u8>>>,
    positions: HashMap<TransferId, usize>,
    results: Vec<Option<Fetched>>,
    deadline: Instant,
}

impl Batch {
    fn new(easies: Vec<Easy<Vec<u8>>>) -> Self {
        Self {
            results: easies.iter().map(|_| None).collect(),
            positions: HashMap::new(),
            easies,
            deadline: Instant::now() + LIMIT,
        }
    }

    fn add(&mut self, multi: &mut Multi<Vec<u8>>) -> Result<(), MultiError> {
        for easy in self.easies.drain(..) {
            let position = self.positions.len();
            self.positions.insert(multi.add(easy)?, position);
        }
        Ok(())
    }

    fn take(&mut self, multi: &mut Multi<Vec<u8>>, done: Done) -> Result<(), MultiError> {
        let position = self.positions.remove(&done.id).expect("one message each");
        let easy = multi.remove(done.id, Instant::now())?;
        self.results[position] = Some(Fetched {
            result: done.result,
            body: easy.sink,
        });
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.results.iter().all(Option::is_some)
    }

    fn check_time(&self) {
        assert!(Instant::now() < self.deadline, "the loop hangs");
    }

    fn finish(self) -> Vec<Fetched> {
        let results = self.results.into_iter();
        results.map(|result| result.expect("a result")).collect()
    }
}

/// mio, edge-triggered.
pub(crate) struct Reactor;

impl EventLoop for Reactor {
    fn run(options: Options, easies: Vec<Easy<Vec<u8>>>) -> Vec<Fetched> {
        let mut batch = Batch::new(easies);
        reactor::run(&mut batch, options).expect("a poll");
        batch.finish()
    }
}

impl Application<Vec<u8>> for Batch {
    fn start(&mut self, _: &mut Multi<Vec<u8>>) {}

    fn refill(&mut self, multi: &mut Multi<Vec<u8>>, _: Instant) -> Result<(), MultiError> {
        self.add(multi)
    }

    fn is_over(&self, _: &Multi<Vec<u8>>) -> bool {
        self.is_whole()
    }

    fn completed(
        &mut self,
        multi: &mut Multi<Vec<u8>>,
        done: Done,
        _: Instant,
    ) -> Result<(), MultiError> {
        self.take(multi, done)
    }

    fn input(&self) -> Option<RawFd> {
        None
    }

    fn read_input(&mut self) {}

    fn due(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn tick(&mut self, _: &Multi<Vec<u8>>, _: Instant) {
        self.check_time();
    }

    fn signalled(&mut self, _: i32) {}
}

/// poll(2), level-triggered.
pub(crate) struct PlainPoll;

impl EventLoop for PlainPoll {
    fn run(options: Options, easies: Vec<Easy<Vec<u8>>>) -> Vec<Fetched> {
        let mut batch = Batch::new(easies);
        let mut event_loop = PollLoop::new(options).expect("a loop");
        batch.add(&mut event_loop.multi).expect("a live multi");
        while !batch.is_whole() {
            event_loop.turn(LIMIT).expect("a turn");
            while let Some(done) = event_loop.multi.info_read() {
                batch
                    .take(&mut event_loop.multi, done)
                    .expect("it is there");
            }
            batch.check_time();
        }
        batch.finish()
    }
}
