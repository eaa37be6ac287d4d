//! What stands inside a ciphertext: a peer may put anything there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_client::fuzzing::content(data);
});
