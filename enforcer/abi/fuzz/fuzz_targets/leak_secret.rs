#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer_abi_fuzz::targets::leak_secret(bytes));
