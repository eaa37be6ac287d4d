use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName},
};
use serde::{Deserialize, Serialize};

use crate::limits::Network;

/// Whose word counts on where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The networks of the proxies. Empty where nobody stands in front.
    pub trusted: Vec<Network>,
    /// The header that they write.
    pub header: ForwardedHeader,
}

/// The header in which a proxy says for whom it asks. Proxies pass on the one that they do
/// not write, so only one can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: <address>, <address>`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=<address>;proto=https` (RFC 7239)
    Forwarded,
}

/// The address from which a request comes: that of the peer or, if this is a proxy that
/// is trusted, the last one that the header names and that is none. An entry that is no
/// address ends the search at the proxy that wrote it.
///
/// It is for limits alone, and must be neither logged nor stored.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    // A request without a peer is one of a test that has no socket.
    let peer = request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    match request.app_data::<Proxies>() {
        Some(proxies) => proxies.client_behind(peer.to_canonical(), request.headers()),
        None => peer.to_canonical(),
    }
}

impl Proxies {
    fn client_behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for entry in self.header.entries(headers) {
            if !self.trusts(client) {
                break;
            }
            let Some(before) = address(entry) else { break };
            client = before.to_canonical();
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

impl ForwardedHeader {
    /// What the proxies wrote, the last one first.
    fn entries(self, headers: &HeaderMap) -> impl Iterator<Item = &str> {
        let name = match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        };
        let lines: Vec<_> = headers.get_all(name).collect();
        lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(
            move |entry| match self {
                Self::XForwardedFor => entry.trim(),
                Self::Forwarded => forwarded_for(entry),
            },
        )
    }
}

/// The value of `for` in an element of a `Forwarded` header (RFC 7239 section 4).
fn forwarded_for(element: &str) -> &str {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    value.map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// An address, with or without a port; that of IPv6 in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client(peer: &str, header: ForwardedHeader, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).into();
        let name = match header {
            ForwardedHeader::XForwardedFor => "X-Forwarded-For",
            ForwardedHeader::Forwarded => "Forwarded",
        };
        let mut request = TestRequest::default()
            .peer_addr(SocketAddr::new(peer.parse().unwrap(), 1))
            .app_data(Proxies { trusted, header });
        for line in lines {
            request = request.append_header((name, *line));
        }
        client_address(&request.to_http_request()).to_string()
    }

    fn behind(peer: &str, lines: &[&str]) -> String {
        client(peer, ForwardedHeader::XForwardedFor, lines)
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from() {
        assert_eq!(behind("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(behind("10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(behind("::ffff:10.1.2.3", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_the_client_put_before_the_proxies_is_not_believed() {
        assert_eq!(behind("10.1.2.3", &["203.0.113.9, 198.51.100.7, 10.9.9.9"]), "198.51.100.7");
        assert_eq!(
            behind("10.1.2.3", &["203.0.113.9", "198.51.100.7", "10.9.9.9"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(behind("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(behind("10.1.2.3", &["unknown"]), "10.1.2.3");
        assert_eq!(behind("10.1.2.3", &["198.51.100.7, unknown, 10.9.9.9"]), "10.9.9.9");
    }

    #[test]
    fn ports_and_brackets_are_no_part_of_an_address() {
        assert_eq!(behind("10.1.2.3", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(behind("10.1.2.3", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(behind("10.1.2.3", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn the_standard_header_is_read_where_the_proxy_writes_it() {
        let of = |lines: &[&str]| client("10.1.2.3", ForwardedHeader::Forwarded, lines);

        assert_eq!(of(&["for=203.0.113.9, FOR=\"[2001:db8::1]:80\";proto=https"]), "2001:db8::1");
        assert_eq!(of(&["for=_hidden"]), "10.1.2.3");
        let other = client("10.1.2.3", ForwardedHeader::Forwarded, &[]);
        assert_eq!(other, "10.1.2.3");
    }
}
