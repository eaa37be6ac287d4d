//! What people see of each other, with real servers in between: C27 to C33 and C39.

use std::time::Duration;

use sotto_client::{Body, DeleteFor, Draft, MessageId, Poll, ReceiptKind, Tuning, Visibility};
use sotto_e2e::{PATIENCE, Person};
use sotto_testkit::{Cluster, wait_for};

use crate::commands::Terminal;

/// Alice, Bob and Bob's laptop, all connected, who wait for nothing long.
async fn people(cluster: &Cluster) -> (Person, Person, Person) {
    let quick = |tuning: &mut Tuning| {
        tuning.receipt_delay_min = Duration::from_millis(10);
        tuning.receipt_delay_max = Duration::from_millis(100);
        tuning.presence_heartbeat = Duration::from_secs(1);
    };
    let mut alice = Person::register(cluster, "socialink", "alice", 0).await;
    let mut bob = Person::register(cluster, "vignette", "bob", 1).await;
    let mut laptop = bob.add_device(cluster, 0).await;
    alice.retune(quick).await;
    bob.retune(quick).await;
    laptop.retune(quick).await;
    alice.meet("bob").await;
    bob.meet("alice").await;
    for device in [&alice, &bob, &laptop] {
        device.go_online().await;
    }
    (alice, bob, laptop)
}

/// Waits until a device shows a message with this body.
pub(super) async fn shows(device: &Person, id: MessageId, body: &Body) {
    wait_for(PATIENCE, "the message to be shown so", || async {
        let shown = device.client.message(id).await.unwrap().map(|message| message.body);
        if shown.as_ref() == Some(body) { Ok(()) } else { Err(shown) }
    })
    .await;
}

async fn reaches(device: &Person, id: MessageId, state: &str) {
    wait_for(PATIENCE, "the message to get so far", || async {
        let now = device.client.message(id).await.unwrap().unwrap().state;
        if now.as_str() == state { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn is_gone(device: &Person, id: MessageId) {
    wait_for(PATIENCE, "the message to be gone", || async {
        let shown = device.client.message(id).await.unwrap();
        if shown.is_none() { Ok(()) } else { Err(shown) }
    })
    .await;
}

fn text(text: &str) -> Body {
    Body::Text(text.to_owned())
}

/// C27, C33: what is delivered and read is known to the sender, for each device, and what
/// is read on one device is read on the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_sees_how_far_a_message_got_and_readers_agree_on_it() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let (alice, bob, laptop) = people(&cluster).await;

    let id = alice.client.send_text(bob.account, "hello").await.unwrap();
    reaches(&alice, id, "delivered").await;
    wait_for(PATIENCE, "a receipt of each device", || async {
        let receipts = alice.client.receipts(id).await.unwrap();
        if receipts.len() == 2 { Ok(()) } else { Err(receipts) }
    })
    .await;
    laptop.client.mark_read(alice.account).await.unwrap();
    reaches(&alice, id, "read").await;

    wait_for(PATIENCE, "the phone to count it as read", || async {
        let unread = bob.client.conversations().await.unwrap()[0].unread;
        if unread == 0 { Ok(()) } else { Err(unread) }
    })
    .await;
    let receipts = alice.client.receipts(id).await.unwrap();
    let read: Vec<_> = receipts.iter().filter(|one| one.kind == ReceiptKind::Read).collect();
    assert_eq!(read.len(), 1, "it was read on the laptop alone");
    cluster.stop().await.unwrap();
}

/// C29 to C31, C39: answers, reactions, polls and edits reach both sides and the devices of
/// each; a message that is deleted in time is never seen.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_a_message_changes_it_everywhere() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let (alice, bob, laptop) = people(&cluster).await;
    let id = alice.client.send_text(bob.account, "Dinner?").await.unwrap();
    shows(&bob, id, &text("Dinner?")).await;

    let answer = Draft::text("Yes!").reply_to(id);
    let answer = bob.client.send(alice.account, answer).await.unwrap();
    shows(&laptop, answer, &text("Yes!")).await;
    shows(&alice, answer, &text("Yes!")).await;
    assert_eq!(alice.client.message(answer).await.unwrap().unwrap().reply_to.unwrap().id, id);
    alice.client.edit(id, "Dinner at eight?").await.unwrap();
    shows(&laptop, id, &text("Dinner at eight?")).await;

    let question = Poll {
        question: "Where?".to_owned(),
        options: vec!["Here".to_owned(), "There".to_owned()],
        multiple: false,
    };
    let poll = alice.client.send(bob.account, Draft::new(Body::Poll(question.clone()))).await;
    let poll = poll.unwrap();
    shows(&laptop, poll, &Body::Poll(question)).await;
    laptop.client.vote(poll, &[1]).await.unwrap();
    laptop.client.react(id, Some("🍜")).await.unwrap();
    for device in [&alice, &bob] {
        wait_for(PATIENCE, "the vote and the reaction", || async {
            let counts = device.client.poll_result(poll).await.unwrap().counts;
            let reactions = device.client.reactions(id).await.unwrap();
            if counts == [0, 1] && reactions.len() == 1 { Ok(()) } else { Err(counts) }
        })
        .await;
    }

    bob.client.go_offline().await;
    laptop.client.go_offline().await;
    let regretted = alice.client.send_text(bob.account, "regretted").await.unwrap();
    alice.flush().await;
    alice.client.delete_message(regretted, DeleteFor::Everyone).await.unwrap();
    let last = alice.client.send_text(bob.account, "Eight it is.").await.unwrap();
    alice.flush().await;
    bob.go_online().await;
    shows(&bob, last, &text("Eight it is.")).await;
    assert!(bob.client.message(regretted).await.unwrap().is_none(), "nobody ever saw it");
    cluster.stop().await.unwrap();
}

/// C28: who was granted it sees who is here and who is writing, and nobody else does.
#[tokio::test(flavor = "multi_thread")]
async fn presence_is_seen_by_those_who_may_and_ends_by_itself() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let (alice, bob, laptop) = people(&cluster).await;
    alice.send(bob.account, "hello").await;
    bob.send(alice.account, "hi").await;
    for device in [&bob, &laptop] {
        device.receives(1).await;
    }

    assert!(!alice.client.typing(bob.account, true).await.unwrap(), "not granted");
    let seen = Visibility { typing: true, presence: true };
    alice.client.grant(bob.account, seen).await.unwrap();
    assert!(alice.client.typing(bob.account, true).await.unwrap());

    let sees = |device: &Person, online: bool, typing: bool| {
        let (client, peer) = (device.client.clone(), alice.account);
        async move {
            wait_for(PATIENCE, "to see it", || async {
                let seen = client.presence(peer).await.unwrap();
                if (seen.online, seen.typing) == (online, typing) { Ok(()) } else { Err(seen) }
            })
            .await;
        }
    };
    sees(&bob, true, true).await;
    sees(&laptop, true, true).await;
    sees(&bob, true, false).await;
    alice.client.go_offline().await;
    sees(&bob, false, false).await;
    let seen = bob.client.presence(alice.account).await.unwrap();
    assert!(seen.last_seen_ms.is_some_and(|at_ms| at_ms % 3_600_000 == 0), "{seen:?}");
    assert!(!alice.client.presence(bob.account).await.unwrap().online, "he granted nothing");
    cluster.stop().await.unwrap();
}

/// C32: what deletes itself is gone on all devices of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_deletes_itself_is_gone_everywhere() {
    let cluster = Cluster::builder().gateways(2).start().await.unwrap();
    let (alice, bob, laptop) = people(&cluster).await;

    let draft = Draft::text("psst").expire_after(Some(Duration::from_secs(1)));
    let id = alice.client.send(bob.account, draft).await.unwrap();
    shows(&bob, id, &text("psst")).await;
    shows(&laptop, id, &text("psst")).await;
    is_gone(&alice, id).await;
    assert!(bob.client.message(id).await.unwrap().is_some(), "unread, it stays");
    bob.client.mark_read(alice.account).await.unwrap();

    is_gone(&bob, id).await;
    is_gone(&laptop, id).await;
    cluster.stop().await.unwrap();
}

/// The same from the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn people_get_by_on_the_terminal() {
    let cluster = Cluster::builder().gateways(2).start().await.unwrap();
    let alice = Terminal::new(&cluster, "socialink", "alice");
    let bob = Terminal::new(&cluster, "vignette", "bob");
    alice.run(&["register", "--handle", "alice"]).await;
    bob.run(&["register", "--handle", "bob"]).await;

    let sent = alice.run(&["send", "bob", "Dinner?"]).await;
    let id = sent[0]["id"].as_str().unwrap();
    assert_eq!(bob.run(&["listen", "--count", "1"]).await[0]["text"], "Dinner?");
    let answer = bob.run(&["send", "alice", "Yes!", "--reply-to", id]).await;
    assert_eq!(answer[0]["reply_to"], id);
    bob.run(&["react", id, "🍜"]).await;
    assert_eq!(alice.run(&["listen", "--count", "1"]).await[0]["text"], "Yes!");
    wait_for(PATIENCE, "the reaction", || async {
        alice.run(&["listen", "--drain"]).await;
        let reactions = alice.run(&["reactions", id]).await;
        if reactions.len() == 1 { Ok(()) } else { Err(reactions) }
    })
    .await;
    assert_eq!(alice.run(&["edit", id, "Dinner at eight?"]).await[0]["text"], "Dinner at eight?");

    let poll = alice.run(&["poll", "bob", "Where?", "Here", "There"]).await;
    let poll = poll[0]["id"].as_str().unwrap();
    let heard = bob.run(&["listen", "--count", "1"]).await;
    assert_eq!(heard[0]["body"]["options"][1], "There");
    bob.run(&["vote", poll, "0"]).await;
    bob.run(&["vote", poll, "1"]).await;
    assert_eq!(bob.run(&["poll-result", poll]).await[0]["counts"], serde_json::json!([0, 1]));
    assert_eq!(bob.fails(&["vote", poll, "2"]).await, ("poll_options".into(), Some(2)));
    assert_eq!(bob.run(&["show", id]).await[0]["text"], "Dinner at eight?");
    assert_eq!(bob.fails(&["edit", id, "Breakfast?"]).await, ("not_author".into(), Some(2)));

    alice.run(&["location", "bob", "-33.8688", "151.2093", "--place", "Opera"]).await;
    let heard = bob.run(&["listen", "--count", "1"]).await;
    assert_eq!(heard[0]["body"]["latitude_e7"], -338_688_000);
    let off = bob.run(&["send-receipts", "--read", "off"]).await;
    assert_eq!((&off[0]["delivered"], &off[0]["read"]), (&true.into(), &false.into()));
    wait_for(PATIENCE, "a receipt", || async {
        bob.run(&["listen", "--for", "1s"]).await;
        alice.run(&["listen", "--drain"]).await;
        let receipts = alice.run(&["receipts", id]).await;
        if receipts.iter().any(|one| one["kind"] == "delivered") { Ok(()) } else { Err(receipts) }
    })
    .await;
    alice.run(&["delete", id, "--for-everyone"]).await;
    bob.run(&["listen", "--drain"]).await;
    assert_eq!(bob.run(&["show", id]).await[0]["kind"], "deleted");
    cluster.stop().await.unwrap();
}
