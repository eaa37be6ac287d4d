use super::*;

#[test]
fn a_token_of_the_upgrade_leads_to_hello_and_the_first_pull() {
    let mut script = Script::new();

    let verify = script.feed(Input::Opened { token: Some("token".to_owned()) });
    assert_eq!(verify, [Action::Verify { in_reply_to: 0, token: "token".to_owned() }]);
    let identity = identity(1, START_MS + TOKEN_MS);
    let admit = script.verified(0, Ok(identity.clone()));
    assert_eq!(admit, [Action::Admit(identity)], "nothing is read before the place is written");

    let actions = script.feed(Input::Admitted { ticket: None });
    assert_eq!(names(&actions), ["hello", "pull"]);
    let Action::Send(ServerFrame { in_reply_to: 0, body: Some(Body::Hello(hello)) }) = &actions[0]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(hello.connection, "0000000000000009");
    assert_eq!((hello.heartbeat_ms, hello.max_unacked), (30_000, 128));
    assert_eq!(hello.token_expires_at_ms, START_MS + TOKEN_MS);
    assert_eq!(hello.max_frame_bytes as usize, limits::MAX_FRAME_BYTES);
}

#[test]
fn the_first_frame_may_show_the_token_and_hello_answers_it() {
    let mut script = Script::new();
    assert!(script.feed(Input::Opened { token: None }).is_empty());

    assert_eq!(names(&script.frame(authenticate(5))), ["verify"]);
    script.verified(5, Ok(identity(1, START_MS + TOKEN_MS)));
    let actions = script.feed(Input::Admitted { ticket: None });

    assert!(matches!(&actions[0], Action::Send(ServerFrame { in_reply_to: 5, .. })));
}

#[test]
fn another_first_frame_ends_the_socket() {
    for frame in [send(3), ack(3, [1]), ClientFrame { id: 3, body: None }] {
        let mut script = Script::new();
        script.feed(Input::Opened { token: None });

        let actions = script.frame(frame);

        assert_eq!(the_error(&actions), (3, "authenticate_first"));
        assert_closed(&actions, CloseCode::AuthenticationFailed);
    }
}

#[test]
fn a_token_that_is_refused_ends_the_socket_with_its_reason() {
    for (reason, code) in [
        ("token_expired", CloseCode::TokenExpired),
        ("token_invalid", CloseCode::AuthenticationFailed),
        ("token_keys_unavailable", CloseCode::Unavailable),
    ] {
        let mut script = Script::new();
        script.feed(Input::Opened { token: Some("token".to_owned()) });

        let actions = script.verified(0, Err(refusal(reason, code)));

        assert_eq!(the_error(&actions), (0, reason));
        assert_closed(&actions, code);
    }
}

#[test]
fn without_a_token_the_socket_ends_after_five_seconds() {
    let mut script = Script::new();
    script.feed(Input::Opened { token: None });

    assert!(script.pass(Duration::from_millis(4_999)).is_empty());
    assert_closed(&script.pass(Duration::from_millis(1)), CloseCode::AuthenticationTimeout);
}

#[test]
fn the_socket_ends_with_its_token() {
    let mut script = Script::live();
    let mut actions = vec![];
    while !ends(&actions) {
        script.machine.alive();
        actions = script.pass(Duration::from_secs(1));
    }

    assert_closed(&actions, CloseCode::TokenExpired);
    assert_eq!(script.now_ms, START_MS + TOKEN_MS);
}

#[test]
fn a_new_token_of_the_same_device_keeps_it_going() {
    let mut script = Script::live();
    assert_eq!(names(&script.frame(authenticate(6))), ["verify"]);

    let actions = script.verified(6, Ok(identity(1, START_MS + 2 * TOKEN_MS)));

    assert_eq!(names(&actions), ["authenticated", "prolong"]);
    let mut actions = vec![];
    while !ends(&actions) {
        script.machine.alive();
        actions = script.pass(Duration::from_secs(1));
    }
    assert_eq!(script.now_ms, START_MS + 2 * TOKEN_MS);
}

#[test]
fn a_token_of_another_device_or_app_changes_nothing() {
    let later = START_MS + 2 * TOKEN_MS;
    let other_app = Identity { app: "vignette".to_owned(), ..identity(1, later) };
    for other in [identity(2, later), other_app] {
        let mut script = Script::live();
        script.frame(authenticate(6));

        let actions = script.verified(6, Ok(other));

        assert_eq!(the_error(&actions), (6, "token_other_device"));
        assert_eq!(actions.len(), 1, "the socket goes on");
    }
}

#[test]
fn a_bad_token_on_a_running_socket_changes_nothing() {
    let mut script = Script::live();
    script.frame(authenticate(6));

    let refused = refusal("token_invalid", CloseCode::AuthenticationFailed);
    let actions = script.verified(6, Err(refused));

    assert_eq!(the_error(&actions), (6, "token_invalid"));
    assert_eq!(names(&script.frame(send(7))), ["submit"]);
}
