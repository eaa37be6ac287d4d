//! What goes over the socket besides messages.

use sotto_proto::socket::{MessageClass, Retract, Retracted, client_frame, server_frame};
use tokio::time::timeout;

use super::{
    network::{PATIENCE, Sending, client},
    two,
};
use crate::{DeleteFor, Visibility};

async fn retract(sending: &mut Sending) -> (u64, Retract) {
    let frame = timeout(PATIENCE, sending.frames.recv()).await.unwrap().unwrap();
    match frame.body {
        Some(client_frame::Body::Retract(retract)) => (frame.id, retract),
        other => panic!("no retraction: {other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_called_back_until_the_server_has_answered() {
    let (alice, bob) = two().await;
    let client = client(&alice).await;
    let id = client.send_text(bob.account, "regretted").await.unwrap();
    let mut sending = Sending::start(&client);
    let (frame, sent) = sending.next().await;
    sending.accept(frame).await;
    client.flush(PATIENCE).await.unwrap();

    client.delete_message(id, DeleteFor::Everyone).await.unwrap();
    let (tombstone, _) = sending.next().await;
    let (_, first) = retract(&mut sending).await;
    sending.accept(tombstone).await;
    client.flush(PATIENCE).await.unwrap();
    drop(sending);
    let mut sending = Sending::start(&client);
    let (frame, second) = retract(&mut sending).await;
    sending.answer(frame, server_frame::Body::Retracted(Retracted {})).await;
    client.send_text(bob.account, "so that there is something to wait for").await.unwrap();
    let (frame, _) = sending.next().await;
    sending.accept(frame).await;
    client.flush(PATIENCE).await.unwrap();

    assert_eq!(first, second);
    assert_eq!(first.client_msg_id, sent.client_msg_id);
    drop(sending);
    let mut sending = Sending::start(&client);
    client.send_text(bob.account, "nothing before this").await.unwrap();
    sending.next().await;
    client.close().await;
}

/// It fails where a call-back that was refused waits for the next socket.
#[tokio::test]
async fn a_call_back_that_is_put_off_is_made_again() {
    let (alice, bob) = two().await;
    let client = client(&alice).await;
    let id = client.send_text(bob.account, "regretted").await.unwrap();
    let mut sending = Sending::start(&client);
    let (frame, _) = sending.next().await;
    sending.accept(frame).await;
    client.flush(PATIENCE).await.unwrap();
    client.delete_message(id, DeleteFor::Everyone).await.unwrap();
    let (tombstone, _) = sending.next().await;
    let (frame, first) = retract(&mut sending).await;
    sending.accept(tombstone).await;

    sending.refuse(frame, "rate_limited", 1, 0).await;

    let (again, second) = retract(&mut sending).await;
    assert_eq!(first, second);
    assert_ne!(frame, again);
    client.close().await;
}

#[tokio::test]
async fn typing_goes_out_at_once_or_not_at_all() {
    let (alice, bob) = two().await;
    alice.say(&bob, &["hello"]).await;
    let client = client(&alice).await;
    let seen = Visibility { typing: true, presence: false };
    client.grant(bob.account, seen).await.unwrap();
    assert!(!client.typing(bob.account, true).await.unwrap(), "there is no socket");

    let mut sending = Sending::start(&client);
    client.send_text(bob.account, "a message").await.unwrap();
    sending.next().await;
    assert!(client.typing(bob.account, true).await.unwrap());
    let (frame, typing) = sending.next().await;

    assert_eq!(frame, 0, "nobody waits for an answer");
    assert_eq!(typing.class(), MessageClass::Ephemeral);
    client.close().await;
}

#[tokio::test]
async fn receipts_go_out_by_themselves() {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &sends).await;
    bob.after_ms(5_000);
    let client = client(&bob).await;
    let mut sending = Sending::start(&client);

    let (_, receipt) = sending.next().await;

    assert_eq!(receipt.recipient.as_ref(), alice.account.uuid().as_bytes());
    assert_eq!(receipt.class(), MessageClass::Unspecified, "it looks like a message");
    client.close().await;
}
