//! The target `socks_answers`: what it does stands in `tests/fuzz/socks_answers.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::socks_answers::run(bytes));
