//! What the keys service holds in Redis. All of it may be lost.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `keys:{<challenge in hex>}:challenge` | string | `1` | it is used; its TTL ends (`keys.auth.challenge_ttl`); Redis forgot it |
//!
//! A lost challenge makes one login start again.

pub(crate) mod challenges;
