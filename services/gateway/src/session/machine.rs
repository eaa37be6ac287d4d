//! The state machine of one socket: inputs in, actions out, no socket, no clock and
//! no waiting in it.
//!
//! ```text
//!   awaiting token ──Authenticate──► verifying ──► admitting ──► serving ──► closed
//!         │ 5 s                          │ refused                  │
//!         └──────────────► closed ◄──────┘                          └ intake.rs
//! ```

use std::sync::Arc;

use sotto_ids::{ConnectionId, EnvelopeId, limits};
use sotto_kit::clock::millis;
use sotto_proto::{
    messages::outcome,
    socket::{
        Ack, Authenticate, Authenticated, ClientFrame, Error, Goodbye, Hello, PrekeysLow, Send,
        ServerFrame, client_frame, server_frame,
    },
};

use super::{
    close::CloseCode,
    intake::{self, Intake},
    io::{Action, Actions, Event, Identity, Input, Refusal},
};
use crate::{
    config::{MailboxConfig, SessionConfig},
    wheel,
};

/// Unanswered pings that a socket survives.
const MAX_MISSED_PINGS: u32 = 2;

/// When a device that was told `unavailable` may send again.
pub(crate) const RETRY_AFTER_MS: u32 = 1_000;

/// What a session starts from.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) connection: ConnectionId,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) mailbox: MailboxConfig,
    /// Random, from the whole range: where in each period this socket has its turn.
    pub(crate) phase: u32,
    pub(crate) now_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingToken,
    Verifying,
    Admitting,
    Serving,
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Machine {
    setup: Setup,
    state: State,
    identity: Option<Identity>,
    /// The frame that the Hello answers.
    hello_to: u64,
    authenticate_until_ms: u64,
    intake: Intake,
    pending_sends: u32,
    heard_at_ms: u64,
    ping_at_ms: u64,
    missed_pings: u32,
    /// The tick that is on its way, if any.
    wake_at_ms: Option<u64>,
}

impl Machine {
    pub(crate) fn new(setup: Setup) -> Self {
        let session = &setup.session;
        let share = |period_ms: u64| (u64::from(setup.phase) * period_ms) >> 32;
        let heartbeat_ms = millis(session.heartbeat);
        let retry_ms = millis(session.page_retry);
        let poll_ms = millis(session.poll_every);
        let intake = Intake::new(intake::Limits {
            max_unacked: session.max_unacked,
            page: session.page,
            held_items: setup.mailbox.max_items,
            held_bytes: setup.mailbox.max_bytes.0,
            retry_ms: retry_ms + share(retry_ms),
            poll_ms: poll_ms + share(poll_ms / 4),
        });
        Self {
            state: State::AwaitingToken,
            identity: None,
            hello_to: 0,
            authenticate_until_ms: setup.now_ms + millis(session.auth_timeout),
            intake,
            pending_sends: 0,
            heard_at_ms: setup.now_ms,
            ping_at_ms: setup.now_ms + share(heartbeat_ms),
            missed_pings: 0,
            wake_at_ms: None,
            setup,
        }
    }

    /// Takes one input, and adds what follows from it to `out`.
    pub(crate) fn step(&mut self, input: Input, now_ms: u64, out: &mut Actions) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Opened { token: Some(token) } => self.verify(0, token, out),
            Input::Opened { token: None } => {}
            Input::Frame(frame) => {
                self.heard_at_ms = now_ms;
                self.missed_pings = 0;
                self.take(frame, now_ms, out);
            }
            Input::Refused(code) => self.close(code, 0, out),
            Input::Verified { in_reply_to, verdict } => self.verified(in_reply_to, verdict, out),
            Input::Admitted => self.admitted(now_ms, out),
            Input::Event(event) => self.event(event, now_ms, out),
        }
        self.arrange_wake(now_ms, out);
    }

    /// The peer has answered a ping, or cannot be heard since nobody listens.
    pub(crate) fn alive(&mut self) {
        self.missed_pings = 0;
    }

    /// Whether the socket may be read: not while as many sends as it may have are
    /// undecided.
    pub(crate) fn wants_frames(&self) -> bool {
        self.pending_sends < self.setup.session.max_pending_sends
    }

    fn take(&mut self, frame: ClientFrame, now_ms: u64, out: &mut Actions) {
        let ClientFrame { id, body } = frame;
        let authenticated = self.identity.is_some();
        match body {
            Some(client_frame::Body::Authenticate(Authenticate { token })) => {
                self.verify(id, token, out);
            }
            _ if !authenticated => {
                out.push_back(error(id, "authenticate_first", "the first frame shows a token"));
                self.close(CloseCode::AuthenticationFailed, 0, out);
            }
            Some(client_frame::Body::Send(send)) => self.submit(id, send, out),
            Some(client_frame::Body::Ack(ack)) => self.acknowledge(id, &ack, now_ms, out),
            // A later version of the protocol, perhaps: the socket goes on.
            None => out.push_back(error(id, "unknown_frame", "the frame has no known body")),
        }
    }

    fn verify(&mut self, in_reply_to: u64, token: String, out: &mut Actions) {
        if self.state == State::AwaitingToken {
            self.state = State::Verifying;
        }
        out.push_back(Action::Verify { in_reply_to, token });
    }

    fn verified(
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
            }
            (Ok(shown), None) => {
                self.state = State::Admitting;
                self.hello_to = in_reply_to;
                self.identity = Some(shown.clone());
                out.push_back(Action::Admit(shown));
            }
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

    fn admitted(&mut self, now_ms: u64, out: &mut Actions) {
        let Some(identity) = &self.identity else {
            return;
        };
        self.state = State::Serving;
        let session = &self.setup.session;
        let hello = Hello {
            connection: self.setup.connection.to_string(),
            heartbeat_ms: saturate(millis(session.heartbeat)),
            server_time_ms: now_ms,
            token_expires_at_ms: identity.token_expires_at_ms,
            max_unacked: saturate(session.max_unacked as u64),
            max_frame_bytes: saturate(limits::MAX_FRAME_BYTES as u64),
            features: Vec::new(),
        };
        out.push_back(reply(self.hello_to, server_frame::Body::Hello(hello)));
        self.intake.start(now_ms, out);
    }

    fn submit(&mut self, frame: u64, send: Send, out: &mut Actions) {
        // The replica would say the same; but an empty message costs two bytes on the wire
        // and far more in memory, here, on the link and there.
        if send.messages.len() > limits::MAX_LIVE_DEVICES {
            out.push_back(error(frame, "too_many_devices", "a send is for at most ten devices"));
            return;
        }
        self.pending_sends += 1;
        out.push_back(Action::Submit { frame, send });
    }

    fn acknowledge(&mut self, frame: u64, ack: &Ack, now_ms: u64, out: &mut Actions) {
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

    fn event(&mut self, event: Event, now_ms: u64, out: &mut Actions) {
        match event {
            Event::Outcome { frame, result } => self.outcome(frame, result, out),
            Event::Delivery(stored) => self.intake.delivery(stored, now_ms, out),
            Event::Page(page) => self.intake.page(page, now_ms, out),
            Event::Missed => self.intake.missed(now_ms, out),
            Event::Displaced => self.close(CloseCode::Displaced, 0, out),
            Event::Revoked => self.close(CloseCode::DeviceRevoked, 0, out),
            Event::PrekeysLow { one_time_ec, one_time_kyber } => {
                let body = PrekeysLow { one_time_ec, one_time_kyber };
                out.push_back(reply(0, server_frame::Body::PrekeysLow(body)));
            }
            Event::Drain { reconnect_after_ms } => {
                self.close(CloseCode::ServiceRestart, reconnect_after_ms, out);
            }
            Event::Tick => self.tick(now_ms, out),
        }
    }

    fn outcome(&mut self, frame: u64, result: outcome::Result, out: &mut Actions) {
        self.pending_sends = self.pending_sends.saturating_sub(1);
        if frame == 0 {
            return;
        }
        let body = match result {
            outcome::Result::Accepted(body) => server_frame::Body::Accepted(body),
            outcome::Result::DeviceMismatch(body) => server_frame::Body::DeviceMismatch(body),
            outcome::Result::Error(body) => server_frame::Body::Error(body),
        };
        out.push_back(reply(frame, body));
    }

    fn tick(&mut self, now_ms: u64, out: &mut Actions) {
        self.wake_at_ms = self.wake_at_ms.filter(|&at_ms| at_ms > now_ms);
        match &self.identity {
            None if self.authenticate_until_ms <= now_ms => {
                return self.close(CloseCode::AuthenticationTimeout, 0, out);
            }
            Some(identity) if identity.token_expires_at_ms <= now_ms => {
                return self.close(CloseCode::TokenExpired, 0, out);
            }
            _ => {}
        }
        if self.ping_at_ms <= now_ms {
            let heartbeat_ms = millis(self.setup.session.heartbeat).max(1);
            // Keeps its turn within the period, however late the tick.
            let turns = (now_ms - self.ping_at_ms) / heartbeat_ms + 1;
            self.ping_at_ms += turns * heartbeat_ms;
            if self.missed_pings >= MAX_MISSED_PINGS {
                return self.close(CloseCode::HeartbeatLost, 0, out);
            }
            if now_ms.saturating_sub(self.heard_at_ms) * 2 >= heartbeat_ms {
                self.missed_pings += 1;
                out.push_back(Action::Ping);
            }
        }
        self.intake.tick(now_ms, out);
    }

    /// Asks to be woken for what is due next, unless an earlier tick is on its way.
    fn arrange_wake(&mut self, now_ms: u64, out: &mut Actions) {
        if self.state == State::Closed {
            return;
        }
        let ends_ms = match &self.identity {
            None => self.authenticate_until_ms,
            Some(identity) => identity.token_expires_at_ms,
        };
        let due_ms =
            ends_ms.min(self.ping_at_ms).min(self.intake.due_ms()).min(now_ms + wheel::HORIZON_MS);
        if self.wake_at_ms.is_none_or(|at_ms| due_ms < at_ms) {
            self.wake_at_ms = Some(due_ms);
            out.push_back(Action::WakeAt(due_ms));
        }
    }

    fn close(&mut self, code: CloseCode, reconnect_after_ms: u32, out: &mut Actions) {
        self.state = State::Closed;
        let goodbye = Goodbye { reason: code.reason().to_owned(), reconnect_after_ms };
        out.push_back(reply(0, server_frame::Body::Goodbye(goodbye)));
        out.push_back(Action::Close(code));
    }
}

/// A frame of the gateway.
pub(crate) fn frame(in_reply_to: u64, body: server_frame::Body) -> ServerFrame {
    ServerFrame { in_reply_to, body: Some(body) }
}

/// The error of a send that could not be handed on.
pub(crate) fn unavailable() -> outcome::Result {
    outcome::Result::Error(Error {
        reason: "unavailable".to_owned(),
        detail: "the service could not complete the request".to_owned(),
        retry_after_ms: RETRY_AFTER_MS,
        server_time_ms: 0,
    })
}

fn reply(in_reply_to: u64, body: server_frame::Body) -> Action {
    Action::Send(frame(in_reply_to, body))
}

fn error(in_reply_to: u64, reason: &str, detail: &str) -> Action {
    reply(
        in_reply_to,
        server_frame::Body::Error(Error {
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            ..Error::default()
        }),
    )
}

fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
