//! What a server answers to the client: it may be malicious.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_client::fuzzing::server_answers(data);
});
