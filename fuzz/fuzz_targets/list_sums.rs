//! The target `list_sums`: what it does stands in `tests/fuzz/list_sums.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::list_sums::run(bytes));
