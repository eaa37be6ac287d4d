//! Settings of a cluster that is to be loaded from one machine.
//!
//! Limits that keep strangers from doing what a load generator does are lifted where they
//! would be all that is measured; and nothing besides is touched. (What is counted for an
//! address is lifted in every cluster of the testkit already, and what one device may write
//! where its builder is asked to.)

use toml::Value;

/// Tokens that outlive the preparations of a run: light devices buy theirs once.
pub fn long_tokens() -> Vec<(&'static str, Value)> {
    vec![("keys.token.life", "1h".into())]
}
