#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roundtable_fuzz::door(data));
