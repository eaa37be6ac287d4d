use std::str::FromStr;

use sotto_ids::{Handle, MalformedHandle};

/// A handle with its home, such as `alice@chat.example`: what people tell each other.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicName {
    pub(crate) handle: Handle,
    /// In lower case; not looked at further.
    pub(crate) domain: String,
}

/// The text is no handle with a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name is a handle, @ and a domain")]
pub(crate) struct MalformedPublicName;

impl From<MalformedHandle> for MalformedPublicName {
    fn from(_: MalformedHandle) -> Self {
        Self
    }
}

impl FromStr for PublicName {
    type Err = MalformedPublicName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (handle, domain) = text.split_once('@').ok_or(MalformedPublicName)?;
        if domain.is_empty() || domain.len() > 253 || domain.contains('@') {
            return Err(MalformedPublicName);
        }
        Ok(Self { handle: handle.parse()?, domain: domain.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_handle_and_a_domain_in_any_case() {
        let name: PublicName = "alice@Chat.Example".parse().unwrap();
        assert_eq!((name.handle.as_str(), name.domain.as_str()), ("alice", "chat.example"));
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in ["", "alice", "@chat.example", "alice@", "Alice@a.b", "a@b@c", "alice@b@c"] {
            assert!(text.parse::<PublicName>().is_err(), "{text}");
        }
    }
}
