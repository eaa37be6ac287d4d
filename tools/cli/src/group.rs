//! Arguments of what is done with groups.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use sotto_client::{MessageId, PeerName};

use crate::talk::{Outgoing, Switch};

/// A group is named by its id, or by what it is called where only one is called so.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Begin a group, and add people to it.
    ///
    /// Who begins it is its admin: see `group admin`. The name and the picture can be read by
    /// members alone, not by the server.
    Create {
        /// What it is called, at most 100 characters.
        title: String,
        /// Handles or account ids of those to add.
        names: Vec<PeerName>,
        /// File with a picture, at most 16 KiB.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Add people, with all of their devices.
    ///
    /// Whoever has never been online since groups came has to be once before.
    Add {
        /// The group.
        group: String,
        /// Handles or account ids.
        #[arg(required = true)]
        names: Vec<PeerName>,
    },
    /// Remove people, with all of their devices. They read nothing that comes afterwards.
    Remove {
        /// The group.
        group: String,
        /// Handles or account ids.
        #[arg(required = true)]
        names: Vec<PeerName>,
    },
    /// Leave a group with all of one's devices.
    ///
    /// Some other member has to be online to take this one out; what is said until then still
    /// comes in.
    Leave {
        /// The group.
        group: String,
        /// How long to wait for that.
        #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Write to a group.
    ///
    /// `edit`, `delete`, `react` and `vote` work on messages of groups too.
    Send {
        /// The group.
        group: String,
        /// The text; `-` sends each line of standard input.
        text: String,
        /// The message that it answers.
        #[arg(long, value_name = "MESSAGE")]
        reply_to: Option<MessageId>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// List groups, that which was joined last first.
    List {
        /// Only say what is known here, without asking the server.
        #[arg(long)]
        offline: bool,
    },
    /// Print a group, its members, and up to which entry of its log each of their devices has
    /// everything.
    Show {
        /// The group.
        group: String,
    },
    /// Print what was said in a group, oldest first.
    History {
        /// The group.
        group: String,
        /// At most so many messages.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only what stands before this position.
        #[arg(long)]
        before: Option<u64>,
    },
    /// Mark all that was written in a group as read.
    Read {
        /// The group.
        group: String,
    },
    /// Give a group another name, or another picture. Admins only.
    Rename {
        /// The group.
        group: String,
        /// What it is called from now on.
        title: Option<String>,
        /// File with a picture, at most 16 KiB.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Make a member an admin, or no longer. Admins only.
    Admin {
        /// The group.
        group: String,
        /// Handle or account id.
        name: PeerName,
        /// Whether they are one.
        #[arg(value_enum)]
        switch: Switch,
    },
    /// Take the invitation of somebody who is no contact.
    Accept {
        /// The group.
        group: String,
    },
    /// Decline an invitation. Some other member has to be online to take this device out.
    Decline {
        /// The group.
        group: String,
    },
    /// Renew this device's keys in a group.
    Update {
        /// The group.
        group: String,
    },
    /// Begin a group anew where its members have lost each other, and add everybody again.
    /// The last resort. Admins only.
    Reset {
        /// The group.
        group: String,
    },
}
