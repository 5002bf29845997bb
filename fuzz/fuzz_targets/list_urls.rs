//! The target `list_urls`: what it does stands in `tests/fuzz/list_urls.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::list_urls::run(bytes));
