//! What the service knows of MLS: it reads handshakes, and follows each group by its public
//! state (RFC 9420, 7 and 12). All of it is work for threads that may be held up.

mod begin;
mod commit;
mod external_sender;
mod handshake;
mod info;
mod proposal;
mod tracked;

pub(crate) use self::{
    begin::{Beginning, MAKERS_LEAF, begin},
    commit::{Checked, NewCommit, Refused, check},
    external_sender::ExternalSender,
    handshake::{Handshake, group_of, read},
    proposal::{Leaving, check_leave, removals},
    tracked::Tracked,
};
