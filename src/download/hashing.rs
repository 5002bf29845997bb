//! Digests of files that are being written: threads that read behind whoever writes, while the
//! bytes are still in memory.
//!
//! A task follows one file up to where it is known to be written. A few threads serve any number of
//! tasks in turn: one that has come up to that mark waits for no thread, and no thread waits for
//! it. Where no thread can be started (a limit of processes), the thread that writes also reads, in slices.
//!
//! Each task that is finished is answered once: with what was computed, or with why it was not, be it that the
//! file could not be read or that a thread panicked, and however early that happened.

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

/// How much is read at once, in bytes: it stays in the nearer caches.
const CHUNK: usize = 256 * 1024;

/// How much of one file is read before others get their turn, in bytes.
const TURN: u64 = 16 << 20;

/// How much the thread that writes reads in one go where there are no others, in bytes: transfers wait meanwhile.
const SLICE: u64 = 4 << 20;

/// A file that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(u64);

/// What a task came to: what was computed of the whole file, or why it could not be read.
pub type Hashed = io::Result<Found>;

/// The threads, and what they have to do. A clone is another handle on the same.
#[derive(Clone)]
pub struct Hashing(Arc<Shared>);

struct Shared {
    work: Mutex<Work>,
    has_work: Condvar,
    /// Threads at most, where that was said.
    most: Option<usize>,
    read: Read,
    /// There is something to read, and no thread to do it: [`Hashing::work`] does.
    is_behind: AtomicBool,
    has_threads: AtomicBool,
    /// Called, on the thread that has them, when there are answers.
    wake: OnceLock<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Work {
    last_id: u64,
    tasks: HashMap<TaskId, Task>,
    /// Tasks with something to read that no thread has, in turn.
    ready: VecDeque<TaskId>,
    answers: Vec<(TaskId, Hashed)>,
    threads: usize,
    idle: usize,
}

struct Task {
    /// The file up to here has been written.
    frontier: u64,
    /// That is all of it.
    is_last: bool,
    progress: Progress,
}

/// How a task stands.
enum Progress {
    /// Hashed up to the frontier.
    Idle(Reading),
    /// In the queue.
    Ready(Reading),
    /// A thread has it.
    Busy,
    /// It could not go on. Kept until the task is finished, for the answer is wanted then.
    Failed(io::Error),
}

/// Reads and hashes a file up to an offset: [`Reading::read_to`].
type Read = fn(&mut Reading, u64, &mut [u8]) -> io::Result<()>;

/// How far a file has been read.
struct Reading {
    file: Arc<File>,
    tally: Tally,
    hashed: u64,
}

impl Default for Hashing {
    /// Threads are started when there is something to do.
    fn default() -> Self {
        Self::of(None)
    }
}

impl Hashing {
    /// On so many threads at most; with 0, on the one that says what was written.
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

    /// Has `wake` called, on the thread that has them, when there are answers. A second one is ignored.
    pub fn set_wake(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        let _ = self.0.wake.set(wake);
    }

    /// Follows a file from `hashed` bytes on, which the tally has seen.
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

    /// The file has been written up to `frontier`.
    pub fn advance(&self, id: TaskId, frontier: u64) {
        self.tell(id, frontier, false);
    }

    /// The file is whole, and `size` bytes long: an answer will come.
    pub fn finish(&self, id: TaskId, size: u64) {
        self.tell(id, size, true);
    }

    /// No answer is wanted any more.
    pub fn forget(&self, id: TaskId) {
        self.0.lock().tasks.remove(&id);
    }

    /// The answers that have come since the last call.
    pub fn answers(&self) -> Vec<(TaskId, Hashed)> {
        std::mem::take(&mut self.0.lock().answers)
    }

    /// Whether threads have been started, which call `wake`.
    pub fn has_threads(&self) -> bool {
        self.0.has_threads.load(Ordering::Relaxed)
    }

    /// Whether [`Hashing::work`] has something to do.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind.load(Ordering::Relaxed)
    }

    /// Hashes a slice of what threads would hash, where none can be started.
    pub fn work(&self) {
        if self.is_behind() {
            self.0.work_off(SLICE);
        }
    }

    /// Whether a task is finished, and its answer has not been taken yet: it will come.
    pub fn will_answer(&self, id: TaskId) -> bool {
        let work = self.0.lock();
        let is_finished = work.tasks.get(&id).is_some_and(|task| task.is_last);
        is_finished || work.answers.iter().any(|(answered, _)| *answered == id)
    }

    /// The tasks that are finished and not answered yet.
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

/// As many as there are processors: looked up only once there is work, for that takes a while.
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

    /// Starts another thread, where there is work for it, it is allowed and the system gives one.
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

    /// Does what there is to do, on the calling thread, up to so many bytes.
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

    /// Reads a way further. A panic is an error of the task like any other.
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
    /// What is to be read next, and up to where.
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

    /// Takes back what has been read a way further; whether that gave an answer.
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
                // Where the tally panics there is still an answer.
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

    /// Threads, and what wakes whoever waits for them.
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

    /// So many answers.
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
        // The thread has met the end of the file once no one works any more.
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
