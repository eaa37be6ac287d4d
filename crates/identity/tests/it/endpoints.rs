//! Endpoints and the end of a handle.

use sotto_identity::{Body, ChainError, Endpoint, EndpointKind, build};
use sotto_ids::limits::{MAX_ENDPOINT_URL_BYTES, MAX_ENDPOINTS};
use sotto_proto::identity::{AddEndpoint, DropEndpoint};

use crate::harness::{Chain, key, sign};

fn endpoint(kind: EndpointKind, url: &str) -> Endpoint {
    Endpoint { kind, url: url.to_owned() }
}

fn relay(number: usize) -> Endpoint {
    endpoint(EndpointKind::Relay, &format!("https://relay-{number}.example"))
}

#[test]
fn an_endpoint_is_added_and_dropped_by_the_account_key() {
    let mut chain = Chain::open();
    let nostr = endpoint(EndpointKind::Nostr, "wss://nostr.example");
    for device in [&key("device", 1), &key("recovery", 1)] {
        let op = chain.next(build::add_endpoint(&nostr));
        assert_eq!(chain.state.apply(&sign(&op, &[device])), Err(ChainError::MissingSignature));
    }

    chain.accept(chain.signed(build::add_endpoint(&nostr)));
    chain.accept(chain.signed(build::add_endpoint(&relay(1))));
    assert_eq!(Vec::from_iter(&chain.state.endpoints), [&relay(1), &nostr]);

    let op = chain.next(build::drop_endpoint(&nostr));
    let by_device = chain.state.apply(&sign(&op, &[&key("device", 1)]));
    assert_eq!(by_device, Err(ChainError::MissingSignature));
    chain.accept(chain.signed(build::drop_endpoint(&nostr)));
    assert_eq!(Vec::from_iter(&chain.state.endpoints), [&relay(1)]);
}

#[test]
fn an_endpoint_is_there_once_and_dropped_once() {
    let mut chain = Chain::open();
    chain.accept(chain.signed(build::add_endpoint(&relay(1))));

    let again = chain.try_body(build::add_endpoint(&relay(1)));
    assert_eq!(again, Err(ChainError::EndpointExists));
    let of_another_kind = endpoint(EndpointKind::Mailbox, &relay(1).url);
    assert!(chain.try_body(build::add_endpoint(&of_another_kind)).is_ok());
    let unknown = chain.try_body(build::drop_endpoint(&of_another_kind));
    assert_eq!(unknown, Err(ChainError::UnknownEndpoint));
}

#[test]
fn an_account_has_so_many_endpoints() {
    let mut chain = Chain::open();
    for number in 0..MAX_ENDPOINTS {
        chain.accept(chain.signed(build::add_endpoint(&relay(number))));
    }
    let one_more = build::add_endpoint(&relay(MAX_ENDPOINTS));
    assert_eq!(chain.try_body(one_more.clone()), Err(ChainError::TooManyEndpoints));

    chain.accept(chain.signed(build::drop_endpoint(&relay(0))));
    assert!(chain.try_body(one_more).is_ok());
}

#[test]
fn an_endpoint_has_its_form() {
    let chain = Chain::open();
    let add = |kind: i32, url: &str| {
        let body = AddEndpoint { kind, url: url.to_owned() };
        chain.try_body(Body::AddEndpoint(body)).map(|_| ())
    };
    let longest = format!("iroh:{}", "a".repeat(MAX_ENDPOINT_URL_BYTES - 5));

    for url in ["https://relay.example/a?b#c", "iroh:abc", "x+y-z.1:z", &longest] {
        assert_eq!(add(3, url), Ok(()), "{url}");
    }
    let too_long = format!("{longest}a");
    for url in ["", ":", "a", "a:", ":a", "1a:b", "a_b:c", "a:b c", "a:ü", "a:\n", &too_long] {
        assert_eq!(add(3, url), Err(ChainError::MalformedEndpoint), "{url}");
    }
    assert_eq!(add(0, "iroh:abc"), Err(ChainError::MalformedEndpoint));
    for later in [6, i32::MAX, -1] {
        assert_eq!(add(later, "iroh:abc"), Err(ChainError::UpgradeNeeded));
    }
    let drop = DropEndpoint { kind: 0, url: "iroh:abc".to_owned() };
    assert_eq!(
        chain.try_body(Body::DropEndpoint(drop)).map(|_| ()),
        Err(ChainError::MalformedEndpoint)
    );
}

#[test]
fn a_handle_is_dropped_and_may_be_claimed_again() {
    let mut chain = Chain::open();
    let drop = build::drop_handle();
    assert_eq!(chain.try_body(drop.clone()), Err(ChainError::NoHandle));
    chain.set_handle("alice");
    let op = chain.next(drop.clone());
    let by_device = chain.state.apply(&sign(&op, &[&key("device", 1)]));
    assert_eq!(by_device, Err(ChainError::MissingSignature));

    chain.accept(chain.signed(drop));

    assert_eq!(chain.state.handle, None);
    chain.set_handle("alice");
    assert_eq!(chain.state.handle.unwrap().as_str(), "alice");
}
