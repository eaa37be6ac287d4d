use sotto_proto::socket::Retract;

use super::*;

fn retry_after_ms(actions: &[Action]) -> u32 {
    match actions {
        [Action::Send(ServerFrame { body: Some(Body::Error(error)), .. })] => error.retry_after_ms,
        _ => panic!("no error alone in {actions:?}"),
    }
}

/// I-6. Caught with `may_send` always true: the thousand and first send goes up.
///
/// I-3. Caught with `put_off` always `None`: the send behind those that were refused goes up
/// half a second later, when the bucket has fifty tokens again, and so before them.
#[test]
fn sends_beyond_the_pace_of_a_socket_are_told_when_to_come_again() {
    let mut script = Script::live();
    for frame in 1..=1_000 {
        assert_eq!(names(&script.frame(send(frame))), ["submit"], "{frame}");
        script.event(Event::Outcome { frame, result: accepted() });
    }

    let actions = script.frame(send(1_001));
    assert_eq!(the_error(&actions), (1_001, "rate_limited"));
    assert_eq!(retry_after_ms(&actions), 1_000);
    let retract = client_frame::Body::Retract(Retract::default());
    let actions = script.frame(ClientFrame { id: 1_002, body: Some(retract) });
    assert_eq!(the_error(&actions), (1_002, "rate_limited"), "they count together");
    assert!(script.machine.wants_frames(), "what is refused is not waited for");

    script.now_ms += 500;
    let actions = script.frame(send(1_003));
    assert_eq!(the_error(&actions), (1_003, "rate_limited"), "it is behind the others");
    assert_eq!(retry_after_ms(&actions), 500, "they may come at the same time");

    script.now_ms += 500;
    for frame in 1_001..=1_100 {
        assert_eq!(names(&script.frame(send(frame))), ["submit"], "{frame}");
    }
}

/// Caught with the time to come kept alone: an hour, and this second.
#[test]
fn a_clock_that_is_set_back_keeps_no_sender_off() {
    let mut script = Script::live();
    for frame in 1..=1_001 {
        script.frame(send(frame));
    }

    script.now_ms -= 3_600_000;
    assert_eq!(the_error(&script.frame(send(1_002))).1, "rate_limited", "the bucket is empty");
    script.now_ms += 1_000;

    assert_eq!(names(&script.frame(send(1_003))), ["submit"]);
}

/// I-6. Caught with the bucket of frames left out of `take`: the socket goes on.
#[test]
fn a_socket_that_floods_is_closed_and_told_to_wait() {
    let mut script = Script::live();
    for frame in 0..5_000 {
        assert!(script.frame(ack(frame, [])).is_empty(), "{frame}");
    }

    let actions = script.frame(ack(5_000, []));

    assert_closed(&actions, CloseCode::TooManyFrames);
}

/// I-6. Caught with pings, pongs and parts of messages that nobody counts: half a million
/// of them in ten seconds, each ping answered.
#[test]
fn a_flood_of_pings_and_pongs_is_a_flood_too() {
    for with_token in [true, false] {
        let mut script = if with_token { Script::live() } else { Script::new() };
        if !with_token {
            script.feed(Input::Opened { token: None });
        }
        for number in 0..5_000 {
            assert!(script.feed(Input::Heard).is_empty(), "{number}");
        }

        let actions = script.feed(Input::Heard);

        assert_closed(&actions, CloseCode::TooManyFrames);
    }
}

#[test]
fn a_flood_before_a_token_is_a_flood() {
    let mut script = Script::new();
    script.feed(Input::Opened { token: None });
    let mut actions = vec![];
    for number in 0..=5_000 {
        let resume = sotto_proto::socket::Resume { ticket: Bytes::from_static(b"guess") };
        let body = Some(client_frame::Body::Resume(resume));
        actions = script.frame(ClientFrame { id: number, body });
    }

    assert_closed(&actions, CloseCode::TooManyFrames);
}
