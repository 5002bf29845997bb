//! The target `redirect`: what it does stands in `tests/fuzz/redirect.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::redirect::run(bytes));
