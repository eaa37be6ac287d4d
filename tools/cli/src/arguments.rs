use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sotto_client::{
    DeviceLink, DeviceRequest, EndpointKind, PeerName, PublicName, Transport, VerificationCode,
    ids::{DeviceId, Handle},
};
use url::Url;

use crate::{
    group::GroupCommand,
    talk::{HowToSend, Outgoing, TalkCommand},
};

/// A chat client on the terminal.
#[derive(Debug, Parser)]
#[command(name = "sotto-cli", version, about, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Folder of the device's store, made when it is not there. All commands but
    /// `evidence verify` need one.
    #[arg(long, env = "SOTTO_PROFILE", value_name = "FOLDER")]
    pub(crate) profile: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) server: Server,

    #[command(flatten)]
    pub(crate) app_token: AppToken,

    /// File with the key of the store; made when it is not there. By default
    /// `store.key` in the profile. It stands in for the platform's keychain: who can
    /// read this file and the store can read everything.
    #[arg(long, env = "SOTTO_STORE_KEY_FILE", value_name = "FILE")]
    pub(crate) store_key_file: Option<PathBuf>,

    /// One JSON object a line, instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the server is. A profile remembers it.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Domain of the home server.
    #[arg(long, env = "SOTTO_DOMAIN")]
    pub(crate) domain: Option<String>,

    /// Base of the REST API, such as `https://lumen.chat/`.
    #[arg(long, env = "SOTTO_REST", value_name = "URL")]
    pub(crate) rest: Option<Url>,

    /// A socket of the gateway, such as `wss://lumen.chat/v1/socket`. May be
    /// given more than once.
    #[arg(long, env = "SOTTO_SOCKET", value_name = "URL", value_delimiter = ',')]
    pub(crate) socket: Vec<Url>,

    /// Which way messages go: by the socket, by requests, or by requests for as long as
    /// no socket opens. Not remembered.
    #[arg(long, env = "SOTTO_TRANSPORT", value_enum, default_value = "auto")]
    pub(crate) transport: Way,
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Way {
    #[default]
    Auto,
    Socket,
    Rest,
}

impl From<Way> for Transport {
    fn from(way: Way) -> Self {
        match way {
            Way::Auto => Self::Auto,
            Way::Socket => Self::Socket,
            Way::Rest => Self::Rest,
        }
    }
}

/// The token with which the app vouches for its user.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct AppToken {
    /// The token itself.
    #[arg(long, env = "SOTTO_APP_TOKEN", hide_env_values = true, value_name = "JWT")]
    pub(crate) app_token: Option<String>,

    /// File with the token, read whenever one is needed.
    #[arg(long, env = "SOTTO_APP_TOKEN_FILE", value_name = "FILE")]
    pub(crate) app_token_file: Option<PathBuf>,

    /// Shell command that prints a fresh token, run whenever one is needed.
    #[arg(long, env = "SOTTO_APP_TOKEN_COMMAND", value_name = "COMMAND")]
    pub(crate) app_token_command: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account with this device as its first.
    Register {
        /// The handle to claim.
        #[arg(long)]
        handle: Option<Handle>,
        /// File with the 24 recovery words, to go on with a registration that was
        /// interrupted. Without it, new words are made and printed first.
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
        /// An invite, where the server asks for one.
        #[arg(long, env = "SOTTO_INVITE", hide_env_values = true)]
        invite: Option<String>,
    },
    /// Say who this device is.
    Whoami,
    /// Look somebody up, verify their chain and remember it.
    Add {
        /// Handle or account id.
        name: PeerName,
    },
    /// List everybody who is known.
    Contacts,
    /// Write to somebody.
    Send {
        /// Handle or account id.
        name: PeerName,
        /// The text; `-` sends each line of standard input.
        text: String,
        #[command(flatten)]
        how: HowToSend,
        #[command(flatten)]
        out: Outgoing,
    },
    /// Say something else than text, or change what was said.
    #[command(flatten)]
    Talk(TalkCommand),
    /// Print what has come in since the last `listen`, and go on as more comes in.
    ///
    /// What another command received while it was connected, such as `send`, is
    /// printed too. The profile remembers in `printed.json` how far this came, so each
    /// message is printed once; if this is killed in the middle, the last ones may be
    /// printed again.
    Listen {
        /// Stop after this time; without it, go on until interrupted.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        time: Option<Duration>,
        /// Stop after so many messages. The next `listen` begins with the one after.
        #[arg(long)]
        count: Option<usize>,
        /// Stop once all that waited at the server has come in.
        #[arg(long)]
        drain: bool,
        /// Print too what happens to messages and people, as it happens.
        #[arg(long)]
        events: bool,
    },
    /// Talk with several people at once.
    #[command(subcommand)]
    Group(GroupCommand),
    /// List conversations, the newest first.
    Conversations,
    /// Print what was said with somebody, oldest first.
    History {
        /// Handle or account id.
        name: PeerName,
        /// At most so many messages.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only what stands before this position.
        #[arg(long)]
        before: Option<u64>,
    },
    /// Mark all that somebody wrote as read.
    Read {
        /// Handle or account id.
        name: PeerName,
    },
    /// Print the safety number with somebody, or compare by a code that one of the two
    /// shows and the other scans.
    Verify {
        /// Handle or account id.
        name: PeerName,
        /// The number is the same on the other side: send what was held back since
        /// their account key changed.
        #[arg(long)]
        accept: bool,
        /// Print the code for them to scan, instead of the number.
        #[arg(long, conflicts_with_all = ["accept", "scan"])]
        code: bool,
        /// Compare with the code that they show. Where both are the same, it is as with
        /// `--accept`.
        #[arg(long, value_name = "TEXT", conflicts_with = "accept")]
        scan: Option<VerificationCode>,
    },
    /// Look at who goes by a name, as the server says it, held against the chain.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Look at chains.
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Add devices to an account, and take them off.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Replace the keys of an account, or bring it back.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Say in the chain where else the account can be reached.
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// Proofs that an account has two chains.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Fill up this device's prekeys at the server, and print how many it has.
    Prekeys,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Fetch the identity document of a name and the chain, and print what both say.
    Show {
        /// A handle, with or without its domain.
        name: PublicName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Fetch a chain, verify it and print it.
    Show {
        /// Handle or account id; without it, one's own.
        name: Option<PeerName>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Put a new account key in place of the old one. Contacts are told. Only on an
    /// admin device.
    Rotate,
    /// Bring an account back on this device by its words. All of its other devices are
    /// revoked.
    Recover {
        /// Handle or account id.
        name: PeerName,
        /// File with the 24 recovery words.
        #[arg(long, value_name = "FILE")]
        words_file: PathBuf,
    },
    /// Put other recovery words in place of the old ones. The new ones are printed first.
    SetRecovery {
        /// File with the 24 words until now.
        #[arg(long, value_name = "FILE")]
        words_file: PathBuf,
        /// File with the new words, to go on where this was interrupted. Without it, new
        /// ones are made and printed.
        #[arg(long, value_name = "FILE")]
        new_words_file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Add one.
    Add {
        /// What speaks there.
        #[arg(value_enum)]
        kind: Speaks,
        /// Where.
        url: String,
    },
    /// Take one back.
    Drop {
        /// What speaks there.
        #[arg(value_enum)]
        kind: Speaks,
        /// Where.
        url: String,
    },
    /// List them.
    List {
        /// Handle or account id; without it, one's own.
        name: Option<PeerName>,
    },
}

/// What speaks at an endpoint.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Speaks {
    Relay,
    Mailbox,
    Iroh,
    Nostr,
    Pin,
}

impl From<Speaks> for EndpointKind {
    fn from(speaks: Speaks) -> Self {
        match speaks {
            Speaks::Relay => Self::Relay,
            Speaks::Mailbox => Self::Mailbox,
            Speaks::Iroh => Self::Iroh,
            Speaks::Nostr => Self::Nostr,
            Speaks::Pin => Self::Pin,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// List those that this device has of an account.
    List {
        /// Handle or account id.
        name: PeerName,
    },
    /// Write the newest one to a file.
    Save {
        /// Handle or account id.
        name: PeerName,
        /// Where to.
        file: PathBuf,
    },
    /// Check a file. Needs no profile and no server.
    Verify {
        /// The file.
        file: PathBuf,
    },
}

/// What a new device shows: a link, or a request that goes without a mailbox.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    Link(DeviceLink),
    Request(DeviceRequest),
}

impl std::str::FromStr for Shown {
    type Err = sotto_client::ClientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().starts_with("sotto-link:") {
            text.parse().map(Self::Link)
        } else {
            text.parse().map(Self::Request)
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// On the new device: print a link, and wait until an admin device has taken it.
    Link {
        /// Handle or account id that the device is to be on; no other will do then.
        #[arg(long, value_name = "NAME")]
        account: Option<PeerName>,
    },
    /// On the new device, where the two cannot reach the server at once: ask to be added,
    /// and print the request.
    Request {
        /// Handle or account id of the account.
        name: PeerName,
    },
    /// On a device that holds the account key: add the device that asked.
    Approve {
        /// What `device link` or `device request` printed.
        shown: Shown,
        /// Give it the account key. Only with a link.
        #[arg(long)]
        admin: bool,
    },
    /// On a device that holds the account key: refuse the device that asked.
    Decline {
        /// What `device link` printed.
        link: DeviceLink,
    },
    /// Take a device off the account for good.
    Revoke {
        /// Its number.
        #[arg(value_parser = device_id)]
        device: DeviceId,
    },
    /// On the new device: take its place once it is approved.
    Finish,
}

fn device_id(text: &str) -> Result<DeviceId, String> {
    let number: u32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    DeviceId::try_from(number).map_err(|_| "a device is a number from 1 to 127".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn names_are_handles_or_account_ids() {
        let parse = |name: &str| {
            Arguments::try_parse_from(["sotto-cli", "--profile", "p", "add", name]).is_ok()
        };
        assert!(parse("bob") && parse("@bob") && parse(&format!("acct:{}", "a".repeat(52))));
        assert!(!parse("Bob!") && !parse("acct:short"));
    }
}
