//! What the keys service holds in Redis. All of it may be lost.
//!
//! | key | type | holds | lost when |
//! |---|---|---|---|
//! | `keys:{<challenge in hex>}:challenge` | string | `1` | it is used; its TTL ends (`keys.auth.challenge_ttl`); Redis forgot it |
//! | `keys:{<link id>}:mailbox` | hash | `open`, and the messages `request` and `answer` once they were left | its TTL ends (`keys.mailbox.ttl`); Redis forgot it |
//! | `keys:{<challenge in hex>}:work` | string | the bits of work that it costs | it is used; its TTL ends (`keys.registration.challenge_ttl`); Redis forgot it |
//!
//! | channel | carries |
//! |---|---|
//! | `keys:mailboxes` | the link id of a mailbox in which a message was left |
//!
//! A lost challenge makes one login or registration start again, a lost mailbox one
//! linking. Whoever misses word of a message finds it a little later by looking.

pub(crate) mod challenges;
pub(crate) mod mailboxes;
pub(crate) mod work_challenges;
