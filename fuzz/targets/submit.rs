//! A send as a gateway passes it on.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_messages::fuzzing::submit(data);
});
