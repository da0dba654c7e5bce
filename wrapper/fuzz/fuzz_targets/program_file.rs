#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wrapper_fuzz::targets::program_file(bytes));
