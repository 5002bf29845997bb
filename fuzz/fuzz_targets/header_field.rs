//! The target `header_field`: what it does stands in `tests/fuzz/header_field.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::header_field::run(bytes));
