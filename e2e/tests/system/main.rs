//! Stories of people on a whole Sotto: every role a process, two gateways and two
//! messages replicas, real Postgres and Redis.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod access;
mod account_commands;
mod bad_input;
mod commands;
mod contract;
mod conversations;
mod crashes;
mod devices;
mod evil;
mod group_crashes;
mod group_offline;
mod group_storm;
mod groups;
mod identity;
mod limits;
mod outages;
mod people;
mod privacy;
mod requests;
