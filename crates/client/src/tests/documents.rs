//! Identity documents: what a server says of an account, held against its chain.

use serde_json::{Value, json};

use super::server::Server;
use crate::{Client, Endpoint, EndpointKind, Me, PublicName, RecoveryPhrase};

async fn registered(server: &Server, handle: &str) -> (Client, tempfile::TempDir, Me) {
    use rand::{SeedableRng as _, rngs::StdRng};
    let (client, dir) = server.client().await;
    let phrase = RecoveryPhrase::generate(&mut StdRng::from_os_rng());
    let me = client.register(&phrase, Some(&handle.parse().unwrap())).await.unwrap();
    (client, dir, me)
}

/// Changes the documents that are served from now on.
fn lie(server: &Server, mut change: impl FnMut(&mut Value) + Send + 'static) {
    server.state().lie = Some(Box::new(move |bytes| {
        let mut document = serde_json::from_slice(bytes).unwrap();
        change(&mut document);
        *bytes = document.to_string().into_bytes();
    }));
}

type Change = Box<dyn Fn(&mut Value) + Send>;

fn bob() -> PublicName {
    "bob".parse().unwrap()
}

#[tokio::test]
async fn what_the_chain_says_too_is_shown_and_the_account_is_known_from_then_on() {
    let server = Server::start().await;
    let (alice, _alice, _) = registered(&server, "alice").await;
    let (phone, _phone, me) = registered(&server, "bob").await;
    let relay = Endpoint { kind: EndpointKind::Relay, url: "https://relay.test/".to_owned() };
    phone.add_endpoint(&relay).await.unwrap();

    for name in ["bob", "@bob", "bob@lumen.chat", "bob@Lumen.Chat"] {
        let document = alice.identity_document(&name.parse().unwrap()).await.unwrap();
        let chain = alice.chain(me.account).await.unwrap();
        assert_eq!((document.account, document.uuid), (me.account, me.uuid));
        assert_eq!((document.seq, document.head), (chain.seq, chain.head));
        assert_eq!(document.account_key, chain.account_key);
        assert_eq!(document.devices[0].identity_key, chain.devices[0].identity_key);
        assert!(document.endpoints == [relay.clone()]);
    }
    let known = alice.contacts().await.unwrap();
    assert_eq!(known.iter().map(|contact| contact.account).collect::<Vec<_>>(), [me.account]);
    let nobody = alice.identity_document(&"nobody".parse().unwrap()).await.unwrap_err();
    assert_eq!(nobody.reason(), "unknown_account");
}

/// C03. Caught: a document of which only the ids and the head were compared.
#[tokio::test]
async fn a_document_with_any_byte_changed_is_refused() {
    let server = Server::start().await;
    let (alice, _alice, _) = registered(&server, "alice").await;
    let (phone, _phone, me) = registered(&server, "bob").await;
    let relay = Endpoint { kind: EndpointKind::Relay, url: "https://relay.test/".to_owned() };
    phone.add_endpoint(&relay).await.unwrap();
    alice.identity_document(&bob()).await.unwrap();
    let length = server.document("bob").unwrap().to_string().len();

    let mut mismatches = 0;
    for at in 0..length {
        server.state().lie = Some(Box::new(move |bytes| bytes[at] ^= 1));
        let refused = alice.identity_document(&bob()).await.unwrap_err();
        match refused.reason() {
            "document_mismatch" => mismatches += 1,
            // It is no JSON any more.
            reason => assert_eq!(reason, "malformed_answer", "byte {at}"),
        }
    }

    assert!(mismatches > length * 3 / 4, "{mismatches} of {length}");
    server.state().lie = None;
    let document = alice.identity_document(&bob()).await.expect("the pin stands");
    assert_eq!(document.account, me.account);
}

#[tokio::test]
async fn what_the_document_leaves_out_or_makes_up_is_refused_by_its_member() {
    let server = Server::start().await;
    let (alice, _alice, mallory) = registered(&server, "mallory").await;
    let (_bob, _phone, _) = registered(&server, "bob").await;
    let of_mallory = server.document("mallory").unwrap();
    let lies: [(&str, Change); 6] = [
        ("devices", Box::new(|said| said["devices"] = json!([]))),
        ("devices", Box::new(|said| said["devices"][0]["suites"] = json!(["X3DH"]))),
        (
            "devices",
            Box::new(|said| {
                let twice = said["devices"][0].clone();
                said["devices"].as_array_mut().unwrap().push(twice);
            }),
        ),
        (
            "devices",
            Box::new(|said| {
                let mut ghost = said["devices"][0].clone();
                ghost["id"] = json!(9);
                said["devices"].as_array_mut().unwrap().push(ghost);
            }),
        ),
        // The account of somebody else, whose chain does not claim the name.
        (
            "handle",
            Box::new(move |said| {
                *said = of_mallory.clone();
                said["handle"] = json!("bob@lumen.chat");
            }),
        ),
        ("chain", Box::new(|said| said["chain"] = json!("https://elsewhere.test/"))),
    ];

    for (member, change) in lies {
        lie(&server, move |said| change(said));
        let refused = alice.identity_document(&bob()).await.unwrap_err();
        assert_eq!(refused.reason(), "document_mismatch");
        assert!(refused.to_string().contains(&format!("`{member}`")), "{refused}");
    }
    drop(mallory);
}

#[tokio::test]
async fn a_chain_that_moves_meanwhile_is_looked_at_again() {
    let server = Server::start().await;
    let (alice, _alice, _) = registered(&server, "alice").await;
    let (phone, _phone, _) = registered(&server, "bob").await;
    let old = server.document("bob").unwrap();
    phone.rotate_account().await.unwrap();
    let mut first = Some(old.clone());
    lie(&server, move |said| *said = first.take().unwrap_or_else(|| said.clone()));

    let document = alice.identity_document(&bob()).await.unwrap();

    assert_eq!(document.seq, 2);
    lie(&server, move |said| *said = old.clone());
    let refused = alice.identity_document(&bob()).await.unwrap_err();
    assert_eq!(refused.reason(), "document_mismatch", "it stays behind the chain");
}

#[test]
fn names_are_handles_with_or_without_a_domain() {
    for wrong in ["", "@", "bob@", "@bob@", "Bob", "bob@a b", "bob@a@b", "bob@a/b"] {
        let refused = wrong.parse::<PublicName>().unwrap_err();
        assert_eq!(refused.reason(), "malformed_name", "{wrong}");
    }
}
