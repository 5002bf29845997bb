//! The target `list_jsonl`: what it does stands in `tests/fuzz/list_jsonl.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::list_jsonl::run(bytes));
