//! The target `digest`: what it does stands in `tests/fuzz/digest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::digest::run(bytes));
