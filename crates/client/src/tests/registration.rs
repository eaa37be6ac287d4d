//! What opening an account costs, and the shelf that a device fills then.

use super::server::Server;
use crate::{
    RecoveryPhrase,
    prekey_check::{Verdict, check_if_due},
};

fn phrase() -> RecoveryPhrase {
    use rand::{SeedableRng as _, rngs::StdRng};
    RecoveryPhrase::generate(&mut StdRng::seed_from_u64(1))
}

#[tokio::test]
async fn work_is_done_where_it_is_asked_for() {
    let server = Server::start().await;
    server.state().work_bits = Some(10);
    let (client, _dir) = server.client().await;

    client.register(&phrase(), None).await.unwrap();
}

#[tokio::test]
async fn work_without_end_is_refused() {
    let server = Server::start().await;
    server.state().work_bits = Some(200);
    let (client, _dir) = server.client().await;

    let refused = client.register(&phrase(), None).await.unwrap_err();

    assert_eq!(refused.reason(), "malformed_answer");
}

#[tokio::test]
async fn an_invite_is_shown_where_one_is_needed() {
    let server = Server::start().await;
    server.state().invite = Some("friend");
    let (client, _dir) = server.client().await;

    let refused = client.register(&phrase(), None).await.unwrap_err();
    assert_eq!(refused.reason(), "invite_required");
    client.register_with(&phrase(), None, Some("friend")).await.unwrap();
}

#[tokio::test]
async fn a_shelf_that_is_as_it_was_left_is_no_matter() {
    let server = Server::start().await;
    let (client, _dir) = server.client().await;
    client.register(&phrase(), None).await.unwrap();
    // Somebody was handed one of each.
    server.state().prekeys.remove(&("one_time_ec", 1));

    let inner = &client.inner;
    let verdict = check_if_due(&inner.vault, &inner.rest, &inner.auth).await.unwrap();
    assert_eq!(verdict, Verdict::Same);
    server.state().prekeys.insert(("signed", 1), vec![5; 33]);
    let verdict = check_if_due(&inner.vault, &inner.rest, &inner.auth).await.unwrap();

    assert_eq!(verdict, Verdict::Same, "once a day");
}

#[tokio::test]
async fn a_signed_prekey_that_is_not_ours_is_replaced() {
    let server = Server::start().await;
    let (client, _dir) = server.client().await;
    client.register(&phrase(), None).await.unwrap();
    server.state().prekeys.insert(("signed", 1), vec![5; 33]);

    let inner = &client.inner;
    let verdict = check_if_due(&inner.vault, &inner.rest, &inner.auth).await.unwrap();

    assert_eq!(verdict, Verdict::Differed { restored: true });
    let signed = server.state().prekeys.range(("signed", 0)..=("signed", u32::MAX)).count();
    assert_eq!(signed, 2, "a new one");
}

#[tokio::test]
async fn a_one_time_prekey_that_is_not_ours_is_told() {
    let server = Server::start().await;
    let (client, _dir) = server.client().await;
    client.register(&phrase(), None).await.unwrap();
    server.state().prekeys.insert(("one_time_ec", 2), vec![5; 33]);

    let inner = &client.inner;
    let verdict = check_if_due(&inner.vault, &inner.rest, &inner.auth).await.unwrap();

    assert_eq!(verdict, Verdict::Differed { restored: false });
}
