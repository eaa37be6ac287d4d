//! C28: typing and presence.

use sotto_proto::socket as pb;

use super::{Party, two};
use crate::{Event, Presence, Visibility, kinds::presence as said, vault::presence};

impl Party {
    async fn lets_see(&self, peer: &Self, typing: bool, presence: bool) {
        let peer = peer.account;
        let may = Visibility { typing, presence };
        self.vault.run(move |tx| said::grant(tx, peer, may)).await.unwrap();
    }

    async fn types(&self, to: &Self) -> Option<pb::Send> {
        let to = to.account;
        self.vault.run(move |tx| said::typing(tx, to, true, tx.now_ms)).await.unwrap()
    }

    async fn announces(&self, online: bool) -> Vec<pb::Send> {
        self.vault.run(move |tx| said::announce(tx, online, tx.now_ms)).await.unwrap()
    }

    async fn sees(&self, peer: &Self) -> Presence {
        let uuid = peer.account.uuid();
        self.vault.run(move |tx| Ok(presence::of(tx.db, uuid, tx.now_ms)?)).await.unwrap()
    }
}

/// Two people who have exchanged a message.
async fn acquainted() -> (Party, Party) {
    let (alice, bob) = two().await;
    let sends = alice.say(&bob, &["hello"]).await;
    bob.receive(&alice, &sends).await;
    let answer = bob.say(&alice, &["hi"]).await;
    alice.receive(&bob, &answer).await;
    (alice, bob)
}

#[tokio::test]
async fn nothing_is_said_to_whom_nothing_was_granted() {
    let (alice, bob) = acquainted().await;
    assert!(alice.types(&bob).await.is_none());
    assert!(alice.announces(true).await.is_empty());

    alice.lets_see(&bob, true, false).await;
    assert!(alice.types(&bob).await.is_some());
    assert!(alice.announces(true).await.is_empty(), "each for itself");
    alice.lets_see(&bob, false, true).await;

    assert!(alice.types(&bob).await.is_none());
    assert_eq!(alice.announces(true).await.len(), 1);
}

/// I-2. It fails where somebody is told without end: after 25,000 of these, which is
/// seventeen days of heartbeats, a device that was away reads nothing any more.
#[tokio::test]
async fn a_device_that_says_nothing_is_not_told_without_end() {
    let (alice, bob) = acquainted().await;
    alice.lets_see(&bob, true, true).await;
    let almost_all = "UPDATE sessions SET unheard = 9999";
    alice.vault.run(|tx| Ok(tx.db.execute_batch(almost_all)?)).await.unwrap();

    assert!(alice.types(&bob).await.is_some());
    assert!(alice.types(&bob).await.is_none(), "each counts");
    assert!(alice.announces(true).await.is_empty());

    let back = bob.say(&alice, &["I am back"]).await;
    alice.receive(&bob, &back).await;
    assert!(alice.types(&bob).await.is_some());
}

#[tokio::test]
async fn what_is_said_holds_for_two_heartbeats_unless_it_is_said_again() {
    let (alice, mut bob) = acquainted().await;
    alice.lets_see(&bob, true, true).await;
    let mut sends = alice.announces(true).await;
    sends.extend(alice.types(&bob).await);
    let intake = bob.receive(&alice, &sends).await;
    assert!(intake.acks.is_empty(), "the server does not keep it");
    assert_eq!(bob.sees(&alice).await, Presence { online: true, typing: true, last_seen_ms: None });

    bob.later(119_000).await;
    let again = alice.announces(true).await;
    bob.receive(&alice, &again).await;
    bob.told();
    bob.later(2_000).await;
    assert_eq!(
        bob.sees(&alice).await,
        Presence { online: true, typing: false, last_seen_ms: None }
    );
    bob.later(118_000).await;

    assert!(!bob.sees(&alice).await.online);
    let told = bob.told();
    let changes = told.iter().filter(|event| matches!(event, Event::Presence { .. })).count();
    assert_eq!(changes, 2, "the end of each is told");
}

#[tokio::test]
async fn who_goes_says_so_to_the_hour() {
    let (alice, bob) = acquainted().await;
    alice.lets_see(&bob, false, true).await;
    let online = alice.announces(true).await;
    let gone = alice.announces(false).await;

    bob.receive(&alice, &online).await;
    bob.receive(&alice, &gone).await;

    let seen = bob.sees(&alice).await;
    assert!(!seen.online);
    assert_eq!(seen.last_seen_ms.unwrap() % 3_600_000, 0);
}

#[tokio::test]
async fn what_is_ephemeral_leaves_no_hole_and_no_trace_when_it_is_lost() {
    let (alice, bob) = acquainted().await;
    alice.lets_see(&bob, true, false).await;
    for _ in 0..5 {
        assert!(alice.types(&bob).await.is_some(), "and all five are lost");
    }
    let mut broken = alice.types(&bob).await.unwrap();
    let mut ciphertext = broken.messages[0].ciphertext.to_vec();
    *ciphertext.last_mut().unwrap() ^= 1;
    broken.messages[0].ciphertext = ciphertext.into();
    bob.receive(&alice, &[broken]).await;

    let sends = alice.say(&bob, &["one", "two"]).await;
    bob.receive(&alice, &sends).await;

    assert_eq!(bob.shown().await, ["hello", "one", "two"], "at once, and nothing unreadable");
}

#[tokio::test]
async fn nothing_ephemeral_goes_to_a_device_before_something_that_counts() {
    let (alice, bob) = acquainted().await;
    alice.lets_see(&bob, true, false).await;
    let tablet = bob.second_device(2).await;
    alice.meet(&bob).await;
    assert!(alice.types(&bob).await.is_none(), "there is no session with the tablet");

    alice.open_session(&tablet).await;
    assert!(alice.types(&bob).await.is_none());
    alice.say(&bob, &["hello, tablet"]).await;

    assert_eq!(alice.types(&bob).await.unwrap().messages.len(), 2);
}

#[tokio::test]
async fn a_message_in_the_ephemeral_class_is_not_taken_for_one() {
    let (alice, bob) = two().await;
    let mut sends = alice.say(&bob, &["hello"]).await;
    sends[0].class = pb::MessageClass::Ephemeral.into();

    let intake = bob.receive(&alice, &sends).await;

    assert!(intake.acks.is_empty(), "a server that mislabels it keeps it");
    assert!(bob.history().await.is_empty());
}
