use super::*;

#[test]
fn a_hint_goes_straight_out_and_once() {
    let mut script = Script::live();

    assert_eq!(script.event(Event::Delivery(stored(1))), delivered([1]));
    assert!(script.event(Event::Delivery(stored(1))).is_empty());
    script.frame(ack(1, [1]));
    assert!(script.event(Event::Delivery(stored(1))).is_empty(), "a hint that came late");
}

#[test]
fn a_full_window_sends_the_socket_back_to_pulling() {
    let mut script = Script::live();
    for number in 0..128 {
        assert_eq!(script.event(Event::Delivery(stored(number))), delivered([number]));
    }

    assert!(script.event(Event::Delivery(stored(128))).is_empty());
    assert_eq!(names(&script.frame(ack(1, 0..63))), ["acknowledge"]);
    let actions = script.frame(ack(1, [63]));

    assert_eq!(names(&actions), ["acknowledge", "pull"]);
    assert_eq!(script.event(page([128], true)), delivered([128]));
    assert_eq!(script.event(Event::Delivery(stored(129))), delivered([129]), "live again");
}

#[test]
fn missed_hints_are_pulled() {
    let mut script = Script::live();
    script.event(Event::Delivery(stored(1)));

    assert_eq!(script.event(Event::Missed), [pull([1], 100)]);
    assert!(script.event(Event::Missed).is_empty(), "one page at a time");
    let actions = script.event(page([2], true));

    assert_eq!(actions, [delivered([2]), vec![pull([1, 2], 100)]].concat());
}

#[test]
fn a_queue_that_nothing_was_heard_of_is_read_now_and_then() {
    let mut script = Script::live();
    let mut pulls = vec![];
    while script.now_ms < START_MS + TOKEN_MS - 1_000 {
        script.machine.alive();
        let actions = script.pass(Duration::from_secs(1));
        if names(&actions).contains(&"pull") {
            pulls.push((script.now_ms - START_MS) / 1000);
            script.event(page([], true));
        }
    }

    assert_eq!(pulls.len(), 1, "{pulls:?}");
    assert!((300..=375).contains(&pulls[0]), "{pulls:?}");
}

#[test]
fn a_low_stock_of_prekeys_is_told() {
    let mut script = Script::live();
    let low = Event::PrekeysLow { one_time_ec: 3, one_time_kyber: 4 };

    assert_eq!(names(&script.event(low)), ["prekeys_low"]);
}

#[test]
fn what_is_ephemeral_passes_at_once_whatever_the_queue_does() {
    let passed = [Action::Pass(encoded(7))];
    let mut pulling = Script::admitted();
    assert_eq!(pulling.event(Event::Ephemeral(encoded(7))), passed);

    let mut full = Script::live();
    for number in 0..128 {
        full.event(Event::Delivery(stored(number)));
    }
    assert_eq!(full.event(Event::Ephemeral(encoded(7))), passed, "it takes no room in the window");

    let mut early = Script::new();
    early.feed(Input::Opened { token: Some("token".to_owned()) });
    early.verified(0, Ok(identity(1, START_MS + TOKEN_MS)));
    assert!(early.event(Event::Ephemeral(encoded(7))).is_empty(), "not before Hello");
}

#[test]
fn what_is_ephemeral_is_never_delivered_again() {
    let mut script = Script::live();
    script.event(Event::Ephemeral(encoded(7)));

    for _ in 0..120 {
        script.machine.alive();
        assert!(script.pass(Duration::from_secs(1)).iter().all(|action| *action == Action::Ping));
    }
}
