//! The bytes of a socket, as they arrive: RFC 6455 frames, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sotto_gateway::fuzzing::websocket_frames(data);
});
