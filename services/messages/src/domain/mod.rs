//! The rules of a send. No I/O, no async, no clock of their own.

mod admission;
mod class;
mod device_set;
mod interop;
mod refusal;
mod retraction;
mod rows;
mod send;

pub(crate) use admission::{Admission, admit, admit_retraction};
pub(crate) use class::Class;
pub(crate) use device_set::{DeviceSet, Mismatch};
pub use interop::Interop;
pub(crate) use refusal::Refusal;
pub(crate) use retraction::Retraction;
pub(crate) use rows::{Row, rows};
#[cfg(test)]
pub(crate) use send::Ciphertext;
pub(crate) use send::{Rules, Send, check, device};
