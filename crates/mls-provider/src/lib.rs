//! What OpenMLS asks of its surroundings.
//!
//! # What it owns
//!
//! The calls from OpenMLS into libraries of cryptography ([`Crypto`]), the randomness
//! ([`Rand`]), the storage as keys and values ([`Values`]), and a [`Signer`] over the MLS key of
//! a device. Clients and the delivery service use the same.
//!
//! # What it promises
//!
//! - It has no cryptography of its own: each operation is one call into RustCrypto or `hpke`,
//!   held by the test vectors of RFC 9420.
//! - Two cipher suites work, `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519` (0x0001) and its
//!   sibling with `ChaCha20Poly1305` (0x0003). Whatever belongs to another is refused.
//! - Whatever OpenMLS stores comes back the same, through [`Values`] and any store that keeps
//!   the entries. [`Values::take_changes`] names each entry that has changed, so that a store
//!   can write them in a transaction together with other things.
//!
//! # What it does not do
//!
//! It neither reads nor writes a database, and knows no rule about groups.
//!
//! Why this and no provider of the OpenMLS project: `docs/adr/0028`.

mod crypto;
mod hpke;
mod provider;
mod random;
mod signer;
mod values;

pub use crypto::{CIPHERSUITES, Crypto};
pub use provider::Provider;
pub use random::{NoRandomness, Rand};
pub use signer::Signer;
pub use values::{Change, Entry, MalformedValues, StorageError, Values};
