use std::fmt;

use serde::{Deserialize, Serialize};

/// Whom a class counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Each address from which somebody calls.
    Address,
    /// Each device.
    Device,
    /// Each account.
    Account,
    /// Each device, towards each account.
    Pair,
}

macro_rules! classes {
    ($(($variant:ident, $name:literal, $whom:ident, $counts:literal),)+) => {
        /// What is counted. The table is closed: whatever is limited stands in it, with
        /// its setting `limits.<name>` and its row in `docs/reference/limits.md`.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Class {
            $(#[doc = $counts] $variant,)+
        }

        impl Class {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in settings, headers and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whom it counts.
            pub const fn whom(self) -> Whom {
                match self { $(Self::$variant => Whom::$whom,)+ }
            }
        }
    };
}

// One row a class: its variant, its name, whom it counts, and what a unit is. The
// reference page is made from these rows and from the defaults.
classes! {
    (Register, "register", Address, "A registration of an account, whether it succeeds or not"),
    (RegisterChallenge, "register_challenge", Address, "A question for what registering requires"),
    (Challenge, "challenge", Address, "A challenge for a login"),
    (Login, "login", Address, "A login, whether it succeeds or not"),
    (Token, "token", Account, "A token that was sold"),
    (ChainRead, "chain_read", Address, "A chain, or where it ends, that is read"),
    (ChainWrite, "chain_write", Address, "A request that appends to a chain"),
    (Bundles, "bundles", Device, "A request for prekey bundles"),
    (Claim, "claim", Pair, "A request for prekey bundles of one account"),
    (Upload, "upload", Device, "A request that stores prekeys"),
    (Stock, "stock", Device, "A look at what prekeys of its own the server has"),
    (Lookup, "lookup", Address, "A handle that is looked up"),
    (Document, "document", Address, "An identity document, for which a chain is replayed"),
    (LinkOpen, "link_open", Address, "A mailbox that is opened to link a device"),
    (Link, "link", Address, "A request to a mailbox for linking"),
    (Connect, "connect", Address, "A socket that is opened"),
    (Send, "send", Device, "A message that is sent or retracted"),
    (Poll, "poll", Device, "A page of the queue that is read over REST"),
    (KeyPackageClaim, "key_package_claim", Device, "An account whose KeyPackages are claimed"),
    (GroupCommit, "group_commit", Device, "A group that is made, changed or reset, or a try to"),
    (GroupSend, "group_send", Device, "A message that is sent to a group"),
    (GroupRead, "group_read", Device, "A page of a group's log, its state, or a look at Welcomes"),
    (Acknowledge, "acknowledge", Device, "A request that acknowledges over REST"),
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_name_everywhere() {
        for class in Class::ALL {
            assert_eq!(serde_json::json!(class), class.name());
        }
    }
}
