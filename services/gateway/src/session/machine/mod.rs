//! The state machine of one socket: inputs in, actions out, no socket, no clock and
//! no waiting in it.
//!
//! ```text
//!   awaiting token ──Authenticate, Resume──► verifying ──► admitting ──► serving ──► closed
//!      │     ▲ 5 s                           │      │                       │
//!      │     └────── a ticket is refused ────┘      │ a token is refused    └ intake.rs
//!      └──────────────────► closed ◄────────────────┘
//! ```
//!
//! `entry` is how a device gets in, `requests` and `groups` what it may ask for once it is,
//! `leaving` how it is sent away.

mod entry;
mod groups;
mod leaving;
mod requests;

use std::{ops::Range, sync::Arc};

use sotto_ids::ConnectionId;
use sotto_kit::clock::millis;
use sotto_proto::socket::{
    ClientFrame, Goodbye, KeyPackagesLow, PrekeysLow, client_frame, server_frame,
};

use self::leaving::Leaving;
use super::{
    close::CloseCode,
    intake::{self, Intake},
    io::{Action, Actions, Event, Identity, Input},
    replies::{error, reply, saturate},
};
use crate::{
    bucket::Bucket,
    config::{MailboxConfig, SessionConfig},
    wheel,
};

/// Unanswered pings that a socket survives.
const MAX_MISSED_PINGS: u32 = 2;

/// What a session starts from.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) connection: ConnectionId,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) mailbox: MailboxConfig,
    /// Random, from the whole range: where in each period this socket has its turn.
    pub(crate) phase: u32,
    pub(crate) now_ms: u64,
    /// Whether there is a groups service.
    pub(crate) groups: bool,
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
    /// Whether a ticket was looked up, and whether the device came in by it.
    tried_ticket: bool,
    resumed: bool,
    authenticate_until_ms: u64,
    intake: Intake,
    frames: Bucket,
    sends: Bucket,
    /// While every send is refused, since one was for its rate.
    put_off: Range<u64>,
    pending_sends: u32,
    leaving: Option<Leaving>,
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
            redeliver_ms: millis(session.redeliver_after),
            redeliver_times: session.redeliver_times,
        });
        let now_ms = setup.now_ms;
        Self {
            state: State::AwaitingToken,
            identity: None,
            hello_to: 0,
            tried_ticket: false,
            resumed: false,
            authenticate_until_ms: now_ms + millis(session.auth_timeout),
            intake,
            frames: Bucket::full(session.frames_per_second, session.frames_burst, now_ms),
            sends: Bucket::full(session.sends_per_second, session.sends_burst, now_ms),
            put_off: 0..0,
            pending_sends: 0,
            leaving: None,
            heard_at_ms: now_ms,
            ping_at_ms: now_ms + share(heartbeat_ms),
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
                if self.keeps_pace(now_ms, out) {
                    self.take(frame, now_ms, out);
                }
            }
            Input::Heard => {
                self.missed_pings = 0;
                self.keeps_pace(now_ms, out);
            }
            Input::Refused(code) => self.close(code, 0, out),
            Input::Crowded { in_reply_to, retry_after } => {
                self.crowded(in_reply_to, retry_after, out);
            }
            Input::Verified { in_reply_to, verdict } => self.verified(in_reply_to, verdict, out),
            Input::Redeemed { in_reply_to, identity } => {
                self.redeemed(in_reply_to, identity, now_ms, out);
            }
            Input::Admitted { ticket } => self.admitted(ticket, now_ms, out),
            Input::Event(event) => self.event(event, now_ms, out),
        }
        self.arrange_wake(now_ms, out);
    }

    /// The peer cannot be heard, since nobody listens.
    pub(crate) fn alive(&mut self) {
        self.missed_pings = 0;
    }

    /// Whether the socket may be read: not while as many sends as it may have are
    /// undecided, nor while it is to end with the last of them.
    pub(crate) fn wants_frames(&self) -> bool {
        self.leaving.is_none() && self.pending_sends < self.setup.session.max_pending_sends
    }

    /// Counts a frame of whatever kind. Closes the socket where it is one too many.
    fn keeps_pace(&mut self, now_ms: u64, out: &mut Actions) -> bool {
        let taken = self.frames.take(now_ms);
        if let Err(wait) = taken {
            self.close(CloseCode::TooManyFrames, saturate(millis(wait)), out);
        }
        taken.is_ok()
    }

    fn take(&mut self, frame: ClientFrame, now_ms: u64, out: &mut Actions) {
        let ClientFrame { id, body } = frame;
        match body {
            Some(client_frame::Body::Authenticate(shown)) => self.verify(id, shown.token, out),
            Some(client_frame::Body::Resume(shown)) => self.resume(id, &shown.ticket, out),
            _ if self.identity.is_none() => {
                out.push_back(error(id, "authenticate_first", "the first frame shows a token"));
                self.close(CloseCode::AuthenticationFailed, 0, out);
            }
            Some(client_frame::Body::Send(send)) => self.submit(id, send, now_ms, out),
            Some(client_frame::Body::Retract(retract)) => self.retract(id, retract, now_ms, out),
            Some(client_frame::Body::Ack(ack)) => self.acknowledge(id, &ack, now_ms, out),
            Some(client_frame::Body::GroupSend(send)) => self.group_send(id, send, now_ms, out),
            Some(client_frame::Body::GroupAck(ack)) => groups::acknowledge(id, ack, out),
            // A later version of the protocol, perhaps: the socket goes on.
            None => out.push_back(error(id, "unknown_frame", "the frame has no known body")),
        }
    }

    fn event(&mut self, event: Event, now_ms: u64, out: &mut Actions) {
        match event {
            Event::Outcome { frame, result } => self.outcome(frame, result, out),
            Event::Delivery(stored) => self.intake.delivery(stored, now_ms, out),
            Event::Ephemeral(encoded) => {
                if self.state == State::Serving {
                    out.push_back(Action::Pass(encoded));
                }
            }
            Event::Page(page) if page.revoked => self.close(CloseCode::DeviceRevoked, 0, out),
            Event::Page(page) => self.intake.page(page, now_ms, out),
            Event::Missed => self.intake.missed(now_ms, out),
            Event::Displaced => self.close(CloseCode::Displaced, 0, out),
            Event::Revoked => self.close(CloseCode::DeviceRevoked, 0, out),
            Event::PrekeysLow { one_time_ec, one_time_kyber } => {
                let body = PrekeysLow { one_time_ec, one_time_kyber };
                out.push_back(reply(0, server_frame::Body::PrekeysLow(body)));
            }
            Event::GroupOutcome { frame, result } => self.group_outcome(frame, result, out),
            Event::Broadcast(broadcast) => {
                if self.state == State::Serving {
                    out.push_back(Action::Broadcast(broadcast));
                }
            }
            Event::GroupBehind(group) => self.group_heads(vec![group.head()], false, out),
            Event::GroupHeads { heads, complete } => self.group_heads(heads, complete, out),
            Event::KeyPackagesLow { key_packages } => {
                let body = KeyPackagesLow { key_packages };
                out.push_back(reply(0, server_frame::Body::KeyPackagesLow(body)));
            }
            Event::Drain { reconnect_after_ms } => {
                self.leave(reconnect_after_ms, now_ms, out);
            }
            Event::Tick => self.tick(now_ms, out),
        }
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
        if let Some(leaving) = self.leaving
            && leaving.until_ms <= now_ms
        {
            return self.close(CloseCode::ServiceRestart, leaving.reconnect_after_ms, out);
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
        if self.intake.is_given_up(now_ms) {
            return self.close(CloseCode::Unacknowledged, 0, out);
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
        let leaves_ms = self.leaving.map_or(u64::MAX, |leaving| leaving.until_ms);
        let ends_ms = ends_ms.min(leaves_ms);
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
