//! Groups: MLS (RFC 9420) over the delivery service of the home server.
//!
//! A group has one log, in which the server puts messages and changes in order. The log is
//! taken in entry by entry; where it stands, the MLS state and what was read from it are
//! written in one transaction. So a crash loses nothing and repeats nothing, and a device
//! that missed something goes on from where it was.
//!
//! No change is followed before it was checked: that every leaf is certified by the chain
//! of the account that it names, and that the policy of the group allows it. The server
//! has checked both, and is not believed.
//!
//! What the server refuses since the group has moved on is made again, after what came in
//! between was taken in. A device that cannot go on by the log, since that is no longer
//! kept or since its own state is of no use, joins anew by itself.

mod adding;
mod certify;
mod commit;
mod create;
mod credential;
mod external;
mod follow_up;
pub(crate) mod key_packages;
mod leave;
mod list;
mod log;
mod open;
pub(crate) mod outbox;
mod receive;
mod requests;
mod reset;
mod seal;
mod turns;
mod view;
mod welcome;
mod worker;

pub use self::view::{Group, GroupAdded, GroupDetails, GroupDevice, GroupMember, GroupStanding};
pub(crate) use self::{
    adding::add,
    commit::{Intent, carry_out},
    create::create,
    leave::{accept, decline, leave},
    list::{details, groups, history, mark_read},
    log::synchronize,
    open::GroupCache,
    requests::{acknowledge, poll, send},
    reset::reset,
    turns::Groups,
    worker::{FromServer, is_group_frame, run},
};

use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, ProtocolMessage};
use sotto_ids::GroupId;
use sotto_mls::wire;

use crate::{
    ClientError,
    vault::{
        Tx,
        groups::{self, Group as Row},
    },
};

/// A group that is known.
fn find(tx: &Tx<'_>, group: GroupId) -> Result<Row, ClientError> {
    groups::find(tx.db, group)?.ok_or(ClientError::UnknownGroup)
}

/// A group that this device is in.
fn find_joined(tx: &Tx<'_>, group: GroupId) -> Result<Row, ClientError> {
    let row = find(tx, group)?;
    if row.standing.is_in() { Ok(row) } else { Err(ClientError::UnknownGroup) }
}

/// A group that this device is in and may do something in.
fn find_usable(tx: &Tx<'_>, group: GroupId) -> Result<Row, ClientError> {
    let row = find_joined(tx, group)?;
    match (&row.refused, row.standing) {
        (Some(reason), _) => Err(ClientError::GroupStopped { reason: reason.clone() }),
        (None, GroupStanding::Invited) => Err(ClientError::GroupNotAccepted),
        (None, _) => Ok(row),
    }
}

/// Reads an MLSMessage with a message or a handshake.
fn protocol_message(bytes: &[u8]) -> Option<ProtocolMessage> {
    wire::protocol_message(bytes).ok()
}

/// Reads an MLSMessage.
fn message_body(bytes: &[u8]) -> Option<MlsMessageBodyIn> {
    Some(wire::exactly::<MlsMessageIn>(bytes).ok()?.extract())
}
