//! The target `http2_session`: what it does stands in `tests/fuzz/http2_session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::http2_session::run(bytes));
