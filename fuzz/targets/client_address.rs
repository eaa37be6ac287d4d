//! The header in which a proxy says for whom it asks, and what a client wrote before it.
#![no_main]

use std::{net::SocketAddr, sync::LazyLock};

use actix_web::test::TestRequest;
use sotto_kit::{
    http::{ForwardedHeader, Proxies, client_address},
    limits::Network,
};

/// What a client could put in front, to be taken for somebody else.
const FORGED: &str = "198.51.100.99";

static TRUSTED: LazyLock<Vec<Network>> = LazyLock::new(|| {
    ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a network")).into()
});

fn address(peer: &str, header: ForwardedHeader, lines: &[&[u8]]) -> std::net::IpAddr {
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let peer = SocketAddr::new(peer.parse().expect("an address"), 1);
    let mut request = TestRequest::default()
        .peer_addr(peer)
        .app_data(Proxies { trusted: TRUSTED.clone(), header });
    for line in lines {
        request = request.append_header((name, *line));
    }
    client_address(&request.to_http_request())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A header has no control characters: whoever sends one is refused before.
    let of_header = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    if lines.len() > 16 || !lines.iter().all(|line| line.iter().all(of_header)) {
        return;
    }
    for (header, forged) in [
        (ForwardedHeader::XForwardedFor, FORGED.to_owned()),
        (ForwardedHeader::Forwarded, format!("for={FORGED}")),
    ] {
        assert_eq!(address("192.0.2.1", header, &lines).to_string(), "192.0.2.1");
        let client = address("10.1.2.3", header, &lines);
        assert_eq!(client, client.to_canonical());
        if !TRUSTED.iter().any(|network| network.contains(client)) {
            let with_forged = [&[forged.as_bytes()], lines.as_slice()].concat();
            assert_eq!(
                address("10.1.2.3", header, &with_forged),
                client,
                "what came before counted"
            );
        }
    }
});
