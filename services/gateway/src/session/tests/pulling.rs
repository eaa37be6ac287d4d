use super::*;

#[test]
fn pages_come_until_the_last_and_then_the_queue_is_empty_once() {
    let mut script = Script::admitted();

    let first = script.event(page(0..100, false));
    assert_eq!(first, delivered(0..100), "the window has no room for a page");
    let up = script.frame(ack(1, 0..100));
    assert_eq!(names(&up), ["acknowledge", "pull"]);
    let last = script.event(page(100..130, true));
    assert_eq!(names(&last[30..]), ["queue_empty"]);

    let again = script.event(Event::Missed);
    assert_eq!(names(&again), ["pull"]);
    assert!(script.event(page([], true)).is_empty(), "QueueEmpty comes once");
}

#[test]
fn the_next_page_waits_until_half_of_the_window_is_free() {
    let mut script = Script::admitted();
    script.event(page(0..100, false));

    assert_eq!(names(&script.frame(ack(1, 0..35))), ["acknowledge"], "65 are in flight");
    let actions = script.frame(ack(1, [35]));

    assert_eq!(names(&actions), ["acknowledge", "pull"]);
    let Action::Pull { in_flight, limit } = &actions[1] else { panic!("{actions:?}") };
    assert_eq!(*limit, 64);
    assert!((36..100).all(|number| in_flight.contains(&id(number))), "those in flight");
    assert!((0..36).all(|number| in_flight.contains(&id(number))), "those just acknowledged");
}

#[test]
fn an_acknowledged_envelope_is_left_out_only_for_a_while() {
    let mut script = Script::admitted();
    script.event(page(0..3, true));
    script.frame(ack(1, 0..3));
    script.pass(Duration::from_secs(3));

    assert_eq!(script.event(Event::Missed), [pull([], 100)]);
}

#[test]
fn what_a_page_brings_again_is_not_written_again() {
    let mut script = Script::admitted();
    script.event(page(0..3, false));

    let actions = script.event(page([1, 2, 3], true));

    assert_eq!(actions[..1], delivered([3])[..]);
    assert_eq!(names(&actions[1..]), ["queue_empty"]);
}

#[test]
fn hints_are_held_back_until_the_page_is_here() {
    let mut script = Script::admitted();
    assert!(script.event(Event::Delivery(stored(5))).is_empty());
    assert!(script.event(Event::Delivery(stored(6))).is_empty());

    let actions = script.event(page([1, 5], true));

    assert_eq!(actions[..3], delivered([1, 5, 6])[..], "5 once, 6 after the page");
    assert_eq!(names(&actions[3..]), ["queue_empty"], "without another read");
}

#[test]
fn hints_beyond_what_can_be_held_cost_another_read() {
    let mut script = Script::admitted();
    for number in 0..300 {
        script.event(Event::Delivery(stored(number)));
    }

    // 256 were held, but the window takes 128.
    let actions = script.event(page([], true));
    assert_eq!(actions, delivered(0..128));
    let actions = script.frame(ack(1, 0..128));
    assert_eq!(names(&actions), ["acknowledge", "pull"]);
    assert_eq!(script.event(page(128..228, false)), delivered(128..228));
}

#[test]
fn hints_for_a_page_that_is_not_the_last_are_left_to_the_next() {
    let mut script = Script::admitted();
    script.event(Event::Delivery(stored(50)));

    let actions = script.event(page(0..10, false));

    assert_eq!(actions[..10], delivered(0..10)[..]);
    assert_eq!(actions[10..], [pull(0..10, 100)]);
    let actions = script.event(page([10, 50], true));
    assert_eq!(actions[..2], delivered([10, 50])[..]);
}

#[test]
fn a_page_that_failed_is_asked_for_again_after_a_pause() {
    let mut script = Script::admitted();
    assert!(script.event(failed_page()).is_empty());
    assert!(script.event(Event::Delivery(stored(1))).is_empty(), "a hint is no reason");

    assert!(script.pass(Duration::from_millis(999)).is_empty());
    let mut actions = script.pass(Duration::from_secs(1));

    assert_eq!(actions.pop(), Some(pull([], 100)));
    assert!(actions.is_empty());
}

#[test]
fn a_replica_that_is_attached_cuts_the_pause_short() {
    let mut script = Script::admitted();
    script.event(failed_page());

    assert_eq!(script.event(Event::Missed), [pull([], 100)]);
}

#[test]
fn a_failed_page_does_not_make_a_full_window_spin() {
    let mut script = Script::live();
    for number in 0..128 {
        script.event(Event::Delivery(stored(number)));
    }
    script.frame(ack(1, 0..64));
    script.event(Event::Missed);
    script.event(failed_page());
    for number in 200..300 {
        script.event(Event::Delivery(stored(number)));
    }

    let mut ticks = 0;
    let until_ms = script.now_ms + 20_000;
    while script.now_ms < until_ms {
        script.machine.alive();
        script.pass(Duration::from_millis(100));
        ticks += usize::from(script.wake_at_ms.is_some_and(|at_ms| at_ms <= script.now_ms));
    }
    assert_eq!(ticks, 0, "no wake lies in the past");
}

#[test]
fn a_page_that_nobody_asked_for_is_passed_over() {
    let mut script = Script::live();
    assert!(script.event(page([1], true)).is_empty());
}

#[test]
fn what_was_turned_away_is_told_before_the_queue_is_empty() {
    let mut script = Script::admitted();
    let overflow = Some(QueueOverflow { since_ms: START_MS, turned_away: 3 });
    let last = Page { envelopes: vec![stored(1)], last: true, overflow, ..Page::default() };

    let actions = script.event(Event::Page(last));

    assert_eq!(names(&actions), ["deliver", "queue_overflow", "queue_empty"]);
    let Action::Send(ServerFrame { body: Some(Body::QueueOverflow(told)), .. }) = &actions[1]
    else {
        panic!("{actions:?}");
    };
    assert_eq!((told.since_ms, told.turned_away), (START_MS, 3));
}

#[test]
fn what_was_turned_away_later_is_told_too() {
    let mut script = Script::live();
    script.event(Event::Missed);
    let overflow = Some(QueueOverflow { since_ms: START_MS, turned_away: 1 });

    let actions = script.event(Event::Page(Page { last: true, overflow, ..Page::default() }));

    assert_eq!(names(&actions), ["queue_overflow"]);
}

/// I-7. Caught with the arm for revoked pages taken out: the socket stays, and its queue
/// counts as empty.
#[test]
fn a_page_of_a_device_that_was_revoked_ends_the_socket() {
    for mut script in [Script::admitted(), Script::live()] {
        let revoked = Page { revoked: true, last: true, ..Page::default() };

        let actions = script.event(Event::Page(revoked));

        assert_closed(&actions, CloseCode::DeviceRevoked);
        assert_eq!(names(&actions), ["goodbye", "close"]);
        assert!(!CloseCode::DeviceRevoked.reconnect());
    }
}
