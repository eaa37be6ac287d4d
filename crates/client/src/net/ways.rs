//! Which way to the server is tried next.
//!
//! Pure: it is told what came of each attempt.

use url::Url;

use super::{End, REQUEST_PENDING};
use crate::{ClientConfig, Transport};

/// A way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Socket(Url),
    /// By requests to the gateway that has this base; until the socket to `probe` opens,
    /// if one is named.
    Rest {
        base: Url,
        probe: Option<Url>,
    },
    /// There is none.
    None,
}

/// Goes round the sockets, and falls back to requests where they do not open.
#[derive(Debug)]
pub(super) struct Ways {
    transport: Transport,
    sockets: Vec<Url>,
    /// Where requests go, unless to the host of the socket.
    messages: Option<Url>,
    next_socket: usize,
    /// Sockets in a row that did not open.
    failures: u32,
    rest_after: u32,
}

impl Ways {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            transport: config.transport,
            sockets: config.sockets.clone(),
            messages: config.messages.clone(),
            next_socket: 0,
            failures: 0,
            rest_after: config.tuning.rest_after.max(1),
        }
    }

    pub(super) fn next(&mut self) -> Way {
        let Some(socket) = self.sockets.get(self.next_socket).cloned() else {
            return Way::None;
        };
        self.next_socket = (self.next_socket + 1) % self.sockets.len();
        let falls_back = self.failures >= self.rest_after;
        let probe = match self.transport {
            Transport::Auto if falls_back => Some(socket.clone()),
            Transport::Rest => None,
            Transport::Auto | Transport::Socket => return Way::Socket(socket),
        };
        match self.messages.clone().or_else(|| beside(&socket)) {
            Some(base) => Way::Rest { base, probe },
            None => Way::Socket(socket),
        }
    }

    /// What came of the way that was tried.
    pub(super) fn ended(&mut self, way: &Way, was_open: bool, end: &End) {
        let waits = matches!(end, End::Lost { reason, .. } if reason == REQUEST_PENDING);
        match way {
            Way::Socket(_) if was_open => self.failures = 0,
            Way::Socket(_) if !waits => self.failures = self.failures.saturating_add(1),
            // A socket opened, so the next attempt is for one; and where requests do not
            // come through either, neither way is better.
            Way::Rest { .. } if *end == End::SocketWorks || !was_open => self.failures = 0,
            _ => {}
        }
    }
}

/// The base of the REST API at the host of a socket: `https://a/` for
/// `wss://a/v1/socket`.
fn beside(socket: &Url) -> Option<Url> {
    let mut base = socket.clone();
    let scheme = if socket.scheme() == "wss" { "https" } else { "http" };
    base.set_scheme(scheme).ok()?;
    let path = socket.path().strip_suffix("/v1/socket")?;
    base.set_path(&format!("{path}/"));
    base.set_query(None);
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreKey;

    fn ways(transport: Transport) -> Ways {
        let socket = |name: &str| format!("ws://{name}.lumen.chat/v1/socket").parse().unwrap();
        let mut config = ClientConfig::new(
            "lumen.chat",
            "http://lumen.chat/".parse().unwrap(),
            vec![socket("a"), socket("b")],
            "nowhere",
            StoreKey::new([1; 32]),
        );
        config.transport = transport;
        config.tuning.rest_after = 3;
        Ways::new(&config)
    }

    fn host(way: &Way) -> String {
        match way {
            Way::Socket(url) => url.host_str().unwrap().to_owned(),
            Way::Rest { base, probe } => format!("{base}, probing {}", probe.is_some()),
            Way::None => "none".to_owned(),
        }
    }

    #[test]
    fn requests_are_used_once_no_socket_opens_and_until_one_does() {
        let mut ways = ways(Transport::Auto);
        let mut tried = Vec::new();
        for _ in 0..3 {
            let way = ways.next();
            tried.push(host(&way));
            ways.ended(&way, false, &End::lost("unreachable"));
        }
        assert_eq!(tried, ["a.lumen.chat", "b.lumen.chat", "a.lumen.chat"]);

        let rest = ways.next();
        assert_eq!(host(&rest), "http://b.lumen.chat/, probing true");
        ways.ended(&rest, true, &End::lost("connection_lost"));
        let next = host(&ways.next());
        assert_eq!(next, "http://a.lumen.chat/, probing true", "no socket has opened since");
        ways.ended(&rest, true, &End::SocketWorks);
        assert!(host(&ways.next()).ends_with("lumen.chat"));
    }

    #[test]
    fn a_socket_that_was_open_is_no_reason_for_requests() {
        let mut ways = ways(Transport::Auto);
        for _ in 0..10 {
            let way = ways.next();
            assert!(matches!(way, Way::Socket(_)));
            ways.ended(&way, true, &End::lost("connection_lost"));
        }
    }

    #[test]
    fn sockets_are_tried_again_where_requests_do_not_come_through_either() {
        let mut ways = ways(Transport::Auto);
        ways.failures = 3;
        let rest = ways.next();

        ways.ended(&rest, false, &End::lost("unavailable"));

        assert!(matches!(ways.next(), Way::Socket(_)));
    }

    #[test]
    fn a_device_that_waits_for_its_approval_has_tried_no_socket() {
        let mut ways = ways(Transport::Auto);
        for _ in 0..10 {
            let way = ways.next();
            assert!(matches!(way, Way::Socket(_)));
            ways.ended(&way, false, &End::lost(REQUEST_PENDING));
        }
    }

    #[test]
    fn the_setting_says_that_it_is_one_way_or_the_other() {
        let (mut socket, mut rest) = (ways(Transport::Socket), ways(Transport::Rest));
        for _ in 0..10 {
            let (one, other) = (socket.next(), rest.next());
            assert!(matches!(one, Way::Socket(_)));
            assert!(matches!(other, Way::Rest { probe: None, .. }));
            socket.ended(&one, false, &End::lost("unreachable"));
            rest.ended(&other, false, &End::lost("unreachable"));
        }
    }

    #[test]
    fn requests_go_to_the_host_of_the_socket() {
        let base = |socket: &str| beside(&socket.parse().unwrap()).map(|base| base.to_string());
        assert_eq!(base("wss://a.b/v1/socket").as_deref(), Some("https://a.b/"));
        assert_eq!(base("ws://a.b:81/x/v1/socket?y").as_deref(), Some("http://a.b:81/x/"));
        assert_eq!(base("ws://a.b/elsewhere"), None);
    }
}
