use sotto_proto::socket::Resume;

use super::*;
use crate::session::io::Ticket;

fn resume(id: u64, ticket: &[u8]) -> ClientFrame {
    let ticket = Bytes::copy_from_slice(ticket);
    ClientFrame { id, body: Some(client_frame::Body::Resume(Resume { ticket })) }
}

fn opened() -> Script {
    let mut script = Script::new();
    script.feed(Input::Opened { token: None });
    script
}

fn hello(actions: &[Action]) -> (u64, &sotto_proto::socket::Hello) {
    match &actions[0] {
        Action::Send(ServerFrame { in_reply_to, body: Some(Body::Hello(hello)) }) => {
            (*in_reply_to, hello)
        }
        _ => panic!("no hello in {actions:?}"),
    }
}

#[test]
fn a_ticket_that_is_good_leads_to_hello_without_a_token() {
    let mut script = opened();
    let redeem = script.frame(resume(4, &[9; 32]));
    assert_eq!(redeem, [Action::Redeem { in_reply_to: 4, ticket: Ticket([9; 32]) }]);

    let identity = identity(1, START_MS + TOKEN_MS);
    let admit = script.feed(Input::Redeemed { in_reply_to: 4, identity: Some(identity.clone()) });
    assert_eq!(admit, [Action::Admit(identity)]);
    let actions = script.feed(Input::Admitted { ticket: Some(Ticket([7; 32])) });

    assert_eq!(names(&actions), ["hello", "pull"]);
    let (in_reply_to, hello) = hello(&actions);
    assert_eq!((in_reply_to, hello.resumed), (4, true));
    assert_eq!(hello.resume_ticket, &[7; 32][..], "the next one");
    assert_eq!(hello.token_expires_at_ms, START_MS + TOKEN_MS, "and the same end");
}

#[test]
fn a_socket_that_shows_a_token_is_not_resumed() {
    let mut script = opened();
    script.frame(authenticate(1));
    script.verified(1, Ok(identity(1, START_MS + TOKEN_MS)));

    let actions = script.feed(Input::Admitted { ticket: None });

    let (_, hello) = hello(&actions);
    assert!(!hello.resumed && hello.resume_ticket.is_empty());
}

#[test]
fn after_a_ticket_that_is_refused_a_token_may_follow() {
    let refused = [
        None,
        // Its token ends at this moment.
        Some(identity(1, START_MS)),
    ];
    for identity_found in refused {
        let mut script = opened();
        script.frame(resume(4, &[9; 32]));
        let actions = script.feed(Input::Redeemed { in_reply_to: 4, identity: identity_found });
        assert_eq!(the_error(&actions), (4, "resume_refused"));
        assert_eq!(actions.len(), 1, "the socket goes on");

        assert_eq!(names(&script.frame(authenticate(5))), ["verify"]);
        script.verified(5, Ok(identity(1, START_MS + TOKEN_MS)));
        let actions = script.feed(Input::Admitted { ticket: None });

        let (in_reply_to, hello) = hello(&actions);
        assert_eq!((in_reply_to, hello.resumed), (5, false));
    }
}

#[test]
fn what_is_no_ticket_is_not_looked_up() {
    for ticket in [&[][..], &[1; 31], &[1; 33], &[1; 4_000]] {
        let mut script = opened();

        let actions = script.frame(resume(4, ticket));

        assert_eq!(the_error(&actions), (4, "resume_refused"));
        assert_eq!(actions.len(), 1);
    }
}

#[test]
fn a_second_ticket_is_not_looked_up() {
    let mut script = opened();
    script.frame(resume(4, &[9; 32]));
    script.feed(Input::Redeemed { in_reply_to: 4, identity: None });

    let actions = script.frame(resume(5, &[8; 32]));

    assert_eq!(the_error(&actions), (5, "resume_refused"));
    assert_eq!(actions.len(), 1, "who guesses gets one guess a socket");
    assert_eq!(names(&script.frame(authenticate(6))), ["verify"]);
}

#[test]
fn a_refused_ticket_buys_no_time() {
    let mut script = opened();
    script.now_ms += 4_000;
    script.frame(resume(4, &[9; 32]));
    script.feed(Input::Redeemed { in_reply_to: 4, identity: None });

    assert_closed(&script.pass(Duration::from_secs(1)), CloseCode::AuthenticationTimeout);
}

#[test]
fn a_socket_that_has_a_token_cannot_be_resumed() {
    let mut script = Script::live();

    let actions = script.frame(resume(8, &[9; 32]));

    assert_eq!(the_error(&actions), (8, "resume_refused"));
    assert_eq!(actions.len(), 1, "nothing was looked up, and the socket goes on");
}

#[test]
fn a_resumed_socket_ends_with_the_token_of_the_one_before() {
    let mut script = opened();
    script.frame(resume(1, &[9; 32]));
    let identity = Some(identity(1, START_MS + 20_000));
    script.feed(Input::Redeemed { in_reply_to: 1, identity });
    script.feed(Input::Admitted { ticket: None });
    script.event(page([], true));

    let mut actions = vec![];
    while !ends(&actions) {
        script.machine.alive();
        actions = script.pass(Duration::from_secs(1));
    }

    assert_closed(&actions, CloseCode::TokenExpired);
    assert_eq!(script.now_ms, START_MS + 20_000);
}

#[test]
fn while_too_many_come_in_a_device_is_told_when_to_come_again() {
    for first in [authenticate(3), resume(3, &[9; 32])] {
        let mut script = opened();
        script.frame(first);
        let retry_after = Duration::from_millis(1_700);

        let actions = script.feed(Input::Crowded { in_reply_to: 3, retry_after });

        assert_eq!(the_error(&actions), (3, "too_many_connections"));
        assert_closed(&actions, CloseCode::Unavailable);
        let [.., Action::Send(ServerFrame { body: Some(Body::Goodbye(goodbye)), .. }), _] =
            &actions[..]
        else {
            panic!("{actions:?}");
        };
        assert_eq!(goodbye.reconnect_after_ms, 1_700);
    }
}
