//! A frame of the device on `sotto.v1.json`, and what the session makes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_gateway::fuzzing::session(data, true);
});
