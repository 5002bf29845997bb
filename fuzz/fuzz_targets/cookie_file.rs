//! The target `cookie_file`: what it does stands in `tests/fuzz/cookie_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::cookie_file::run(bytes));
