//! Messages over REST: bodies, queries, paths, and envelopes that are shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_gateway::fuzzing::rest_requests(data);
});
