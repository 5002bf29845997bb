//! Which streams have events: each stream has a waker, which only queues its token.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The tokens of the streams that were woken, in order.
#[derive(Debug, Default)]
pub(super) struct Woken(Arc<Mutex<VecDeque<usize>>>);

/// Wakes one stream.
#[derive(Debug)]
struct Call {
    token: usize,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl Woken {
    /// A waker for a stream.
    pub(super) fn waker(&self, token: usize) -> Waker {
        let queue = Arc::clone(&self.0);
        Waker::from(Arc::new(Call { token, queue }))
    }

    /// Wakes a stream.
    pub(super) fn push(&self, token: usize) {
        push(&self.0, token);
    }

    /// The next stream that was woken.
    pub(super) fn next(&self) -> Option<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        push(&self.queue, self.token);
    }
}

fn push(queue: &Mutex<VecDeque<usize>>, token: usize) {
    // A queue of numbers is valid even after a panic of another holder.
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.push_back(token);
}
