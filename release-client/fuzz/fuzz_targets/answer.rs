#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| release_client_fuzz::targets::answer(bytes));
