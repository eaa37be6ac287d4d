//! People with several devices.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sotto_client::ConnectionState;
use sotto_e2e::{PATIENCE, Person};
use sotto_testkit::{Cluster, Role, wait_for};
use sqlx::{Connection as _, PgConnection};

/// C06, C25: two devices of one account each receive each message once, sender and
/// receivers on different gateways, and the sends spread over two replicas.
#[tokio::test(flavor = "multi_thread")]
async fn two_devices_of_one_account_each_receive_each_message_once() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let bob = Person::register(&cluster, "vignette", "bob", 1).await;
    let laptop = bob.add_device(&cluster, 0).await;
    let mut senders = Vec::new();
    for n in 0..6 {
        senders.push(Person::register(&cluster, "socialink", &format!("sender{n}"), n % 2).await);
    }
    bob.go_online().await;
    laptop.go_online().await;

    join_all(senders.iter().enumerate().map(|(n, sender)| async move {
        let bob_id = sender.meet("bob").await;
        sender.go_online().await;
        for m in 0..20 {
            sender.write(bob_id, &format!("{n}:{m:02}")).await;
        }
        sender.flush().await;
    }))
    .await;

    let expected = senders.len() * 20;
    for device in [&bob, &laptop] {
        let received = device.receives(expected).await;
        assert_eq!(received.len(), expected, "each once");
        for n in 0..senders.len() {
            let of_one: Vec<_> =
                received.iter().filter(|text| text.starts_with(&format!("{n}:"))).collect();
            assert!(of_one.is_sorted() && of_one.len() == 20, "in the order sent: {of_one:?}");
        }
    }
    for replica in 0..2 {
        let accepted =
            cluster.metric(Role::Messages, replica, "sotto_messages_accepted_total").await.unwrap();
        assert!(accepted > 0.0, "replica {replica} had a part in it");
    }
    cluster.stop().await.unwrap();
}

/// C25: a sender who does not know of a new device is told so, and what it sends then
/// goes to both.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_just_added_gets_the_next_message() {
    let cluster = Cluster::builder().start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;
    alice.send(bob_id, "to the phone").await;
    bob.receives(1).await;

    let laptop = bob.add_device(&cluster, 0).await;
    laptop.go_online().await;
    alice.send(bob_id, "to both").await;

    assert_eq!(laptop.receives(1).await, ["to both"]);
    assert_eq!(bob.receives(2).await, ["to the phone", "to both"]);
    cluster.stop().await.unwrap();
}

/// A store that was copied, or restored from a backup, is the same device twice. The
/// newer connection has the place, and the older one does not fight for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_connects_twice_is_in_the_newer_place_only() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let alice_id = bob.meet("alice").await;
    let (older, newer) = alice.copy_device(&cluster, 1).await;
    older.go_online().await;

    newer.go_online().await;

    let states = older.client.connection();
    wait_for(PATIENCE, "the older connection to end for good", || async {
        let state = states.borrow().clone();
        let displaced = ConnectionState::Stopped { reason: "displaced".to_owned() };
        if state == displaced { Ok(()) } else { Err(state) }
    })
    .await;
    bob.go_online().await;
    bob.send(alice_id, "where are you?").await;
    assert_eq!(newer.receives(1).await, ["where are you?"]);
    assert_eq!(older.received().await, [""; 0]);
    cluster.stop().await.unwrap();
}

/// C06, I-7: a device that is linked through the server gets what is sent from then on.
/// Once it is revoked it is off its socket, gets nothing more, and comes back by no way.
#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_gets_everything_until_it_is_revoked() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    alice.go_online().await;
    bob.go_online().await;

    let laptop = bob.link_device(&cluster, false, 1).await;
    laptop.go_online().await;
    alice.send(bob_id, "to both").await;
    assert_eq!(bob.receives(1).await, ["to both"]);
    assert_eq!(laptop.receives(1).await, ["to both"]);

    let number = laptop.client.me().await.unwrap().unwrap().device;
    bob.client.revoke_device(number).await.unwrap();
    is_out(&laptop).await;
    alice.send(bob_id, "to the phone").await;

    assert_eq!(bob.receives(2).await, ["to both", "to the phone"]);
    let seen: Vec<_> =
        alice.client.contacts().await.unwrap().into_iter().map(|bob| bob.live_devices).collect();
    assert_eq!(seen, [[bob.client.me().await.unwrap().unwrap().device]]);
    // Its token is still good for a while, and gets it a Hello and nothing else.
    laptop.client.go_online().await.unwrap();
    is_out(&laptop).await;
    let fetched = laptop.client.prekey_count().await.unwrap_err();
    assert_eq!(fetched.reason(), "device_revoked");
    assert_eq!(laptop.received().await, ["to both"]);
    cluster.stop().await.unwrap();
}

/// I-7 through the whole system: the account's other device revokes it, at another gateway
/// and with nothing on its way to it. It is off its socket within a second of the answer,
/// stays off it, and the next message is encrypted for the device that is left alone.
///
/// Caught: a revocation that publishes no notice to the gateway. The socket is still open
/// after a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_another_revokes_is_off_its_socket_within_a_second() {
    let cluster = Cluster::builder().gateways(2).messages(2).start().await.unwrap();
    let alice = Person::register(&cluster, "socialink", "alice", 0).await;
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let bob_id = alice.meet("bob").await;
    let laptop = bob.link_device(&cluster, false, 1).await;
    for device in [&alice, &bob, &laptop] {
        device.go_online().await;
    }
    alice.send(bob_id, "to both").await;
    assert_eq!(laptop.receives(1).await, ["to both"]);
    let number = laptop.client.me().await.unwrap().unwrap().device;

    let revocation = async {
        bob.client.revoke_device(number).await.unwrap();
        Instant::now()
    };
    let end = async {
        is_out(&laptop).await;
        Instant::now()
    };
    let (answered, ended) = tokio::join!(revocation, end);

    let late = ended.saturating_duration_since(answered);
    assert!(late <= Duration::from_secs(1), "{late:?} after the answer");
    laptop.client.go_online().await.unwrap();
    is_out(&laptop).await;

    // What is encrypted for a device that is away stays in its queue.
    bob.client.go_offline().await;
    alice.send(bob_id, "to the phone").await;
    let mut db = PgConnection::connect(cluster.database_url()).await.unwrap();
    let queues = "SELECT DISTINCT device FROM messages.queue WHERE account = $1 ORDER BY device";
    let waiting: Vec<i16> =
        sqlx::query_scalar(queues).bind(bob_id.uuid().as_uuid()).fetch_all(&mut db).await.unwrap();
    assert_eq!(waiting, [bob.client.me().await.unwrap().unwrap().device.as_i16()]);
    bob.go_online().await;
    assert_eq!(bob.receives(2).await, ["to both", "to the phone"]);
    assert_eq!(laptop.received().await, ["to both"]);
    cluster.stop().await.unwrap();
}

/// An admin that is revoked takes the account key with it, so that key is replaced in the
/// same breath.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_that_is_revoked_can_do_nothing_with_the_key_it_has() {
    let cluster = Cluster::builder().start().await.unwrap();
    let bob = Person::register(&cluster, "vignette", "bob", 0).await;
    let laptop = bob.link_device(&cluster, true, 0).await;
    let before = bob.client.chain(bob.account).await.unwrap();

    laptop.client.revoke_device(bob.client.me().await.unwrap().unwrap().device).await.unwrap();

    let after = laptop.client.chain(bob.account).await.unwrap();
    assert_ne!(after.account_key, before.account_key);
    let refused = bob.client.rotate_account().await.unwrap_err();
    assert_eq!(refused.reason(), "not_admin");
    laptop.client.rotate_account().await.unwrap();
    cluster.stop().await.unwrap();
}

async fn is_out(device: &Person) {
    let state = device.client.connection();
    wait_for(PATIENCE, "the device to be off its socket for good", || async {
        let state = state.borrow().clone();
        let revoked = ConnectionState::Stopped { reason: "device_revoked".to_owned() };
        if state == revoked { Ok(()) } else { Err(state) }
    })
    .await;
}
