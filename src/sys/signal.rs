//! What becomes of a signal before anybody has set a handler for it.

/// Whether the process ignores a signal: its parent may have wanted that, as nohup does with
/// SIGHUP. Where the system does not say, it is not ignored.
pub fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| mask(&status).is_some_and(|mask| mask >> (signal - 1) & 1 == 1))
}

/// The mask of ignored signals, the first in the lowest bit.
fn mask(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_the_lowest_bit() {
        assert_eq!(
            mask("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t1\n"),
            Some(0x1001)
        );
        assert_eq!(mask("SigIgn:\tmany\n"), None);
        assert_eq!(mask(""), None);
    }
}
