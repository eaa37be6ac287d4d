//! People who use all there is, so that it all passes through the server.

use std::time::Duration;

use rusqlite::Connection;
use sotto_client::{
    Body, DeleteFor, Draft, MessageId, Poll, ReceiptKind, Transport, Tuning, Visibility,
};
use sotto_e2e::{PATIENCE, Person, person::STORE_KEY};
use sotto_testkit::{Cluster, cluster::Builder, search::Needles, wait_for};

use crate::people::shows;

pub(super) const HANDLES: [&str; 3] = ["quilliam", "borogove", "jabberwock"];

const FIRST: &str = "planted-first-message-marzipan-5d1c";
const ANSWER: &str = "planted-live-answer-bergamotte-77af";
const WAITING: &str = "planted-while-offline-kardamom-0e9b";
const EDITED: &str = "planted-second-thought-safran-c3d8";
const QUESTION: &str = "planted-question-of-a-poll-anis-4b61";
const OPTIONS: [&str; 2] = ["planted-option-nelke-aa90", "planted-option-piment-1f27"];
const REGRETTED: &str = "planted-and-retracted-muskat-92e4";
const BY_REQUEST: &str = "planted-by-request-vanille-e85a";
/// Longer than most words.
const REACTION: &str = "👩‍👩‍👧‍👦";

const TEXTS: [&str; 9] =
    [FIRST, ANSWER, WAITING, EDITED, QUESTION, OPTIONS[0], OPTIONS[1], REGRETTED, BY_REQUEST];

/// Alice, Bob with a phone and a laptop, and Carol, who stays away.
pub(super) struct Scene {
    pub(super) devices: [Person; 4],
    /// What they wrote, by its name.
    pub(super) messages: Vec<MessageId>,
}

/// A deployment that takes nobody who has not worked for it, and logs all that it can.
pub(super) fn talkative(spans_to: &str) -> Builder {
    Cluster::builder()
        .gateways(2)
        .messages(2)
        .spans_to(spans_to)
        .setting("telemetry.log_level", "debug")
        .setting("keys.registration.mode", "proof_of_work")
        .setting("keys.registration.work_bits", 8)
}

impl Scene {
    /// They register with a proof of work. A laptop is linked and given the account key,
    /// through a mailbox. Then: a first contact, an answer, an edit, a poll with a vote, a
    /// reaction, receipts, presence, a message that is retracted, one that is still
    /// waiting, and one by requests, with no socket.
    pub(super) async fn play(cluster: &Cluster) -> Self {
        let quick = |tuning: &mut Tuning| {
            tuning.receipt_delay_min = Duration::from_millis(10);
            tuning.receipt_delay_max = Duration::from_millis(100);
        };
        let mut alice = Person::register(cluster, "socialink", HANDLES[0], 0).await;
        let mut bob = Person::register(cluster, "vignette", HANDLES[1], 1).await;
        let carol = Person::register(cluster, "vignette", HANDLES[2], 0).await;
        bob.retune(quick).await;
        let laptop = bob.link_device(cluster, true, 0).await;
        let (bob_id, carol_id) = (alice.meet(HANDLES[1]).await, alice.meet(HANDLES[2]).await);
        bob.meet(HANDLES[0]).await;
        for device in [&alice, &bob, &laptop] {
            device.go_online().await;
        }

        let first = alice.client.send_text(bob_id, FIRST).await.unwrap();
        for device in [&bob, &laptop] {
            shows(device, first, &Body::Text(FIRST.to_owned())).await;
        }
        let answer = bob.client.send_text(alice.account, ANSWER).await.unwrap();
        shows(&alice, answer, &Body::Text(ANSWER.to_owned())).await;
        bob.client.mark_read(alice.account).await.unwrap();
        bob.client.react(first, Some(REACTION)).await.unwrap();
        wait_for(PATIENCE, "a receipt and a reaction", || async {
            let receipts = alice.client.receipts(first).await.unwrap();
            let reactions = alice.client.reactions(first).await.unwrap();
            let read = receipts.iter().any(|one| one.kind == ReceiptKind::Read);
            if read && reactions.len() == 1 { Ok(()) } else { Err(receipts) }
        })
        .await;

        alice.client.edit(first, EDITED).await.unwrap();
        shows(&laptop, first, &Body::Text(EDITED.to_owned())).await;
        let question = Poll {
            question: QUESTION.to_owned(),
            options: OPTIONS.map(str::to_owned).into(),
            multiple: false,
        };
        let poll = Draft::new(Body::Poll(question.clone()));
        let poll = alice.client.send(bob_id, poll).await.unwrap();
        shows(&laptop, poll, &Body::Poll(question)).await;
        laptop.client.vote(poll, &[1]).await.unwrap();
        let seen = Visibility { typing: true, presence: true };
        alice.client.grant(bob_id, seen).await.unwrap();
        alice.client.typing(bob_id, true).await.unwrap();

        let regretted = alice.client.send_text(carol_id, REGRETTED).await.unwrap();
        alice.flush().await;
        alice.client.delete_message(regretted, DeleteFor::Everyone).await.unwrap();
        let waiting = alice.client.send_text(carol_id, WAITING).await.unwrap();
        alice.flush().await;

        alice.go_by(Transport::Rest).await;
        alice.go_online().await;
        let by_request = alice.client.send_text(bob_id, BY_REQUEST).await.unwrap();
        shows(&bob, by_request, &Body::Text(BY_REQUEST.to_owned())).await;
        let messages = vec![first, answer, poll, regretted, waiting, by_request];
        Self { devices: [alice, bob, laptop, carol], messages }
    }

    /// What was planted, and every secret of these people's devices, which are closed.
    pub(super) async fn secrets(&self) -> Needles {
        let mut secrets: Vec<(String, Vec<u8>)> =
            TEXTS.iter().map(|text| ("a text".to_owned(), text.as_bytes().to_vec())).collect();
        secrets.push(("a reaction".into(), REACTION.as_bytes().to_vec()));
        secrets.push(("the key of a store".into(), STORE_KEY.to_vec()));
        for device in &self.devices {
            if !device.words.is_empty() {
                secrets.push(("recovery words".into(), device.words.clone().into_bytes()));
            }
            secrets.push(("an app's token".into(), device.app_token.clone().into_bytes()));
            // The client has its store to itself.
            device.client.clone().close().await;
            secrets.extend(private_keys_of(device));
        }
        Needles::new(secrets)
    }
}

/// The private keys in a device's store, read behind the back of the client.
fn private_keys_of(person: &Person) -> Vec<(String, Vec<u8>)> {
    let store = Connection::open(person.store_file()).unwrap();
    let key = STORE_KEY.map(|byte| format!("{byte:02x}")).concat();
    store.pragma_update(None, "key", format!("x'{key}'")).unwrap();
    let columns = ["account_secret", "device_secret", "identity_secret", "mls_secret"];
    columns
        .into_iter()
        .map(|column| {
            let select = format!("SELECT {column} FROM self");
            let secret: Vec<u8> = store.query_row(&select, [], |row| row.get(0)).unwrap();
            assert!(secret.len() >= 32, "{column} is a key");
            (column.to_owned(), secret)
        })
        .collect()
}
