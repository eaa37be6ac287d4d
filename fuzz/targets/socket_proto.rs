//! A frame of the device on `sotto.v1.proto`, and what the session makes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_gateway::fuzzing::session(data, false);
});
