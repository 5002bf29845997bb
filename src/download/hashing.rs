//! Digests of files that are being written: threads that read behind whoever writes, while the
//! bytes are still in memory.
//!
//! A task follows one file up to where it is known to be written. A few threads serve any number of
//! tasks in turn: one that has come up to that mark waits for no thread, and no thread waits for
//! it. Without threads whoever writes reads behind itself.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::tally::{Found, Tally};

/// How much is read at once, in bytes: it stays in the nearer caches.
const CHUNK: usize = 256 * 1024;

/// How much of one file is read before others get their turn, in bytes.
const TURN: u64 = 16 << 20;

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
    /// Away while a thread has it.
    reading: Option<Reading>,
    is_ready: bool,
}

/// How far a file has been read.
struct Reading {
    file: File,
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
        Self(Arc::new(Shared {
            work: Mutex::default(),
            has_work: Condvar::new(),
            most,
            wake: OnceLock::new(),
        }))
    }

    /// Has `wake` called, on the thread that has them, when there are answers. A second one is ignored.
    pub fn set_wake(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        let _ = self.0.wake.set(wake);
    }

    /// Follows a file from `hashed` bytes on, which the tally has seen.
    pub fn follow(&self, file: File, tally: impl Into<Tally>, hashed: u64) -> TaskId {
        let mut work = self.0.lock();
        work.last_id += 1;
        let id = TaskId(work.last_id);
        let reading = Reading {
            file,
            tally: tally.into(),
            hashed,
        };
        work.tasks.insert(
            id,
            Task {
                frontier: hashed,
                is_last: false,
                reading: Some(reading),
                is_ready: false,
            },
        );
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

    fn tell(&self, id: TaskId, frontier: u64, is_last: bool) {
        let mut work = self.0.lock();
        let Some(task) = work.tasks.get_mut(&id) else {
            return;
        };
        task.frontier = frontier;
        task.is_last = is_last;
        if task.reading.is_none() || std::mem::replace(&mut task.is_ready, true) {
            return;
        }
        work.ready.push_back(id);
        let most = self.0.most.unwrap_or_else(most_threads);
        if most == 0 {
            drop(work);
            return self.0.work_off();
        }
        if work.idle == 0 && work.threads < most {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("digests".to_owned());
            match thread.spawn(move || shared.serve()) {
                Ok(_) => work.threads += 1,
                Err(error) if work.threads == 0 => {
                    work.tasks.remove(&id);
                    work.answers.push((id, Err(error)));
                    drop(work);
                    return self.0.wake();
                }
                Err(_) => {}
            }
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

    fn serve(&self) {
        let mut buffer = vec![0; CHUNK];
        let mut work = self.lock();
        loop {
            let Some((id, mut reading, frontier)) = work.take() else {
                work.idle += 1;
                work = self
                    .has_work
                    .wait(work)
                    .unwrap_or_else(PoisonError::into_inner);
                work.idle -= 1;
                continue;
            };
            drop(work);
            let result = reading.read_to(frontier.min(reading.hashed + TURN), &mut buffer);
            work = self.lock();
            if work.put_back(id, reading, result) {
                self.wake();
            }
        }
    }

    /// Does all that there is to do.
    fn work_off(&self) {
        let mut buffer = vec![0; CHUNK];
        loop {
            let next = self.lock().take();
            let Some((id, mut reading, frontier)) = next else {
                return;
            };
            let result = reading.read_to(frontier, &mut buffer);
            if self.lock().put_back(id, reading, result) {
                self.wake();
            }
        }
    }
}

impl Work {
    /// What is to be read next, and up to where.
    fn take(&mut self) -> Option<(TaskId, Reading, u64)> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(task) = self.tasks.get_mut(&id)
                && let Some(reading) = task.reading.take()
            {
                task.is_ready = false;
                return Some((id, reading, task.frontier));
            }
        }
        None
    }

    /// Takes back what has been read a way further; whether that gave an answer.
    fn put_back(&mut self, id: TaskId, reading: Reading, result: io::Result<()>) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else {
            return false;
        };
        let is_behind = reading.hashed < task.frontier;
        if result.is_ok() && (is_behind || !task.is_last) {
            task.reading = Some(reading);
            task.is_ready = is_behind;
            if is_behind {
                self.ready.push_back(id);
            }
            return false;
        }
        self.tasks.remove(&id);
        let found = result.map(|()| reading.tally.finish());
        self.answers.push((id, found));
        true
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
