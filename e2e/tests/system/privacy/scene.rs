//! People who use all there is, so that it all passes through the server.

use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use sotto_client::{
    Body, DeleteFor, Draft, GroupStanding, MessageId, Poll, ReceiptKind, Transport, Tuning,
    Visibility,
};
use sotto_e2e::{
    Front, PATIENCE, Person,
    person::STORE_KEY,
    raw::{Member, Party, Raw},
};
use sotto_ids::{Base64Bytes, GroupId};
use sotto_testkit::{Cluster, cluster::Builder, search::Needles, wait_for};

use crate::{
    groups::{has_packages, say, shows as group_shows, stands},
    people::shows,
};

pub(super) const HANDLES: [&str; 3] = ["quilliam", "borogove", "jabberwock"];

const FIRST: &str = "planted-first-message-marzipan-5d1c";
const ANSWER: &str = "planted-live-answer-bergamotte-77af";
const WAITING: &str = "planted-while-offline-kardamom-0e9b";
const EDITED: &str = "planted-second-thought-safran-c3d8";
const QUESTION: &str = "planted-question-of-a-poll-anis-4b61";
const OPTIONS: [&str; 2] = ["planted-option-nelke-aa90", "planted-option-piment-1f27"];
const REGRETTED: &str = "planted-and-retracted-muskat-92e4";
const BY_REQUEST: &str = "planted-by-request-vanille-e85a";
const IN_GROUP: &str = "planted-in-a-group-lorbeer-3f7d";
const GROUP_ANSWER: &str = "planted-group-answer-estragon-6c02";
const GROUP_NAME: &str = "planted-name-of-a-group-majoran-b815";
const NEW_NAME: &str = "planted-new-name-of-it-kerbel-d4a7";
const PICTURE: &[u8] = b"planted-picture-of-a-group-piment-58e1";
/// What signs in the name of the deployment: only the configuration has it.
const EXTERNAL_SENDER: &[u8; 32] = b"planted-seed-of-the-deployment!!";
/// The same, as the configuration has it.
const EXTERNAL_SENDER_BASE64: &str = "cGxhbnRlZC1zZWVkLW9mLXRoZS1kZXBsb3ltZW50ISE=";
/// Longer than most words.
const REACTION: &str = "👩‍👩‍👧‍👦";

#[rustfmt::skip]
const TEXTS: [&str; 13] = [
    FIRST, ANSWER, WAITING, EDITED, QUESTION, OPTIONS[0], OPTIONS[1], REGRETTED, BY_REQUEST,
    IN_GROUP, GROUP_ANSWER, GROUP_NAME, NEW_NAME,
];

/// Alice, Bob with a phone and a laptop, and Carol, who stays away.
pub(super) struct Scene {
    pub(super) devices: [Person; 4],
    /// What they wrote, by its name.
    pub(super) messages: Vec<MessageId>,
    /// Where some of them talk.
    pub(super) group: GroupId,
    /// What only the members of the group have.
    group_secrets: Vec<(String, Vec<u8>)>,
    _front: Front,
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
        .setting("groups.external_sender.value", EXTERNAL_SENDER_BASE64)
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
        let front = Front::before(cluster);
        let register = |app, name| Person::register_through(cluster, front.url(), app, name);
        let mut alice = register("socialink", HANDLES[0]).await;
        let mut bob = register("vignette", HANDLES[1]).await;
        let carol = register("vignette", HANDLES[2]).await;
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

        let (group, group_secrets) = Box::pin(talk(cluster, &alice, &bob)).await;

        alice.go_by(Transport::Rest).await;
        alice.go_online().await;
        let by_request = alice.client.send_text(bob_id, BY_REQUEST).await.unwrap();
        shows(&bob, by_request, &Body::Text(BY_REQUEST.to_owned())).await;
        let messages = vec![first, answer, poll, regretted, waiting, by_request];
        let devices = [alice, bob, laptop, carol];
        Self { devices, messages, group, group_secrets, _front: front }
    }

    /// What was planted, and every secret of these people's devices, which are closed.
    pub(super) async fn secrets(&self) -> Needles {
        let mut secrets: Vec<(String, Vec<u8>)> =
            TEXTS.iter().map(|text| ("a text".to_owned(), text.as_bytes().to_vec())).collect();
        secrets.extend(self.group_secrets.iter().cloned());
        secrets.push(("a picture".into(), PICTURE.to_vec()));
        secrets.push(("the external sender's seed".into(), EXTERNAL_SENDER.to_vec()));
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

/// A group with a name and a picture, which are changed; a member comes whose keys are known
/// here, and goes. What the exporter gave it in each epoch, the salts of what the group is
/// called, and its private key of MLS.
async fn talk(
    cluster: &Cluster,
    alice: &Person,
    bob: &Person,
) -> (GroupId, Vec<(String, Vec<u8>)>) {
    let raw = Raw::of(cluster);
    let hatter = cluster.app_token("socialink", "hatter");
    let hatter = Party::register("hatter", 1, 0, hatter, &raw).await;
    let mut secrets = vec![("a key of MLS".to_owned(), hatter.keys(1).mls_seed().to_vec())];
    let mut member = Member::of(&hatter, 1);
    member.publish(2, &raw).await;
    has_packages(bob).await;

    let group = alice.client.create_group(GROUP_NAME, Some(PICTURE.to_vec())).await.unwrap();
    let others = [bob.account, hatter.account.id];
    alice.client.add_to_group(group, &others).await.unwrap();
    stands(bob, group, GroupStanding::Member).await;
    assert!(member.join(&raw).await, "a Welcome waits");
    say(alice, group, IN_GROUP).await;
    group_shows(bob, group, &[IN_GROUP]).await;
    for name in [None, Some(NEW_NAME)] {
        if let Some(name) = name {
            alice.client.rename_group(group, name).await.unwrap();
            member.catch_up(&raw).await;
        }
        let info = raw.ask(member.of_group(Method::GET, "info")).await;
        let sealed: Base64Bytes =
            serde_json::from_value(info.body["sealed_metadata"].clone()).unwrap();
        let metadata = member.open_metadata(&sealed.0);
        assert_eq!(metadata.name, name.unwrap_or(GROUP_NAME));
        secrets.push(("a salt".to_owned(), metadata.salt.to_vec()));
        secrets.push(("a key of the exporter".to_owned(), member.metadata_key()));
    }
    alice.client.remove_from_group(group, &[hatter.account.id]).await.unwrap();
    say(bob, group, GROUP_ANSWER).await;
    group_shows(alice, group, &[IN_GROUP, GROUP_ANSWER]).await;
    (group, secrets)
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
