//! What devices send to their groups.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use sotto_ids::{ClientMsgId, GroupId};
use sotto_proto::{
    groups::outcome,
    socket::{
        Error, GroupAck, GroupCursor, GroupEntry, GroupSend, GroupStale, client_frame,
        server_frame::Body,
    },
};
use sotto_store::limits::{Class, LimitsConfig, Rate};

use crate::{
    groups::{connect, group, member, start},
    harness::{Device, Form, GroupsReplica, Replica, Signer, TestGateway, config, wait_for},
};

fn bytes_of(group: GroupId) -> Bytes {
    Bytes::copy_from_slice(group.as_bytes())
}

async fn send(device: &mut Device, group: GroupId, message: &[u8]) -> u64 {
    let id = ClientMsgId::new(1_700_000_000_000, [1; 10]);
    let send = GroupSend {
        group: bytes_of(group),
        epoch: 7,
        client_msg_id: Bytes::copy_from_slice(id.as_bytes()),
        message: Bytes::copy_from_slice(message),
        ..GroupSend::default()
    };
    device.say(client_frame::Body::GroupSend(send)).await
}

/// The answer to a frame; what is told of groups before it is passed over.
async fn answer(device: &mut Device, frame: u64) -> Body {
    loop {
        let answer = device.next().await;
        if answer.in_reply_to == frame {
            return answer.body.unwrap();
        }
        let told = matches!(answer.body, Some(Body::GroupDeliver(_) | Body::GroupHeads(_)));
        assert!(told, "{answer:?}");
    }
}

async fn accepted(device: &mut Device, frame: u64) -> u64 {
    match answer(device, frame).await {
        Body::GroupAccepted(accepted) => accepted.seq,
        other => panic!("{other:?}"),
    }
}

async fn refused(device: &mut Device, frame: u64) -> Error {
    match answer(device, frame).await {
        Body::Error(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_to_a_group_goes_up_with_its_sender_and_is_answered_and_heard_by_all() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], config()).await;

    for form in [Form::Proto, Form::Json] {
        let (id, user) = (group(), Signer::new());
        groups.join(id, user.device());
        let mut sender = connect(&gateway, form, user).await;
        let mut other = member(&gateway, &groups, id).await;
        wait_for("the watch", async || groups.watchers(id) == 1).await;

        let frame = send(&mut sender, id, b"sealed").await;

        assert_eq!(accepted(&mut sender, frame).await, 1);
        let heard = other.next().await;
        let Some(Body::GroupDeliver(deliver)) = heard.body else { panic!("{heard:?}") };
        assert_eq!((deliver.group, deliver.entries[0].seq), (bytes_of(id), 1));
        let submit = groups.submits().pop().unwrap();
        let by = submit.sender.unwrap();
        assert_eq!(by.account, user.device().account.as_bytes()[..]);
        assert_eq!(by.device, 1);
        let sent = submit.send.unwrap();
        assert_eq!((sent.epoch, sent.message), (7, Bytes::from_static(b"sealed")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_epoch_and_other_refusals_come_back_as_they_are() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], config()).await;
    for form in [Form::Proto, Form::Json] {
        let (id, user) = (group(), Signer::new());
        groups.join(id, user.device());
        let mut device = connect(&gateway, form, user).await;
        let entry = GroupEntry { seq: 9, message: vec![3; 50].into(), ..GroupEntry::default() };
        let stale = GroupStale { generation: 0, epoch: 8, entries: vec![entry], more: true };

        groups.answer(outcome::Result::Stale(stale.clone()));
        let frame = send(&mut device, id, b"late").await;
        let Body::GroupStale(told) = answer(&mut device, frame).await else { panic!() };
        assert_eq!(told, stale);

        let error = Error { reason: "not_a_member".to_owned(), ..Error::default() };
        groups.answer(outcome::Result::Error(error));
        let frame = send(&mut device, id, b"hi").await;
        assert_eq!(refused(&mut device, frame).await.reason, "not_a_member");
    }
}

/// Caught with the link chosen by the device.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_a_group_is_stored_by_one_replica_whoever_sends_it() {
    let (replica, one) = (Replica::start().await, GroupsReplica::start().await);
    let two = one.beside().await;
    let gateway = start(&replica, &[&one, &two], config()).await;
    for _ in 0..10 {
        let id = group();
        let before = (one.submits().len(), two.submits().len());
        for _ in 0..4 {
            let mut device = member(&gateway, &one, id).await;
            for _ in 0..5 {
                let frame = send(&mut device, id, b"hi").await;
                accepted(&mut device, frame).await;
            }
        }

        let came = (one.submits().len() - before.0, two.submits().len() - before.1);
        assert!(came == (20, 0) || came == (0, 20), "{came:?}");
    }
    assert!(!one.submits().is_empty() && !two.submits().is_empty(), "both had groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_groups_replicas_sends_are_unavailable_and_all_else_works() {
    let replica = Replica::start().await;
    let gateway = TestGateway::start(&[&replica]).await;
    let mut device = gateway.connect(Signer::new()).await;

    let frame = send(&mut device, group(), b"hi").await;
    let error = refused(&mut device, frame).await;

    assert_eq!(error.reason, "unavailable");
    assert!(error.retry_after_ms > 0);
    let frame = device.send(b"hi").await;
    device.accepted(frame).await;
}

/// Caught with `answer` that forgets outcomes: the device waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_whose_replica_is_lost_is_answered_and_may_be_tried_again() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], config()).await;
    let id = group();
    let mut device = member(&gateway, &groups, id).await;
    groups.stop_deciding();
    let frame = send(&mut device, id, b"on its way").await;
    wait_for("the send", async || groups.submits().len() == 1).await;

    groups.die();

    assert_eq!(refused(&mut device, frame).await.reason, "unavailable");
    groups.rise().await;
    groups.decide();
    // The gateway takes a moment to know.
    wait_for("a send that is taken", async || {
        let frame = send(&mut device, id, b"again").await;
        match answer(&mut device, frame).await {
            Body::GroupAccepted(_) => true,
            Body::Error(error) => error.reason != "unavailable",
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// I-6. Caught with the allowance of groups never asked for: all are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_its_limit_of_sends_to_groups_and_is_put_off() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let rate = |burst| Rate { burst, per: Duration::from_secs(3_600) };
    let limits = LimitsConfig {
        patience: Duration::from_millis(200),
        alone_for: Duration::from_secs(60),
        local_buckets: 1024,
        socket_batch: 2,
        exempt: Vec::new(),
        classes: BTreeMap::from([(Class::Send, rate(100)), (Class::GroupSend, rate(5))]),
    };
    let gateway =
        TestGateway::start_of_groups(&[&replica], &[&groups], config(), Some(limits)).await;
    let id = group();
    let mut device = member(&gateway, &groups, id).await;

    for _ in 0..5 {
        let frame = send(&mut device, id, b"hi").await;
        accepted(&mut device, frame).await;
    }
    let frame = send(&mut device, id, b"hi").await;
    let error = refused(&mut device, frame).await;

    assert_eq!(error.reason, "rate_limited");
    assert!(error.retry_after_ms >= 1_000);
    let frame = device.send(b"behind it").await;
    assert_eq!(refused(&mut device, frame).await.reason, "rate_limited");
    assert_eq!(groups.submits().len(), 5, "what was refused went nowhere");
}

/// I-8. Caught with `Machine::leave` that closes at once.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_sends_to_groups_before_the_goodbye_are_not_lost() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], config()).await;
    let id = group();
    let mut device = member(&gateway, &groups, id).await;
    let mut bystander = gateway.connect(Signer::new()).await;
    groups.stop_deciding();
    let frame = send(&mut device, id, b"last words").await;
    wait_for("the send", async || groups.submits().len() == 1).await;

    gateway.lifecycle.drain();
    // All are told at once, so the other one knows by then.
    assert_eq!(bystander.closed().await, (1012, "service_restart".to_owned()));
    groups.decide();

    accepted(&mut device, frame).await;
    assert_eq!(device.closed().await, (1012, "service_restart".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_go_up_unanswered() {
    let (replica, groups) = (Replica::start().await, GroupsReplica::start().await);
    let gateway = start(&replica, &[&groups], config()).await;
    for form in [Form::Proto, Form::Json] {
        let user = Signer::new();
        let mut device = gateway.connect_in(form, user).await;
        let before = groups.acknowledged().len();
        let cursors: Vec<_> =
            (1..=256).map(|seq| GroupCursor { group: bytes_of(group()), seq }).collect();

        let ack = GroupAck { cursors: cursors.clone() };
        device.say(client_frame::Body::GroupAck(ack)).await;

        wait_for("the Ack", async || groups.acknowledged().len() == before + 1).await;
        let ack = groups.acknowledged().pop().unwrap();
        assert_eq!(ack.device.unwrap().account, user.device().account.as_bytes()[..]);
        assert_eq!(ack.cursors, cursors);
        let frame = device.send(b"hi").await;
        device.accepted(frame).await;
    }
}
