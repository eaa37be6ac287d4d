//! Settings of a cluster that is to be loaded from one machine.
//!
//! Limits that keep strangers from doing what a load generator does are lifted where they
//! would be all that is measured; and nothing besides is touched. (What is counted for an
//! address is lifted in every cluster of the testkit already.)

use toml::Value;

/// Tokens that outlive the preparations of a run: light devices buy theirs once.
pub fn long_tokens() -> Vec<(&'static str, Value)> {
    vec![("keys.token.life", "1h".into())]
}

/// No limit to how fast one device may write.
pub fn writing_without_limit() -> Vec<(&'static str, Value)> {
    vec![
        ("limits.send.burst", 1_000_000.into()),
        ("limits.send.per", "1s".into()),
        ("gateway.session.sends_per_second", 100_000.into()),
        ("gateway.session.sends_burst", 100_000.into()),
        ("gateway.session.frames_per_second", 100_000.into()),
        ("gateway.session.frames_burst", 100_000.into()),
    ]
}
