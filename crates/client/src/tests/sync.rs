//! C33, C39: what one's own devices tell each other.

use super::{Party, introduce, post, two_and_a_laptop};
use crate::{
    Body, ConversationId, Direction, Draft, Event, MessageState,
    content::{Content, Kind, Sync},
    kinds::read,
    message_id::message_id,
    outbox::{self, TellOwn},
    vault::{messages, own},
};

impl Party {
    async fn marks_read(&self, peer: &Self) {
        let peer = peer.account;
        self.vault.run(move |tx| read::mark(tx, peer)).await.unwrap();
    }

    async fn unread(&self, peer: &Self) -> u64 {
        let conversation = ConversationId::between(&self.account, &peer.account);
        self.vault.run(move |tx| Ok(messages::unread(tx.db, conversation)?)).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_sent_on_the_phone_shows_on_the_laptop() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let id = alice.write(&bob, "from the phone").await;
    let place = alice.draft(&bob, Draft::new(super::bodies::one_of_each().remove(1))).await;
    post(&[&alice, &laptop, &bob]).await;

    let there = laptop.message(id).await.unwrap();

    assert_eq!(there.body, Body::Text("from the phone".to_owned()));
    assert_eq!((there.direction, there.peer), (Direction::Sent, bob.account));
    assert_eq!(there.state, MessageState::Accepted);
    assert_eq!(there.device, alice.address.device);
    assert!(matches!(laptop.message(place).await.unwrap().body, Body::Location(_)));
    assert_eq!(bob.history().await, laptop.history().await);
    let conversation = ConversationId::between(&bob.account, &alice.account);
    assert_eq!(there.conversation, conversation, "all sides name it alike");
}

#[tokio::test]
async fn nothing_is_synced_that_the_server_has_not_taken() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    alice.write(&bob, "refused").await;
    let (seq, ..) = alice.batch().await.sends.remove(0);
    alice.answer(seq, outbox::Answer::Failed { reason: "not_interoperable".to_owned() }).await;

    post(&[&alice, &laptop]).await;

    assert!(laptop.history().await.is_empty());
}

#[tokio::test]
async fn unread_counts_agree_whatever_order_things_come_in() {
    let (alice, mut laptop, bob) = two_and_a_laptop().await;
    for text in ["one", "two", "three"] {
        bob.write(&alice, text).await;
    }
    let sends = bob.send_all().await;
    alice.receive(&bob, &sends).await;
    laptop.receive(&bob, &sends[..1]).await;
    assert_eq!((alice.unread(&bob).await, laptop.unread(&bob).await), (3, 1));

    alice.marks_read(&bob).await;
    post(&[&alice, &laptop]).await;
    assert_eq!(laptop.unread(&bob).await, 0);
    laptop.receive(&bob, &sends[1..]).await;
    assert_eq!(laptop.unread(&bob).await, 0, "two were read before they came");
    bob.write(&alice, "four").await;
    post(&[&alice, &laptop, &bob]).await;

    assert_eq!((alice.unread(&bob).await, laptop.unread(&bob).await), (1, 1));
    let elsewhere = laptop.told().into_iter().find_map(|event| match event {
        Event::ReadElsewhere { peer, unread } => Some((peer, unread)),
        _ => None,
    });
    assert_eq!(elsewhere, Some((bob.account, 0)));
}

#[tokio::test]
async fn a_note_to_oneself_is_on_all_devices_and_never_unread() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let id = alice.write(&alice, "milk").await;
    post(&[&alice, &laptop, &bob]).await;

    assert_eq!(laptop.message(id).await.unwrap().body.text(), Some("milk"));
    assert_eq!((alice.unread(&alice).await, laptop.unread(&alice).await), (0, 0));
    alice.later(10_000).await;
    laptop.later(10_000).await;
    assert!(laptop.batch().await.sends.is_empty(), "and gets no receipt");
}

#[tokio::test]
async fn a_device_that_joins_later_gets_only_what_comes_after() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    alice.write(&bob, "before").await;
    post(&[&alice, &laptop, &bob]).await;
    let tablet = alice.second_device(3).await;
    laptop.meet(&alice).await;
    bob.meet(&alice).await;
    tablet.meet(&bob).await;
    introduce(&[&alice, &tablet]).await;
    introduce(&[&laptop, &tablet]).await;
    introduce(&[&bob, &tablet]).await;

    alice.write(&bob, "after").await;
    post(&[&alice, &laptop, &tablet, &bob]).await;

    assert_eq!(tablet.history().await, ["after"]);
}

#[tokio::test]
async fn a_contact_that_is_added_on_one_device_is_looked_up_on_the_other() {
    let alice = Party::new().await;
    let laptop = alice.second_device(2).await;
    let bob = Party::new().await;
    introduce(&[&alice, &laptop]).await;
    alice.meet(&bob).await;
    alice.open_session(&bob).await;
    let head = crate::content::Head::of(&*bob.state().await);
    let account = bob.account;
    alice.vault.run(move |tx| crate::kinds::sync::tell_contact(tx, account, head)).await.unwrap();

    let sends = alice.send_all().await;
    let intake = laptop.receive(&alice, &sends).await;

    assert!(intake.claims.iter().any(|(uuid, said)| *uuid == account.uuid() && *said == head));
}

#[tokio::test]
async fn a_chain_that_moved_is_told_to_those_who_have_a_session() {
    let (alice, _laptop, bob) = two_and_a_laptop().await;
    alice.second_device(3).await;
    alice.vault.run(crate::kinds::identity::tell_changed).await.unwrap();

    let sends = alice.send_all().await;
    let intake = bob.receive(&alice, &sends).await;

    let head = crate::content::Head::of(&*alice.state().await);
    assert!(intake.claims.iter().any(|(_, said)| *said == head), "bob looks at the chain");
    assert!(bob.history().await.is_empty());
}

/// Sabotage: without the check of the writer in `kinds/sync.rs`, bob puts words into
/// alice's mouth.
#[tokio::test]
async fn nobody_else_can_pass_for_one_of_ones_own_devices() {
    let (mut alice, laptop, bob) = two_and_a_laptop().await;
    let to = alice.account.uuid();
    let (alice_id, bob_id) = (alice.account, bob.account);
    bob.vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let text = Kind::Body(Body::Text("I owe you money".to_owned()));
            let said = Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, text).encode();
            for recipient in [alice_id, bob_id] {
                let (head, content) = (None, said.clone());
                let sent = Sync::Sent { recipient, head, server_time_ms: 9, content };
                let id = message_id(tx.now_ms, tx.rng);
                let content = Content::new(id, tx.now_ms, Kind::Sync(sent));
                outbox::enqueue_content(tx, &own, to, &content, TellOwn::No)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    post(&[&alice, &laptop, &bob]).await;

    assert!(alice.history().await.is_empty() && laptop.history().await.is_empty());
    assert_eq!(alice.refused(), ["not_own", "not_own"]);
}
