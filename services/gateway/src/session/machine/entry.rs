//! How a device gets in: by a token, or by the ticket of the socket before.

use std::time::Duration;

use bytes::Bytes;
use sotto_ids::limits;
use sotto_kit::clock::millis;
use sotto_proto::socket::{Authenticated, Hello, server_frame};

use super::{Machine, State};
use crate::session::{
    close::CloseCode,
    io::{Action, Actions, Identity, Refusal, Ticket},
    replies::{error, error_for_now, reply, saturate},
};

impl Machine {
    pub(super) fn verify(&mut self, in_reply_to: u64, token: String, out: &mut Actions) {
        if self.state == State::AwaitingToken {
            self.state = State::Verifying;
        }
        out.push_back(Action::Verify { in_reply_to, token });
    }

    pub(super) fn verified(
        &mut self,
        in_reply_to: u64,
        verdict: Result<Identity, Refusal>,
        out: &mut Actions,
    ) {
        match (verdict, &mut self.identity) {
            (Ok(shown), Some(identity)) => {
                if shown.device != identity.device || shown.app != identity.app {
                    let detail = "a socket stays with the device and app of its first token";
                    out.push_back(error(in_reply_to, "token_other_device", detail));
                    return;
                }
                identity.token_expires_at_ms = shown.token_expires_at_ms;
                let body = Authenticated { token_expires_at_ms: shown.token_expires_at_ms };
                out.push_back(reply(in_reply_to, server_frame::Body::Authenticated(body)));
                out.push_back(Action::Prolong(shown));
            }
            (Ok(shown), None) => self.admit(in_reply_to, shown, out),
            (Err(refusal), identity) => {
                let first = identity.is_none();
                out.push_back(error(in_reply_to, refusal.reason, &refusal.detail));
                // A running socket keeps the token that it has.
                if first {
                    self.close(refusal.close, 0, out);
                }
            }
        }
    }

    /// A ticket takes the place of a token at the start of a socket, and nowhere else.
    pub(super) fn resume(&mut self, in_reply_to: u64, ticket: &[u8], out: &mut Actions) {
        if self.state != State::AwaitingToken {
            let detail = "a token was shown on this socket already";
            out.push_back(error(in_reply_to, "resume_refused", detail));
            return;
        }
        let Ok(ticket) = <[u8; Ticket::BYTES]>::try_from(ticket) else {
            out.push_back(error(in_reply_to, "resume_refused", "a ticket is 32 bytes"));
            return;
        };
        // Each costs a question to Redis, and nobody has vouched for this peer yet.
        if self.tried_ticket {
            out.push_back(error(in_reply_to, "resume_refused", "a socket may show one ticket"));
            return;
        }
        self.tried_ticket = true;
        self.state = State::Verifying;
        out.push_back(Action::Redeem { in_reply_to, ticket: Ticket(ticket) });
    }

    pub(super) fn redeemed(
        &mut self,
        in_reply_to: u64,
        identity: Option<Identity>,
        now_ms: u64,
        out: &mut Actions,
    ) {
        if let Some(identity) = identity.filter(|identity| identity.token_expires_at_ms > now_ms) {
            self.resumed = true;
            self.admit(in_reply_to, identity, out);
        } else {
            // Nothing is lost: a token may follow, within the time that there is for it.
            self.state = State::AwaitingToken;
            let detail = "the ticket is spent, too old, or unknown";
            out.push_back(error(in_reply_to, "resume_refused", detail));
        }
    }

    /// Too many sockets are on their way in.
    pub(super) fn crowded(&mut self, in_reply_to: u64, retry_after: Duration, out: &mut Actions) {
        let detail = "too many devices connect at the moment";
        out.push_back(error_for_now(in_reply_to, "too_many_connections", detail, retry_after));
        self.close(CloseCode::Unavailable, saturate(millis(retry_after)), out);
    }

    fn admit(&mut self, in_reply_to: u64, identity: Identity, out: &mut Actions) {
        self.state = State::Admitting;
        self.hello_to = in_reply_to;
        self.identity = Some(identity.clone());
        out.push_back(Action::Admit(identity));
    }

    pub(super) fn admitted(&mut self, ticket: Option<Ticket>, now_ms: u64, out: &mut Actions) {
        let Some(identity) = &self.identity else {
            return;
        };
        self.state = State::Serving;
        let session = &self.setup.session;
        let features = self.setup.groups.then(|| "groups".to_owned()).into_iter().collect();
        let hello = Hello {
            connection: self.setup.connection.to_string(),
            heartbeat_ms: saturate(millis(session.heartbeat)),
            server_time_ms: now_ms,
            token_expires_at_ms: identity.token_expires_at_ms,
            max_unacked: saturate(session.max_unacked as u64),
            max_frame_bytes: saturate(limits::MAX_FRAME_BYTES as u64),
            features,
            resume_ticket: ticket
                .map(|ticket| Bytes::copy_from_slice(&ticket.0))
                .unwrap_or_default(),
            resumed: self.resumed,
        };
        out.push_back(reply(self.hello_to, server_frame::Body::Hello(hello)));
        self.intake.start(now_ms, out);
        if self.setup.groups {
            out.push_back(Action::EnterGroups);
        }
    }
}
