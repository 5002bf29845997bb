//! The target `encoding`: what it does stands in `tests/fuzz/encoding.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::encoding::run(bytes));
