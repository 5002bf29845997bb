//! Which streams have events: each stream has a waker, which only queues its slot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The slots that were woken, in order.
#[derive(Debug, Default)]
pub(super) struct Woken(Arc<Mutex<VecDeque<usize>>>);

/// Wakes one slot.
#[derive(Debug)]
struct Call {
    slot: usize,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl Woken {
    /// A waker for a slot.
    pub(super) fn waker(&self, slot: usize) -> Waker {
        let queue = Arc::clone(&self.0);
        Waker::from(Arc::new(Call { slot, queue }))
    }

    /// Wakes a slot.
    pub(super) fn push(&self, slot: usize) {
        push(&self.0, slot);
    }

    /// The next slot that was woken.
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
        push(&self.queue, self.slot);
    }
}

fn push(queue: &Mutex<VecDeque<usize>>, slot: usize) {
    // A queue of numbers is valid even after a panic of another holder.
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.push_back(slot);
}
