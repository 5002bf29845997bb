//! The target `pem`: what it does stands in `tests/fuzz/pem.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::pem::run(bytes));
