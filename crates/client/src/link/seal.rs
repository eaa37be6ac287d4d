//! Seals what goes through the mailbox: HPKE, RFC 9180.

use hpke::{
    Deserializable as _, HpkeError, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open,
    single_shot_seal,
};
use rand::CryptoRng;

use super::{DeviceLink, Slot};
use crate::{ClientError, Distrust};

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// Bytes of the encapsulated key that comes before the ciphertext.
const ENCAPPED: usize = 32;

/// A key pair for one link. The secret is overwritten when it is dropped.
pub(crate) struct LinkKeys {
    secret: PrivateKey,
    public: PublicKey,
}

impl LinkKeys {
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let (secret, public) = Kem::gen_keypair(rng);
        Self { secret, public }
    }

    /// X25519, 32 bytes.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.public.to_bytes().into()
    }

    /// Seals the answer to a reply key, so that it is seen to come from the owner of
    /// this key.
    pub(crate) fn seal_to(
        &self,
        reply_key: &[u8; 32],
        link: &DeviceLink,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, ClientError> {
        let mode = OpModeS::Auth((self.secret.clone(), self.public.clone()));
        seal(&mode, reply_key, &info(link, Slot::Answer), plaintext, rng)
    }

    /// Opens the invitation, which was sealed to this key.
    pub(crate) fn open(&self, link: &DeviceLink, sealed: &[u8]) -> Result<Vec<u8>, Distrust> {
        open(&OpModeR::Base, &self.secret, &info(link, Slot::Request), sealed)
    }

    /// Opens the answer, which was sealed to this key by the owner of the link's.
    pub(crate) fn open_from_link(
        &self,
        link: &DeviceLink,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Distrust> {
        let sender = PublicKey::from_bytes(link.key()).map_err(|_| Distrust::LinkSwapped)?;
        open(&OpModeR::Auth(sender), &self.secret, &info(link, Slot::Answer), sealed)
    }
}

/// Seals the invitation to the key of the link.
pub(crate) fn seal_to_link(
    link: &DeviceLink,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, ClientError> {
    seal(&OpModeS::Base, link.key(), &info(link, Slot::Request), plaintext, rng)
}

/// What both sides must have the same of: the link, and which message of it.
pub(crate) fn info(link: &DeviceLink, slot: Slot) -> Vec<u8> {
    let fields: [&[u8]; 4] =
        [link.domain().as_bytes(), link.id().as_bytes(), link.key(), slot.name().as_bytes()];
    let mut info = b"sotto/device-link/v1".to_vec();
    for field in fields {
        // The parser of the link bounds them all.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        info.extend_from_slice(&length.to_be_bytes());
        info.extend_from_slice(field);
    }
    info
}

fn seal(
    mode: &OpModeS<'_, Kem>,
    to: &[u8; 32],
    info: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, ClientError> {
    let sealed = PublicKey::from_bytes(to).and_then(|to| {
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem, _>(
            mode,
            &to,
            info,
            plaintext,
            &[],
            rng,
        )
    });
    // A key that HPKE does not take, such as one of low order, is the link's fault.
    let (encapped, ciphertext) = sealed.map_err(|_| ClientError::MalformedLink)?;
    Ok([encapped.to_bytes().as_slice(), &ciphertext].concat())
}

fn open(
    mode: &OpModeR<'_, Kem>,
    secret: &PrivateKey,
    info: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Distrust> {
    let opened = || -> Result<Vec<u8>, HpkeError> {
        let (encapped, ciphertext) =
            sealed.split_at_checked(ENCAPPED).ok_or(HpkeError::OpenError)?;
        let encapped = EncappedKey::from_bytes(encapped)?;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            mode,
            secret,
            &encapped,
            info,
            ciphertext,
            &[],
        )
    };
    opened().map_err(|_| Distrust::LinkSwapped)
}

/// Opens what a server puts into the mailbox, and what it makes of what was there. It knows
/// the key of the link where it has seen its text, so it can make an invitation; an answer,
/// or another out of the one there is, it cannot.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    use rand::{SeedableRng as _, rngs::StdRng};

    let rng = &mut StdRng::seed_from_u64(7);
    let (new, reply) = (LinkKeys::generate(rng), LinkKeys::generate(rng));
    let link = DeviceLink::new("chat.example", "link", new.public()).expect("it is one");
    assert!(reply.open_from_link(&link, data).is_err(), "an answer by nobody");
    if let Ok(opened) = new.open(&link, data) {
        assert!(opened.len() + ENCAPPED < data.len());
    }

    let invitation = seal_to_link(&link, data, rng).expect("the key is good");
    assert_eq!(new.open(&link, &invitation).as_deref(), Ok(data));
    let mut answer = new.seal_to(&reply.public(), &link, data, rng).expect("the key is good");
    assert_eq!(reply.open_from_link(&link, &answer).as_deref(), Ok(data));
    if let [high, low, mask, ..] = *data {
        let place = usize::from(u16::from_be_bytes([high, low])) % answer.len();
        answer[place] ^= mask.max(1);
        assert!(reply.open_from_link(&link, &answer).is_err(), "another answer was made");
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn link(keys: &LinkKeys, id: &str) -> DeviceLink {
        DeviceLink::new("lumen.chat", id, keys.public()).unwrap()
    }

    #[test]
    fn each_side_reads_what_the_other_sealed() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (new, reply) = (LinkKeys::generate(rng), LinkKeys::generate(rng));
        let link = link(&new, "one");

        let invitation = seal_to_link(&link, b"come in", rng).unwrap();
        let answer = new.seal_to(&reply.public(), &link, b"thanks", rng).unwrap();

        assert_eq!(new.open(&link, &invitation).unwrap(), b"come in");
        assert_eq!(reply.open_from_link(&link, &answer).unwrap(), b"thanks");
        assert!(!invitation.windows(7).any(|bytes| bytes == b"come in"));
    }

    #[test]
    fn what_the_server_makes_up_or_moves_is_refused() {
        let rng = &mut StdRng::seed_from_u64(2);
        let (new, reply, mallory) =
            (LinkKeys::generate(rng), LinkKeys::generate(rng), LinkKeys::generate(rng));
        let (this, other) = (link(&new, "one"), link(&new, "two"));
        let answer = new.seal_to(&reply.public(), &this, b"thanks", rng).unwrap();

        let forged = mallory.seal_to(&reply.public(), &this, b"me instead", rng).unwrap();
        let mut flipped = answer.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for wrong in [forged, flipped, answer[..40].to_vec(), vec![0; 80], Vec::new()] {
            assert_eq!(reply.open_from_link(&this, &wrong), Err(Distrust::LinkSwapped));
        }
        assert_eq!(reply.open_from_link(&other, &answer), Err(Distrust::LinkSwapped), "elsewhere");
        assert_eq!(reply.open(&this, &answer), Err(Distrust::LinkSwapped), "in the other slot");
    }

    #[test]
    fn a_key_of_low_order_is_refused() {
        let rng = &mut StdRng::seed_from_u64(3);
        let link = DeviceLink::new("lumen.chat", "one", [0; 32]).unwrap();

        let refused = seal_to_link(&link, b"come in", rng).unwrap_err();

        assert_eq!(refused.reason(), "malformed_link");
    }
}
