//! The target `response_words`: what it does stands in `tests/fuzz/response_words.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::response_words::run(bytes));
