//! What the descriptions of all REST operations have in common: OpenAPI 3.1.
//!
//! Beside a handler stands what only it knows: its parameters and bodies, and each status
//! that its use case can answer. [`complete`] adds what holds for every operation. Of a
//! refusal the handler gives the status, and a description where its reasons are worth
//! naming; the rest of it is the shared response of that status.

mod complete;
mod problem;
mod schemas;

pub use self::{
    complete::complete,
    schemas::{
        AccountId, AccountName, AccountUuid, Base64, DeviceId, GroupId, Handle, KeyId, LinkId,
        Octets, PublicName, Uuid7,
    },
};

/// The name of the security scheme of operations that a device calls with its token.
pub const TOKEN: &str = "sotto_token";
