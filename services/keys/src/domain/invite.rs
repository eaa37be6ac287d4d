//! Invites: words that let somebody open an account. Only their hash is stored.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE32_NOPAD, Encoding};

/// 120 random bits. In text 24 letters and digits, in groups of six.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invite([u8; 15]);

/// SHA-256 of an invite. Nobody guesses 120 bits, so it needs no salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InviteHash(pub(crate) [u8; 32]);

/// The text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an invite has 24 letters and digits")]
pub(crate) struct MalformedInvite;

impl Invite {
    pub(crate) const fn new(random: [u8; 15]) -> Self {
        Self(random)
    }

    pub(crate) fn hash(&self) -> InviteHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        InviteHash(hash)
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(..)")
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ENCODING.encode(&self.0).to_ascii_lowercase();
        for (index, letter) in text.chars().enumerate() {
            if index > 0 && index % 6 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

const ENCODING: Encoding = BASE32_NOPAD;

impl FromStr for Invite {
    type Err = MalformedInvite;

    /// Takes it as people type it: in any case, with any marks between.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 64 {
            return Err(MalformedInvite);
        }
        let is_mark = |c: &char| *c == '-' || c.is_ascii_whitespace();
        let text: String =
            text.chars().filter(|c| !is_mark(c)).map(|c| c.to_ascii_uppercase()).collect();
        let bytes = ENCODING.decode(text.as_bytes()).map_err(|_| MalformedInvite)?;
        bytes.try_into().map(Self).map_err(|_| MalformedInvite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_understood_as_people_type_it() {
        let invite = Invite::new([0xa7; 15]);
        let text = invite.to_string();
        assert_eq!(text.len(), 27, "{text}");

        for typed in
            [text.clone(), text.to_uppercase(), text.replace('-', " "), text.replace('-', "")]
        {
            assert_eq!(typed.parse::<Invite>(), Ok(invite), "{typed}");
        }
    }

    #[test]
    fn other_texts_are_no_invites() {
        for text in ["", "abc", "0189!0-018900-018900-018900", &"a".repeat(25), &"a".repeat(999)] {
            assert_eq!(text.parse::<Invite>(), Err(MalformedInvite), "{text}");
        }
    }

    #[test]
    fn an_invite_shows_itself_only_to_whom_it_is_given() {
        assert_eq!(format!("{:?}", Invite::new([0xa7; 15])), "Invite(..)");
    }
}
