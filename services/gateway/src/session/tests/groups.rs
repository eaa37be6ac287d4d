use sotto_ids::GroupId;
use sotto_proto::{
    groups,
    socket::{GroupAccepted, GroupAck, GroupCursor, GroupEntry, GroupHead, GroupSend, GroupStale},
};

use super::*;
use crate::session::codec::Encoding;

fn group(number: u8) -> Bytes {
    Bytes::copy_from_slice(GroupId::new([number; 16]).as_bytes())
}

fn group_send() -> GroupSend {
    GroupSend {
        group: group(1),
        client_msg_id: Bytes::copy_from_slice(ClientMsgId::new(START_MS, [1; 10]).as_bytes()),
        message: Bytes::from_static(b"sealed"),
        ..GroupSend::default()
    }
}

fn sent(id: u64, send: GroupSend) -> ClientFrame {
    ClientFrame { id, body: Some(client_frame::Body::GroupSend(send)) }
}

fn group_ack(id: u64, groups: impl IntoIterator<Item = Bytes>) -> ClientFrame {
    let cursors = groups.into_iter().map(|group| GroupCursor { group, seq: 7 }).collect();
    ClientFrame { id, body: Some(client_frame::Body::GroupAck(GroupAck { cursors })) }
}

fn decided(frame: u64) -> Event {
    let result = groups::outcome::Result::Accepted(GroupAccepted::default());
    Event::GroupOutcome { frame, result }
}

fn heads(count: usize, complete: bool) -> Event {
    Event::GroupHeads { heads: vec![GroupHead::default(); count], complete }
}

/// The heads in each frame, and whether they are called complete.
fn told(actions: &[Action]) -> Vec<(usize, bool)> {
    let told = actions.iter().map(|action| match action {
        Action::Send(ServerFrame { body: Some(Body::GroupHeads(body)), .. }) => {
            (body.heads.len(), body.complete)
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn hello_says_whether_there_are_groups_and_they_are_entered_behind_it() {
    for groups in [false, true] {
        let mut script = Script::of(groups);
        script.feed(Input::Opened { token: Some("token".to_owned()) });
        script.verified(0, Ok(identity(1, START_MS + TOKEN_MS)));

        let actions = script.feed(Input::Admitted { ticket: None });

        let Action::Send(ServerFrame { body: Some(Body::Hello(hello)), .. }) = &actions[0] else {
            panic!("{actions:?}");
        };
        assert_eq!(hello.features == ["groups"], groups, "{:?}", hello.features);
        assert_eq!(names(&actions).contains(&"enter_groups"), groups);
    }
}

#[test]
fn a_send_to_a_group_goes_up_and_is_answered() {
    let mut script = Script::live();

    let actions = script.frame(sent(5, group_send()));
    assert_eq!(actions, [Action::GroupSubmit { frame: 5, send: group_send() }]);

    assert_eq!(names(&script.event(decided(5))), ["group_accepted"]);
    let result = groups::outcome::Result::Stale(GroupStale::default());
    script.frame(sent(6, group_send()));
    let actions = script.event(Event::GroupOutcome { frame: 6, result });
    assert_eq!(names(&actions), ["group_stale"]);
    assert!(matches!(&actions[0], Action::Send(ServerFrame { in_reply_to: 6, .. })));
}

#[test]
fn a_send_to_a_group_that_is_malformed_goes_nowhere() {
    let mut script = Script::live();
    let too_long = vec![0; limits::MAX_GROUP_MESSAGE_BYTES + 1];
    let cases = [
        (GroupSend { group: Bytes::new(), ..group_send() }, "malformed_group_id"),
        (GroupSend { group: vec![0; 16].into(), ..group_send() }, "malformed_group_id"),
        (GroupSend { client_msg_id: group(1), ..group_send() }, "malformed_message_id"),
        (GroupSend { message: Bytes::new(), ..group_send() }, "malformed_group_message"),
        (GroupSend { message: too_long.into(), ..group_send() }, "message_too_large"),
    ];

    for (send, reason) in cases {
        assert_eq!(the_error(&script.frame(sent(3, send))), (3, reason));
    }
    assert!(script.event(Event::Drain { reconnect_after_ms: 1 }).len() == 2, "none is owed");
}

/// I-6. Caught with `group_send` that does not ask `may_send`: all go up.
#[test]
fn sends_to_groups_and_others_have_one_pace_and_one_bound() {
    let mut script = Script::live();
    for frame in 0..64 {
        let sent = if frame % 2 == 0 { sent(frame, group_send()) } else { send(frame) };
        script.frame(sent);
    }
    assert!(!script.machine.wants_frames(), "they count together");
    script.event(decided(0));
    assert!(script.machine.wants_frames());

    for frame in 64..1_000 {
        script.frame(sent(frame, group_send()));
        script.event(decided(frame));
    }
    assert_eq!(the_error(&script.frame(sent(1_000, group_send()))), (1_000, "rate_limited"));
    assert_eq!(the_error(&script.frame(send(1_001))), (1_001, "rate_limited"), "put off too");
    script.now_ms += 1_000;
    assert_eq!(names(&script.frame(sent(1_002, group_send()))), ["group_submit"]);
}

/// I-8. Caught with the outcome of a group's send not counted.
#[test]
fn a_socket_that_is_to_end_waits_for_the_answers_of_groups_too() {
    let mut script = Script::live();
    script.frame(sent(1, group_send()));

    assert!(script.event(Event::Drain { reconnect_after_ms: 1 }).is_empty());

    assert_eq!(names(&script.event(decided(1))), ["group_accepted", "goodbye", "close"]);
}

#[test]
fn acknowledgements_of_groups_are_bounded_and_passed_on_unanswered() {
    let mut script = Script::live();

    let actions = script.frame(group_ack(1, [group(1), group(2)]));
    assert_eq!(names(&actions), ["group_acknowledge"]);

    assert!(script.frame(group_ack(2, [])).is_empty());
    let many = std::iter::repeat_n(group(1), 257);
    assert_eq!(the_error(&script.frame(group_ack(3, many))), (3, "too_many_cursors"));
    let malformed = [group(1), Bytes::from_static(&[0; 16])];
    assert_eq!(the_error(&script.frame(group_ack(4, malformed))), (4, "malformed_group_id"));
}

#[test]
fn where_logs_end_is_told_and_what_is_cut_is_not_called_complete() {
    let mut script = Script::live();

    assert_eq!(told(&script.event(heads(3, true))), [(3, true)]);
    assert_eq!(told(&script.event(heads(1, false))), [(1, false)]);
    assert_eq!(told(&script.event(heads(0, true))), [(0, true)], "it is in none any more");
    let cut = told(&script.event(heads(4_500, true)));
    assert_eq!(cut, [(2_000, false), (2_000, false), (500, false)]);

    let mut early = Script::new();
    assert!(early.event(heads(1, true)).is_empty(), "not before Hello");
}

/// Caught with the entries left in: a frame of 700 KiB.
#[test]
fn what_a_stale_send_lacks_is_left_out_where_no_frame_holds_it() {
    for (bytes, entries) in [(100_000, 1), (500_000, 0)] {
        let entry = GroupEntry { message: vec![7; bytes].into(), ..GroupEntry::default() };
        let stale = GroupStale { entries: vec![entry], ..GroupStale::default() };
        let mut script = Script::live();
        script.frame(sent(6, group_send()));

        let result = groups::outcome::Result::Stale(stale);
        let actions = script.event(Event::GroupOutcome { frame: 6, result });

        let [Action::Send(frame)] = &actions[..] else { panic!("{actions:?}") };
        let Some(Body::GroupStale(told)) = &frame.body else { panic!("{frame:?}") };
        assert_eq!((told.entries.len(), told.more), (entries, entries == 0));
        let mut written = bytes::BytesMut::new();
        Encoding::Json.encode(frame, &mut written);
        assert!(written.len() <= limits::MAX_FRAME_BYTES);
    }
}

#[test]
fn a_low_stock_of_key_packages_is_told() {
    let mut script = Script::live();

    let actions = script.event(Event::KeyPackagesLow { key_packages: 3 });

    assert_eq!(names(&actions), ["key_packages_low"]);
}
