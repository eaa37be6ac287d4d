//! A second device through the mailbox, with a server that may be dishonest.

use rand::{SeedableRng as _, rngs::StdRng};
use tokio::join;

use super::server::Server;
use crate::{
    Client, ClientError, DeviceLink, Me, RecoveryPhrase,
    link::{
        messages::{Invitation, Offer},
        seal::{LinkKeys, seal_to_link},
    },
    signal::keys::signing_key,
};

fn phrase(number: u64) -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut StdRng::seed_from_u64(number))
}

async fn registered(server: &Server, number: u64) -> (Client, tempfile::TempDir, Me) {
    let (client, dir) = server.client().await;
    let me = client.register(&phrase(number), None).await.unwrap();
    (client, dir, me)
}

/// The text, as it is after somebody has carried it.
fn carried(link: &DeviceLink) -> DeviceLink {
    link.to_string().parse().unwrap()
}

#[tokio::test]
async fn a_device_is_linked_by_a_text_that_the_server_never_sees() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    let (laptop, _laptop) = server.client().await;

    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());
    let (approved, linked) =
        join!(phone.approve_link(&link, false), pending.finish(Some(me.account)));

    let linked = linked.unwrap();
    assert_eq!(linked.account, me.account);
    assert_eq!(linked.device, approved.unwrap());
    assert!(!linked.admin);
    let refused = laptop.rotate_account().await.unwrap_err();
    assert_eq!(refused.reason(), "not_admin");
    let text = link.to_string();
    let key = text.rsplit(':').next().unwrap().as_bytes();
    let holds_key = |bytes: &Vec<u8>| bytes.windows(key.len()).any(|part| part == key);
    assert!(!server.state().slots.values().any(holds_key));
}

#[tokio::test]
async fn a_device_that_is_linked_as_an_admin_can_do_what_the_first_one_can() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    let (laptop, _laptop) = server.client().await;

    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());
    let (approved, linked) = join!(phone.approve_link(&link, true), pending.finish(None));
    approved.unwrap();
    assert!(linked.unwrap().admin);
    laptop.revoke_device(me.device).await.unwrap();

    let chain = laptop.chain(me.account).await.unwrap();
    assert_eq!(chain.devices[0].revoked_at_seq, Some(2));
    assert_eq!(chain.ops.last().unwrap().kind, "rotate_account");
    let refused = phone.rotate_account().await.unwrap_err();
    assert_eq!(refused.reason(), "not_admin", "the key that it has is an old one");
}

#[tokio::test]
async fn what_the_server_puts_into_a_slot_is_seen_to_be_no_ones() {
    let server = Server::start().await;
    let (phone, _phone, _) = registered(&server, 1).await;
    let (laptop, _laptop) = server.client().await;

    let pending = laptop.open_link().await.unwrap();
    let slot = format!("{}/request", pending.link().id());
    server.state().slots.insert(slot, vec![7; 200]);
    let refused = pending.finish(None).await.unwrap_err();
    assert_eq!(refused.reason(), "link_swapped");

    let pending = laptop.open_link().await.unwrap();
    let slot = format!("{}/answer", pending.link().id());
    server.state().slots.insert(slot, vec![7; 200]);
    let refused = phone.approve_link(pending.link(), true).await.unwrap_err();
    assert_eq!(refused.reason(), "link_swapped");
}

/// Caught when the signature of the offer was not looked at: the laptop asked Mallory for a
/// place.
#[tokio::test]
async fn who_has_seen_the_text_cannot_speak_for_an_account() {
    let server = Server::start().await;
    let (_phone, _dir, me) = registered(&server, 1).await;
    let (laptop, _laptop) = server.client().await;
    let pending = laptop.open_link().await.unwrap();
    let (link, rng) = (carried(pending.link()), &mut StdRng::seed_from_u64(5));
    let state = sotto_identity::replay(&server.ops(me.account)).unwrap();

    // Mallory knows the key of the link, and Alice's chain, which is public.
    let (reply, key) = (LinkKeys::generate(rng), signing_key(rng));
    let offer = Offer::sign(&link, &state, reply.public(), false, &key);
    let forged = Invitation::Offer(Box::new(offer)).encode();
    let sealed = seal_to_link(&link, &forged, rng).unwrap();
    server.state().slots.insert(format!("{}/request", link.id()), sealed);

    let refused = pending.finish(Some(me.account)).await.unwrap_err();
    assert_eq!(refused.reason(), "link_swapped");
}

#[tokio::test]
async fn a_link_is_used_once() {
    let server = Server::start().await;
    let (phone, _phone, _) = registered(&server, 1).await;
    let (mallory, _mallory, _) = registered(&server, 2).await;
    let (laptop, _laptop) = server.client().await;
    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());

    // Mallory looked over the person's shoulder, and is on a device of their own.
    let (taken, _) = join!(pending.finish(None), mallory.approve_link(&link, false));
    taken.unwrap();
    let refused = phone.approve_link(&link, false).await.unwrap_err();

    assert_eq!(refused.reason(), "link_taken");
}

#[tokio::test]
async fn a_device_that_expects_an_account_goes_to_no_other() {
    let server = Server::start().await;
    let (_phone, _dir, me) = registered(&server, 1).await;
    let (mallory, _mallory, _) = registered(&server, 2).await;
    let (laptop, _laptop) = server.client().await;
    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());

    let approving = async {
        tokio::time::timeout(
            std::time::Duration::from_millis(200),
            mallory.approve_link(&link, false),
        )
        .await
    };
    let (refused, _) = join!(pending.finish(Some(me.account)), approving);

    assert_eq!(refused.unwrap_err().reason(), "linked_elsewhere");
    assert!(laptop.me().await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_where_it_is_declined() {
    let server = Server::start().await;
    let (phone, _phone, _) = registered(&server, 1).await;
    let (laptop, _laptop) = server.client().await;

    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());
    server.state().expired.insert(link.id().to_owned());
    assert_eq!(pending.finish(None).await.unwrap_err().reason(), "link_expired");
    assert_eq!(phone.approve_link(&link, false).await.unwrap_err().reason(), "link_expired");

    let pending = laptop.open_link().await.unwrap();
    phone.decline_link(&carried(pending.link())).await.unwrap();
    assert_eq!(pending.finish(None).await.unwrap_err().reason(), "link_declined");
}

#[tokio::test]
async fn a_link_to_another_server_is_refused_here() {
    let server = Server::start().await;
    let (phone, _phone, _) = registered(&server, 1).await;
    let link = DeviceLink::new("umbra.chat", "abc", [9; 32]).unwrap();

    let refused = phone.approve_link(&link, false).await.unwrap_err();

    assert!(matches!(refused, ClientError::LinkElsewhere));
}

#[tokio::test]
async fn a_chain_that_is_hidden_from_the_new_device_is_found_out() {
    let server = Server::start().await;
    let (phone, _phone, me) = registered(&server, 1).await;
    phone.set_handle(&"alice".parse().unwrap()).await.unwrap();
    let whole = server.ops(me.account);
    let (laptop, _laptop) = server.client().await;
    let pending = laptop.open_link().await.unwrap();
    let link = carried(pending.link());

    let hiding = async {
        // Once the phone has made its offer, the new device is shown an older chain.
        let slot = format!("{}/request", link.id());
        while !server.state().slots.contains_key(&slot) {
            tokio::task::yield_now().await;
        }
        server.state().chains.insert(me.account, whole[..1].to_vec());
    };
    let sealed = async {
        let offering = phone.approve_link(&link, false);
        tokio::time::timeout(std::time::Duration::from_millis(500), offering).await.ok()
    };
    let ((), _) = join!(hiding, sealed);
    let refused = pending.finish(None).await.unwrap_err();

    assert_eq!(refused.reason(), "chain_rollback");
}
