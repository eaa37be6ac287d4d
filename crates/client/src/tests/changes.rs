//! C31 and what else changes a message: edits, deletions, reactions, votes.

use super::{Party, bodies::poll, introduce, post, two, two_and_a_laptop};
use crate::{
    Body, ClientError, DeleteFor, Draft, Event, MessageId, MessageState,
    content::{Content, Kind, Reference},
    kinds::{delete, edit, reaction, vote},
    message_id::message_id,
    outbox::{self, Answer, TellOwn},
    vault::{edits, messages, own, reactions},
};

impl Party {
    async fn edit(&self, id: MessageId, text: &str) -> Result<(), ClientError> {
        let text = text.to_owned();
        self.vault.run(move |tx| edit::write(tx, id, text)).await
    }

    async fn delete(&self, id: MessageId, whose: DeleteFor) -> Result<(), ClientError> {
        self.vault.run(move |tx| delete::write(tx, id, whose)).await
    }

    async fn react(&self, id: MessageId, emoji: &str) {
        let emoji = Some(emoji.to_owned());
        self.vault.run(move |tx| reaction::write(tx, id, emoji)).await.unwrap();
    }

    async fn reactions(&self, id: MessageId) -> Vec<String> {
        self.vault
            .run(move |tx| {
                let (name, message) = crate::kinds::find(tx, id)?;
                Ok(reactions::list(tx.db, message.conversation, name)?)
            })
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.emoji)
            .collect()
    }

    async fn vote(&self, id: MessageId, options: &[usize]) -> Result<(), ClientError> {
        let options = options.to_vec();
        self.vault.run(move |tx| vote::write(tx, id, &options)).await
    }

    async fn counts(&self, poll: MessageId) -> Vec<u64> {
        self.vault.run(move |tx| vote::result(tx, poll)).await.unwrap().counts
    }

    /// Sends a content that the client itself would never make.
    async fn forge(&self, to: &Self, kind: Kind) {
        let to = to.account.uuid();
        self.vault
            .run(move |tx| {
                let own = own::certified(tx.db)?;
                let content = Content::new(message_id(tx.now_ms, tx.rng), tx.now_ms, kind);
                outbox::enqueue_content(tx, &own, to, &content, TellOwn::No)
            })
            .await
            .unwrap();
    }

    fn name(&self, id: MessageId) -> Reference {
        Reference { author: self.account.uuid(), id }
    }

    async fn text(&self, id: MessageId) -> Option<String> {
        self.message(id).await.and_then(|message| message.body.text().map(str::to_owned))
    }
}

#[tokio::test]
async fn an_edit_changes_the_text_everywhere_and_keeps_what_was_before() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let all = [&alice, &laptop, &bob];
    let id = alice.write(&bob, "helo").await;
    post(&all).await;

    alice.edit(id, "hello").await.unwrap();
    alice.edit(id, "hello!").await.unwrap();
    post(&all).await;
    laptop.edit(id, "hello from the laptop").await.unwrap();
    post(&all).await;

    for device in all {
        assert_eq!(device.text(id).await.as_deref(), Some("hello from the laptop"));
        assert!(device.message(id).await.unwrap().edited_at_ms.is_some());
        let name = alice.name(id);
        let editions = device.vault.run(move |tx| Ok(edits::list(tx.db, name)?)).await.unwrap();
        let texts: Vec<_> = editions.into_iter().map(|one| one.text).collect();
        assert_eq!(texts, ["helo", "hello", "hello!", "hello from the laptop"]);
    }
}

/// Sabotage: without the comparison of target and sender in `kinds/edit.rs` and
/// `kinds/delete.rs`, bob's forgeries change alice's message.
#[tokio::test]
async fn nobody_edits_or_deletes_somebody_elses_message() {
    let (mut alice, bob) = two().await;
    let id = alice.write(&bob, "mine").await;
    post(&[&alice, &bob]).await;

    assert_eq!(bob.edit(id, "yours").await.unwrap_err().reason(), "not_author");
    let refused = bob.delete(id, DeleteFor::Everyone).await;
    assert_eq!(refused.unwrap_err().reason(), "not_author");
    bob.forge(&alice, Kind::Edit { target: alice.name(id), text: "yours".to_owned() }).await;
    bob.forge(&alice, Kind::Delete { target: alice.name(id) }).await;
    post(&[&alice, &bob]).await;

    assert_eq!(alice.text(id).await.as_deref(), Some("mine"));
    assert_eq!(alice.refused(), ["not_author", "not_author"]);
}

#[tokio::test]
async fn an_edit_may_come_before_its_message() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let id = alice.write(&bob, "first").await;
    let written = alice.send_all().await;
    post(&[&alice, &laptop]).await;
    laptop.edit(id, "second").await.unwrap();
    let edited = laptop.send_all().await;
    let to_bob: Vec<_> =
        edited.into_iter().filter(|send| send.recipient == written[0].recipient).collect();

    bob.receive(&laptop, &to_bob).await;
    assert!(bob.history().await.is_empty());
    bob.receive(&alice, &written).await;

    assert_eq!(bob.text(id).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_message_deleted_for_everybody_is_gone_where_it_came_and_where_it_comes_later() {
    let (alice, laptop, mut bob) = two_and_a_laptop().await;
    let tablet = bob.second_device(2).await;
    introduce(&[&alice, &laptop, &tablet]).await;
    introduce(&[&bob, &tablet]).await;
    alice.meet(&bob).await;
    laptop.meet(&bob).await;
    let id = alice.write(&bob, "regretted").await;
    let written = alice.send_all().await;
    bob.receive(&alice, &written[..1]).await;
    bob.react(id, "👍").await;

    alice.delete(id, DeleteFor::Everyone).await.unwrap();
    let deletions = alice.send_all().await;
    let for_bob: Vec<_> =
        deletions.into_iter().filter(|send| send.recipient == written[0].recipient).collect();
    bob.receive(&alice, &for_bob).await;
    // The tablet hears of the deletion first: what it deletes has a lower counter.
    tablet.receive(&alice, &for_bob).await;
    tablet.after_ms(10_000);
    tablet.vault.run(|tx| crate::receive::release_due(tx, tx.now_ms)).await.unwrap();
    tablet.receive(&alice, &written[..1]).await;

    assert_eq!(bob.message(id).await.unwrap().body, Body::Deleted, "its place stays");
    assert!(bob.reactions(id).await.is_empty());
    assert!(tablet.history().await.is_empty(), "and here there never was one");
    let told = bob.told();
    assert!(
        told.iter()
            .any(|event| matches!(event, Event::MessageDeleted { id: one, .. } if *one == id))
    );
}

#[tokio::test]
async fn copies_that_still_wait_at_the_server_are_called_back() {
    let (alice, bob) = two().await;
    let id = alice.write(&bob, "regretted").await;
    let written = alice.send_all().await;

    alice.delete(id, DeleteFor::Everyone).await.unwrap();
    let batch = alice.batch().await;

    assert_eq!(batch.sends.len(), 1, "devices that have it are told");
    let [(seq, retract)] = batch.retracts.as_slice() else { panic!("one is called back") };
    assert_eq!(retract.client_msg_id, written[0].client_msg_id);
    assert_eq!((&retract.recipient, &retract.device_ids), (&written[0].recipient, &vec![1]));
    let seq = *seq;
    alice.vault.run(move |tx| outbox::retracted(tx, seq)).await.unwrap();
    assert!(alice.batch().await.retracts.is_empty(), "once");
}

#[tokio::test]
async fn what_is_deleted_on_its_way_is_called_back_once_it_has_arrived() {
    let (alice, bob) = two().await;
    let id = alice.write(&bob, "regretted").await;
    let batch = alice.batch().await;

    alice.delete(id, DeleteFor::Everyone).await.unwrap();
    assert!(alice.batch().await.retracts.is_empty());
    alice.answer(batch.sends[0].0, Answer::Accepted { server_time_ms: 9 }).await;

    assert_eq!(alice.batch().await.retracts.len(), 1);
}

#[tokio::test]
async fn what_is_deleted_before_it_went_out_never_goes_out() {
    let (alice, bob) = two().await;
    let id = alice.write(&bob, "thought better of it").await;

    alice.delete(id, DeleteFor::Everyone).await.unwrap();

    let batch = alice.batch().await;
    assert!(batch.sends.is_empty() && batch.retracts.is_empty());
    assert_eq!(alice.message(id).await.unwrap().body, Body::Deleted);
}

#[tokio::test]
async fn a_message_deleted_for_oneself_leaves_nothing_on_ones_own_devices_only() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let all = [&alice, &laptop, &bob];
    let id = bob.write(&alice, "keep this").await;
    post(&all).await;

    alice.delete(id, DeleteFor::Me).await.unwrap();
    post(&all).await;

    assert!(alice.message(id).await.is_none() && laptop.message(id).await.is_none());
    assert_eq!(bob.text(id).await.as_deref(), Some("keep this"));
}

#[tokio::test]
async fn there_is_one_reaction_of_each_person_and_the_newest_counts() {
    let (alice, laptop, bob) = two_and_a_laptop().await;
    let all = [&alice, &laptop, &bob];
    let id = alice.write(&bob, "news").await;
    post(&all).await;

    bob.react(id, "👍").await;
    bob.after_ms(1);
    bob.react(id, "🎉").await;
    alice.react(id, "🙈").await;
    post(&all).await;
    for device in all {
        let mut seen = device.reactions(id).await;
        seen.sort();
        assert_eq!(seen, ["🎉", "🙈"]);
    }
    bob.after_ms(1);
    bob.vault.run(move |tx| reaction::write(tx, id, None)).await.unwrap();
    post(&all).await;

    for device in all {
        assert_eq!(device.reactions(id).await, ["🙈"]);
    }
    let long = Some("x".repeat(17));
    let refused = bob.vault.run(move |tx| reaction::write(tx, id, long)).await;
    assert_eq!(refused.unwrap_err().reason(), "reaction_length");
}

/// Sabotage: without the comparison of conversations in `kinds/reaction.rs`, carol's
/// reaction shows up under what alice wrote to bob.
#[tokio::test]
async fn nobody_reacts_to_what_was_said_elsewhere() {
    let (mut alice, bob, carol) = (Party::new().await, Party::new().await, Party::new().await);
    introduce(&[&alice, &bob, &carol]).await;
    let id = alice.write(&bob, "between us").await;
    post(&[&alice, &bob, &carol]).await;

    let emoji = Some("👀".to_owned());
    carol.forge(&alice, Kind::Reaction { target: alice.name(id), emoji }).await;
    post(&[&alice, &bob, &carol]).await;

    assert!(alice.reactions(id).await.is_empty());
    assert_eq!(alice.refused(), ["other_conversation"]);
}

#[tokio::test]
async fn who_votes_twice_has_one_vote_and_the_newest_counts() {
    let (mut alice, laptop, bob) = two_and_a_laptop().await;
    let id = alice.draft(&bob, Draft::new(Body::Poll(poll(3)))).await;
    post(&[&alice, &laptop, &bob]).await;

    bob.vote(id, &[0]).await.unwrap();
    alice.vote(id, &[0]).await.unwrap();
    bob.after_ms(1);
    bob.vote(id, &[2]).await.unwrap();
    post(&[&alice, &laptop, &bob]).await;
    for device in [&alice, &laptop, &bob] {
        assert_eq!(device.counts(id).await, [1, 0, 1]);
    }
    bob.after_ms(1);
    bob.vote(id, &[]).await.unwrap();
    post(&[&alice, &laptop, &bob]).await;
    assert_eq!(alice.counts(id).await, [1, 0, 0]);

    for wrong in [vec![3], vec![0, 1], vec![0, 0]] {
        assert_eq!(bob.vote(id, &wrong).await.unwrap_err().reason(), "poll_options");
    }
    alice.told();
    bob.forge(&alice, Kind::Vote { target: alice.name(id), options: vec![9] }).await;
    post(&[&alice, &laptop, &bob]).await;
    assert_eq!(alice.counts(id).await, [1, 0, 0]);
    assert_eq!(alice.refused(), ["poll_options"]);
}

#[tokio::test]
async fn changes_that_come_twice_or_in_another_order_end_in_the_same() {
    let (alice, bob) = two().await;
    let id = alice.write(&bob, "one").await;
    alice.edit(id, "two").await.unwrap();
    alice.react(id, "👍").await;
    alice.after_ms(1);
    alice.react(id, "👎").await;
    let mut sends = alice.send_all().await;
    sends.reverse();
    let twice: Vec<_> = sends.iter().chain(&sends).cloned().collect();

    bob.receive(&alice, &twice).await;

    assert_eq!(bob.history().await, ["two"]);
    assert_eq!(bob.reactions(id).await, ["👎"]);
    let state = alice.message(id).await.unwrap().state;
    assert_eq!(state, MessageState::Accepted);
    let newest = bob.vault.run(|tx| Ok(messages::newest(tx.db)?)).await.unwrap();
    assert_eq!(newest.len(), 1);
}
