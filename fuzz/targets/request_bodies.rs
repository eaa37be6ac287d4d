//! The other JSON bodies of the keys service.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_keys::fuzzing::request_bodies(data);
});
