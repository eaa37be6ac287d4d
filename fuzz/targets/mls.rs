//! What members and servers send one another about groups.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_mls::fuzzing::everything(data);
});
