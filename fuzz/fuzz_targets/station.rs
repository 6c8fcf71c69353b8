#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frostguard_fuzz::station::run(bytes));
