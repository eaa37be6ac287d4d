//! What goes into a session and what comes out of it: plain values, no socket.

use bytes::Bytes;
use sotto_ids::{DeviceAddress, EnvelopeId};
use sotto_proto::{
    messages::outcome,
    socket::{ClientFrame, Send, ServerFrame},
};

use super::close::CloseCode;

/// Something happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The socket is open. The first input.
    Opened {
        /// The token that the upgrade carried.
        token: Option<String>,
    },
    /// The peer has sent a frame of the protocol.
    Frame(ClientFrame),
    /// The peer has sent something else.
    Refused(CloseCode),
    /// The answer to [`Action::Verify`].
    Verified {
        /// The frame that showed the token, 0 where the upgrade did.
        in_reply_to: u64,
        /// Whose it is, or why it was not taken.
        verdict: Result<Identity, Refusal>,
    },
    /// The answer to [`Action::Admit`]: from now on hints reach this socket.
    Admitted,
    /// News from the rest of the gateway.
    Event(Event),
}

/// News for a session from the rest of the gateway.
#[derive(Debug)]
pub(crate) enum Event {
    /// A send has been decided.
    Outcome {
        /// The frame that it came in.
        frame: u64,
        /// The decision.
        result: outcome::Result,
    },
    /// An envelope has just become durable.
    Delivery(Stored),
    /// A page of the queue has been read.
    Page(Page),
    /// Hints may have been lost: the queue must be read.
    Missed,
    /// The device has opened another socket.
    Displaced,
    /// The device is no longer one of its account.
    Revoked,
    /// The stock of one-time prekeys is low.
    PrekeysLow {
        /// EC keys left.
        one_time_ec: u32,
        /// Kyber keys left.
        one_time_kyber: u32,
    },
    /// The time of an [`Action::WakeAt`] has come.
    Tick,
    /// The process ends.
    Drain {
        /// When the device may come back.
        reconnect_after_ms: u32,
    },
}

/// An envelope as it stands in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: EnvelopeId,
    /// An encoded `sotto.socket.v1.Envelope`.
    pub(crate) encoded: Bytes,
}

/// The oldest envelopes of a queue, without those in flight.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) envelopes: Vec<Stored>,
    /// Nothing else waited when this was read.
    pub(crate) last: bool,
    /// The queue could not be read.
    pub(crate) failed: bool,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: DeviceAddress,
    /// The app that the token was bought with.
    pub(crate) app: String,
    pub(crate) token_expires_at_ms: u64,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// How a socket ends that has no other token.
    pub(crate) close: CloseCode,
}

/// Something that a session wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Write a frame.
    Send(ServerFrame),
    /// Write an encoded envelope.
    Deliver(Bytes),
    /// Ping the peer.
    Ping,
    /// Verify a token, and answer with [`Input::Verified`].
    Verify {
        /// What the answer carries back.
        in_reply_to: u64,
        /// The token.
        token: String,
    },
    /// Make the socket the one of this device, and answer with [`Input::Admitted`].
    Admit(Identity),
    /// Hand a send to the messages service. Answered by [`Event::Outcome`].
    Submit {
        /// What the outcome carries back.
        frame: u64,
        /// The send.
        send: Send,
    },
    /// Hand acknowledgements to the messages service. Not answered.
    Acknowledge(Vec<EnvelopeId>),
    /// Ask for a page of the queue. Answered by one [`Event::Page`].
    Pull {
        /// What the page leaves out.
        in_flight: Vec<EnvelopeId>,
        /// Envelopes at most.
        limit: u32,
    },
    /// Send [`Event::Tick`] at this time, or a little after it.
    WakeAt(u64),
    /// Close. Nothing follows.
    Close(CloseCode),
}

/// What a session wants done, in order.
pub(crate) type Actions = std::collections::VecDeque<Action>;
