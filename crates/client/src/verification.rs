use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sotto_identity::{LinkHash, State, safety_number::fingerprint};
use sotto_ids::AccountId;

use crate::ClientError;

/// The text of version 1 begins so.
const PREFIX: &str = "sotto-verify:1:";

/// Bytes of a code: both sides with account and fingerprint, and number and hash of an op.
const LENGTH: usize = 2 * (32 + 32) + 8 + 32;

/// Bytes of the longest text that is looked at.
const MAX_TEXT: usize = 512;

/// What one of two people shows and the other scans, instead of reading a safety number
/// to each other: both accounts with the fingerprints of their account keys, as seen by
/// who shows it, and the newest op of their own chain.
///
/// `sotto-verify:1:` and, in base64 for URLs without padding, 168 bytes: id and
/// fingerprint of who shows it, id and fingerprint of who is to scan it, number (big
/// endian) and link hash of the op. It is no secret, and good as long as neither account
/// changes.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationCode {
    own: Side,
    peer: Side,
    seq: u64,
    head: LinkHash,
}

#[derive(Clone, PartialEq, Eq)]
struct Side {
    account: AccountId,
    fingerprint: [u8; 32],
}

/// What a code says about what is seen here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The same.
    Match,
    /// An account key is another one.
    Differs,
    /// The op lies on the chain and is not its newest.
    Older,
    /// The op does not lie on the chain.
    Forked,
    /// The op is newer than all that is known of the chain.
    Newer,
}

impl VerificationCode {
    /// What a device of `own` shows to somebody of `peer`.
    pub(crate) fn of(own: &State, peer: &State) -> Self {
        Self { own: Side::of(own), peer: Side::of(peer), seq: own.seq, head: own.head }
    }

    /// The account that shows the code.
    pub fn account(&self) -> AccountId {
        self.own.account
    }

    /// The account that the code is for.
    pub fn made_for(&self) -> AccountId {
        self.peer.account
    }

    /// The number of the newest op for who shows it.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Compares with what is seen on this side: the two accounts, and the op that stands
    /// at the code's number in the chain of who shows it, where there is one.
    pub(crate) fn compare(&self, own: &State, peer: &State, there: Option<LinkHash>) -> Verdict {
        if there.is_some_and(|there| there != self.head) {
            return Verdict::Forked;
        }
        if self.own != Side::of(peer) || self.peer != Side::of(own) {
            return Verdict::Differs;
        }
        match there {
            None => Verdict::Newer,
            Some(_) if self.seq < peer.seq => Verdict::Older,
            Some(_) => Verdict::Match,
        }
    }
}

impl Side {
    fn of(state: &State) -> Self {
        let fingerprint = fingerprint(state.account_id, &state.account_key);
        Self { account: state.account_id, fingerprint }
    }

    /// Reads a side, and gives what follows.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (account, rest) = bytes.split_first_chunk()?;
        let (fingerprint, rest) = rest.split_first_chunk()?;
        Some((Self { account: AccountId::new(*account), fingerprint: *fingerprint }, rest))
    }
}

impl fmt::Display for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(LENGTH);
        for side in [&self.own, &self.peer] {
            bytes.extend_from_slice(side.account.as_bytes());
            bytes.extend_from_slice(&side.fingerprint);
        }
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(self.head.as_bytes());
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for VerificationCode {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(ClientError::MalformedCode);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(ClientError::MalformedCode)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| ClientError::MalformedCode)?;
        let read = || {
            let (own, rest) = Side::read(&bytes)?;
            let (peer, rest) = Side::read(rest)?;
            let (seq, head) = rest.split_first_chunk()?;
            let head = LinkHash(head.try_into().ok()?);
            Some(Self { own, peer, seq: u64::from_be_bytes(*seq), head })
        };
        // The number has to fit into the store's column; no chain comes near.
        read().filter(|code| i64::try_from(code.seq).is_ok()).ok_or(ClientError::MalformedCode)
    }
}

impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> VerificationCode {
        let side = |byte| Side { account: AccountId::new([byte; 32]), fingerprint: [byte + 1; 32] };
        VerificationCode { own: side(1), peer: side(3), seq: 7, head: LinkHash([5; 32]) }
    }

    #[test]
    fn a_code_comes_back_as_it_was_with_space_around_it() {
        let text = code().to_string();

        assert!(format!(" {text}\n").parse::<VerificationCode>().unwrap() == code());
        assert_eq!(text.len(), "sotto-verify:1:".len() + 224);
    }

    #[test]
    fn other_texts_are_refused() {
        let good = code().to_string();
        let far = VerificationCode { seq: u64::MAX, ..code() };
        let wrong = [
            String::new(),
            good.replace(":1:", ":2:"),
            good.replace("sotto-verify", "sotto-link"),
            good[..good.len() - 4].to_owned(),
            format!("{good}AAAA"),
            format!("{good}="),
            format!("{good}{}x", " ".repeat(600)),
            good.replace("sotto-verify:1:", "sotto-verify:1:!"),
            far.to_string(),
        ];
        for text in wrong {
            let refused = text.parse::<VerificationCode>().unwrap_err();
            assert_eq!(refused.reason(), "malformed_code", "{text}");
        }
    }
}
