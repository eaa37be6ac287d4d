//! A server that lies. Everything that it serves passes through somebody who changes it;
//! the client is the real one, and so is the rest of the deployment.

use prost::Message as _;
use serde_json::{Value, json};
use sotto_client::Event;
use sotto_e2e::{Answer, Front, PATIENCE, Person};
use sotto_identity::SignedOp;
use sotto_testkit::Cluster;

/// Changes the JSON of answers whose path ends like this.
fn json_of(
    end: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> impl Fn(&mut Answer) + Send + Sync + 'static {
    move |answer| {
        if answer.status == 200 && answer.path.ends_with(end) {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            change(&mut body);
            answer.body = body.to_string().into_bytes();
        }
    }
}

/// Changes the chains that are served.
fn chains(
    change: impl Fn(&mut Vec<SignedOp>) + Send + Sync + 'static,
) -> impl Fn(&mut Answer) + Send + Sync + 'static {
    move |answer| {
        if answer.status != 200 || !answer.path.contains("/ops") {
            return;
        }
        let (mut rest, mut ops) = (answer.body.as_slice(), Vec::new());
        while !rest.is_empty() {
            ops.push(SignedOp::decode_length_delimited(&mut rest).unwrap());
        }
        change(&mut ops);
        answer.body = ops.iter().flat_map(SignedOp::encode_length_delimited_to_vec).collect();
    }
}

/// The word that a first message ends with, where the bundles of its receiver are lied
/// about.
async fn first_message(lie: impl Fn(&mut Value) + Send + Sync + 'static) -> String {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let mut alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;

    front.lie(json_of("/bundles", lie));
    alice.write(bob_id, "for bob alone").await;
    let failed = alice
        .events
        .wait_for(PATIENCE, |event| matches!(event, Event::MessageFailed { .. }))
        .await
        .expect("the message to be given up");
    let Event::MessageFailed { reason, .. } = failed else { unreachable!() };

    // Nothing was sent, and once the server is honest again the next message arrives.
    front.be_honest();
    alice.send(bob_id, "again").await;
    assert_eq!(bob.receives(1).await, ["again"]);
    cluster.stop().await.unwrap();
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_bundle_key_ends_in_identity_mismatch() {
    let reason = first_message(|body| {
        // A key of the right form that nobody certified: the basepoint's.
        let mut key = [0_u8; 33];
        (key[0], key[1]) = (5, 9);
        body["devices"][0]["identity_key"] = json!(sotto_ids::Base64Bytes(key.to_vec()));
    })
    .await;

    assert_eq!(reason, "identity_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ghost_device_ends_in_ghost_device() {
    let reason = first_message(|body| {
        let mut ghost = body["devices"][0].clone();
        ghost["device_id"] = json!(9);
        body["devices"].as_array_mut().unwrap().push(ghost);
    })
    .await;

    assert_eq!(reason, "ghost_device");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripped_kyber_key_ends_in_kyber_stripped() {
    let reason = first_message(|body| body["devices"][0]["kyber"] = Value::Null).await;

    assert_eq!(reason, "kyber_stripped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_prekey_ends_in_bad_prekey_signature() {
    let reason = first_message(|body| {
        let signed = body["devices"][0]["signed_ec"].clone();
        body["devices"][0]["signed_ec"]["public_key"] =
            body["devices"][0]["one_time_ec"]["public_key"].clone();
        assert!(signed.is_object());
    })
    .await;

    assert_eq!(reason, "bad_prekey_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_shorter_than_before_ends_in_chain_rollback() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;

    front.lie(chains(|ops| drop(ops.pop())));
    let refused = alice.client.add_contact(&bob_id.into()).await.unwrap_err();

    assert_eq!(refused.reason(), "chain_rollback");
    front.be_honest();
    alice.client.add_contact(&bob_id.into()).await.expect("the pin stands");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_op_ends_in_the_name_of_the_broken_rule() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;

    // To somebody who has never seen the chain, and to somebody who has.
    front.lie(chains(|ops| ops.push(ops.last().unwrap().clone())));
    for met_before in [false, true] {
        if met_before {
            front.be_honest();
            alice.client.add_contact(&bob.account.into()).await.expect("an honest chain");
            front.lie(chains(|ops| ops.push(ops.last().unwrap().clone())));
        }
        let refused = alice.client.add_contact(&bob.account.into()).await.unwrap_err();
        assert_eq!(refused.reason(), "wrong_seq", "met before: {met_before}");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_op_whose_signature_was_changed_ends_in_bad_signature() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;

    front.lie(chains(|ops| ops[1].sigs[0].sig[0] ^= 1));
    let refused = alice.client.add_contact(&bob.account.into()).await.unwrap_err();

    assert_eq!(refused.reason(), "bad_signature");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_of_somebody_else_ends_in_chain_of_another_account() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let mallory = Person::register(&cluster, "vignette", "mallory", 0).await;

    let of_mallory =
        reqwest::get(format!("{}/v1/accounts/{}/ops?from=0", cluster.rest_url(), mallory.account))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    front.lie(move |answer| {
        if answer.path.contains("/ops") {
            answer.body = of_mallory.to_vec();
        }
    });
    let refused = alice.client.add_contact(&bob.account.into()).await.unwrap_err();

    assert_eq!(refused.reason(), "chain_of_another_account");
    cluster.stop().await.unwrap();
}

/// C03: a front that changes one member of an identity document, and then one letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_identity_document_ends_in_document_mismatch() {
    let cluster = Cluster::builder().start().await.unwrap();
    let front = Front::before(&cluster);
    let alice = Person::register_through(&cluster, front.url(), "socialink", "alice").await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let mallory = Person::register(&cluster, "vignette", "mallory", 0).await;
    let bob_name = "bob".parse().unwrap();
    let honest = alice.client.identity_document(&bob_name).await.expect("an honest document");
    assert_eq!(honest.account, bob.account);

    let other_key = json!(sotto_ids::Base64Bytes(vec![9; 32]));
    let changes = [
        ("/account", json!(mallory.account)),
        ("/uuid", json!(mallory.account.uuid())),
        ("/handle", json!("mallory@elsewhere.test")),
        ("/home", json!("elsewhere.test")),
        ("/head/seq", json!(7)),
        ("/head/hash", other_key.clone()),
        ("/chain", json!("https://elsewhere.test/")),
        ("/account_key", other_key.clone()),
        ("/devices", json!([])),
        ("/devices/0/id", json!(2)),
        ("/devices/0/identity_key", other_key.clone()),
        ("/devices/0/mls_key", other_key),
        ("/devices/0/suites", json!([])),
        ("/endpoints", json!([{ "type": "relay", "url": "https://elsewhere.test/" }])),
    ];
    for (member, value) in changes {
        front.lie(document(move |body| *body.pointer_mut(member).unwrap() = value.clone()));
        let refused = alice.client.identity_document(&bob_name).await.unwrap_err();
        assert_eq!(refused.reason(), "document_mismatch", "{member}");
    }
    // One letter of a key.
    front.lie(document(|body| {
        let key = body["account_key"].as_str().unwrap();
        let first = if key.starts_with('A') { "B" } else { "A" };
        body["account_key"] = json!(format!("{first}{}", &key[1..]));
    }));
    let refused = alice.client.identity_document(&bob_name).await.unwrap_err();
    assert_eq!(refused.reason(), "document_mismatch");

    front.be_honest();
    alice.client.identity_document(&bob_name).await.expect("the pin stands");
    cluster.stop().await.unwrap();
}

/// Changes the identity documents that are served.
fn document(
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> impl Fn(&mut Answer) + Send + Sync + 'static {
    move |answer| {
        if answer.status == 200 && answer.path.starts_with("/.well-known/chat-identity") {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            change(&mut body);
            answer.body = body.to_string().into_bytes();
        }
    }
}
