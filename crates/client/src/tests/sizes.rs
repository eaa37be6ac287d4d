//! C46: what the sizes of ciphertexts say.

use std::collections::BTreeMap;

use libsignal_protocol::{PreKeySignalMessage, SignalMessage};
use sotto_proto::socket as pb;

use super::{bodies::one_of_each, post, two};
use crate::{
    Draft,
    content::padded_len,
    kinds::{edit, reaction, read},
};

/// What the ratchet carries: padded plaintext, and AES-CBC's own padding of 1 to 16.
fn body_len(message: &pb::DeviceMessage) -> usize {
    let body = match message.r#type() {
        pb::CiphertextType::Prekey => {
            let outer = PreKeySignalMessage::try_from(message.ciphertext.as_ref()).unwrap();
            outer.message().body().len()
        }
        _ => SignalMessage::try_from(message.ciphertext.as_ref()).unwrap().body().len(),
    };
    body - 16
}

/// Sabotage: without `pad` in `outbox::seal` there are as many sizes as lengths.
#[tokio::test]
async fn the_sizes_of_ciphertexts_are_those_of_the_buckets_and_no_others() {
    let (alice, bob) = two().await;
    let mut ids = Vec::new();
    for length in (1..400).step_by(7).chain([1_000, 1_900, 2_000, 2_100, 5_000, 9_999]) {
        ids.push(alice.write(&bob, &"x".repeat(length)).await);
    }
    for body in one_of_each() {
        ids.push(alice.draft(&bob, Draft::new(body)).await);
    }
    let (first, second) = (ids[0], ids[1]);
    alice.vault.run(move |tx| edit::write(tx, first, "other".to_owned())).await.unwrap();
    alice.vault.run(move |tx| reaction::write(tx, second, Some("👍".into()))).await.unwrap();
    let sends = alice.send_all().await;

    let mut histogram = BTreeMap::<usize, usize>::new();
    for send in &sends {
        *histogram.entry(body_len(&send.messages[0])).or_default() += 1;
    }

    let buckets: Vec<_> = (0..70_000).map(padded_len).collect();
    assert!(histogram.keys().all(|size| buckets.contains(size)), "{histogram:?}");
    assert!(histogram.len() <= 10, "{} sends in few sizes: {histogram:?}", sends.len());
    assert!(histogram.values().sum::<usize>() > 60);
}

/// The server sees who sends something to whom, and its size and class: in that a
/// receipt is like a short message.
#[tokio::test]
async fn a_receipt_looks_like_a_short_message() {
    let (alice, bob) = two().await;
    alice.write(&bob, "hello").await;
    post(&[&alice, &bob]).await;
    bob.write(&alice, "hi").await;
    post(&[&alice, &bob]).await;
    alice.write(&bob, "are you there?").await;
    post(&[&alice, &bob]).await;

    let peer = alice.account;
    bob.vault.run(move |tx| read::mark(tx, peer)).await.unwrap();
    bob.later(5_000).await;
    let receipts = bob.send_all().await;
    bob.write(&alice, "yes").await;
    let message = bob.send_all().await.remove(0);

    assert!(!receipts.is_empty());
    for receipt in receipts {
        assert_eq!((receipt.class, receipt.ttl_seconds), (message.class, message.ttl_seconds));
        assert_eq!(receipt.messages[0].r#type, message.messages[0].r#type);
        assert_eq!(body_len(&receipt.messages[0]), body_len(&message.messages[0]));
    }
}
