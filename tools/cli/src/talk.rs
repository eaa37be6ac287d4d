//! Arguments of what is said besides text, and of what changes what was said.

use std::time::Duration;

use clap::{Args, Subcommand};
use sotto_client::{MessageId, PeerName, ids::AccountId};

/// How a message is to be treated.
#[derive(Debug, Args)]
pub(crate) struct HowToSend {
    /// The message that it answers.
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) reply_to: Option<MessageId>,
    /// Delete it so long after it was read.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) expire_after: Option<Duration>,
    /// Have the server delete copies that nobody has fetched after this time.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// Do not let it wait for others to go with it.
    #[arg(long)]
    pub(crate) urgent: bool,
}

/// When a command is done.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Outgoing {
    /// Only put it into the outbox.
    #[arg(long)]
    pub(crate) queue: bool,
    /// How long the server may take to accept it.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) wait: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl From<Switch> for bool {
    fn from(switch: Switch) -> Self {
        switch == Switch::On
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TalkCommand {
    /// Write a note to oneself.
    Note {
        /// The text.
        text: String,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Send a place.
    Location {
        /// Handle or account id.
        name: PeerName,
        /// Degrees north.
        #[arg(allow_negative_numbers = true, value_parser = degrees)]
        latitude: i32,
        /// Degrees east.
        #[arg(allow_negative_numbers = true, value_parser = degrees)]
        longitude: i32,
        /// Metres that it may be off.
        #[arg(long)]
        accuracy: Option<u32>,
        /// What people call it.
        #[arg(long, default_value = "")]
        place: String,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Send somebody's details.
    Card {
        /// Handle or account id.
        name: PeerName,
        /// Whose details.
        who: String,
        /// Their account.
        #[arg(long)]
        account: Option<AccountId>,
        /// A telephone number; may be given more than once.
        #[arg(long)]
        phone: Vec<String>,
        /// A mail address; may be given more than once.
        #[arg(long)]
        mail: Vec<String>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Ask a question with 2 to 10 answers to choose from.
    Poll {
        /// Handle or account id.
        name: PeerName,
        /// The question.
        question: String,
        /// The answers.
        #[arg(required = true)]
        options: Vec<String>,
        /// Whether one may choose several.
        #[arg(long)]
        multiple: bool,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Vote in a poll, in place of an earlier vote; without options, take it back.
    Vote {
        /// The poll.
        poll: MessageId,
        /// Numbers of options, from 0.
        options: Vec<usize>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Print how a poll stands.
    PollResult {
        /// The poll.
        poll: MessageId,
    },
    /// Send an appointment.
    Event {
        /// Handle or account id.
        name: PeerName,
        /// What it is.
        title: String,
        /// Begins, as in `2026-11-20T18:00:00Z`.
        #[arg(value_parser = humantime::parse_rfc3339_weak)]
        start: std::time::SystemTime,
        /// Ends.
        #[arg(value_parser = humantime::parse_rfc3339_weak)]
        end: std::time::SystemTime,
        /// Where.
        #[arg(long, default_value = "")]
        place: String,
        /// More about it.
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Give an own message another wording.
    Edit {
        /// The message.
        message: MessageId,
        /// What it is to say.
        text: String,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Print what a message says and said before.
    Editions {
        /// The message.
        message: MessageId,
    },
    /// Delete a message on one's own devices.
    Delete {
        /// The message.
        message: MessageId,
        /// For everybody: only what one wrote oneself.
        #[arg(long)]
        for_everyone: bool,
        #[command(flatten)]
        out: Outgoing,
    },
    /// React to a message, in place of an earlier reaction; without an emoji, take it back.
    React {
        /// The message.
        message: MessageId,
        /// With what.
        emoji: Option<String>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Print the reactions to a message.
    Reactions {
        /// The message.
        message: MessageId,
    },
    /// Print the receipts for a message.
    Receipts {
        /// The message.
        message: MessageId,
    },
    /// Print a message.
    Show {
        /// The message.
        message: MessageId,
    },
    /// Have messages with somebody deleted so long after they were read, from now on.
    Timer {
        /// Handle or account id.
        name: PeerName,
        /// The time; without it, they stay.
        #[arg(value_parser = humantime::parse_duration)]
        after: Option<Duration>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Say which receipts are sent, and switch them.
    SendReceipts {
        /// That a message has come to a device.
        #[arg(long)]
        delivered: Option<Switch>,
        /// That it was read.
        #[arg(long)]
        read: Option<Switch>,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Set what a contact may see of us: without switches, nothing.
    Grant {
        /// Handle or account id.
        name: PeerName,
        /// That we are writing to them.
        #[arg(long)]
        typing: bool,
        /// That we are connected, and when we last were.
        #[arg(long)]
        presence: bool,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Tell somebody that we are writing to them.
    Typing {
        /// Handle or account id.
        name: PeerName,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Print what is known of somebody's presence.
    Presence {
        /// Handle or account id.
        name: PeerName,
    },
}

/// Ten-millionths of a degree.
fn degrees(text: &str) -> Result<i32, String> {
    let degrees: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let e7 = (degrees * 1e7).round();
    if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&e7) {
        return Err("not within 180 degrees".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within bounds")]
    let e7 = e7 as i32;
    Ok(e7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_read_to_seven_places() {
        assert_eq!(degrees("-33.8688"), Ok(-338_688_000));
        assert_eq!(degrees("151.20930004"), Ok(1_512_093_000));
        assert!(degrees("1e9").is_err() && degrees("NaN").is_err() && degrees("north").is_err());
    }
}
