//! A chain as a server or a stranger shows it: length-delimited ops.
#![no_main]

use prost::Message as _;
use sotto_identity::{SignedOp, decode_op, encode_op, replay};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut ops = Vec::new();
    while let Ok(op) = SignedOp::decode_length_delimited(&mut rest) {
        // Whatever is taken is the encoding of what it was read as.
        if let Ok(decoded) = decode_op(&op.payload) {
            assert_eq!(encode_op(&decoded), op.payload, "an op that is not canonical was taken");
        }
        ops.push(op);
        if rest.is_empty() || ops.len() > 64 {
            break;
        }
    }
    // Without the private keys nobody makes a chain that verifies, so what replays can
    // only be the seed itself.
    if let Ok(state) = replay(&ops) {
        assert!(state.seq < ops.len() as u64);
    }
});
