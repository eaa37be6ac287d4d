use std::fmt;

use sotto_ids::limits::{MAX_ENDPOINT_URL_BYTES, MAX_ENDPOINTS};
use sotto_proto::identity::{AddEndpoint, DropEndpoint, EndpointKind as Wire};

use crate::{ChainError, SignedOp, State};

/// A place where an account says that it can be reached, beside its home server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// What speaks there.
    pub kind: EndpointKind,
    /// A URI (RFC 3986) with its scheme, of printable ASCII, at most 256 bytes.
    /// Whether anybody answers there is not known here.
    pub url: String,
}

/// What speaks at an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointKind {
    /// A Sotto server.
    Relay,
    /// A queue that names nobody.
    Mailbox,
    /// A node of iroh.
    Iroh,
    /// A Nostr relay.
    Nostr,
    /// Where public data of the account is kept.
    Pin,
}

impl EndpointKind {
    /// The word for it in documents, such as `relay`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Mailbox => "mailbox",
            Self::Iroh => "iroh",
            Self::Nostr => "nostr",
            Self::Pin => "pin",
        }
    }

    pub(crate) const fn wire(self) -> Wire {
        match self {
            Self::Relay => Wire::Relay,
            Self::Mailbox => Wire::Mailbox,
            Self::Iroh => Wire::Iroh,
            Self::Nostr => Wire::Nostr,
            Self::Pin => Wire::Pin,
        }
    }
}

impl Endpoint {
    fn check(kind: i32, url: &str) -> Result<Self, ChainError> {
        let kind = match Wire::try_from(kind).map_err(|_| ChainError::UpgradeNeeded)? {
            Wire::Unspecified => return Err(ChainError::MalformedEndpoint),
            Wire::Relay => EndpointKind::Relay,
            Wire::Mailbox => EndpointKind::Mailbox,
            Wire::Iroh => EndpointKind::Iroh,
            Wire::Nostr => EndpointKind::Nostr,
            Wire::Pin => EndpointKind::Pin,
        };
        if is_url(url) {
            Ok(Self { kind, url: url.to_owned() })
        } else {
            Err(ChainError::MalformedEndpoint)
        }
    }
}

/// Whether the text begins with a scheme (RFC 3986 section 3.1) and goes on with
/// printable ASCII. What a scheme makes of the rest is the business of those who use it.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.len() <= MAX_ENDPOINT_URL_BYTES
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

impl State {
    pub(crate) fn add_endpoint(
        &mut self,
        signed: &SignedOp,
        body: &AddEndpoint,
    ) -> Result<(), ChainError> {
        let endpoint = Endpoint::check(body.kind, &body.url)?;
        if self.endpoints.contains(&endpoint) {
            return Err(ChainError::EndpointExists);
        }
        if self.endpoints.len() >= MAX_ENDPOINTS {
            return Err(ChainError::TooManyEndpoints);
        }
        self.verify_account_key(signed)?;
        self.endpoints.insert(endpoint);
        Ok(())
    }

    pub(crate) fn drop_endpoint(
        &mut self,
        signed: &SignedOp,
        body: &DropEndpoint,
    ) -> Result<(), ChainError> {
        let endpoint = Endpoint::check(body.kind, &body.url)?;
        if !self.endpoints.contains(&endpoint) {
            return Err(ChainError::UnknownEndpoint);
        }
        self.verify_account_key(signed)?;
        self.endpoints.remove(&endpoint);
        Ok(())
    }
}

impl fmt::Debug for Endpoint {
    /// What kind, not where.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("kind", &self.kind).finish_non_exhaustive()
    }
}
