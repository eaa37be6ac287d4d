//! What changes a group: commits, proposals, and with what groups begin.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_groups::fuzzing::changes(data);
});
