//! Rules without I/O.

pub(crate) mod entry;
mod head;
mod interop;
mod refusal;
mod send;

pub(crate) use self::head::{Epoch, Head};
pub use self::interop::Interop;
pub(crate) use self::{
    refusal::Refusal,
    send::{Send, device},
};
