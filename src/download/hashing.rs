//! Computes digests of files that are being written: threads read the bytes soon after the write, while they are in
//! the page cache.
//!
//! A task follows one file up to its written frontier. A few threads serve all tasks in turn; a task that has reached
//! its frontier occupies no thread. If no thread can be started (a limit of processes), the thread that writes also
//! reads, in slices.
//!
//! Each finished task has one result: the digests, or an error if the file could not be read or a thread panicked,
//! even before the task was finished.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::tally::{Found, Tally};

/// How many bytes are read at once: few enough for the CPU caches.
const CHUNK: usize = 256 * 1024;

/// How many bytes of one file are read before the next task's turn.
const TURN: u64 = 16 << 20;

/// How many bytes the writing thread reads in one slice if there are no other threads: transfers wait meanwhile.
const SLICE: u64 = 4 << 20;

/// The id of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(u64);

/// The result of a task: the digests of the file, or why it could not be read.
pub type Hashed = io::Result<Found>;

/// The threads and their tasks. A clone is another handle on them.
#[derive(Clone)]
pub struct Hashing(Arc<Shared>);

struct Shared {
    work: Mutex<Work>,
    has_work: Condvar,
    /// The largest number of threads, if it is set.
    most: Option<usize>,
    read: Read,
    /// Bytes wait to be read, and there is no thread: [`Hashing::work`] reads them.
    is_behind: AtomicBool,
    has_threads: AtomicBool,
    /// Called when results arrive, on the thread that produced them.
    wake: OnceLock<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Work {
    last_id: u64,
    tasks: HashMap<TaskId, Task>,
    /// The queue of tasks with bytes to read.
    ready: VecDeque<TaskId>,
    answers: Vec<(TaskId, Hashed)>,
    threads: usize,
    idle: usize,
}

struct Task {
    /// The file is written up to this offset.
    frontier: u64,
    /// The frontier is the end of the file.
    is_last: bool,
    progress: Progress,
}

/// The state of a task.
enum Progress {
    /// It has hashed everything up to the frontier.
    Idle(Reading),
    /// It is in the queue.
    Ready(Reading),
    /// A thread is working on it.
    Busy,
    /// It has failed. The error is kept until the task is finished, and is then its result.
    Failed(io::Error),
}

/// Reads and hashes a file up to an offset: [`Reading::read_to`].
type Read = fn(&mut Reading, u64, &mut [u8]) -> io::Result<()>;

/// A file, its digests, and how far they have come.
struct Reading {
    file: Arc<File>,
    tally: Tally,
    hashed: u64,
}

impl Default for Hashing {
    /// Threads are started when there is work.
    fn default() -> Self {
        Self::of(None)
    }
}

impl Hashing {
    /// At most this many threads; with 0, the thread that reports writes does the work.
    pub fn on(threads: usize) -> Self {
        Self::of(Some(threads))
    }

    fn of(most: Option<usize>) -> Self {
        Self::reading_by(most, Reading::read_to)
    }

    fn reading_by(most: Option<usize>, read: Read) -> Self {
        Self(Arc::new(Shared {
            work: Mutex::default(),
            has_work: Condvar::new(),
            most,
            read,
            is_behind: AtomicBool::new(false),
            has_threads: AtomicBool::new(false),
            wake: OnceLock::new(),
        }))
    }

    /// Sets a function that is called when results arrive, on the thread that produced them. A second one is ignored.
    pub fn set_wake(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        let _ = self.0.wake.set(wake);
    }

    /// Follows a file from offset `hashed` on; the tally has seen all bytes before it.
    pub fn follow(
        &self,
        file: impl Into<Arc<File>>,
        tally: impl Into<Tally>,
        hashed: u64,
    ) -> TaskId {
        let mut work = self.0.lock();
        work.last_id += 1;
        let id = TaskId(work.last_id);
        let reading = Reading {
            file: file.into(),
            tally: tally.into(),
            hashed,
        };
        let task = Task {
            frontier: hashed,
            is_last: false,
            progress: Progress::Idle(reading),
        };
        work.tasks.insert(id, task);
        id
    }

    /// Tells the task that the file is written up to `frontier`.
    pub fn advance(&self, id: TaskId, frontier: u64) {
        self.tell(id, frontier, false);
    }

    /// Tells the task that the file is complete and has `size` bytes: a result will follow.
    pub fn finish(&self, id: TaskId, size: u64) {
        self.tell(id, size, true);
    }

    /// Cancels a task.
    pub fn forget(&self, id: TaskId) {
        self.0.lock().tasks.remove(&id);
    }

    /// Takes the results that have arrived since the last call.
    pub fn answers(&self) -> Vec<(TaskId, Hashed)> {
        std::mem::take(&mut self.0.lock().answers)
    }

    /// Whether any thread was started, so that `wake` will be called.
    pub fn has_threads(&self) -> bool {
        self.0.has_threads.load(Ordering::Relaxed)
    }

    /// Whether [`Hashing::work`] has work to do.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind.load(Ordering::Relaxed)
    }

    /// Hashes one slice on the calling thread, if no thread can be started.
    pub fn work(&self) {
        if self.is_behind() {
            self.0.work_off(SLICE);
        }
    }

    /// Whether a task is finished and its result is not taken yet.
    pub fn will_answer(&self, id: TaskId) -> bool {
        let work = self.0.lock();
        let is_finished = work.tasks.get(&id).is_some_and(|task| task.is_last);
        is_finished || work.answers.iter().any(|(answered, _)| *answered == id)
    }

    /// The finished tasks that have no result yet.
    pub fn finished(&self) -> Vec<TaskId> {
        let work = self.0.lock();
        let finished = work.tasks.iter().filter(|(_, task)| task.is_last);
        finished.map(|(id, _)| *id).collect()
    }

    fn tell(&self, id: TaskId, frontier: u64, is_last: bool) {
        let mut work = self.0.lock();
        let Some(task) = work.tasks.get_mut(&id) else {
            return;
        };
        task.frontier = frontier;
        task.is_last = is_last;
        match std::mem::replace(&mut task.progress, Progress::Busy) {
            Progress::Idle(reading) => {
                task.progress = Progress::Ready(reading);
                work.ready.push_back(id);
            }
            Progress::Failed(error) if is_last => {
                work.answer(id, Err(error));
                drop(work);
                return self.0.wake();
            }
            other => {
                task.progress = other;
                return;
            }
        }
        self.0.start_thread(&mut work);
        if work.threads == 0 {
            drop(work);
            return self.0.work_off(SLICE);
        }
        drop(work);
        self.0.has_work.notify_one();
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").finish_non_exhaustive()
    }
}

/// The number of processors. It is looked up when there is work, because that takes a while.
fn most_threads() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Starts another thread if none is idle, the limit allows it and the system permits it.
    fn start_thread(self: &Arc<Self>, work: &mut Work) {
        if work.idle > 0 || work.threads >= self.most.unwrap_or_else(most_threads) {
            return;
        }
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("digests".to_owned());
        if thread.spawn(move || shared.serve()).is_ok() {
            work.threads += 1;
            self.has_threads.store(true, Ordering::Relaxed);
        }
    }

    fn serve(&self) {
        let mut buffer = vec![0; CHUNK];
        let mut work = self.lock();
        loop {
            let Some((id, reading, frontier)) = work.take() else {
                work.idle += 1;
                work = self
                    .has_work
                    .wait(work)
                    .unwrap_or_else(PoisonError::into_inner);
                work.idle -= 1;
                continue;
            };
            drop(work);
            let until = frontier.min(reading.hashed + TURN);
            let result = self.read(reading, until, &mut buffer);
            work = self.lock();
            if work.put_back(id, result) {
                self.wake();
            }
        }
    }

    /// Works on the calling thread, and reads at most `most` bytes.
    fn work_off(&self, most: u64) {
        let mut buffer = vec![0; CHUNK];
        let mut left = most;
        loop {
            let mut work = self.lock();
            self.is_behind
                .store(!work.ready.is_empty(), Ordering::Relaxed);
            if left == 0 && !work.ready.is_empty() {
                return;
            }
            let Some((id, reading, frontier)) = work.take() else {
                return;
            };
            drop(work);
            let until = frontier.min(reading.hashed + left);
            left -= until - reading.hashed;
            let result = self.read(reading, until, &mut buffer);
            if self.lock().put_back(id, result) {
                self.wake();
            }
        }
    }

    /// Reads and hashes up to `until`. A panic becomes an error of the task.
    fn read(
        &self,
        mut reading: Reading,
        until: u64,
        buffer: &mut [u8],
    ) -> Result<Reading, io::Error> {
        let read = AssertUnwindSafe(|| (self.read)(&mut reading, until, buffer));
        match panic::catch_unwind(read) {
            Ok(result) => result.map(|()| reading),
            Err(_) => Err(io::Error::other("the thread that hashes it panicked")),
        }
    }
}

impl Work {
    /// Takes the next task from the queue, and the offset up to which to read.
    fn take(&mut self) -> Option<(TaskId, Reading, u64)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(task) = self.tasks.get_mut(&id) else {
                continue;
            };
            match std::mem::replace(&mut task.progress, Progress::Busy) {
                Progress::Ready(reading) => return Some((id, reading, task.frontier)),
                other => task.progress = other,
            }
        }
        None
    }

    /// Returns a task after a turn; returns true if it now has a result.
    fn put_back(&mut self, id: TaskId, result: io::Result<Reading>) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else {
            return false;
        };
        match result {
            Ok(reading) if reading.hashed < task.frontier => {
                task.progress = Progress::Ready(reading);
                self.ready.push_back(id);
            }
            Ok(reading) if !task.is_last => task.progress = Progress::Idle(reading),
            Err(error) if !task.is_last => task.progress = Progress::Failed(error),
            Ok(reading) => {
                // If the tally panics, the task still has a result.
                let finish = AssertUnwindSafe(|| reading.tally.finish());
                let found = panic::catch_unwind(finish)
                    .map_err(|_| io::Error::other("the thread that hashes it panicked"));
                self.answer(id, found);
                return true;
            }
            Err(error) => {
                self.answer(id, Err(error));
                return true;
            }
        }
        false
    }

    fn answer(&mut self, id: TaskId, hashed: Hashed) {
        self.tasks.remove(&id);
        self.answers.push((id, hashed));
    }
}

impl Reading {
    fn read_to(&mut self, frontier: u64, buffer: &mut [u8]) -> io::Result<()> {
        while self.hashed < frontier {
            let room = usize::try_from(frontier - self.hashed).unwrap_or(usize::MAX);
            let room = &mut buffer[..room.min(CHUNK)];
            match self.file.read_at(room, self.hashed) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.tally.update(&room[..n]);
                    self.hashed += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::http::Digest;
    use crate::http::digest::{Algorithm, Hashers};

    /// Threads, and a channel that reports their results.
    fn hashing() -> (Hashing, Receiver<()>) {
        let (wake, woken) = mpsc::channel();
        let hashing = Hashing::default();
        hashing.set_wake(Arc::new(move || wake.send(()).unwrap_or_default()));
        (hashing, woken)
    }

    fn file_of(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn hashers() -> Hashers {
        Hashers::new([Algorithm::Sha256])
    }

    fn digest(bytes: &[u8]) -> Vec<Digest> {
        let mut hashers = hashers();
        hashers.update(bytes);
        hashers.finish()
    }

    /// Waits for `count` results.
    fn wait(hashing: &Hashing, woken: &Receiver<()>, count: usize) -> Vec<(TaskId, Hashed)> {
        let mut answers = hashing.answers();
        while answers.len() < count {
            woken.recv().unwrap();
            answers.extend(hashing.answers());
        }
        assert_eq!(answers.len(), count);
        answers
    }

    fn next(hashing: &Hashing, woken: &Receiver<()>) -> (TaskId, Hashed) {
        wait(hashing, woken, 1).remove(0)
    }

    #[test]
    fn a_file_is_followed_as_it_grows() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        let (hashing, woken) = hashing();
        let file = file_of(&bytes[..1000]);
        let id = hashing.follow(file.try_clone().unwrap(), hashers(), 0);
        hashing.advance(id, 1000);
        for (at, chunk) in bytes.chunks(400_000).enumerate() {
            file.write_all_at(chunk, at as u64 * 400_000).unwrap();
            hashing.advance(id, at as u64 * 400_000 + chunk.len() as u64);
        }
        hashing.finish(id, bytes.len() as u64);
        let (answered, digests) = next(&hashing, &woken);
        assert_eq!((answered, digests.unwrap().digests), (id, digest(&bytes)));
    }

    #[test]
    fn what_the_hashers_have_seen_is_not_read_again() {
        let (hashing, woken) = hashing();
        let mut seen = hashers();
        seen.update(b"what was seen ");
        let id = hashing.follow(file_of(b"0123456789abcdand the rest"), seen, 14);
        hashing.finish(id, 26);
        let (_, digests) = next(&hashing, &woken);
        assert_eq!(
            digests.unwrap().digests,
            digest(b"what was seen and the rest")
        );
    }

    #[test]
    fn many_files_share_the_threads() {
        let (hashing, woken) = hashing();
        let body = |n: u8| vec![n; 100_000 + usize::from(n)];
        let tasks = (0..50).map(|n| {
            let id = hashing.follow(file_of(&body(n)), hashers(), 0);
            hashing.finish(id, body(n).len() as u64);
            (id, n)
        });
        let mut tasks: HashMap<_, _> = tasks.collect();
        for (id, digests) in wait(&hashing, &woken, 50) {
            let n = tasks.remove(&id).unwrap();
            assert_eq!(digests.unwrap().digests, digest(&body(n)));
        }
        assert_eq!(hashing.0.lock().tasks.len(), 0);
    }

    #[test]
    fn an_empty_file_has_a_digest() {
        let (hashing, woken) = hashing();
        let id = hashing.follow(file_of(b""), hashers(), 0);
        hashing.finish(id, 0);
        assert_eq!(next(&hashing, &woken).1.unwrap().digests, digest(b""));
    }

    #[test]
    fn a_file_shorter_than_was_said_is_an_error() {
        let (hashing, woken) = hashing();
        let id = hashing.follow(file_of(b"short"), hashers(), 0);
        hashing.finish(id, 6);
        let (_, digests) = next(&hashing, &woken);
        assert_eq!(digests.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_fails_before_the_file_is_whole_is_answered_when_it_is() {
        let (hashing, woken) = hashing();
        let id = hashing.follow(file_of(b"short"), hashers(), 0);
        hashing.advance(id, 6);
        // Waits until the thread has met the end of the file.
        while !matches!(hashing.0.lock().tasks[&id].progress, Progress::Failed(_)) {
            thread::yield_now();
        }
        assert!(hashing.answers().is_empty() && !hashing.will_answer(id));
        hashing.finish(id, 6);
        assert!(hashing.will_answer(id));
        let (answered, digests) = next(&hashing, &woken);
        assert_eq!(answered, id);
        assert_eq!(digests.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(!hashing.will_answer(id));
    }

    #[test]
    fn what_cannot_be_read_is_an_answer_with_and_without_threads() {
        for threads in [0, 1] {
            let (wake, woken) = mpsc::channel();
            let hashing = Hashing::on(threads);
            hashing.set_wake(Arc::new(move || wake.send(()).unwrap_or_default()));
            let dir = File::open(std::env::temp_dir()).unwrap();
            let id = hashing.follow(dir, hashers(), 0);
            hashing.advance(id, 10);
            hashing.finish(id, 20);
            let (answered, digests) = next(&hashing, &woken);
            assert_eq!(
                (answered, digests.is_err()),
                (id, true),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn a_panic_is_an_answer_and_costs_the_others_nothing() {
        let read: Read = |reading, until, buffer| {
            assert_ne!(until, 13, "this one is meant");
            reading.read_to(until, buffer)
        };
        for threads in [0, 1] {
            let (wake, woken) = mpsc::channel();
            let hashing = Hashing::reading_by(Some(threads), read);
            hashing.set_wake(Arc::new(move || wake.send(()).unwrap_or_default()));
            let bad = hashing.follow(file_of(b"thirteen byte"), hashers(), 0);
            hashing.finish(bad, 13);
            let (answered, digests) = next(&hashing, &woken);
            assert_eq!(
                (answered, digests.is_err()),
                (bad, true),
                "{threads} threads"
            );
            let good = hashing.follow(file_of(b"good"), hashers(), 0);
            hashing.finish(good, 4);
            let (answered, digests) = next(&hashing, &woken);
            assert_eq!(
                (answered, digests.unwrap().digests),
                (good, digest(b"good"))
            );
        }
    }

    #[test]
    fn without_threads_a_large_file_is_hashed_in_slices() {
        let hashing = Hashing::on(0);
        let bytes = vec![7; 2 * SLICE as usize + 1];
        let id = hashing.follow(file_of(&bytes), hashers(), 0);
        hashing.finish(id, bytes.len() as u64);
        let mut slices = 1;
        while hashing.is_behind() {
            assert!(hashing.answers().is_empty() && hashing.will_answer(id));
            hashing.work();
            slices += 1;
        }
        let (_, found) = hashing.answers().remove(0);
        assert_eq!(found.unwrap().digests, digest(&bytes));
        assert_eq!(slices, 3);
    }

    #[test]
    fn without_threads_the_answer_is_there_when_the_last_byte_is() {
        let hashing = Hashing::on(0);
        let bytes = vec![7; 3 * CHUNK];
        let id = hashing.follow(file_of(&bytes), hashers(), 0);
        hashing.advance(id, 2 * CHUNK as u64);
        assert!(hashing.answers().is_empty());
        hashing.finish(id, 3 * CHUNK as u64);
        let (answered, digests) = hashing.answers().remove(0);
        assert_eq!((answered, digests.unwrap().digests), (id, digest(&bytes)));
        assert_eq!(hashing.0.lock().threads, 0);
    }

    #[test]
    fn what_is_forgotten_is_not_answered() {
        let (hashing, woken) = hashing();
        let forgotten = hashing.follow(file_of(b"a"), hashers(), 0);
        hashing.advance(forgotten, 1);
        hashing.forget(forgotten);
        hashing.finish(forgotten, 1);
        let id = hashing.follow(file_of(b"b"), hashers(), 0);
        hashing.finish(id, 1);
        assert_eq!(next(&hashing, &woken).0, id);
    }
}
