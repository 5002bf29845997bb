//! The target `file_name`: what it does stands in `tests/fuzz/file_name.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::file_name::run(bytes));
