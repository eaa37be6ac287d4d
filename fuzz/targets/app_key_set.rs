//! The key set of an app, as its server publishes it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_keys::fuzzing::app_key_set(data);
});
