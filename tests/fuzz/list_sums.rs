//! Lists of digests and names (`list::Rows`): what holds for lists of every format.

use gannet::list::Format;

/// Takes a list.
pub fn run(list: &[u8]) {
    super::rows::hold(Format::Sums, list);
}
