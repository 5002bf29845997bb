//! The target `connect_answer`: what it does stands in `tests/fuzz/connect_answer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::connect_answer::run(bytes));
