//! Which bytes of an incomplete body are synced to the disk. A power loss can take the others, so the state file lists
//! both.

use std::fs::File;
use std::sync::Arc;

use crate::download::syncing::{Syncing, Ticket};
use crate::download::{Ranges, State};

/// A sync begins once this many bytes are not synced.
const STEP: u64 = 64 << 20;

/// The syncs of one body.
#[derive(Debug, Default)]
pub(super) struct Synced {
    /// Without a thread nothing is synced.
    syncing: Option<Syncing>,
    /// The state claims only synced bytes.
    is_strict: bool,
    /// The sync under way, and the ranges that were written when it began.
    under_way: Option<(Ranges, Ticket)>,
    /// How many bytes the state file claims as synced.
    stated: u64,
}

impl Synced {
    pub(super) fn new(syncing: Option<Syncing>, is_strict: bool) -> Self {
        Self {
            syncing,
            is_strict,
            ..Self::default()
        }
    }

    /// Records a finished sync, and begins the next one if it is due.
    pub(super) fn advance(&mut self, file: &Arc<File>, state: &mut State) {
        if let Some((ranges, ticket)) = self.under_way.take() {
            match ticket.result() {
                None => self.under_way = Some((ranges, ticket)),
                Some(true) => state.synced.insert_all(&ranges),
                Some(false) => {}
            }
        }
        let step = if self.is_strict { 1 } else { STEP };
        let missing = state.ranges.count().saturating_sub(state.synced.count());
        if let Some(syncing) = &self.syncing
            && self.under_way.is_none()
            && missing >= step
        {
            let ticket = syncing.sync(Arc::clone(file));
            self.under_way = Some((state.ranges.clone(), ticket));
        }
    }

    /// Drops the sync under way, because written bytes will be overwritten.
    pub(super) fn reset(&mut self) {
        self.under_way = None;
    }

    /// The state to write now; `None` if it would claim nothing, or no more than the state file, which claims `saved`
    /// bytes.
    pub(super) fn claim(&self, state: &State, saved: u64) -> Option<State> {
        let claimed = if self.is_strict {
            &state.synced
        } else {
            &state.ranges
        };
        let is_new = (claimed.count(), state.synced.count()) != (saved, self.stated);
        (is_new && !claimed.is_empty()).then(|| State {
            ranges: claimed.clone(),
            ..state.clone()
        })
    }

    /// Records that a state was written.
    pub(super) fn stated(&mut self, claim: &State) {
        self.stated = claim.synced.count();
    }

    /// The thread for the last sync, if any written byte is not synced.
    pub(super) fn last(&self, state: &State) -> Option<&Syncing> {
        let syncing = self.syncing.as_ref()?;
        (state.synced != state.ranges).then_some(syncing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(end: u64) -> State {
        let mut state = State::default();
        state.ranges.insert(0..end);
        state
    }

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    #[test]
    fn a_state_says_what_was_written_when_a_sync_began_that_has_ended() {
        let mut synced = Synced::new(Some(Syncing::inline()), false);
        let mut state = written(STEP - 1);
        synced.advance(&file(), &mut state);
        assert!(synced.under_way.is_none() && state.synced.is_empty());
        state.ranges.insert(0..STEP);
        synced.advance(&file(), &mut state);
        state.ranges.insert(0..STEP + 5);
        synced.advance(&file(), &mut state);
        assert_eq!(state.synced, written(STEP).ranges);
        let claim = synced.claim(&state, 0).unwrap();
        assert_eq!((claim.ranges, claim.synced), (state.ranges, state.synced));
    }

    #[test]
    fn a_strict_state_claims_no_byte_before_it_is_synced() {
        let mut synced = Synced::new(Some(Syncing::inline()), true);
        let mut state = written(100);
        assert_eq!(synced.claim(&state, 0), None);
        synced.advance(&file(), &mut state);
        assert_eq!(synced.claim(&state, 0), None);
        state.ranges.insert(0..150);
        synced.advance(&file(), &mut state);
        let claim = synced.claim(&state, 0).unwrap();
        assert_eq!(claim.ranges, written(100).ranges);
        synced.stated(&claim);
        assert_eq!(synced.claim(&state, 100), None);
    }

    #[test]
    fn what_is_written_again_is_not_synced_by_a_sync_that_began_before() {
        let mut synced = Synced::new(Some(Syncing::inline()), true);
        let mut state = written(100);
        synced.advance(&file(), &mut state);
        synced.reset();
        synced.advance(&file(), &mut state);
        assert!(state.synced.is_empty());
    }
}
