use super::*;

#[tokio::test]
async fn a_device_is_told_its_groups_when_it_enters_when_they_change_and_when_it_is_told_so() {
    let hub = Hub::new();
    let (none, socket) = (hub.enter(1), hub.enter(2));
    hub.listed(&none, &[]);
    assert!(none.events().is_empty(), "nothing to tell");
    hub.listed(&socket, &[head(1, 3), head(2, 4)]);
    assert_eq!(socket.told(), [(vec![3, 4], true)]);

    hub.listed(&socket, &[head(1, 3), head(2, 4)]);
    assert!(socket.events().is_empty(), "the same as before");
    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)]);
    hub.groups.changed(socket.handle.connection);
    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)], "something has changed, whatever it is");
    hub.groups.changed(none.handle.connection);
    hub.listed(&none, &[]);
    assert_eq!(none.told(), [(vec![], true)]);
}

/// Caught with the groups that are gone left subscribed.
#[tokio::test]
async fn a_device_that_was_removed_gets_nothing_more() {
    let hub = Hub::new();
    let (stays, goes) = (hub.enter(1), hub.enter(2));
    for socket in [&stays, &goes] {
        hub.listed(socket, &[head(1, 0)]);
        socket.told();
    }

    hub.groups.changed(goes.handle.connection);
    hub.listed(&goes, &[]);
    goes.told();
    hub.groups.publish(&publication(1, 1, 1));

    assert!(goes.events().is_empty());
    assert_eq!(stays.events().len(), 1);
}

#[tokio::test]
async fn a_change_that_comes_while_the_groups_are_read_has_them_read_again() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    let connection = socket.handle.connection;
    hub.groups.is_asked(connection);
    hub.groups.listing.queue.lock().unwrap().clear();
    hub.groups.changed(connection);
    assert_eq!(hub.queued(), 0, "one question at a time");

    hub.groups.listed(connection, vec![]);

    assert_eq!(hub.queued(), 1);
    hub.groups.changed(connection);
    assert_eq!(hub.queued(), 1);
}

#[tokio::test(start_paused = true)]
async fn groups_that_could_not_be_read_are_asked_for_again() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.groups.listing.queue.lock().unwrap().clear();
    hub.groups.is_asked(socket.handle.connection);
    hub.groups.unlisted(socket.handle.connection);

    hub.sweep();
    assert_eq!(hub.queued(), 0);
    advance(1_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 1);

    hub.listed(&socket, &[head(1, 3)]);
    assert_eq!(socket.told(), [(vec![3], true)], "it was never told");
    hub.groups.listing.queue.lock().unwrap().clear();
    advance(299_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 0);
    advance(76_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.queued(), 1, "now and then, for no reason");
}

/// I-6. Caught with the permits given back at once: all five hundred are asked for.
#[tokio::test]
async fn so_many_devices_are_asked_for_at_once_and_the_others_wait() {
    let hub = Hub::with(|config| config.list_at_once = 10);
    let sockets: Vec<_> = (0..50).map(|number| hub.enter(number)).collect();
    let mut received = hub.attach();
    let asking = hub.groups.ask_for_lists();
    let answering = async {
        for round in 0..5 {
            for _ in 0..10 {
                let asked = received.recv().await.unwrap();
                assert!(matches!(asked, Item::ListGroups(_)), "{asked:?}");
            }
            tokio::task::yield_now().await;
            assert!(received.is_empty(), "round {round}");
            for socket in &sockets[round * 10..(round + 1) * 10] {
                hub.groups.listed(socket.handle.connection, vec![]);
            }
        }
    };

    hub.groups.can_list();
    tokio::select! {
        () = asking => panic!("it never ends"),
        () = answering => {}
    }
}

/// I-6. Caught with the bounds not looked at.
#[tokio::test]
async fn groups_beyond_the_bounds_are_told_and_not_followed() {
    let hub = Hub::with(|config| config.max_groups = 2);
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 1), head(2, 1), head(3, 1)]);
    assert_eq!(socket.told(), [(vec![1, 1, 1], true)]);

    for number in 1..=3 {
        hub.groups.publish(&publication(number, 2, 2));
    }

    assert_eq!(socket.events().len(), 2);
    assert_eq!(hub.groups.watched.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_followed_for_a_while_after_its_last_socket() {
    let hub = Hub::new();
    let socket = hub.enter(1);
    hub.listed(&socket, &[head(1, 1), head(2, 1)]);
    drop(socket);
    advance(9_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.groups.watched.len(), 2);

    // One comes back; and goes again.
    let socket = hub.enter(2);
    hub.listed(&socket, &[head(1, 1)]);
    advance(1_000 * MS).await;
    hub.sweep();
    assert_eq!(hub.groups.watched.len(), 1);
    drop(socket);
    advance(10_000 * MS).await;
    hub.sweep();

    assert_eq!(hub.groups.watched.len(), 0);
    assert_eq!(hub.groups.subscriptions.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert!(hub.groups.members.is_empty());
}
