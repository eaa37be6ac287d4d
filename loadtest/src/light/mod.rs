//! Devices that cost next to nothing: real accounts, real keys, real tokens, real sockets,
//! and ciphertexts that are random bytes of the right size. A server cannot tell them from
//! the real ones, and a generator can have ten thousand.
//!
//! They do not put in order what arrives out of it, as the SDK does; for them the oracle
//! judges conservation, and only counts what overtook what on the wire.

mod account;
pub(crate) mod content;
mod fleet;
mod keys;
mod outgoing;
pub(crate) mod pool;
mod rest;
mod seen;
mod session;
pub(crate) mod socket;

pub use self::{
    account::{Account, op_body},
    fleet::{Fleet, Manner},
    keys::{DeviceKeys, one_time_ec},
    pool::{Member, Pool, Prekeys, Spec},
    rest::{Refused, Rest},
    seen::{Arrival, Seen},
    session::Order,
    socket::{FirstPage, first_page},
};
