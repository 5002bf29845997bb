//! The target `state`: what it does stands in `tests/fuzz/state.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::state::run(bytes));
