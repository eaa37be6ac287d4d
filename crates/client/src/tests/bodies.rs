//! C29, C30: kinds of messages, their limits, and what a later version sends.

use std::time::Duration;

use prost::Message as _;
use sotto_proto::content as pb;

use super::{Party, introduce, post, two};
use crate::{
    Body, CalendarEvent, ContactCard, Draft, Location, MessageId, Poll, Reply,
    content::{Content, Kind, pad},
    kinds::find,
    message_id::{client_msg_id, message_id},
    signal::encrypt,
    vault::{chains, own},
};

/// One of each kind that a person can write.
pub(super) fn one_of_each() -> Vec<Body> {
    vec![
        Body::Text("Grüße 👋🏽".to_owned()),
        Body::Location(Location {
            latitude_e7: -338_688_000,
            longitude_e7: 1_512_093_000,
            accuracy_m: Some(12),
            name: "Opera".to_owned(),
        }),
        Body::Contact(ContactCard {
            name: "Carol".to_owned(),
            account: Some(sotto_ids::AccountId::new([9; 32])),
            phones: vec!["+49 30 1234".to_owned()],
            mails: vec![],
        }),
        Body::Poll(poll(3)),
        Body::Event(CalendarEvent {
            title: "Dinner".to_owned(),
            start_ms: 1_700_000_000_000,
            end_ms: 1_700_000_000_000,
            place: "Corner".to_owned(),
            description: String::new(),
        }),
        Body::TimerChanged { after: Some(Duration::from_hours(1)) },
        Body::TimerChanged { after: None },
    ]
}

pub(super) fn poll(options: usize) -> Poll {
    Poll {
        question: "When?".to_owned(),
        options: (0..options).map(|number| number.to_string()).collect(),
        multiple: false,
    }
}

/// A send with this plaintext, as another version of the client might make it.
async fn crafted(alice: &Party, bob: &Party, plaintext: Vec<u8>) -> sotto_proto::socket::Send {
    let to = bob.account.uuid();
    alice
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let (_, state) = chains::find(tx.db, tx.chains, to)?.unwrap();
            Ok(sotto_proto::socket::Send {
                client_msg_id: client_msg_id(tx, tx.now_ms)?.as_bytes().to_vec().into(),
                recipient: to.as_bytes().to_vec().into(),
                messages: encrypt::for_account(tx, &own, &state, &plaintext)?,
                ..Default::default()
            })
        })
        .await
        .unwrap()
}

/// The bytes of a content with this body, not padded.
async fn content(alice: &Party, body: Option<pb::content::Body>) -> Vec<u8> {
    let id = alice.vault.run(|tx| Ok(message_id(tx.now_ms, tx.rng))).await.unwrap();
    let empty = Content::new(id, super::START_MS, Kind::Unknown).encode();
    pb::Content { body, ..pb::Content::decode(empty.as_slice()).unwrap() }.encode_to_vec()
}

#[tokio::test]
async fn each_kind_of_message_arrives_as_it_was_written() {
    let (alice, bob) = two().await;

    let mut ids = Vec::new();
    for body in one_of_each() {
        ids.push(alice.draft(&bob, Draft::new(body)).await);
    }
    post(&[&alice, &bob]).await;

    for (id, body) in ids.into_iter().zip(one_of_each()) {
        assert_eq!(bob.message(id).await.unwrap().body, body);
        assert_eq!(alice.message(id).await.unwrap().body, body, "and as the writer sees it");
    }
}

#[tokio::test]
async fn what_breaks_a_limit_is_refused_by_name_on_the_side_that_writes() {
    let (alice, bob) = two().await;
    let long = "x".repeat(301);
    let too_many_phones = ContactCard {
        name: "C".to_owned(),
        account: None,
        phones: vec!["1".to_owned(); 11],
        mails: vec![],
    };
    let backwards = CalendarEvent {
        title: "t".to_owned(),
        start_ms: 2,
        end_ms: 1,
        place: String::new(),
        description: String::new(),
    };
    let pole = Location {
        latitude_e7: 900_000_001,
        longitude_e7: 0,
        accuracy_m: None,
        name: String::new(),
    };
    let wrong = [
        (Body::Text(String::new()), "text_length"),
        (Body::Text("x".repeat(10_001)), "text_length"),
        (Body::Poll(poll(1)), "poll_options"),
        (Body::Poll(poll(11)), "poll_options"),
        (Body::Poll(Poll { question: long, ..poll(2) }), "poll_question"),
        (Body::Contact(too_many_phones), "contact_entries"),
        (Body::Event(backwards), "event_time"),
        (Body::Location(pole), "location_range"),
        (Body::TimerChanged { after: Some(Duration::from_hours(9_000)) }, "timer_length"),
        (Body::Deleted, "not_writable"),
    ];
    for (body, word) in wrong {
        let to = bob.account;
        let draft = Draft::new(body);
        let refused = alice.vault.run(move |tx| crate::outbox::enqueue(tx, to, draft)).await;
        assert_eq!(refused.unwrap_err().reason(), word);
    }
    assert!(alice.history().await.is_empty(), "nothing of it stays");
}

#[tokio::test]
async fn what_breaks_a_limit_is_refused_by_name_on_the_side_that_reads() {
    use pb::content::Body as PbBody;
    let (alice, bob) = two().await;
    let options = vec!["a".to_owned(); 11];
    let author = bob.account.uuid().as_bytes().to_vec();
    let target = Some(pb::Reference { author, message_id: vec![1; 16] });
    let wrong = [
        (PbBody::Text(pb::Text { body: "x".repeat(10_001) }), "text_length"),
        (PbBody::Poll(pb::Poll { question: "?".into(), options, multiple: false }), "poll_options"),
        (
            PbBody::Location(pb::Location { latitude_e7: i32::MIN, ..Default::default() }),
            "location_range",
        ),
        (PbBody::Contact(pb::ContactCard::default()), "contact_name"),
        (PbBody::Event(pb::CalendarEvent::default()), "event_title"),
        (PbBody::ExpireTimer(pb::ExpireTimer { seconds: u32::MAX }), "timer_length"),
        (PbBody::Vote(pb::Vote { target, options: vec![0, 0] }), "poll_options"),
        (PbBody::Edit(pb::Edit { target: None, body: "x".into() }), "malformed_content"),
        (
            PbBody::Receipt(pb::Receipt { kind: 1, message_ids: vec![vec![1; 16]; 101] }),
            "too_many_ids",
        ),
    ];
    for (body, word) in wrong {
        let plaintext = content(&alice, Some(body)).await;
        let send = crafted(&alice, &bob, pad(plaintext)).await;
        bob.receive(&alice, &[send]).await;
        assert_eq!(bob.shown().await.pop().unwrap(), format!("[{word}]"));
    }
    let unpadded = content(&alice, None).await;
    let send = crafted(&alice, &bob, unpadded).await;
    bob.receive(&alice, &[send]).await;
    assert_eq!(bob.shown().await.pop().unwrap(), "[malformed_padding]");
}

/// What an older version kept without knowing it is shown by one that does.
#[tokio::test]
async fn what_a_later_version_sends_is_kept_and_shown_after_an_upgrade() {
    let (alice, bob) = two().await;
    // Field 99 of a later version, and a place, which an older version did not know.
    let mut later = content(&alice, None).await;
    later.extend([0x9A, 0x06, 0x02, 0x08, 0x01]);
    let whole_new = pb::Content { v: 2, ..Default::default() }.encode_to_vec();
    for plaintext in [later.clone(), whole_new] {
        let send = crafted(&alice, &bob, pad(plaintext)).await;
        bob.receive(&alice, &[send]).await;
    }
    assert_eq!(bob.shown().await, ["<unsupported>", "<unsupported>"]);
    let kept: Vec<u8> = bob
        .vault
        .run(|tx| {
            Ok(tx.db.query_row("SELECT content FROM messages LIMIT 1", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(kept, later, "byte for byte");

    let place = pb::Location { name: "Opera".to_owned(), ..Default::default() };
    let known = content(&alice, Some(pb::content::Body::Location(place))).await;
    bob.vault
        .run(move |tx| Ok(tx.db.execute("UPDATE messages SET content = ?1", [known]).map(drop)?))
        .await
        .unwrap();

    assert_eq!(bob.shown().await, ["<location>", "<location>"]);
}

#[tokio::test]
async fn an_answer_names_what_it_answers_also_when_that_is_gone_or_was_never_there() {
    let (alice, bob) = two().await;
    let carol = Party::new().await;
    introduce(&[&bob, &carol]).await;
    let question = alice.write(&bob, "why?").await;
    let elsewhere = carol.write(&bob, "elsewhere").await;
    post(&[&alice, &bob, &carol]).await;

    let answer = bob.draft(&alice, Draft::text("because").reply_to(question)).await;
    let stray = bob.draft(&alice, Draft::text("of that").reply_to(elsewhere)).await;
    alice
        .vault
        .run(move |tx| crate::kinds::delete::write(tx, question, crate::DeleteFor::Everyone))
        .await
        .unwrap();
    post(&[&alice, &bob, &carol]).await;

    let to = |party: &Party, id: MessageId| Reply { author: party.account.uuid(), id };
    let shown = alice.message(answer).await.unwrap();
    assert_eq!(shown.reply_to, Some(to(&alice, question)));
    assert_eq!(alice.message(question).await.unwrap().body, Body::Deleted);
    let shown = alice.message(stray).await.unwrap();
    assert_eq!(shown.reply_to, Some(to(&carol, elsewhere)), "alice cannot look it up");
    assert!(alice.vault.run(move |tx| find(tx, elsewhere)).await.is_err());
    let nothing =
        Draft::text("?").reply_to("0190a5b0-0000-7000-8000-000000000000".parse().unwrap());
    let to = alice.account;
    let refused = bob.vault.run(move |tx| crate::outbox::enqueue(tx, to, nothing)).await;
    assert_eq!(refused.unwrap_err().reason(), "unknown_message");
}
