//! What becomes of an upload of prekeys.
//!
//! An upload that comes again, at once or days later, changes nothing: the keys that
//! are still on the shelf are known, and those that are not have been spent. That is
//! told by the highest id ever accepted: at or below it nothing is ever stored anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use sotto_kit::fault::{Code, Fault};

use super::prekey::{Flaw, Prekey, RawPrekey};

/// Why an upload is refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// It has more keys than an upload may have.
    #[error("an upload has at most {most} keys")]
    TooMany {
        /// The most that it may have.
        most: usize,
    },
    /// Two of its keys have the same id.
    #[error("two keys of the upload have the same id")]
    DuplicateIds {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// Ids that are 0 or do not fit into 24 bits.
    #[error("a key id is a number from 1 to 16777215")]
    MalformedIds {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// Wrong length, type byte or encoding.
    #[error("a public key is malformed")]
    MalformedKeys {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// All-zero keys, and EC keys of low order.
    #[error("a public key is zero or of low order")]
    LowOrderKeys {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// Not a signature by the identity key of the device over the public key.
    #[error("a signature does not verify under the identity key of the device")]
    BadSignatures {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// Other bytes are stored under the same ids.
    #[error("other keys are stored under the same ids")]
    Conflict {
        /// The ids in question.
        key_ids: Vec<u32>,
    },
    /// The shelf would hold more keys of the kind than it may.
    #[error("a device may keep {stock} one-time keys of a kind, and has {held}")]
    ShelfFull {
        /// The most that it may hold.
        stock: usize,
        /// What it holds.
        held: usize,
    },
}

impl UploadError {
    fn key_ids(&self) -> Option<&[u32]> {
        match self {
            Self::TooMany { .. } | Self::ShelfFull { .. } => None,
            Self::DuplicateIds { key_ids }
            | Self::MalformedIds { key_ids }
            | Self::MalformedKeys { key_ids }
            | Self::LowOrderKeys { key_ids }
            | Self::BadSignatures { key_ids }
            | Self::Conflict { key_ids } => Some(key_ids),
        }
    }
}

impl Fault for UploadError {
    fn code(&self) -> Code {
        match self {
            Self::Conflict { .. } | Self::ShelfFull { .. } => Code::Conflict,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many_prekeys",
            Self::DuplicateIds { .. } => "duplicate_key_ids",
            Self::MalformedIds { .. } => "malformed_key_id",
            Self::MalformedKeys { .. } => "malformed_public_key",
            Self::LowOrderKeys { .. } => "low_order_key",
            Self::BadSignatures { .. } => "bad_prekey_signature",
            Self::Conflict { .. } => "prekey_conflict",
            Self::ShelfFull { .. } => "shelf_full",
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let key_ids = self.key_ids().map(|ids| ("key_ids".to_owned(), ids.into()));
        key_ids.into_iter().collect()
    }
}

/// Checks each key of an upload, and that no two have one id.
pub(crate) fn check_all<K>(
    upload: &[RawPrekey],
    check: impl Fn(&RawPrekey) -> Result<K, Flaw>,
) -> Result<Vec<K>, UploadError> {
    reject_duplicates(upload.iter().map(|raw| raw.key_id))?;
    let mut sound = Vec::with_capacity(upload.len());
    let mut flawed = BTreeMap::<Flaw, Vec<u32>>::new();
    for raw in upload {
        match check(raw) {
            Ok(key) => sound.push(key),
            Err(flaw) => flawed.entry(flaw).or_default().push(raw.key_id),
        }
    }
    let Some((flaw, key_ids)) = flawed.pop_first() else {
        return Ok(sound);
    };
    Err(match flaw {
        Flaw::Id => UploadError::MalformedIds { key_ids },
        Flaw::Malformed => UploadError::MalformedKeys { key_ids },
        Flaw::LowOrder => UploadError::LowOrderKeys { key_ids },
        Flaw::Signature => UploadError::BadSignatures { key_ids },
    })
}

pub(crate) fn reject_duplicates(key_ids: impl IntoIterator<Item = u32>) -> Result<(), UploadError> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<u32> = key_ids.into_iter().filter(|&id| !seen.insert(id)).collect();
    if twice.is_empty() {
        return Ok(());
    }
    Err(UploadError::DuplicateIds { key_ids: twice.into_iter().collect() })
}

/// What an upload comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sorted<K> {
    /// To be stored.
    pub(crate) new: Vec<K>,
    /// How many lie on the shelf as they are.
    pub(crate) known: usize,
    /// Handed out or replaced before.
    pub(crate) spent: Vec<u32>,
}

/// Sorts an upload by what the shelf holds and held. `stored` has at least those of
/// its keys whose ids are in the upload; `highest` is the highest id of the kind that
/// was ever accepted, 0 for none.
pub(crate) fn sort<K: Prekey>(
    upload: Vec<K>,
    stored: &[K],
    highest: i32,
) -> Result<Sorted<K>, UploadError> {
    let stored: HashMap<i32, &K> = stored.iter().map(|key| (key.key_id(), key)).collect();
    let mut sorted = Sorted { new: Vec::new(), known: 0, spent: Vec::new() };
    let mut conflicts = Vec::new();
    for key in upload {
        match stored.get(&key.key_id()) {
            Some(known) if **known == key => sorted.known += 1,
            Some(_) => conflicts.push(key.key_id().unsigned_abs()),
            None if key.key_id() > highest => sorted.new.push(key),
            None => sorted.spent.push(key.key_id().unsigned_abs()),
        }
    }
    if conflicts.is_empty() {
        Ok(sorted)
    } else {
        Err(UploadError::Conflict { key_ids: conflicts })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::prekey::BarePrekey;

    fn key(key_id: i32, byte: u8) -> BarePrekey {
        BarePrekey { key_id, public_key: vec![byte; 33] }
    }

    #[test]
    fn an_upload_that_comes_again_is_known() {
        let keys = vec![key(1, 1), key(2, 2)];
        let sorted = sort(keys.clone(), &keys, 2).unwrap();
        assert_eq!(sorted, Sorted { new: vec![], known: 2, spent: vec![] });
    }

    #[test]
    fn a_key_that_was_handed_out_is_not_put_back() {
        let sorted = sort(vec![key(1, 1), key(2, 2), key(3, 3)], &[key(2, 2)], 2).unwrap();
        assert_eq!(sorted, Sorted { new: vec![key(3, 3)], known: 1, spent: vec![1] });
    }

    #[test]
    fn other_bytes_under_a_stored_id_are_a_conflict() {
        let error = sort(vec![key(1, 1), key(2, 9)], &[key(1, 1), key(2, 2)], 2).unwrap_err();
        assert_eq!(error, UploadError::Conflict { key_ids: vec![2] });
    }

    #[test]
    fn the_worst_flaw_is_named_with_all_its_keys() {
        let raw = |key_id| RawPrekey { key_id, public_key: vec![], signature: vec![] };
        let check = |raw: &RawPrekey| match raw.key_id {
            1 => Ok(key(1, 1)),
            2 => Err(Flaw::Signature),
            _ => Err(Flaw::Malformed),
        };
        let error = check_all(&[raw(1), raw(2), raw(3), raw(4)], check).unwrap_err();
        assert_eq!(error, UploadError::MalformedKeys { key_ids: vec![3, 4] });
    }

    #[test]
    fn one_id_twice_is_refused() {
        let error = reject_duplicates([1, 2, 1, 3, 3, 3]).unwrap_err();
        assert_eq!(error, UploadError::DuplicateIds { key_ids: vec![1, 3] });
    }

    proptest! {
        /// However uploads repeat and claims fall between them, no id is stored twice.
        #[test]
        fn no_id_is_ever_stored_twice(
            steps in prop::collection::vec((any::<bool>(), 1..12_i32, 1..6_i32), 1..40),
        ) {
            let (mut shelf, mut highest, mut ever) = (Vec::new(), 0, BTreeSet::new());
            for (is_claim, from, count) in steps {
                if is_claim {
                    shelf.pop();
                    continue;
                }
                let upload = (from..from + count).map(|id| key(id, 7)).collect();
                let sorted = sort(upload, &shelf, highest).unwrap();
                for new in sorted.new {
                    prop_assert!(ever.insert(new.key_id));
                    highest = highest.max(new.key_id);
                    shelf.push(new);
                }
            }
        }
    }
}
