//! What is sealed: the invitation and the answer, checked.

use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use sotto_identity::{LinkHash, State, keys::verify_ed25519};
use sotto_ids::{AccountId, limits::MAX_CHAIN_OPS};
use sotto_proto::link::{self as pb, invitation::Body};
use zeroize::Zeroizing;

use super::{DeviceLink, Slot, seal};
use crate::{ClientError, Distrust};

const VERSION: u32 = 1;

/// What the approving device says.
pub(crate) enum Invitation {
    Offer(Box<Offer>),
    Declined,
}

/// A place on an account.
pub(crate) struct Offer {
    pub(crate) account: AccountId,
    /// The newest op that the approving device knows.
    pub(crate) seq: u64,
    pub(crate) head: LinkHash,
    /// What the answer is sealed to.
    pub(crate) reply_key: [u8; 32],
    /// For an admin: the account key.
    pub(crate) account_key: Option<SigningKey>,
    signature: Vec<u8>,
}

impl Offer {
    /// Offers a place on the account that is in this state, signed by its key. The
    /// key itself goes along to an `admin`.
    pub(crate) fn sign(
        link: &DeviceLink,
        state: &State,
        reply_key: [u8; 32],
        admin: bool,
        account_key: &SigningKey,
    ) -> Self {
        let message = signed_message(link, state.account_id, &reply_key, admin);
        Self {
            account: state.account_id,
            seq: state.seq,
            head: state.head,
            reply_key,
            account_key: admin.then(|| account_key.clone()),
            signature: account_key.sign(&message).to_bytes().to_vec(),
        }
    }

    /// Whether the account itself makes this offer: in its chain, `state`, stands the
    /// op that the offer names, and its key has signed, and is the one that comes along.
    pub(crate) fn is_by(&self, link: &DeviceLink, state: &State) -> bool {
        let admin = self.account_key.is_some();
        let message = signed_message(link, self.account, &self.reply_key, admin);
        let is_the_key = |key: &SigningKey| key.verifying_key().to_bytes() == state.account_key;
        self.account == state.account_id
            && self.account_key.as_ref().is_none_or(is_the_key)
            && verify_ed25519(&state.account_key, &message, &self.signature)
    }
}

fn signed_message(
    link: &DeviceLink,
    account: AccountId,
    reply_key: &[u8; 32],
    admin: bool,
) -> Vec<u8> {
    let mut message = seal::info(link, Slot::Request);
    message.extend_from_slice(account.as_bytes());
    message.extend_from_slice(reply_key);
    message.push(admin.into());
    message
}

impl Invitation {
    /// The plaintext. It may hold the account key, so it is overwritten after use.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let body = match self {
            Self::Declined => Body::Declined(pb::Declined {}),
            Self::Offer(offer) => Body::Offer(pb::Offer {
                account_id: offer.account.as_bytes().to_vec(),
                seq: offer.seq,
                head: offer.head.as_bytes().to_vec(),
                reply_key: offer.reply_key.to_vec(),
                admin: offer.account_key.is_some(),
                account_secret: offer
                    .account_key
                    .as_ref()
                    .map(|key| key.to_bytes().to_vec())
                    .unwrap_or_default(),
                signature: offer.signature.clone(),
            }),
        };
        Zeroizing::new(pb::Invitation { v: VERSION, body: Some(body) }.encode_to_vec())
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, ClientError> {
        let malformed = || ClientError::from(Distrust::Malformed);
        let invitation = pb::Invitation::decode(plaintext).map_err(|_| malformed())?;
        let offer = match invitation.body {
            Some(Body::Offer(offer)) if invitation.v == VERSION => offer,
            Some(Body::Declined(_)) if invitation.v == VERSION => return Ok(Self::Declined),
            _ => return Err(malformed()),
        };
        let secret = Zeroizing::new(offer.account_secret);
        let account_key = match (offer.admin, <&[u8; 32]>::try_from(secret.as_slice())) {
            (true, Ok(secret)) => Some(SigningKey::from_bytes(secret)),
            (false, _) if secret.is_empty() => None,
            _ => return Err(malformed()),
        };
        if offer.seq >= MAX_CHAIN_OPS {
            return Err(malformed());
        }
        Ok(Self::Offer(Box::new(Offer {
            account: AccountId::try_from(offer.account_id.as_slice()).map_err(|_| malformed())?,
            seq: offer.seq,
            head: LinkHash(offer.head.try_into().map_err(|_| malformed())?),
            reply_key: offer.reply_key.try_into().map_err(|_| malformed())?,
            account_key,
            signature: offer.signature,
        })))
    }
}

/// The answer of the new device: the op that would add it.
pub(crate) fn encode_answer(op: Vec<u8>) -> Vec<u8> {
    pb::Answer { v: VERSION, op }.encode_to_vec()
}

pub(crate) fn decode_answer(plaintext: &[u8]) -> Result<Vec<u8>, ClientError> {
    match pb::Answer::decode(plaintext) {
        Ok(answer) if answer.v == VERSION => Ok(answer.op),
        _ => Err(Distrust::Malformed.into()),
    }
}
