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

    let actions = script.frame(ClientFrame { id: 5, body: Some(client_frame::Body::Send(send)) });

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

/// I-6. Caught with `wants_frames` always true.
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
    for code in [CloseCode::MalformedFrame, CloseCode::FrameTooLarge, CloseCode::WrongFrameKind] {
        assert_closed(&Script::live().feed(Input::Refused(code)), code);
    }
}

#[test]
fn a_retraction_goes_up_and_its_outcome_answers_the_frame() {
    let retract = Retract { device_ids: vec![1, 2], ..Retract::default() };
    let result = outcome::Result::Retracted(Retracted {});
    let mut script = Script::live();

    let body = Some(client_frame::Body::Retract(retract.clone()));
    let up = script.frame(ClientFrame { id: 12, body });
    assert_eq!(up, [Action::Retract { frame: 12, retract }]);
    let actions = script.event(Event::Outcome { frame: 12, result });

    assert_eq!(names(&actions), ["retracted"]);
    assert!(matches!(&actions[0], Action::Send(ServerFrame { in_reply_to: 12, .. })));
}

#[test]
fn a_retraction_from_more_devices_than_an_account_can_have_goes_nowhere() {
    let retract = Retract { device_ids: (1..=11).collect(), ..Retract::default() };
    let mut script = Script::live();

    let body = Some(client_frame::Body::Retract(retract));
    let actions = script.frame(ClientFrame { id: 5, body });

    assert_eq!(the_error(&actions), (5, "too_many_devices"));
    assert_eq!(actions.len(), 1);
}

#[test]
fn retractions_are_undecided_like_sends() {
    let mut script = Script::live();
    for id in 1..=64 {
        let body = Some(client_frame::Body::Retract(Retract::default()));
        script.frame(ClientFrame { id, body });
    }

    assert!(!script.machine.wants_frames());
}
