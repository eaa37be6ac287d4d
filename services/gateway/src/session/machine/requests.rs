//! What a device may ask for once it is in.

use std::time::Duration;

use sotto_ids::{EnvelopeId, limits};
use sotto_kit::clock::millis;
use sotto_proto::{
    messages::outcome,
    socket::{Ack, Retract, Send, server_frame},
};

use super::Machine;
use crate::session::{
    io::{Action, Actions},
    replies::{error, error_for_now, reply},
};

/// How long a device that sends too much is put off at least. What it had sent before it
/// hears of that must have come by then, or else it would be taken before what was refused.
const LEAST_PUT_OFF: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn submit(&mut self, frame: u64, send: Send, now_ms: u64, out: &mut Actions) {
        // The replica would say the same; but an empty message costs two bytes on the wire
        // and far more in memory, here, on the link and there.
        if send.messages.len() > limits::MAX_LIVE_DEVICES {
            out.push_back(error(frame, "too_many_devices", "a send is for at most ten devices"));
        } else if self.may_send(frame, now_ms, out) {
            out.push_back(Action::Submit { frame, send });
        }
    }

    pub(super) fn retract(&mut self, frame: u64, retract: Retract, now_ms: u64, out: &mut Actions) {
        // As above.
        if retract.device_ids.len() > limits::MAX_LIVE_DEVICES {
            let detail = "a message is retracted from at most ten devices";
            out.push_back(error(frame, "too_many_devices", detail));
        } else if self.may_send(frame, now_ms, out) {
            out.push_back(Action::Retract { frame, retract });
        }
    }

    /// Whether one more is within the pace that a socket has, and if so counts it.
    pub(super) fn may_send(&mut self, frame: u64, now_ms: u64, out: &mut Actions) -> bool {
        let wait = match self.put_off(now_ms) {
            Some(left) => left,
            None => match self.sends.take(now_ms) {
                Ok(()) => {
                    self.pending_sends += 1;
                    return true;
                }
                Err(wait) => self.put_off_for(wait, now_ms),
            },
        };
        let detail = "this socket sends too much";
        out.push_back(error_for_now(frame, "rate_limited", detail, wait));
        false
    }

    /// For how long every send is still refused, where one was for its rate.
    ///
    /// What the device has sent behind that one is on its way already. Were it taken, it
    /// would be stored before the one that comes again.
    fn put_off(&self, now_ms: u64) -> Option<Duration> {
        // A clock that was set back ends it too, rather than to make it longer.
        let holds = self.put_off.contains(&now_ms);
        holds.then(|| Duration::from_millis(self.put_off.end - now_ms))
    }

    /// Refuses all sends for this time, or longer. Gives the time.
    pub(crate) fn put_off_for(&mut self, wait: Duration, now_ms: u64) -> Duration {
        let wait = wait.max(LEAST_PUT_OFF);
        self.put_off = now_ms..now_ms.saturating_add(millis(wait));
        wait
    }

    pub(super) fn acknowledge(&mut self, frame: u64, ack: &Ack, now_ms: u64, out: &mut Actions) {
        if ack.envelope_ids.len() > limits::MAX_ACK_IDS {
            let detail = "an Ack names at most 256 envelopes";
            out.push_back(error(frame, "too_many_ids", detail));
            return;
        }
        let ids: Result<Vec<_>, _> =
            ack.envelope_ids.iter().map(|id| EnvelopeId::try_from(id.as_ref())).collect();
        let Ok(ids) = ids else {
            let detail = "an envelope id is 16 bytes of a UUIDv7";
            out.push_back(error(frame, "malformed_envelope_id", detail));
            return;
        };
        self.intake.acknowledge(ids, now_ms, out);
    }

    pub(super) fn outcome(&mut self, frame: u64, result: outcome::Result, out: &mut Actions) {
        self.pending_sends = self.pending_sends.saturating_sub(1);
        let body = match result {
            outcome::Result::Accepted(body) => server_frame::Body::Accepted(body),
            outcome::Result::DeviceMismatch(body) => server_frame::Body::DeviceMismatch(body),
            outcome::Result::Error(body) => server_frame::Body::Error(body),
            outcome::Result::Retracted(body) => server_frame::Body::Retracted(body),
        };
        if frame != 0 {
            out.push_back(reply(frame, body));
        }
        self.leave_if_answered(out);
    }
}
