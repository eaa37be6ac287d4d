//! Texts and files that people carry between devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_client::fuzzing::pasted_texts(data);
});
