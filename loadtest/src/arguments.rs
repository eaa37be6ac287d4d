use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, value_parser};
use rand::RngCore as _;
use sotto_load::{bench, drain, faults, groups};

/// Loads a Sotto that it starts itself, breaks parts of it, and says what came of it.
///
/// Each command starts a cluster of its own on private servers, which sync what they
/// confirm, and ends it. It needs the `sotto` executable beside it, PostgreSQL and Redis;
/// `./dev faults` and `./dev bench` see to all three.
#[derive(Debug, Parser)]
#[command(name = "sotto-load", after_long_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Where a folder with the summary of each run is put.
    #[arg(long, value_name = "FOLDER", default_value = "results", global = true)]
    pub(crate) results: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  everything that was promised held
    1  something was lost, shown twice, out of order, or did not come back
    2  the command was not understood
    3  the run shows nothing: the generator was late, or fewer parts were killed than asked
    4  the system could not be started, or did not come up again
   99  everything held, but a measurement missed its target

Examples:
    sotto-load faults --minutes 10
    sotto-load faults --seconds 60 --kills-each 1 --clients 40 --seed 7
    sotto-load drain --sockets 5000
    sotto-load groups --members 1500
    sotto-load bench --only delivery --seconds 60";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Kills every part of the system, again and again, under traffic of real clients.
    ///
    /// Gateways, messages replicas, keys, Redis and Postgres each die by SIGKILL and are
    /// started again, some of them together, while devices with the real SDK write to one
    /// another. In the end everything that was accepted must have been shown, once, and in
    /// the order in which it was written.
    Faults(Faults),
    /// Ends a gateway that has thousands of sockets, and watches its devices come back.
    ///
    /// The devices are light ones: real accounts, tokens and sockets, and random bytes for
    /// ciphertexts. Nothing may be lost, and the returns must be spread as docs/operations.md says
    /// of `gateway.drain`.
    Drain(Drain),
    /// Has a group of many live through everything that happens to groups.
    ///
    /// Every member is a real client of MLS with certified keys, in this process. The group
    /// is made in batches, some come later, some go, some renew their keys, in a row and at
    /// once, and many write at once. Then all members of another group commit at once, again
    /// and again. In the end every member must be in the same epoch, and must have every
    /// message that it was entitled to, once, in its order, and no other.
    Groups(Groups),
    /// Measures latencies, throughput and memory, beside their targets.
    ///
    /// Only worth something in a build with optimisations, on a machine that has nothing
    /// else to do: `./dev bench` makes the build.
    Bench(Bench),
}

#[derive(Debug, Args)]
pub(crate) struct Faults {
    /// How many minutes of traffic.
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "seconds")]
    #[arg(value_parser = value_parser!(u64).range(1..=1_440))]
    minutes: u64,

    /// How many seconds of traffic, in place of minutes.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(30..=86_400))]
    seconds: Option<u64>,

    /// Devices with the real SDK.
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = value_parser!(u16).range(2..=2_000))]
    clients: u16,

    /// To how many others each of them writes.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = value_parser!(u16).range(1..=100))]
    contacts: u16,

    /// Messages a second, over all, at times by lot that wait for nobody.
    #[arg(long, value_name = "N", default_value_t = 60)]
    #[arg(value_parser = value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// How many gateways.
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u16).range(1..=8))]
    gateways: u16,

    /// How many messages replicas.
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u16).range(1..=8))]
    messages: u16,

    /// How often each part is killed. A turn should have ten seconds or more.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u16).range(0..=1_000))]
    kills_each: u16,

    /// Makes what is left to chance the same again: who writes to whom, and who dies when.
    /// By default it is drawn, and told at the end.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Sockets on the gateway that ends.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    #[arg(value_parser = value_parser!(u32).range(10..=15_000))]
    sockets: u32,

    /// Devices of each account: fewer accounts have to be registered.
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = value_parser!(u32).range(1..=10))]
    devices_each: u32,

    /// Messages a second, each for all devices of an account.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000))]
    rate: u32,

    /// `gateway.drain.window` in seconds.
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = value_parser!(u64).range(1..=40))]
    window_seconds: u64,

    /// `gateway.drain.reconnect_within` in seconds.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u64).range(1..=60))]
    reconnect_seconds: u64,

    /// Makes what is left to chance the same again.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Groups {
    /// Members of the group once it is made. 50 more come later, and 50 go.
    #[arg(long, value_name = "N", default_value_t = 1_500)]
    #[arg(value_parser = value_parser!(u16).range(101..=1_900))]
    members: u16,

    /// Members that one commit adds while the group is made.
    #[arg(long, value_name = "N", default_value_t = 500)]
    #[arg(value_parser = value_parser!(u16).range(1..=500))]
    batch: u16,

    /// Members that hear of everything by sockets. The others read the log.
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = value_parser!(u16).range(1..=1_900))]
    live: u16,

    /// Members that write at once.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = value_parser!(u16).range(1..=500))]
    senders: u16,

    /// Messages that each of them writes each time.
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = value_parser!(u64).range(1..=1_000))]
    messages_each: u64,

    /// Members that renew their keys: in a row, and at once.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = value_parser!(u16).range(1..=500))]
    updates: u16,

    /// Members of another group that all commit at once.
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = value_parser!(u16).range(2..=500))]
    race_members: u16,

    /// For how many epochs they do.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000))]
    race_epochs: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How many seconds each measurement takes, without its preparations.
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = value_parser!(u64).range(2..=3_600))]
    seconds: u64,

    /// Takes this measurement only. May be given several times.
    #[arg(long, value_name = "NAME", value_enum)]
    only: Vec<bench::Name>,
}

impl Faults {
    pub(crate) fn options(&self) -> faults::Options {
        faults::Options {
            duration: Duration::from_secs(self.seconds.unwrap_or(self.minutes * 60)),
            clients: self.clients.into(),
            contacts: self.contacts.into(),
            rate: self.rate.into(),
            gateways: self.gateways.into(),
            messages: self.messages.into(),
            kills_each: self.kills_each.into(),
            seed: self.seed.unwrap_or_else(drawn),
        }
    }
}

impl Drain {
    pub(crate) fn options(&self) -> drain::Options {
        drain::Options {
            sockets: self.sockets / self.devices_each * self.devices_each,
            devices_each: self.devices_each,
            rate: self.rate.into(),
            window: Duration::from_secs(self.window_seconds),
            reconnect_within: Duration::from_secs(self.reconnect_seconds),
            seed: self.seed.unwrap_or_else(drawn),
        }
    }
}

impl Groups {
    pub(crate) fn options(&self) -> groups::Options {
        groups::Options {
            members: self.members.into(),
            batch: self.batch.into(),
            live: self.live.into(),
            senders: self.senders.into(),
            messages_each: self.messages_each,
            updates: self.updates.into(),
            race_members: self.race_members.into(),
            race_epochs: self.race_epochs,
        }
    }
}

impl Bench {
    pub(crate) fn options(&self) -> bench::Options {
        bench::Options { duration: Duration::from_secs(self.seconds), only: self.only.clone() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed is where chance comes in")]
fn drawn() -> u64 {
    // Short enough to be typed again.
    u64::from(rand::rng().next_u32())
}
