//! The target `proxy`: what it does stands in `tests/fuzz/proxy.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::proxy::run(bytes));
