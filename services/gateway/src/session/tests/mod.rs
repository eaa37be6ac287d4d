//! Scripted sessions: what goes into the machine, and what must come out.

mod acknowledging;
mod authentication;
mod ending;
mod groups;
mod live;
mod pacing;
mod pulling;
mod redelivering;
mod resuming;
mod sending;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sotto_ids::{
    AccountId, ClientMsgId, ConnectionId, DeviceAddress, DeviceId, EnvelopeId, limits,
};
use sotto_kit::clock::millis;
use sotto_proto::{
    messages::outcome,
    socket::{
        Accepted, Ack, Authenticate, ClientFrame, DeviceMismatch, Error, QueueOverflow, Retract,
        Retracted, Send, ServerFrame, client_frame, server_frame::Body,
    },
};

use super::{
    close::CloseCode,
    io::{Action, Actions, Event, Identity, Input, Page, Refusal, Stored},
    machine::{Machine, Setup},
    replies::unavailable,
};
use crate::config::tests::defaults;

const START_MS: u64 = 1_700_000_000_000;
const TOKEN_MS: u64 = 600_000;

/// A machine and the clock that it is driven by.
struct Script {
    machine: Machine,
    now_ms: u64,
    /// The last wake that was asked for.
    wake_at_ms: Option<u64>,
}

fn device(number: u32) -> DeviceAddress {
    DeviceAddress::new(AccountId::new([7; 32]).uuid(), DeviceId::try_from(number).unwrap())
}

fn identity(number: u32, expires_at_ms: u64) -> Identity {
    Identity {
        device: device(number),
        app: "socialink".to_owned(),
        token_expires_at_ms: expires_at_ms,
    }
}

fn id(number: u64) -> EnvelopeId {
    let send = ClientMsgId::new(START_MS + number, [1; 10]);
    EnvelopeId::derive(device(1), device(2), send)
}

fn stored(number: u64) -> Stored {
    Stored { id: id(number), encoded: encoded(number) }
}

fn encoded(number: u64) -> Bytes {
    Bytes::from(format!("envelope {number}"))
}

fn delivered(numbers: impl IntoIterator<Item = u64>) -> Vec<Action> {
    numbers.into_iter().map(|number| Action::Deliver(encoded(number))).collect()
}

fn page(numbers: impl IntoIterator<Item = u64>, last: bool) -> Event {
    let envelopes = numbers.into_iter().map(stored).collect();
    Event::Page(Page { envelopes, last, ..Page::default() })
}

fn failed_page() -> Event {
    Event::Page(Page::failed())
}

fn pull(in_flight: impl IntoIterator<Item = u64>, limit: u32) -> Action {
    Action::Pull { in_flight: in_flight.into_iter().map(id).collect(), limit }
}

fn accepted() -> outcome::Result {
    outcome::Result::Accepted(Accepted { server_time_ms: START_MS, full: vec![] })
}

fn authenticate(id: u64) -> ClientFrame {
    let body = client_frame::Body::Authenticate(Authenticate { token: "token".to_owned() });
    ClientFrame { id, body: Some(body) }
}

fn send(id: u64) -> ClientFrame {
    ClientFrame { id, body: Some(client_frame::Body::Send(Send::default())) }
}

fn ack(id: u64, numbers: impl IntoIterator<Item = u64>) -> ClientFrame {
    let ids = numbers.into_iter().map(self::id);
    let envelope_ids = ids.map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
    ClientFrame { id, body: Some(client_frame::Body::Ack(Ack { envelope_ids })) }
}

fn refusal(reason: &'static str, close: CloseCode) -> Refusal {
    Refusal { reason, detail: String::new(), close }
}

impl Script {
    fn new() -> Self {
        Self::of(false)
    }

    /// A machine where there is a groups service, or none.
    fn of(groups: bool) -> Self {
        let config = defaults();
        let machine = Machine::new(Setup {
            connection: ConnectionId(9),
            session: Arc::new(config.session),
            mailbox: config.mailbox,
            phase: u32::MAX / 2,
            now_ms: START_MS,
            groups,
        });
        Self { machine, now_ms: START_MS, wake_at_ms: None }
    }

    /// Feeds one input; gives what comes of it, but for wakes, which are remembered.
    fn feed(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Actions::new();
        self.machine.step(input, self.now_ms, &mut actions);
        actions
            .into_iter()
            .filter(|action| match action {
                Action::WakeAt(at_ms) => {
                    self.wake_at_ms = Some(*at_ms);
                    false
                }
                _ => true,
            })
            .collect()
    }

    fn frame(&mut self, frame: ClientFrame) -> Vec<Action> {
        self.feed(Input::Frame(frame))
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.feed(Input::Event(event))
    }

    fn verified(&mut self, in_reply_to: u64, verdict: Result<Identity, Refusal>) -> Vec<Action> {
        self.feed(Input::Verified { in_reply_to, verdict })
    }

    /// Lets time pass, and the wheel turn, until the time is over or something comes
    /// of it.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let until_ms = self.now_ms + millis(time);
        while let Some(at_ms) = self.wake_at_ms.filter(|&at_ms| at_ms <= until_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.wake_at_ms = None;
            let actions = self.event(Event::Tick);
            assert!(
                self.wake_at_ms.is_some() || ends(&actions),
                "a machine that goes on asks to be woken again"
            );
            if !actions.is_empty() {
                return actions;
            }
        }
        self.now_ms = until_ms;
        vec![]
    }

    /// An authenticated socket that has said Hello and asked for its first page.
    fn admitted() -> Self {
        let mut script = Self::new();
        script.feed(Input::Opened { token: Some("token".to_owned()) });
        script.verified(0, Ok(identity(1, START_MS + TOKEN_MS)));
        let actions = script.feed(Input::Admitted { ticket: None });
        assert_eq!(actions.last(), Some(&pull([], 100)));
        script
    }

    /// A socket whose queue is empty.
    fn live() -> Self {
        let mut script = Self::admitted();
        assert_eq!(names(&script.event(page([], true))), ["queue_empty"]);
        script
    }
}

fn ends(actions: &[Action]) -> bool {
    matches!(actions.last(), Some(Action::Close(_)))
}

/// What a close looks like: a Goodbye with the reason, then the Close.
fn assert_closed(actions: &[Action], code: CloseCode) {
    let [.., Action::Send(goodbye), Action::Close(closed)] = actions else {
        panic!("no close in {actions:?}");
    };
    assert_eq!(*closed, code);
    assert!(matches!(&goodbye.body, Some(Body::Goodbye(body)) if body.reason == code.reason()));
}

/// Short names of actions, for the order of things.
fn names(actions: &[Action]) -> Vec<&'static str> {
    actions
        .iter()
        .map(|action| match action {
            Action::Send(ServerFrame { body, .. }) => match body {
                Some(Body::Hello(_)) => "hello",
                Some(Body::Authenticated(_)) => "authenticated",
                Some(Body::Accepted(_)) => "accepted",
                Some(Body::DeviceMismatch(_)) => "device_mismatch",
                Some(Body::QueueEmpty(_)) => "queue_empty",
                Some(Body::PrekeysLow(_)) => "prekeys_low",
                Some(Body::Error(_)) => "error",
                Some(Body::Goodbye(_)) => "goodbye",
                Some(Body::Retracted(_)) => "retracted",
                Some(Body::QueueOverflow(_)) => "queue_overflow",
                Some(Body::GroupAccepted(_)) => "group_accepted",
                Some(Body::GroupStale(_)) => "group_stale",
                Some(Body::GroupHeads(_)) => "group_heads",
                Some(Body::KeyPackagesLow(_)) => "key_packages_low",
                _ => "other",
            },
            Action::Deliver(_) => "deliver",
            Action::Pass(_) => "pass",
            Action::Redeem { .. } => "redeem",
            Action::Prolong(_) => "prolong",
            Action::Retract { .. } => "retract",
            Action::Ping => "ping",
            Action::Verify { .. } => "verify",
            Action::Admit(_) => "admit",
            Action::Submit { .. } => "submit",
            Action::Acknowledge(_) => "acknowledge",
            Action::Pull { .. } => "pull",
            Action::EnterGroups => "enter_groups",
            Action::GroupSubmit { .. } => "group_submit",
            Action::GroupAcknowledge(_) => "group_acknowledge",
            Action::Broadcast(_) => "broadcast",
            Action::WakeAt(_) => "wake",
            Action::Close(_) => "close",
        })
        .collect()
}

/// The reason of the one error, and the frame that it answers.
fn the_error(actions: &[Action]) -> (u64, &str) {
    let errors: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(ServerFrame { in_reply_to, body: Some(Body::Error(error)) }) => {
                Some((*in_reply_to, error.reason.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 1, "{actions:?}");
    errors[0]
}
