//! The SDK: everything that a chat app does on a person's device.
//!
//! # What it owns
//!
//! Private keys, ratchet state and history, in one encrypted SQLite file for each
//! device. Nothing else in the project holds any of the three.
//!
//! # What it promises
//!
//! - A message that [`Client::send_text`] took is on disk before the call returns,
//!   and is sent until the server accepts it or refuses it for good; either is
//!   told by an event and stands in the history.
//! - A ratchet step and the message it belongs to are committed in one
//!   transaction, so that a crash loses neither and uses neither twice.
//! - Each message is shown once, and for each sending device in the order sent;
//!   a hole is waited for, but only for [`Tuning::hold`].
//! - A key that comes from the server is used only if the chain of its account
//!   certifies it. A chain that was shortened or rewritten is refused, and what
//!   contradicts itself is kept as evidence.
//! - What cannot be read is shown as such, never left out.
//! - What is of a later version is kept byte for byte, and shown after an upgrade.
//! - Only the author of a message edits or deletes it, and only a device of the own
//!   account speaks for it. All devices of both sides end with the same.
//! - No change of a group is followed that its policy does not allow, or that lets somebody
//!   in whom no chain certifies, whatever the server has checked.
//! - A plaintext has one of a few sizes before it is encrypted. Receipts look like short
//!   messages; presence is said to those alone to whom it was granted.
//!
//! # What it does not do
//!
//! It has no user interface, and it does not keep the key of its store: the app
//! takes that from the platform's keychain.
//!
//! # How it runs
//!
//! One thread of its own (the vault) has the store and does all cryptography, as
//! libsignal's futures are not `Send` and `SQLite` has one writer. Jobs reach it by
//! a bounded queue, and those that wait together share one commit. Network I/O
//! runs as tasks on the runtime that [`Client::open`] was called on, so a long
//! computation never holds up a heartbeat.
//!
//! libsignal writes addresses and public keys to the `log` facade. An app that
//! bridges `log` into its own logs should leave the target
//! `libsignal_protocol_syft` out.

mod auth;
mod backoff;
mod bodies;
mod chain;
mod chores;
mod client;
mod clock;
mod config;
mod content;
mod conversation;
mod device_request;
mod document;
mod draft;
mod error;
mod event;
mod feedback;
#[cfg(fuzzing)]
pub mod fuzzing;
mod groups;
mod kinds;
mod link;
mod message;
mod message_id;
mod net;
mod order;
mod outbox;
mod prekey_check;
mod prekeys;
mod receive;
mod recovery;
mod rest;
mod safety;
mod signal;
mod token;
mod vault;
mod verification;
mod view;

#[cfg(test)]
mod tests;

pub use bodies::{CalendarEvent, ContactCard, Location, Poll};
pub use client::{Client, PendingLink};
pub use clock::{Clock, SystemClock};
pub use config::{ClientConfig, OnIdentityChange, StoreKey, Transport, Tuning};
pub use conversation::{Conversation, ConversationId};
pub use device_request::DeviceRequest;
pub use document::{IdentityDevice, IdentityDocument};
pub use draft::{DeleteFor, Draft};
pub use error::{ClientError, Distrust};
pub use event::{ConnectionState, Event, EventStream};
pub use feedback::{
    Edition, PollResult, Presence, Reaction, Receipt, ReceiptKind, ReceiptSettings, Visibility,
};
pub use groups::{Group, GroupAdded, GroupDetails, GroupDevice, GroupMember, GroupStanding};
pub use link::DeviceLink;
pub use message::{Body, Direction, Message, MessageId, MessageState, Reply};
pub use recovery::RecoveryPhrase;
pub use safety::SafetyNumber;
pub use sotto_identity::{Endpoint, EndpointKind, Evidence, EvidenceError};
pub use sotto_ids as ids;
pub use token::{FixedToken, TokenProvider};
pub use verification::VerificationCode;
pub use view::{
    Chain, ChainDevice, ChainOp, Contact, Me, PeerName, Phase, PrekeyCount, PublicName,
};
