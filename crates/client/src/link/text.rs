use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::ClientError;

/// The text of version 1 begins so.
const PREFIX: &str = "sotto-link:1:";

/// Bytes of the longest text that is looked at.
const MAX_TEXT: usize = 512;

/// Bytes of the longest domain, as in DNS.
const MAX_DOMAIN: usize = 253;

/// Characters of the longest name of a mailbox.
const MAX_ID: usize = 64;

/// What a new device shows so that it can be linked, as a QR code or as text: the
/// domain of its server, the mailbox there, and a key that was made for this link.
///
/// `sotto-link:1:<domain>:<mailbox>:<key>`, the key in base64 for URLs. It is good for
/// two minutes and for one link. Who reads it can offer the new device a place on
/// an account of their own, and nothing else: so the new device says whose account it
/// is now on.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceLink {
    domain: String,
    id: String,
    key: [u8; 32],
}

impl DeviceLink {
    pub(crate) fn new(domain: &str, id: &str, key: [u8; 32]) -> Result<Self, ClientError> {
        let is_of = |text: &str, most: usize, also: &[u8]| {
            (1..=most).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
        };
        if is_of(domain, MAX_DOMAIN, b".-") && is_of(id, MAX_ID, b"-_") {
            Ok(Self { domain: domain.to_owned(), id: id.to_owned(), key })
        } else {
            Err(ClientError::MalformedLink)
        }
    }

    /// The domain of the server that the mailbox is at.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name of the mailbox.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// X25519, made for this link.
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Display for DeviceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, id, key } = self;
        write!(f, "{PREFIX}{domain}:{id}:{}", URL_SAFE_NO_PAD.encode(key))
    }
}

impl FromStr for DeviceLink {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(ClientError::MalformedLink);
        }
        let mut fields = text.strip_prefix(PREFIX).ok_or(ClientError::MalformedLink)?.split(':');
        let (Some(domain), Some(id), Some(key), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(ClientError::MalformedLink);
        };
        let key = URL_SAFE_NO_PAD.decode(key).ok().and_then(|bytes| bytes.try_into().ok());
        Self::new(domain, id, key.ok_or(ClientError::MalformedLink)?)
    }
}

impl fmt::Debug for DeviceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceLink(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_with_space_around_it() {
        let link = DeviceLink::new("lumen.chat", "a-Z_9", [7; 32]).unwrap();

        let text = link.to_string();

        assert!(text.starts_with("sotto-link:1:lumen.chat:a-Z_9:"));
        assert!(format!(" {text}\n").parse::<DeviceLink>().unwrap() == link);
    }

    #[test]
    fn other_texts_are_refused() {
        let good = DeviceLink::new("lumen.chat", "abc", [7; 32]).unwrap().to_string();
        let wrong = [
            String::new(),
            good.replace(":1:", ":2:"),
            good.replace("lumen", "lu men"),
            good.replace("abc", "../abc"),
            good.replace("abc", ""),
            good.replace("abc", &"a".repeat(65)),
            format!("{good}A"),
            format!("{good}:"),
            format!("{good}{}", " ".repeat(600)) + "x",
            good[..good.len() - 4].to_owned(),
        ];
        for text in wrong {
            assert_eq!(
                text.parse::<DeviceLink>().unwrap_err().reason(),
                "malformed_link",
                "{text}"
            );
        }
    }
}
