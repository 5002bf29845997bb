//! The target `list_metalink`: what it does stands in `tests/fuzz/list_metalink.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::list_metalink::run(bytes));
