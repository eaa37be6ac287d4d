//! The sigchain: who an account is, as pure functions over signed bytes.
//!
//! # What it owns
//!
//! The rules of the op log: which bytes are an op, whose signatures an op needs,
//! and what an accepted op does to the [`State`] of its account. Servers, clients
//! and anybody who audits them run this same code.
//!
//! # What it promises
//!
//! - The same bytes give the same answer everywhere: no clock, no I/O, no
//!   randomness. Arbitrary bytes give a named [`ChainError`], never a panic.
//! - A lower key never changes a higher one: no sequence of ops that the account
//!   key signs touches the recovery set, and a device key can only take its own
//!   device off.
//! - An account has a live admin device wherever its chain may be left.
//!
//! # What it does not do
//!
//! It holds no private key. [`build`] makes payloads and [`signing_message`] says
//! what to sign; signing is the client's work. It does not know whether a handle
//! is free or a device's `not_after` has passed: it has neither a store nor a clock.

pub mod auth;
pub mod build;
mod device;
mod endpoint;
mod error;
mod evidence;
mod genesis;
pub mod keys;
mod op;
pub mod pin;
pub mod pow;
pub mod prekeys;
mod recover;
mod recovery;
mod rules;
pub mod safety_number;
mod signatures;
mod state;

pub use device::Device;
pub use endpoint::{Endpoint, EndpointKind};
pub use error::{ChainError, KeyKind};
pub use evidence::{Evidence, EvidenceError};
pub use keys::IdentityKey;
pub use op::{
    LinkHash, OP_VERSION, Rsig, decode_op, encode_op, link_hash, rsig_message, signing_message,
};
pub use recovery::Recovery;
pub use sotto_proto::identity::{Op, Sig, SignedOp, op::Body};
pub use state::{State, replay};
