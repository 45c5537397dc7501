#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rdv::fuzzing::proxy_protocol(data));
