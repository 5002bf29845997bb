//! The target `set_cookie`: what it does stands in `tests/fuzz/set_cookie.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::set_cookie::run(bytes));
