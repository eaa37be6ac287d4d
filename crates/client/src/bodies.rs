//! What a message can be, besides text.

use std::fmt;

use sotto_ids::AccountId;

use crate::{Edition, Reaction};

/// Debug output that quotes nothing.
macro_rules! says_nothing {
    ($($of:ty),*) => {$(
        impl fmt::Debug for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($of)).finish_non_exhaustive()
            }
        }
    )*};
}

says_nothing!(Location, ContactCard, Poll, CalendarEvent, Reaction, Edition);

/// A place on the earth, WGS 84.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// Ten-millionths of a degree north, within 90 degrees.
    pub latitude_e7: i32,
    /// Ten-millionths of a degree east, within 180 degrees.
    pub longitude_e7: i32,
    /// Metres that it may be off, where that is known.
    pub accuracy_m: Option<u32>,
    /// What people call it; at most 200 characters, and may be empty.
    pub name: String,
}

/// Somebody's details, passed on.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactCard {
    /// 1 to 200 characters.
    pub name: String,
    /// Their account, where they have one. Nothing vouches for it but the sender.
    pub account: Option<AccountId>,
    /// At most ten telephone numbers, of 1 to 200 characters.
    pub phones: Vec<String>,
    /// At most ten mail addresses, of 1 to 200 characters.
    pub mails: Vec<String>,
}

/// A question with answers to choose from. See [`crate::Client::vote`].
#[derive(Clone, PartialEq, Eq)]
pub struct Poll {
    /// 1 to 300 characters.
    pub question: String,
    /// 2 to 10, of 1 to 300 characters each.
    pub options: Vec<String>,
    /// Whether one may choose several.
    pub multiple: bool,
}

/// An appointment.
#[derive(Clone, PartialEq, Eq)]
pub struct CalendarEvent {
    /// 1 to 200 characters.
    pub title: String,
    /// Milliseconds since 1970.
    pub start_ms: u64,
    /// Not before the start.
    pub end_ms: u64,
    /// At most 200 characters, and may be empty.
    pub place: String,
    /// At most 2,000 characters, and may be empty.
    pub description: String,
}
