//! How a socket ends with its process.

use std::time::Duration;

use sotto_kit::clock::millis;

use super::Machine;
use crate::session::{close::CloseCode, io::Actions};

/// How long the answers to what was sent before may take. A device that gets none sends
/// again on its next socket: correct, but it comes with all the others.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A socket that ends with the last answer that is owed to it, or at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub(super) until_ms: u64,
    pub(super) reconnect_after_ms: u32,
}

impl Machine {
    /// The process is to end. It says so again and again, until the socket is gone.
    pub(super) fn leave(&mut self, reconnect_after_ms: u32, now_ms: u64, out: &mut Actions) {
        let until_ms = now_ms.saturating_add(millis(LAST_ANSWERS));
        self.leaving.get_or_insert(Leaving { until_ms, reconnect_after_ms });
        self.leave_if_answered(out);
    }

    /// Closes a socket that is to end, where no answer is owed to it.
    pub(super) fn leave_if_answered(&mut self, out: &mut Actions) {
        if let Some(leaving) = self.leaving
            && self.pending_sends == 0
        {
            self.close(CloseCode::ServiceRestart, leaving.reconnect_after_ms, out);
        }
    }
}
