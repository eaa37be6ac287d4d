//! What stands in the mailbox of a link between two devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_client::fuzzing::link_messages(data);
});
