//! Accounts whose keys change, and who is told.

use sotto_client::{ConnectionState, Event};
use sotto_e2e::{PATIENCE, Person};
use sotto_testkit::{Cluster, wait_for};

/// Everybody who may be told hears of another account key; nothing is sent to it before
/// a person agrees.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_told_of_a_new_account_key_and_agree_before_they_write() {
    let cluster = Cluster::builder().gateways(2).start().await.unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;
    alice.send(bob_id, "hello").await;
    bob.receives(1).await;
    let before = alice.client.safety_number(bob_id).await.unwrap();

    bob.client.rotate_account().await.unwrap();
    let is_bob = |event: &Event| matches!(event, Event::IdentityChanged { account, held: true } if *account == bob_id);
    alice.events.wait_for(PATIENCE, is_bob).await.unwrap();

    let after = alice.client.safety_number(bob_id).await.unwrap();
    assert_ne!(after, before);
    assert_eq!(after, bob.client.safety_number(alice.account).await.unwrap());
    alice.write(bob_id, "is that you?").await;
    bob.send(alice.account, "it is").await;
    alice.receives(1).await;
    assert_eq!(bob.received().await, ["hello"], "held until she agrees");
    alice.client.accept_identity(bob_id).await.unwrap();
    assert_eq!(bob.receives(2).await, ["hello", "is that you?"]);
    cluster.stop().await.unwrap();
}

/// C08: the words bring an account back. It keeps its id, its handle and those who know
/// it; whoever had it is out.
#[tokio::test(flavor = "multi_thread")]
async fn the_words_bring_an_account_back_and_whoever_had_it_is_out() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let stolen = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    let accomplice = stolen.link_device(&cluster, true, 0).await;
    for person in [&alice, &stolen, &accomplice] {
        person.go_online().await;
    }
    alice.send(bob_id, "before").await;
    stolen.receives(1).await;
    accomplice.receives(1).await;

    let bob = Person::recover(&cluster, "vignette", "bob", &stolen.words).await;
    assert_eq!(bob.account, bob_id);
    let me = bob.client.me().await.unwrap().unwrap();
    assert!(me.admin);
    assert_eq!(me.handle.unwrap().as_str(), "bob");
    for out in [&stolen, &accomplice] {
        let gone = out.client.connection();
        wait_for(PATIENCE, "the thieves to be off their sockets for good", || async {
            let state = gone.borrow().clone();
            if matches!(state, ConnectionState::Stopped { .. }) { Ok(()) } else { Err(state) }
        })
        .await;
    }

    bob.go_online().await;
    alice.write(bob_id, "after").await;
    let changed = |event: &Event| matches!(event, Event::IdentityChanged { held: true, .. });
    alice.events.wait_for(PATIENCE, changed).await.unwrap();
    alice.client.accept_identity(bob_id).await.unwrap();
    assert_eq!(bob.receives(1).await, ["after"]);
    bob.meet("alice").await;
    bob.send(alice.account, "I am back").await;
    assert_eq!(alice.receives(1).await, ["I am back"]);
    assert_eq!(stolen.received().await, ["before"]);
    assert_eq!(accomplice.received().await, ["before"]);
    cluster.stop().await.unwrap();
}

/// Words that were replaced open nothing, and the new ones do.
#[tokio::test(flavor = "multi_thread")]
async fn words_that_were_replaced_open_nothing() {
    let cluster = Cluster::builder().start().await.unwrap();
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let thief = Person::register(&cluster, "socialink", "thief", 0).await;
    let old = bob.words.parse().unwrap();
    let new = thief.words.parse().unwrap();

    bob.client.set_recovery(&old, &new).await.unwrap();

    let chain = bob.client.chain(bob.account).await.unwrap();
    assert_eq!(chain.ops.last().unwrap().kind, "set_recovery");
    let refused = bob.client.set_recovery(&old, &old).await.unwrap_err();
    assert_eq!(refused.reason(), "wrong_phrase");
    let back = Person::recover(&cluster, "vignette", "bob", &thief.words).await;
    assert_eq!(back.account, bob.account);
    cluster.stop().await.unwrap();
}
