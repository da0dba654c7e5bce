#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| node_agent_fuzz::targets::nsm_response(bytes));
