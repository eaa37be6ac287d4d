//! Bounds that are part of the protocol: a client and a server that disagreed on
//! one of them could not talk. What an operator may change is in the configuration
//! instead.

/// Live devices of one account.
pub const MAX_LIVE_DEVICES: usize = 10;

/// Bytes of one op's payload.
pub const MAX_OP_BYTES: usize = 4 * 1024;

/// Signatures on one op.
pub const MAX_OP_SIGNATURES: usize = 16;

/// Ops of one chain.
pub const MAX_CHAIN_OPS: u64 = 2_000;

/// Keys of one recovery set.
pub const MAX_RECOVERY_KEYS: usize = 16;

/// Bytes of one envelope's ciphertext.
pub const MAX_CIPHERTEXT_BYTES: usize = 64 * 1024;

/// Bytes of one frame on the socket: the longest text, in four-byte characters, once for
/// each of the devices that an account may have, and room around it.
pub const MAX_FRAME_BYTES: usize = 512 * 1024;

/// Envelope ids in one Ack.
pub const MAX_ACK_IDS: usize = 256;

/// One-time prekeys in one upload.
pub const MAX_PREKEYS_PER_UPLOAD: usize = 100;

/// One-time prekeys of one kind that a device may keep on the server.
pub const MAX_PREKEYS_PER_DEVICE: i64 = 200;

/// The largest prekey id: 24 bits, as libsignal's clients count them.
pub const MAX_PREKEY_ID: u32 = 0x00FF_FFFF;

/// Characters of a text message.
pub const MAX_TEXT_CHARS: usize = 10_000;
