//! C27: how far a message got, and what the server can see of that.

use super::{Party, introduce, post, two, two_and_a_laptop};
use crate::{
    Event, MessageId, MessageState, ReceiptKind, ReceiptSettings,
    content::{Content, Kind},
    kinds::{read, receipt},
    message_id::message_id,
    outbox::{self, Answer, TellOwn},
    vault::{own, receipts, settings},
};

impl Party {
    async fn read_all_of(&self, peer: &Self) {
        let peer = peer.account;
        self.vault.run(move |tx| read::mark(tx, peer)).await.unwrap();
    }

    async fn switch(&self, delivered: bool, read: bool) {
        let to = ReceiptSettings { delivered, read };
        self.vault.run(move |tx| receipt::switch(tx, to)).await.unwrap();
    }

    async fn rung(&self, id: MessageId) -> &'static str {
        self.message(id).await.unwrap().state.as_str()
    }
}

#[tokio::test]
async fn a_message_climbs_from_pending_to_read() {
    let (mut alice, bob) = two().await;
    let id = alice.write(&bob, "hello").await;
    assert_eq!(alice.rung(id).await, "queued");
    post(&[&alice, &bob]).await;
    assert_eq!(alice.rung(id).await, "accepted", "no receipt goes at once");

    bob.later(5_000).await;
    post(&[&alice, &bob]).await;
    assert_eq!(alice.rung(id).await, "delivered");
    bob.read_all_of(&alice).await;
    bob.later(5_000).await;
    post(&[&alice, &bob]).await;

    assert_eq!(alice.rung(id).await, "read");
    let names: Vec<_> = alice.told().iter().filter_map(Event::name).collect();
    assert_eq!(names, ["dm-sent", "dm-delivered", "dm-read"]);
    let all = alice.vault.run(move |tx| Ok(receipts::list(tx.db, id)?)).await.unwrap();
    assert!(
        all.iter().all(|one| one.account == bob.account.uuid() && one.device == bob.address.device)
    );
    assert_eq!(all.len(), 2);
}

/// Sabotage: with `promote` setting the state whatever it was, the second device's
/// "delivered" takes "read" back.
#[tokio::test]
async fn a_slower_device_or_a_late_answer_takes_nothing_back() {
    let (alice, bob) = two().await;
    let tablet = bob.second_device(2).await;
    introduce(&[&alice, &tablet]).await;
    introduce(&[&bob, &tablet]).await;
    alice.meet(&bob).await;
    let id = alice.write(&bob, "hello").await;
    let (seq, _, send) = alice.batch().await.sends.remove(0);

    // Bob has read it before alice hears that it was accepted.
    bob.receive(&alice, std::slice::from_ref(&send)).await;
    bob.read_all_of(&alice).await;
    bob.later(5_000).await;
    let receipts = bob.send_all().await;
    let for_alice: Vec<_> = receipts
        .into_iter()
        .filter(|one| one.recipient.as_ref() == alice.account.uuid().as_bytes())
        .collect();
    alice.receive(&bob, &for_alice).await;
    alice.answer(seq, Answer::Accepted { server_time_ms: 9 }).await;
    tablet.receive(&alice, &[send]).await;
    tablet.later(5_000).await;
    let late = tablet.send_all().await;
    alice.receive(&tablet, &late).await;

    assert_eq!(alice.rung(id).await, "read");
    let all = alice.vault.run(move |tx| Ok(receipts::list(tx.db, id)?)).await.unwrap();
    let of = |kind| all.iter().filter(|one| one.kind == kind).count();
    assert_eq!(
        (of(ReceiptKind::Delivered), of(ReceiptKind::Read)),
        (2, 1),
        "each device for itself"
    );
}

#[tokio::test]
async fn receipts_wait_for_chance_and_go_together() {
    let (alice, bob) = two().await;
    for number in 0..150 {
        alice.write(&bob, &number.to_string()).await;
    }
    post(&[&alice, &bob]).await;
    bob.read_all_of(&alice).await;

    bob.later(999).await;
    assert!(bob.batch().await.sends.is_empty(), "not before the shortest delay");
    bob.later(4_001).await;

    assert_eq!(bob.batch().await.sends.len(), 4, "150 of each kind, 100 at a time");
}

#[tokio::test]
async fn each_kind_of_receipt_has_its_own_switch_that_stays_off() {
    let (alice, mut bob) = two().await;
    bob.switch(true, false).await;
    bob.restart().await;
    let first = alice.write(&bob, "one").await;
    post(&[&alice, &bob]).await;
    bob.read_all_of(&alice).await;
    bob.later(5_000).await;
    post(&[&alice, &bob]).await;
    assert_eq!(alice.rung(first).await, "delivered");

    bob.switch(false, false).await;
    let second = alice.write(&bob, "two").await;
    post(&[&alice, &bob]).await;
    bob.later(5_000).await;
    post(&[&alice, &bob]).await;
    assert_eq!(alice.rung(second).await, "accepted");

    // What waits when it is switched off does not go either.
    bob.switch(true, true).await;
    alice.write(&bob, "three").await;
    post(&[&alice, &bob]).await;
    bob.switch(false, true).await;
    bob.later(5_000).await;
    assert!(bob.batch().await.sends.is_empty());
}

#[tokio::test]
async fn a_switch_holds_on_all_of_ones_devices() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    alice.switch(false, true).await;
    post(&[&alice, &laptop, &bob]).await;

    let there = laptop.vault.run(|tx| Ok(settings::receipts(tx.db)?)).await.unwrap();

    assert_eq!(there, ReceiptSettings { delivered: false, read: true });
}

#[tokio::test]
async fn a_receipt_for_what_was_said_to_somebody_else_is_refused() {
    let (mut alice, bob, carol) = (Party::new().await, Party::new().await, Party::new().await);
    introduce(&[&alice, &bob, &carol]).await;
    let id = alice.write(&bob, "between us").await;
    post(&[&alice, &bob, &carol]).await;

    let to = alice.account.uuid();
    carol
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let kind = Kind::Receipt { kind: ReceiptKind::Read, ids: vec![id] };
            let content = Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, kind);
            outbox::enqueue_content(tx, &own, to, &content, TellOwn::No)
        })
        .await
        .unwrap();
    post(&[&alice, &bob, &carol]).await;

    assert_eq!(alice.message(id).await.unwrap().state, MessageState::Accepted);
    assert_eq!(alice.refused(), ["other_conversation"]);
}

/// A receipt for a message that another own device wrote may come before this one hears
/// of the message.
#[tokio::test]
async fn a_receipt_that_is_faster_than_ones_own_devices_counts() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let id = alice.write(&bob, "hello").await;
    let sends = alice.send_all().await;
    bob.receive(&alice, &sends).await;
    bob.later(5_000).await;
    let receipts = bob.send_all().await;
    laptop.receive(&bob, &receipts).await;
    assert!(laptop.message(id).await.is_none());

    post(&[&alice, &laptop]).await;

    assert_eq!(laptop.rung(id).await, "delivered");
}
