use super::*;

#[test]
fn a_displaced_or_revoked_socket_ends() {
    assert_closed(&Script::live().event(Event::Displaced), CloseCode::Displaced);
    assert_closed(&Script::live().event(Event::Revoked), CloseCode::DeviceRevoked);
}

#[test]
fn a_drain_says_when_to_come_back() {
    let actions = Script::live().event(Event::Drain { reconnect_after_ms: 1234 });

    assert_closed(&actions, CloseCode::ServiceRestart);
    let Action::Send(ServerFrame { body: Some(Body::Goodbye(goodbye)), .. }) = &actions[0] else {
        panic!("{actions:?}");
    };
    assert_eq!(goodbye.reconnect_after_ms, 1234);
}

/// I-8. Caught with `leave` that closes at once: the outcome comes to a socket that is gone.
#[test]
fn a_socket_that_is_to_end_ends_with_the_last_answer_that_it_is_owed() {
    let mut script = Script::live();
    script.frame(send(0));
    script.frame(send(2));

    assert!(script.event(Event::Drain { reconnect_after_ms: 1234 }).is_empty());
    assert!(!script.machine.wants_frames(), "what comes now is for the next socket");
    assert!(script.event(Event::Outcome { frame: 0, result: accepted() }).is_empty());
    assert!(script.event(Event::Drain { reconnect_after_ms: 9 }).is_empty(), "told again");
    let actions = script.event(Event::Outcome { frame: 2, result: accepted() });

    assert_eq!(names(&actions), ["accepted", "goodbye", "close"]);
    assert_closed(&actions, CloseCode::ServiceRestart);
}

/// I-6. Caught with the end of it left out of the tick: the machine is woken without end.
#[test]
fn a_socket_that_is_to_end_waits_a_second_for_its_answers_and_no_longer() {
    let mut script = Script::live();
    script.frame(send(1));
    script.event(Event::Drain { reconnect_after_ms: 1234 });

    assert!(script.pass(Duration::from_millis(999)).is_empty());
    let actions = script.pass(Duration::from_millis(1));

    assert_closed(&actions, CloseCode::ServiceRestart);
}

#[test]
fn nothing_comes_after_the_end() {
    let mut script = Script::live();
    script.wake_at_ms = None;
    script.event(Event::Displaced);

    assert!(script.event(Event::Delivery(stored(1))).is_empty());
    assert!(script.frame(send(1)).is_empty());
    script.now_ms += 3_600_000;
    assert!(script.event(Event::Tick).is_empty());
    assert_eq!(script.wake_at_ms, None);
}

#[test]
fn a_silent_socket_is_pinged_twice_and_then_ends() {
    let mut script = Script::live();
    let mut at = vec![];
    let ended = loop {
        let actions = script.pass(Duration::from_secs(300));
        at.push((script.now_ms - START_MS) / 1000);
        if ends(&actions) {
            break actions;
        }
        assert_eq!(names(&actions), ["ping"]);
    };

    assert_closed(&ended, CloseCode::HeartbeatLost);
    // Its turn is in the middle of the period; at the first it has just been heard.
    assert_eq!(at, [44, 74, 104]);
}

#[test]
fn a_pong_keeps_the_socket_and_pings_go_on() {
    let mut script = Script::live();
    let mut pings = 0;
    while script.now_ms < START_MS + 320_000 {
        let actions = script.pass(Duration::from_secs(1));
        pings += names(&actions).iter().filter(|&&name| name == "ping").count();
        script.machine.alive();
    }

    assert_eq!(pings, 10, "one in each period");
}

#[test]
fn a_socket_that_talks_is_not_pinged() {
    let mut script = Script::live();
    for round in 0..20 {
        let actions = script.pass(Duration::from_secs(14));
        assert!(actions.is_empty(), "{actions:?} in round {round}");
        script.frame(ack(1, []));
    }
}
