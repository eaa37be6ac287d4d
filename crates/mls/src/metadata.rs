//! What a group is called and looks like, sealed for its members.
//!
//! The key is exported from an epoch ([`EXPORTER_LABEL`], RFC 9420, 8.5), so that whoever joins
//! can read them and whoever was removed cannot read the next. Each commit brings them sealed
//! for the epoch that it begins. The hash in the policy says which they are: neither the server
//! nor a single member can show others.

use chacha20poly1305::{
    ChaCha20Poly1305, Key, Nonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use prost::Message as _;
use rand::{CryptoRng, Rng};
use sha2::{Digest as _, Sha256};
use sotto_ids::limits::{MAX_GROUP_NAME_CHARS, MAX_GROUP_PICTURE_BYTES, MAX_SEALED_METADATA_BYTES};
use sotto_proto::groups::GroupMetadata;

use crate::{canonical, policy::Policy};

/// The label for `export_secret`, with an empty context and 32 bytes.
pub const EXPORTER_LABEL: &str = "sotto/group/metadata/v1";

/// The bytes to export.
pub const KEY_BYTES: usize = 32;

const VERSION: u32 = 1;
const NONCE_BYTES: usize = 12;

/// A size says how long a name is, or how large a picture, to this step only.
const STEP: usize = 256;

/// What a group is called and looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Random, new with each version: without it the hash in the policy would tell whoever
    /// guesses the name that they guessed it.
    pub salt: [u8; 32],
    /// Counts the changes, as the policy does.
    pub version: u64,
    /// At most [`MAX_GROUP_NAME_CHARS`] characters.
    pub name: String,
    /// At most [`MAX_GROUP_PICTURE_BYTES`], in a form that apps agree on; empty for none.
    pub picture: Vec<u8>,
}

/// The metadata cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The name or the picture is beyond its bound.
    #[error("the name or the picture of the group is too large")]
    TooLarge,
    /// The sealed bytes are not of this epoch, or were changed.
    #[error("the sealed metadata cannot be opened")]
    Unreadable,
    /// What was sealed is no metadata of a known version.
    #[error("what was sealed is no metadata")]
    Malformed,
    /// They are others than those that the policy names.
    #[error("the metadata are not those that the policy of the group names")]
    NotThese,
}

impl Metadata {
    /// Metadata with a new salt.
    ///
    /// # Errors
    ///
    /// [`MetadataError::TooLarge`].
    pub fn new(
        version: u64,
        name: String,
        picture: Vec<u8>,
        rng: &mut (impl Rng + CryptoRng),
    ) -> Result<Self, MetadataError> {
        let metadata = Self { salt: rng.random(), version, name, picture };
        metadata.bounded()?;
        Ok(metadata)
    }

    /// SHA-256 of the encoding: what the policy names.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.encode()).into()
    }

    fn bounded(&self) -> Result<(), MetadataError> {
        let name = self.name.chars().count();
        if name > MAX_GROUP_NAME_CHARS || self.picture.len() > MAX_GROUP_PICTURE_BYTES {
            return Err(MetadataError::TooLarge);
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let metadata = GroupMetadata {
            v: VERSION,
            salt: self.salt.to_vec().into(),
            version: self.version,
            name: self.name.clone(),
            picture: self.picture.clone().into(),
        };
        metadata.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        let metadata: GroupMetadata = canonical::decode(bytes).ok_or(MetadataError::Malformed)?;
        if metadata.v != VERSION {
            return Err(MetadataError::Malformed);
        }
        let metadata = Self {
            salt: metadata.salt[..].try_into().map_err(|_| MetadataError::Malformed)?,
            version: metadata.version,
            name: metadata.name,
            picture: metadata.picture.into(),
        };
        metadata.bounded()?;
        Ok(metadata)
    }
}

/// What ties sealed metadata to an epoch of a generation of a group.
fn context(mls_id: &[u8], epoch: u64) -> Vec<u8> {
    [mls_id, &epoch.to_be_bytes()].concat()
}

/// Seals metadata for an epoch: a random nonce, and what `ChaCha20Poly1305` makes of them.
///
/// # Errors
///
/// [`MetadataError::TooLarge`].
pub fn seal(
    key: &[u8; KEY_BYTES],
    mls_id: &[u8],
    epoch: u64,
    metadata: &Metadata,
    rng: &mut (impl Rng + CryptoRng),
) -> Result<Vec<u8>, MetadataError> {
    metadata.bounded()?;
    let mut padded = metadata.encode();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(STEP), 0);
    let nonce: [u8; NONCE_BYTES] = rng.random();
    let payload = Payload { msg: &padded, aad: &context(mls_id, epoch) };
    let ciphertext = ChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt(Nonce::from_slice(&nonce), payload)
        .map_err(|_| MetadataError::TooLarge)?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

/// Opens metadata of an epoch, and holds them against the policy of that epoch.
///
/// # Errors
///
/// Where they are of another epoch, changed, or not those that the policy names.
pub fn open(
    key: &[u8; KEY_BYTES],
    mls_id: &[u8],
    epoch: u64,
    sealed: &[u8],
    policy: &Policy,
) -> Result<Metadata, MetadataError> {
    if sealed.len() > MAX_SEALED_METADATA_BYTES {
        return Err(MetadataError::TooLarge);
    }
    let (nonce, ciphertext) =
        sealed.split_first_chunk::<NONCE_BYTES>().ok_or(MetadataError::Unreadable)?;
    let payload = Payload { msg: ciphertext, aad: &context(mls_id, epoch) };
    let padded = ChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt(Nonce::from_slice(nonce), payload)
        .map_err(|_| MetadataError::Unreadable)?;
    let end = padded.iter().rposition(|byte| *byte != 0).ok_or(MetadataError::Malformed)?;
    let (encoded, [0x80, ..]) = padded.split_at(end) else {
        return Err(MetadataError::Malformed);
    };
    let metadata = Metadata::decode(encoded)?;
    if policy.metadata_hash != Some(metadata.hash()) || policy.metadata_version != metadata.version
    {
        return Err(MetadataError::NotThese);
    }
    Ok(metadata)
}
