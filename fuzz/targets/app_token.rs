//! A token of an app, as its user hands it in.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_keys::fuzzing::app_token(data);
});
