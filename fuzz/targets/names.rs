//! Names that stand in queries and paths: of people, accounts, mailboxes; and invites.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_keys::fuzzing::names(data);
});
