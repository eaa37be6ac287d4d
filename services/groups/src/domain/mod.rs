//! Rules without I/O.

mod head;
mod interop;

pub(crate) use self::head::{Epoch, Head};
pub use self::interop::Interop;
