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

/// Ops at the end of a chain that are kept free for the recovery set, and for the device
/// that a recovery has to add: whoever has the account key cannot fill them.
pub const RECOVERY_OPS: u64 = 32;

/// Device ids of an account that are kept free for devices that a recovery has to add.
pub const RECOVERY_DEVICE_IDS: usize = 16;

/// Endpoints of one account.
pub const MAX_ENDPOINTS: usize = 16;

/// Bytes of the URL of one endpoint.
pub const MAX_ENDPOINT_URL_BYTES: usize = 256;

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

/// Characters of the emoji of a reaction.
pub const MAX_REACTION_CHARS: usize = 16;

/// Message ids in one receipt or one mark of what was read.
pub const MAX_RECEIPT_IDS: usize = 100;

/// Options of a poll; it has at least two.
pub const MAX_POLL_OPTIONS: usize = 10;

/// Characters of a poll's question, and of each option.
pub const MAX_POLL_CHARS: usize = 300;

/// Characters of a name or title: of a place, a contact, an appointment.
pub const MAX_TITLE_CHARS: usize = 200;

/// Characters of the description of an appointment.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;

/// Telephone numbers, and mail addresses, on a contact card.
pub const MAX_CARD_ENTRIES: usize = 10;

/// Edits of one message.
pub const MAX_EDITS: u64 = 100;

/// Seconds of the longest self-destruct timer: a year.
pub const MAX_TIMER_SECONDS: u32 = 365 * 24 * 3_600;

/// Devices in one group: 1,500 people, most of them with one device.
pub const MAX_GROUP_DEVICES: usize = 2_000;

/// Bytes of one application message of a group, as it is encrypted.
pub const MAX_GROUP_MESSAGE_BYTES: usize = 64 * 1024;

/// Bytes of one commit.
pub const MAX_COMMIT_BYTES: usize = 512 * 1024;

/// Bytes of the Welcome of one commit, for all whom it adds.
pub const MAX_WELCOME_BYTES: usize = 512 * 1024;

/// Bytes of the sealed metadata of a group.
pub const MAX_SEALED_METADATA_BYTES: usize = 18 * 1024;

/// Characters of the name of a group.
pub const MAX_GROUP_NAME_CHARS: usize = 100;

/// Bytes of the picture of a group.
pub const MAX_GROUP_PICTURE_BYTES: usize = 16 * 1024;

/// Devices that one commit may add.
pub const MAX_ADDS_PER_COMMIT: usize = 512;

/// Admins of one group.
pub const MAX_GROUP_ADMINS: usize = 50;

/// Cursors in one `GroupAck`.
pub const MAX_GROUP_CURSORS: usize = 256;

/// One-time KeyPackages in one upload.
pub const MAX_KEY_PACKAGES_PER_UPLOAD: usize = 100;

/// One-time KeyPackages that a device may keep on the server.
pub const MAX_KEY_PACKAGES_PER_DEVICE: i64 = 200;

/// Bytes of one KeyPackage.
pub const MAX_KEY_PACKAGE_BYTES: usize = 2 * 1024;

/// Accounts in one claim of KeyPackages.
pub const MAX_KEY_PACKAGE_CLAIMS: usize = 100;
