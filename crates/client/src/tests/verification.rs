//! Codes that one person shows and the other scans.

use sotto_ids::AccountId;
use tempfile::TempDir;

use super::server::Server;
use crate::{Client, ClientError, PeerName, RecoveryPhrase, VerificationCode};

struct Side {
    client: Client,
    account: AccountId,
    _dir: TempDir,
}

impl Side {
    async fn new(server: &Server) -> Self {
        use rand::{SeedableRng as _, rngs::StdRng};
        let (client, dir) = server.client().await;
        let phrase = RecoveryPhrase::generate(&mut StdRng::from_os_rng());
        let me = client.register(&phrase, None).await.unwrap();
        Self { client, account: me.account, _dir: dir }
    }

    async fn meet(&self, other: &Self) {
        self.client.add_contact(&PeerName::Account(other.account)).await.unwrap();
    }

    async fn code_for(&self, other: &Self) -> VerificationCode {
        let code = self.client.verification_code(other.account).await.unwrap();
        code.to_string().parse().unwrap()
    }

    async fn scan(&self, code: &VerificationCode) -> Result<(), ClientError> {
        self.client.scan(None, code).await.map(drop)
    }

    async fn refuses(&self, code: &VerificationCode) -> String {
        self.scan(code).await.unwrap_err().reason().to_owned()
    }

    async fn has_agreed(&self) -> bool {
        self.client.contacts().await.unwrap().iter().all(|contact| !contact.key_changed)
    }
}

async fn two(server: &Server) -> (Side, Side) {
    let (alice, bob) = (Side::new(server).await, Side::new(server).await);
    alice.meet(&bob).await;
    bob.meet(&alice).await;
    (alice, bob)
}

/// Changes one byte of what stands in a code.
fn with_byte(code: &VerificationCode, at: usize) -> VerificationCode {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = code.to_string();
    let (prefix, encoded) = text.rsplit_once(':').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap();
    bytes[at] ^= 1;
    format!("{prefix}:{}", URL_SAFE_NO_PAD.encode(bytes)).parse().unwrap()
}

/// C15.
#[tokio::test]
async fn two_people_scan_each_other_and_nobody_is_between() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let (hers, his) = (alice.code_for(&bob).await, bob.code_for(&alice).await);
    // Neither needs the server for it.
    server.state().chains.clear();

    alice.scan(&his).await.unwrap();
    bob.scan(&hers).await.unwrap();
}

#[tokio::test]
async fn a_code_of_somebody_unknown_makes_them_known() {
    let server = Server::start().await;
    let (alice, bob) = (Side::new(&server).await, Side::new(&server).await);
    alice.meet(&bob).await;

    let contact = bob.client.scan(Some(alice.account), &alice.code_for(&bob).await).await.unwrap();

    assert_eq!(contact.account, alice.account);
    assert_eq!(bob.client.contacts().await.unwrap().len(), 1);
}

/// Caught: a comparison of the own key alone.
#[tokio::test]
async fn after_a_rotation_the_old_codes_differ_and_new_ones_are_agreed_to() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let (hers, his) = (alice.code_for(&bob).await, bob.code_for(&alice).await);

    bob.client.rotate_account().await.unwrap();
    alice.client.chain(bob.account).await.unwrap();

    assert_eq!(alice.refuses(&his).await, "code_differs");
    assert_eq!(bob.refuses(&hers).await, "code_differs");
    assert!(!alice.has_agreed().await, "she still has to look");
    bob.scan(&alice.code_for(&bob).await).await.unwrap();
    alice.scan(&bob.code_for(&alice).await).await.unwrap();
    assert!(alice.has_agreed().await);
}

#[tokio::test]
async fn a_code_with_another_key_of_either_side_differs() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let his = bob.code_for(&alice).await;

    for at in [32, 63, 96, 127] {
        assert_eq!(alice.refuses(&with_byte(&his, at)).await, "code_differs", "byte {at}");
    }
}

/// Caught: a code of which the number was looked at and the hash was not.
#[tokio::test]
async fn a_wrong_head_is_flagged() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let his = bob.code_for(&alice).await;

    for at in [136, 167] {
        assert_eq!(alice.refuses(&with_byte(&his, at)).await, "code_forked", "the hash, at {at}");
    }
    // A number that no server has an op for.
    assert_eq!(alice.refuses(&with_byte(&his, 135)).await, "code_forked");
    alice.scan(&his).await.expect("nothing has changed");
}

#[tokio::test]
async fn a_head_that_is_newer_here_is_looked_up_and_one_that_is_older_there_is_flagged() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let old = bob.code_for(&alice).await;
    bob.client.set_handle(&"bob".parse().unwrap()).await.unwrap();

    alice.scan(&bob.code_for(&alice).await).await.expect("the chain is fetched first");

    assert_eq!(alice.refuses(&old).await, "code_older");
    // A server that keeps the newest op from Alice is found out by the code.
    let carol = Side::new(&server).await;
    let hidden = server.state().chains.get_mut(&bob.account).unwrap().pop().unwrap();
    carol.meet(&bob).await;
    server.state().chains.get_mut(&bob.account).unwrap().push(hidden);
    bob.meet(&carol).await;
    let for_carol = bob.code_for(&carol).await;
    server.state().chains.get_mut(&bob.account).unwrap().pop();
    assert_eq!(carol.refuses(&for_carol).await, "code_forked");
}

#[tokio::test]
async fn a_code_that_is_not_for_us_or_of_somebody_else_is_named() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let carol = Side::new(&server).await;
    carol.meet(&alice).await;
    let (his, carols) = (bob.code_for(&alice).await, carol.code_for(&alice).await);

    assert_eq!(carol.refuses(&his).await, "code_of_another_account");
    assert_eq!(bob.refuses(&his).await, "code_of_another_account", "his own");
    let expected = alice.client.scan(Some(bob.account), &carols).await.unwrap_err();
    assert_eq!(expected.reason(), "code_of_another_account");
    let stranger = alice.client.verification_code(carol.account).await.unwrap_err();
    assert_eq!(stranger.reason(), "unknown_account");
    let oneself = alice.client.verification_code(alice.account).await.unwrap_err();
    assert_eq!(oneself.reason(), "unknown_account");
}
