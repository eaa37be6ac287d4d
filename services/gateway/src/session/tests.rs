//! Scripted sessions: what goes into the machine, and what must come out.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sotto_ids::{
    AccountId, ClientMsgId, ConnectionId, DeviceAddress, DeviceId, EnvelopeId, limits,
};
use sotto_kit::clock::millis;
use sotto_proto::{
    messages::outcome,
    socket::{
        Accepted, Ack, Authenticate, ClientFrame, DeviceMismatch, Error, Send, ServerFrame,
        client_frame, server_frame::Body,
    },
};

use super::{
    close::CloseCode,
    io::{Action, Actions, Event, Identity, Input, Page, Refusal, Stored},
    machine::{Machine, Setup, unavailable},
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
    Event::Page(Page { envelopes, last, failed: false })
}

fn failed_page() -> Event {
    Event::Page(Page { envelopes: vec![], last: false, failed: true })
}

fn pull(in_flight: impl IntoIterator<Item = u64>, limit: u32) -> Action {
    Action::Pull { in_flight: in_flight.into_iter().map(id).collect(), limit }
}

fn accepted() -> outcome::Result {
    outcome::Result::Accepted(Accepted { server_time_ms: START_MS })
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
        let config = defaults();
        let machine = Machine::new(Setup {
            connection: ConnectionId(9),
            session: Arc::new(config.session),
            mailbox: config.mailbox,
            phase: u32::MAX / 2,
            now_ms: START_MS,
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
        let actions = script.feed(Input::Admitted);
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
                Some(Body::Deliver(_)) | None => "other",
            },
            Action::Deliver(_) => "deliver",
            Action::Ping => "ping",
            Action::Verify { .. } => "verify",
            Action::Admit(_) => "admit",
            Action::Submit { .. } => "submit",
            Action::Acknowledge(_) => "acknowledge",
            Action::Pull { .. } => "pull",
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

mod authentication {
    use super::*;

    #[test]
    fn a_token_of_the_upgrade_leads_to_hello_and_the_first_pull() {
        let mut script = Script::new();

        let verify = script.feed(Input::Opened { token: Some("token".to_owned()) });
        assert_eq!(verify, [Action::Verify { in_reply_to: 0, token: "token".to_owned() }]);
        let identity = identity(1, START_MS + TOKEN_MS);
        let admit = script.verified(0, Ok(identity.clone()));
        assert_eq!(admit, [Action::Admit(identity)], "nothing is read before the place is written");

        let actions = script.feed(Input::Admitted);
        assert_eq!(names(&actions), ["hello", "pull"]);
        let Action::Send(ServerFrame { in_reply_to: 0, body: Some(Body::Hello(hello)) }) =
            &actions[0]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(hello.connection, "0000000000000009");
        assert_eq!((hello.heartbeat_ms, hello.max_unacked), (30_000, 128));
        assert_eq!(hello.token_expires_at_ms, START_MS + TOKEN_MS);
        assert_eq!(hello.max_frame_bytes as usize, limits::MAX_FRAME_BYTES);
    }

    #[test]
    fn the_first_frame_may_show_the_token_and_hello_answers_it() {
        let mut script = Script::new();
        assert!(script.feed(Input::Opened { token: None }).is_empty());

        assert_eq!(names(&script.frame(authenticate(5))), ["verify"]);
        script.verified(5, Ok(identity(1, START_MS + TOKEN_MS)));
        let actions = script.feed(Input::Admitted);

        assert!(matches!(&actions[0], Action::Send(ServerFrame { in_reply_to: 5, .. })));
    }

    #[test]
    fn another_first_frame_ends_the_socket() {
        for frame in [send(3), ack(3, [1]), ClientFrame { id: 3, body: None }] {
            let mut script = Script::new();
            script.feed(Input::Opened { token: None });

            let actions = script.frame(frame);

            assert_eq!(the_error(&actions), (3, "authenticate_first"));
            assert_closed(&actions, CloseCode::AuthenticationFailed);
        }
    }

    #[test]
    fn a_token_that_is_refused_ends_the_socket_with_its_reason() {
        for (reason, code) in [
            ("token_expired", CloseCode::TokenExpired),
            ("token_invalid", CloseCode::AuthenticationFailed),
            ("token_keys_unavailable", CloseCode::Unavailable),
        ] {
            let mut script = Script::new();
            script.feed(Input::Opened { token: Some("token".to_owned()) });

            let actions = script.verified(0, Err(refusal(reason, code)));

            assert_eq!(the_error(&actions), (0, reason));
            assert_closed(&actions, code);
        }
    }

    #[test]
    fn without_a_token_the_socket_ends_after_five_seconds() {
        let mut script = Script::new();
        script.feed(Input::Opened { token: None });

        assert!(script.pass(Duration::from_millis(4_999)).is_empty());
        assert_closed(&script.pass(Duration::from_millis(1)), CloseCode::AuthenticationTimeout);
    }

    #[test]
    fn the_socket_ends_with_its_token() {
        let mut script = Script::live();
        let mut actions = vec![];
        while !ends(&actions) {
            script.machine.alive();
            actions = script.pass(Duration::from_secs(1));
        }

        assert_closed(&actions, CloseCode::TokenExpired);
        assert_eq!(script.now_ms, START_MS + TOKEN_MS);
    }

    #[test]
    fn a_new_token_of_the_same_device_keeps_it_going() {
        let mut script = Script::live();
        assert_eq!(names(&script.frame(authenticate(6))), ["verify"]);

        let actions = script.verified(6, Ok(identity(1, START_MS + 2 * TOKEN_MS)));

        assert_eq!(names(&actions), ["authenticated"]);
        let mut actions = vec![];
        while !ends(&actions) {
            script.machine.alive();
            actions = script.pass(Duration::from_secs(1));
        }
        assert_eq!(script.now_ms, START_MS + 2 * TOKEN_MS);
    }

    #[test]
    fn a_token_of_another_device_or_app_changes_nothing() {
        let later = START_MS + 2 * TOKEN_MS;
        let other_app = Identity { app: "vignette".to_owned(), ..identity(1, later) };
        for other in [identity(2, later), other_app] {
            let mut script = Script::live();
            script.frame(authenticate(6));

            let actions = script.verified(6, Ok(other));

            assert_eq!(the_error(&actions), (6, "token_other_device"));
            assert_eq!(actions.len(), 1, "the socket goes on");
        }
    }

    #[test]
    fn a_bad_token_on_a_running_socket_changes_nothing() {
        let mut script = Script::live();
        script.frame(authenticate(6));

        let refused = refusal("token_invalid", CloseCode::AuthenticationFailed);
        let actions = script.verified(6, Err(refused));

        assert_eq!(the_error(&actions), (6, "token_invalid"));
        assert_eq!(names(&script.frame(send(7))), ["submit"]);
    }
}

mod sending {
    use super::*;

    #[test]
    fn a_send_goes_up_and_its_outcome_answers_the_frame() {
        let mismatch = DeviceMismatch { missing: vec![2], ..DeviceMismatch::default() };
        let error = Error { reason: "clock_skew".to_owned(), ..Error::default() };
        for (result, name) in [
            (accepted(), "accepted"),
            (outcome::Result::DeviceMismatch(mismatch), "device_mismatch"),
            (outcome::Result::Error(error), "error"),
        ] {
            let mut script = Script::live();
            let up = script.frame(send(11));
            assert_eq!(up, [Action::Submit { frame: 11, send: Send::default() }]);

            let actions = script.event(Event::Outcome { frame: 11, result });

            assert_eq!(names(&actions), [name]);
            assert!(matches!(&actions[0], Action::Send(ServerFrame { in_reply_to: 11, .. })));
        }
    }

    #[test]
    fn a_send_for_more_devices_than_an_account_can_have_goes_nowhere() {
        let mut script = Script::live();
        let send = Send {
            messages: vec![sotto_proto::socket::DeviceMessage::default(); 11],
            ..Send::default()
        };

        let actions =
            script.frame(ClientFrame { id: 5, body: Some(client_frame::Body::Send(send)) });

        assert_eq!(the_error(&actions), (5, "too_many_devices"));
        assert_eq!(actions.len(), 1);
    }

    #[test]
    fn a_send_that_wants_no_answer_gets_none() {
        let mut script = Script::live();
        script.frame(send(0));

        assert!(script.event(Event::Outcome { frame: 0, result: accepted() }).is_empty());
    }

    #[test]
    fn a_send_that_no_replica_took_may_be_tried_again() {
        let mut script = Script::live();
        script.frame(send(4));

        let actions = script.event(Event::Outcome { frame: 4, result: unavailable() });

        assert_eq!(the_error(&actions), (4, "unavailable"));
        let Action::Send(ServerFrame { body: Some(Body::Error(error)), .. }) = &actions[0] else {
            panic!("{actions:?}");
        };
        assert!(error.retry_after_ms > 0);
    }

    #[test]
    fn the_peer_is_not_heard_while_too_many_of_its_sends_are_undecided() {
        let mut script = Script::live();
        for frame in 1..=64 {
            assert!(script.machine.wants_frames(), "before {frame}");
            script.frame(send(frame));
        }
        assert!(!script.machine.wants_frames());

        script.event(Event::Outcome { frame: 1, result: accepted() });

        assert!(script.machine.wants_frames());
    }

    #[test]
    fn a_frame_without_a_known_body_is_an_error_and_no_end() {
        let mut script = Script::live();

        let actions = script.frame(ClientFrame { id: 8, body: None });

        assert_eq!(the_error(&actions), (8, "unknown_frame"));
        assert_eq!(actions.len(), 1);
    }

    #[test]
    fn what_is_no_frame_ends_the_socket() {
        for code in [CloseCode::MalformedFrame, CloseCode::FrameTooLarge, CloseCode::WrongFrameKind]
        {
            assert_closed(&Script::live().feed(Input::Refused(code)), code);
        }
    }
}

mod acknowledging {
    use super::*;

    #[test]
    fn acknowledgements_go_up_and_are_not_answered() {
        let mut script = Script::live();
        script.event(Event::Delivery(stored(1)));

        assert_eq!(script.frame(ack(3, [1])), [Action::Acknowledge(vec![id(1)])]);
    }

    #[test]
    fn an_envelope_of_an_earlier_socket_may_be_acknowledged() {
        let mut script = Script::live();
        assert_eq!(script.frame(ack(3, [77])), [Action::Acknowledge(vec![id(77)])]);
    }

    #[test]
    fn ids_that_are_not_in_flight_go_up_in_a_bounded_number_between_two_pages() {
        let mut script = Script::live();
        script.event(Event::Delivery(stored(1)));
        let up = |actions: Vec<Action>| match actions.into_iter().next() {
            Some(Action::Acknowledge(ids)) => ids.len(),
            _ => 0,
        };

        let made_up = (0..40).map(|ack_id| up(script.frame(ack(ack_id, 1_000..1_100))));
        assert_eq!(made_up.sum::<usize>(), 128);
        assert_eq!(script.frame(ack(50, [1, 1, 7])), [Action::Acknowledge(vec![id(1)])]);

        script.event(Event::Missed);
        script.event(page([2], true));
        assert_eq!(script.frame(ack(51, [7])), [Action::Acknowledge(vec![id(7)])], "after a page");
        assert_eq!(script.frame(ack(52, [2])), [Action::Acknowledge(vec![id(2)])]);
    }

    #[test]
    fn a_malformed_id_spoils_its_frame_and_nothing_else() {
        let mut script = Script::live();
        script.event(Event::Delivery(stored(1)));
        let mut frame = ack(3, [1]);
        if let Some(client_frame::Body::Ack(ack)) = &mut frame.body {
            ack.envelope_ids.push(Bytes::from_static(b"short"));
        }

        let actions = script.frame(frame);

        assert_eq!(the_error(&actions), (3, "malformed_envelope_id"));
        assert_eq!(actions.len(), 1, "nothing went up");
    }

    #[test]
    fn one_ack_names_a_bounded_number() {
        let mut script = Script::live();
        let most = limits::MAX_ACK_IDS as u64;

        assert_eq!(names(&script.frame(ack(3, 0..most))), ["acknowledge"]);
        assert_eq!(the_error(&script.frame(ack(4, 0..=most))), (4, "too_many_ids"));
        assert!(script.frame(ack(5, [])).is_empty());
    }
}

mod draining_the_queue {
    use super::*;

    #[test]
    fn pages_come_until_the_last_and_then_the_queue_is_empty_once() {
        let mut script = Script::admitted();

        let first = script.event(page(0..100, false));
        assert_eq!(first, delivered(0..100), "the window has no room for a page");
        let up = script.frame(ack(1, 0..100));
        assert_eq!(names(&up), ["acknowledge", "pull"]);
        let last = script.event(page(100..130, true));
        assert_eq!(names(&last[30..]), ["queue_empty"]);

        let again = script.event(Event::Missed);
        assert_eq!(names(&again), ["pull"]);
        assert!(script.event(page([], true)).is_empty(), "QueueEmpty comes once");
    }

    #[test]
    fn the_next_page_waits_until_half_of_the_window_is_free() {
        let mut script = Script::admitted();
        script.event(page(0..100, false));

        assert_eq!(names(&script.frame(ack(1, 0..35))), ["acknowledge"], "65 are in flight");
        let actions = script.frame(ack(1, [35]));

        assert_eq!(names(&actions), ["acknowledge", "pull"]);
        let Action::Pull { in_flight, limit } = &actions[1] else { panic!("{actions:?}") };
        assert_eq!(*limit, 64);
        assert!((36..100).all(|number| in_flight.contains(&id(number))), "those in flight");
        assert!((0..36).all(|number| in_flight.contains(&id(number))), "those just acknowledged");
    }

    #[test]
    fn an_acknowledged_envelope_is_left_out_only_for_a_while() {
        let mut script = Script::admitted();
        script.event(page(0..3, true));
        script.frame(ack(1, 0..3));
        script.pass(Duration::from_secs(3));

        assert_eq!(script.event(Event::Missed), [pull([], 100)]);
    }

    #[test]
    fn what_a_page_brings_again_is_not_written_again() {
        let mut script = Script::admitted();
        script.event(page(0..3, false));

        let actions = script.event(page([1, 2, 3], true));

        assert_eq!(actions[..1], delivered([3])[..]);
        assert_eq!(names(&actions[1..]), ["queue_empty"]);
    }

    #[test]
    fn hints_are_held_back_until_the_page_is_here() {
        let mut script = Script::admitted();
        assert!(script.event(Event::Delivery(stored(5))).is_empty());
        assert!(script.event(Event::Delivery(stored(6))).is_empty());

        let actions = script.event(page([1, 5], true));

        assert_eq!(actions[..3], delivered([1, 5, 6])[..], "5 once, 6 after the page");
        assert_eq!(names(&actions[3..]), ["queue_empty"], "without another read");
    }

    #[test]
    fn hints_beyond_what_can_be_held_cost_another_read() {
        let mut script = Script::admitted();
        for number in 0..300 {
            script.event(Event::Delivery(stored(number)));
        }

        // 256 were held, but the window takes 128.
        let actions = script.event(page([], true));
        assert_eq!(actions, delivered(0..128));
        let actions = script.frame(ack(1, 0..128));
        assert_eq!(names(&actions), ["acknowledge", "pull"]);
        assert_eq!(script.event(page(128..228, false)), delivered(128..228));
    }

    #[test]
    fn hints_for_a_page_that_is_not_the_last_are_left_to_the_next() {
        let mut script = Script::admitted();
        script.event(Event::Delivery(stored(50)));

        let actions = script.event(page(0..10, false));

        assert_eq!(actions[..10], delivered(0..10)[..]);
        assert_eq!(actions[10..], [pull(0..10, 100)]);
        let actions = script.event(page([10, 50], true));
        assert_eq!(actions[..2], delivered([10, 50])[..]);
    }

    #[test]
    fn a_page_that_failed_is_asked_for_again_after_a_pause() {
        let mut script = Script::admitted();
        assert!(script.event(failed_page()).is_empty());
        assert!(script.event(Event::Delivery(stored(1))).is_empty(), "a hint is no reason");

        assert!(script.pass(Duration::from_millis(999)).is_empty());
        let mut actions = script.pass(Duration::from_secs(1));

        assert_eq!(actions.pop(), Some(pull([], 100)));
        assert!(actions.is_empty());
    }

    #[test]
    fn a_replica_that_is_attached_cuts_the_pause_short() {
        let mut script = Script::admitted();
        script.event(failed_page());

        assert_eq!(script.event(Event::Missed), [pull([], 100)]);
    }

    #[test]
    fn a_failed_page_does_not_make_a_full_window_spin() {
        let mut script = Script::live();
        for number in 0..128 {
            script.event(Event::Delivery(stored(number)));
        }
        script.frame(ack(1, 0..64));
        script.event(Event::Missed);
        script.event(failed_page());
        for number in 200..300 {
            script.event(Event::Delivery(stored(number)));
        }

        let mut ticks = 0;
        let until_ms = script.now_ms + 20_000;
        while script.now_ms < until_ms {
            script.machine.alive();
            script.pass(Duration::from_millis(100));
            ticks += usize::from(script.wake_at_ms.is_some_and(|at_ms| at_ms <= script.now_ms));
        }
        assert_eq!(ticks, 0, "no wake lies in the past");
    }

    #[test]
    fn a_page_that_nobody_asked_for_is_passed_over() {
        let mut script = Script::live();
        assert!(script.event(page([1], true)).is_empty());
    }
}

mod live {
    use super::*;

    #[test]
    fn a_hint_goes_straight_out_and_once() {
        let mut script = Script::live();

        assert_eq!(script.event(Event::Delivery(stored(1))), delivered([1]));
        assert!(script.event(Event::Delivery(stored(1))).is_empty());
        script.frame(ack(1, [1]));
        assert!(script.event(Event::Delivery(stored(1))).is_empty(), "a hint that came late");
    }

    #[test]
    fn a_full_window_sends_the_socket_back_to_pulling() {
        let mut script = Script::live();
        for number in 0..128 {
            assert_eq!(script.event(Event::Delivery(stored(number))), delivered([number]));
        }

        assert!(script.event(Event::Delivery(stored(128))).is_empty());
        assert_eq!(names(&script.frame(ack(1, 0..63))), ["acknowledge"]);
        let actions = script.frame(ack(1, [63]));

        assert_eq!(names(&actions), ["acknowledge", "pull"]);
        assert_eq!(script.event(page([128], true)), delivered([128]));
        assert_eq!(script.event(Event::Delivery(stored(129))), delivered([129]), "live again");
    }

    #[test]
    fn missed_hints_are_pulled() {
        let mut script = Script::live();
        script.event(Event::Delivery(stored(1)));

        assert_eq!(script.event(Event::Missed), [pull([1], 100)]);
        assert!(script.event(Event::Missed).is_empty(), "one page at a time");
        let actions = script.event(page([2], true));

        assert_eq!(actions, [delivered([2]), vec![pull([1, 2], 100)]].concat());
    }

    #[test]
    fn a_queue_that_nothing_was_heard_of_is_read_now_and_then() {
        let mut script = Script::live();
        let mut pulls = vec![];
        while script.now_ms < START_MS + TOKEN_MS - 1_000 {
            script.machine.alive();
            let actions = script.pass(Duration::from_secs(1));
            if names(&actions).contains(&"pull") {
                pulls.push((script.now_ms - START_MS) / 1000);
                script.event(page([], true));
            }
        }

        assert_eq!(pulls.len(), 1, "{pulls:?}");
        assert!((300..=375).contains(&pulls[0]), "{pulls:?}");
    }

    #[test]
    fn a_low_stock_of_prekeys_is_told() {
        let mut script = Script::live();
        let low = Event::PrekeysLow { one_time_ec: 3, one_time_kyber: 4 };

        assert_eq!(names(&script.event(low)), ["prekeys_low"]);
    }
}

mod ending {
    use super::*;

    #[test]
    fn a_displaced_or_revoked_socket_ends() {
        assert_closed(&Script::live().event(Event::Displaced), CloseCode::Displaced);
        assert_closed(&Script::live().event(Event::Revoked), CloseCode::DeviceRevoked);
    }

    #[test]
    fn a_drain_says_when_to_come_back() {
        let actions = Script::live().event(Event::Drain { reconnect_after_ms: 1234 });

        assert_closed(&actions, CloseCode::ServiceRestart);
        let Action::Send(ServerFrame { body: Some(Body::Goodbye(goodbye)), .. }) = &actions[0]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(goodbye.reconnect_after_ms, 1234);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let mut script = Script::live();
        script.wake_at_ms = None;
        script.event(Event::Displaced);

        assert!(script.event(Event::Delivery(stored(1))).is_empty());
        assert!(script.frame(send(1)).is_empty());
        script.now_ms += 3_600_000;
        assert!(script.event(Event::Tick).is_empty());
        assert_eq!(script.wake_at_ms, None);
    }

    #[test]
    fn a_silent_socket_is_pinged_twice_and_then_ends() {
        let mut script = Script::live();
        let mut at = vec![];
        let ended = loop {
            let actions = script.pass(Duration::from_secs(300));
            at.push((script.now_ms - START_MS) / 1000);
            if ends(&actions) {
                break actions;
            }
            assert_eq!(names(&actions), ["ping"]);
        };

        assert_closed(&ended, CloseCode::HeartbeatLost);
        // Its turn is in the middle of the period; at the first it has just been heard.
        assert_eq!(at, [44, 74, 104]);
    }

    #[test]
    fn a_pong_keeps_the_socket_and_pings_go_on() {
        let mut script = Script::live();
        let mut pings = 0;
        while script.now_ms < START_MS + 320_000 {
            let actions = script.pass(Duration::from_secs(1));
            pings += names(&actions).iter().filter(|&&name| name == "ping").count();
            script.machine.alive();
        }

        assert_eq!(pings, 10, "one in each period");
    }

    #[test]
    fn a_socket_that_talks_is_not_pinged() {
        let mut script = Script::live();
        for round in 0..20 {
            let actions = script.pass(Duration::from_secs(14));
            assert!(actions.is_empty(), "{actions:?} in round {round}");
            script.frame(ack(1, []));
        }
    }
}
