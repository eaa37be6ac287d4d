//! What the members of a group and the delivery service have to agree on.
//!
//! # What it owns
//!
//! How MLS (RFC 9420) is used here: the suite, what a leaf can and names ([`capabilities`],
//! [`identity`]), how groups are made and joined ([`config`]), who may change what ([`policy`]
//! and [`commit`]), and the forms of what stands around MLS: sealed [`metadata`], trimmed
//! [`welcome`]s, compressed [`tree`]s. And [`wire`], the door through which MLS comes in.
//!
//! # What it promises
//!
//! - Server and clients judge a commit by the same function, [`commit::check`], and reach the
//!   same verdict on the same commit in the same group.
//! - No member becomes an admin by a commit of its own.
//! - Whatever is decoded here has one encoding. Arbitrary bytes give a named error, never a
//!   panic, and never more memory than the bound of the form.
//!
//! # What it does not do
//!
//! It knows no chain: that the key of a leaf is certified by the account that the leaf names is
//! for the caller to check ([`commit::Checked::claims`]). It has no store, no clock and no
//! network.

#[cfg(fuzzing)]
pub mod fuzzing;

mod canonical;
pub mod commit;
pub mod config;
pub mod identity;
mod members;
pub mod metadata;
pub mod policy;
pub mod tree;
pub mod welcome;
pub mod wire;

pub use config::{CIPHERSUITE, capabilities};
pub use identity::LeafId;
pub use members::{MalformedMember, Members};
pub use policy::{POLICY_EXTENSION, Policy, PolicyError};
