//! The bodies of prekey uploads, down to the checks of each key.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_keys::fuzzing::prekey_upload(data);
});
