//! The target `http1_answer`: what it does stands in `tests/fuzz/http1_answer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::http1_answer::run(bytes));
