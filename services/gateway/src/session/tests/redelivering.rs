use super::*;

const AFTER: Duration = Duration::from_secs(60);
const ALMOST: Duration = Duration::from_secs(59);

/// Lets time pass, on a socket that answers pings; gives what comes of it but for those.
fn pass(script: &mut Script, time: Duration) -> Vec<Action> {
    let until_ms = script.now_ms + millis(time);
    let mut all = vec![];
    while script.now_ms < until_ms && !ends(&all) {
        let step_ms = (until_ms - script.now_ms).min(1_000);
        script.machine.alive();
        let actions = script.pass(Duration::from_millis(step_ms));
        all.extend(actions.into_iter().filter(|action| *action != Action::Ping));
    }
    all
}

/// I-2. Caught with the call of `write_again` taken out: the page brings the envelope, and
/// it is not written.
#[test]
fn what_is_not_acknowledged_is_read_and_delivered_again() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    assert!(pass(&mut script, ALMOST).is_empty());

    assert_eq!(pass(&mut script, Duration::from_secs(1)), [pull([], 100)]);
    assert_eq!(script.event(page([1], true)), delivered([1]));
    assert_eq!(script.frame(ack(5, [1])), [Action::Acknowledge(vec![id(1)])]);

    assert!(pass(&mut script, 2 * AFTER).is_empty(), "acknowledged, it comes no more");
}

#[test]
fn only_what_is_overdue_is_asked_for_again() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    pass(&mut script, AFTER / 2);
    script.event(Event::Delivery(stored(2)));

    assert_eq!(pass(&mut script, AFTER / 2), [pull([2], 100)]);
    assert_eq!(script.event(page([1, 3], true)), delivered([1, 3]));
}

#[test]
fn a_device_that_works_through_what_it_has_gets_nothing_twice() {
    let mut script = Script::live();
    for number in 0..4 {
        script.event(Event::Delivery(stored(number)));
    }

    for number in 0..4 {
        assert!(pass(&mut script, ALMOST).is_empty(), "{number}");
        script.frame(ack(number, [number]));
    }
}

#[test]
fn what_the_device_passed_over_is_overdue_all_the_same() {
    let mut script = Script::live();
    for number in 0..4 {
        script.event(Event::Delivery(stored(number)));
    }
    pass(&mut script, AFTER / 2);
    script.frame(ack(1, [2]));

    let pulled = pass(&mut script, AFTER / 2);

    let Some(Action::Pull { in_flight, .. }) = pulled.first() else { panic!("{pulled:?}") };
    assert!(in_flight.contains(&id(3)), "it was written after what is acknowledged");
    assert!(!in_flight.contains(&id(0)) && !in_flight.contains(&id(1)));
}

#[test]
fn an_ack_between_the_read_and_its_page_is_heard() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    pass(&mut script, AFTER);

    script.frame(ack(1, [1]));

    assert!(script.event(page([1], true)).is_empty());
}

#[test]
fn what_the_queue_has_no_longer_leaves_the_window() {
    let mut script = Script::live();
    for number in 0..128 {
        script.event(Event::Delivery(stored(number)));
    }
    assert_eq!(pass(&mut script, AFTER), [pull([], 100)]);

    assert!(script.event(page([], true)).is_empty());

    for number in 200..328 {
        assert_eq!(script.event(Event::Delivery(stored(number))), delivered([number]));
    }
}

#[test]
fn a_full_window_that_is_overdue_takes_no_more_than_it_holds() {
    let mut script = Script::live();
    for number in 100..228 {
        script.event(Event::Delivery(stored(number)));
    }
    pass(&mut script, AFTER);

    // Older ones have become visible, and fill the page.
    let actions = script.event(page(0..100, false));

    assert!(actions.is_empty(), "{:?}", names(&actions));
    let actions = pass(&mut script, Duration::from_secs(10));
    assert!(actions.len() < 10, "it is not asked for without end: {:?}", names(&actions));
}

/// I-6. Caught with `is_given_up` taken out of the tick: the envelope comes for ever.
#[test]
fn an_envelope_that_is_never_acknowledged_ends_the_socket() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    for again in 1..=3 {
        assert_eq!(pass(&mut script, AFTER), [pull([], 100)], "{again}");
        assert_eq!(script.event(page([1], true)), delivered([1]));
    }

    assert_closed(&pass(&mut script, AFTER), CloseCode::Unacknowledged);
}

#[test]
fn a_page_that_fails_gives_nothing_up() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    assert_eq!(names(&pass(&mut script, AFTER)), ["pull"]);

    assert!(script.event(failed_page()).is_empty());

    assert_eq!(pass(&mut script, Duration::from_secs(2)), [pull([], 100)]);
    assert_eq!(script.event(page([1], true)), delivered([1]));
}

#[test]
fn a_hint_while_something_is_read_again_is_delivered_once() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));
    pass(&mut script, AFTER);

    assert!(script.event(Event::Delivery(stored(2))).is_empty(), "it waits for the page");

    assert_eq!(script.event(page([1, 2], true)), delivered([1, 2]));
    assert_eq!(script.event(Event::Delivery(stored(3))), delivered([3]), "live again");
}
