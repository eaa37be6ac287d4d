//! What a device may ask for about its groups, and what it is told of them.

use prost::Message as _;
use sotto_ids::{ClientMsgId, GroupId, limits};
use sotto_proto::{
    groups::outcome,
    socket::{GroupAck, GroupHead, GroupHeads, GroupSend, GroupStale, server_frame},
};

use super::{Machine, State};
use crate::session::{
    io::{Action, Actions},
    replies::{error, reply},
};

/// Heads in one frame: in either form so many are well within the bound of a frame.
const HEADS_IN_A_FRAME: usize = 2_000;

impl Machine {
    /// The replica would say the same; but what is malformed, or too large, need not go there.
    pub(super) fn group_send(
        &mut self,
        frame: u64,
        send: GroupSend,
        now_ms: u64,
        out: &mut Actions,
    ) {
        if GroupId::try_from(send.group.as_ref()).is_err() {
            let detail = "a group is 16 bytes of a UUIDv4";
            out.push_back(error(frame, "malformed_group_id", detail));
        } else if ClientMsgId::try_from(send.client_msg_id.as_ref()).is_err() {
            let detail = "a message id is 16 bytes of a UUIDv7";
            out.push_back(error(frame, "malformed_message_id", detail));
        } else if send.message.is_empty() {
            let detail = "a message to a group is never empty";
            out.push_back(error(frame, "malformed_group_message", detail));
        } else if send.message.len() > limits::MAX_GROUP_MESSAGE_BYTES {
            let detail = "a message to a group has at most 64 KiB";
            out.push_back(error(frame, "message_too_large", detail));
        } else if self.may_send(frame, now_ms, out) {
            out.push_back(Action::GroupSubmit { frame, send });
        }
    }

    pub(super) fn group_outcome(&mut self, frame: u64, result: outcome::Result, out: &mut Actions) {
        self.pending_sends = self.pending_sends.saturating_sub(1);
        let body = match result {
            outcome::Result::Accepted(body) => server_frame::Body::GroupAccepted(body),
            outcome::Result::Stale(body) => server_frame::Body::GroupStale(within_a_frame(body)),
            outcome::Result::Error(body) => server_frame::Body::Error(body),
        };
        if frame != 0 {
            out.push_back(reply(frame, body));
        }
        self.leave_if_answered(out);
    }

    pub(super) fn group_heads(&self, mut heads: Vec<GroupHead>, complete: bool, out: &mut Actions) {
        if self.state != State::Serving {
            return;
        }
        // What does not fit one frame is not called complete.
        let complete = complete && heads.len() <= HEADS_IN_A_FRAME;
        while heads.len() > HEADS_IN_A_FRAME {
            let rest = heads.split_off(HEADS_IN_A_FRAME);
            let body = GroupHeads { heads: std::mem::replace(&mut heads, rest), complete };
            out.push_back(reply(0, server_frame::Body::GroupHeads(body)));
        }
        out.push_back(reply(0, server_frame::Body::GroupHeads(GroupHeads { heads, complete })));
    }
}

/// Leaves out entries that would not fit a frame in either form: the device reads the log.
fn within_a_frame(mut stale: GroupStale) -> GroupStale {
    if stale.encoded_len() > limits::MAX_FRAME_BYTES / 2 {
        stale.entries.clear();
        stale.more = true;
    }
    stale
}

pub(super) fn acknowledge(frame: u64, ack: GroupAck, out: &mut Actions) {
    if ack.cursors.len() > limits::MAX_GROUP_CURSORS {
        let detail = "a GroupAck names at most 256 groups";
        out.push_back(error(frame, "too_many_cursors", detail));
        return;
    }
    if ack.cursors.iter().any(|cursor| GroupId::try_from(cursor.group.as_ref()).is_err()) {
        let detail = "a group is 16 bytes of a UUIDv4";
        out.push_back(error(frame, "malformed_group_id", detail));
        return;
    }
    if !ack.cursors.is_empty() {
        out.push_back(Action::GroupAcknowledge(ack.cursors));
    }
}
