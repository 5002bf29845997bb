//! The target `disposition`: what it does stands in `tests/fuzz/disposition.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::disposition::run(bytes));
