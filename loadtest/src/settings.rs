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

/// Whoever makes groups of thousands in minutes takes more KeyPackages, commits more often
/// and reads more than one person does.
pub fn groups_without_limit() -> Vec<(&'static str, Value)> {
    let classes = [
        ("limits.key_package_claim.burst", "limits.key_package_claim.per"),
        ("limits.group_commit.burst", "limits.group_commit.per"),
        ("limits.group_send.burst", "limits.group_send.per"),
        ("limits.group_read.burst", "limits.group_read.per"),
        ("limits.acknowledge.burst", "limits.acknowledge.per"),
    ];
    classes
        .into_iter()
        .flat_map(|(burst, per)| [(burst, 1_000_000.into()), (per, "1s".into())])
        .collect()
}
