//! A chain as a server or a stranger shows it: length-delimited ops.
#![no_main]

use prost::Message as _;
use sotto_identity::{SignedOp, decode_op, encode_op, replay};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut ops = Vec::new();
    while let Ok(op) = SignedOp::decode_length_delimited(&mut rest) {
        // Whatever is taken is the encoding of what it was read as, but for a body that is
        // to be passed over, which stands at the end.
        if let Ok(decoded) = decode_op(&op.payload) {
            let encoded = encode_op(&decoded);
            let is_whole = decoded.body.is_some();
            assert!(op.payload.starts_with(&encoded), "an op that is not canonical was taken");
            assert!(!is_whole || op.payload == encoded, "something behind the body was taken");
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
