//! The state of an incomplete file (`download::state`): what is read is consistent, comes back as
//! it was written, and asks for no more than one line of a request each.

use gannet::internals::download::{Asked, State};

/// Takes the whole file.
pub fn run(bytes: &[u8]) {
    let Ok(state) = State::parse(bytes) else {
        return;
    };
    let ranges = &state.ranges;
    assert!(state.size.is_none_or(|size| ranges.end() <= size));
    assert!(ranges.frontier() <= ranges.count() && ranges.count() <= ranges.end());
    assert_eq!(State::parse(&state.to_bytes()).as_ref(), Ok(&state));

    let start = ranges.frontier();
    for end in [None, Some(start.saturating_add(1))] {
        for field in (Asked { start, end }).fields(&state.validators) {
            let line = field.to_string();
            assert!(!line.contains(['\r', '\n']), "{line:?}");
        }
    }
}
