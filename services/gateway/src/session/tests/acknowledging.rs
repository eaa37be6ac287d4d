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
