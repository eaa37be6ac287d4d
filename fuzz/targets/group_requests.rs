//! What devices and gateways ask of the groups service.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_groups::fuzzing::requests(data);
});
