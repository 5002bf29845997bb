//! The target `netrc`: what it does stands in `tests/fuzz/netrc.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::netrc::run(bytes));
