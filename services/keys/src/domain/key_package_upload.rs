//! What becomes of an upload of KeyPackages.
//!
//! A KeyPackage is named by its hash, so one that is known is the same to the last byte. One
//! that was handed out or replaced is remembered until its lifetime ends, and not stored
//! again: an upload may be repeated at any time.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};
use sotto_kit::fault::{Code, Fault};
use sotto_mls::identity::Claim;

use super::key_package::{Flaw, KeyPackage, Lifetimes, Use};

/// Which KeyPackages of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Places in the list of the one-time ones, from 0 on.
    pub one_time: Vec<usize>,
    /// The last-resort one.
    pub last_resort: bool,
}

/// Why an upload is refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// It has more one-time KeyPackages than an upload may have.
    #[error("an upload has at most {most} one-time KeyPackages")]
    TooMany {
        /// The most that it may have.
        most: usize,
    },
    /// It has one KeyPackage twice.
    #[error("the upload has a KeyPackage twice")]
    Duplicate {
        /// The later ones.
        which: Which,
    },
    /// KeyPackages of more bytes than one may have.
    #[error("a KeyPackage is too large")]
    TooLarge {
        /// Those in question.
        which: Which,
    },
    /// Bytes that are no KeyPackage of RFC 9420, or not in its one form.
    #[error("a KeyPackage is malformed")]
    Malformed {
        /// Those in question.
        which: Which,
    },
    /// A signature does not verify, or another rule of RFC 9420 section 10.1 is broken.
    #[error("a KeyPackage is not valid")]
    Invalid {
        /// Those in question.
        which: Which,
    },
    /// Another cipher suite than groups here have, or a leaf that cannot what they require.
    #[error("a KeyPackage has another suite, or cannot what groups require")]
    Unusable {
        /// Those in question.
        which: Which,
    },
    /// The leaf names another device than the caller's, or its key is not the one that the
    /// chain certifies for it.
    #[error("a KeyPackage is not certified by the chain of the calling device")]
    Uncertified {
        /// Those in question.
        which: Which,
    },
    /// Its lifetime has not begun, is over, or ends within `keys.key_packages.margin`.
    #[error("a KeyPackage is not yet, or not long enough, within its lifetime")]
    OutOfTime {
        /// Those in question.
        which: Which,
    },
    /// Its lifetime is longer than `keys.key_packages.longest_life`.
    #[error("the lifetime of a KeyPackage is too long")]
    TooLong {
        /// Those in question.
        which: Which,
    },
    /// A one-time KeyPackage has the extension `last_resort`, or a last-resort one has not.
    #[error("a KeyPackage is marked as last resort and is none, or is one and not marked")]
    WrongUse {
        /// Those in question.
        which: Which,
    },
    /// The shelf would hold more one-time KeyPackages than it may.
    #[error("a device may keep {stock} one-time KeyPackages, and has {held}")]
    ShelfFull {
        /// The most that it may hold.
        stock: usize,
        /// What it holds.
        held: usize,
    },
}

impl KeyPackageError {
    fn of(flaw: Flaw, which: Which) -> Self {
        match flaw {
            Flaw::TooLarge => Self::TooLarge { which },
            Flaw::Malformed => Self::Malformed { which },
            Flaw::Invalid => Self::Invalid { which },
            Flaw::Unusable => Self::Unusable { which },
            Flaw::Uncertified => Self::Uncertified { which },
            Flaw::OutOfTime => Self::OutOfTime { which },
            Flaw::TooLong => Self::TooLong { which },
            Flaw::WrongUse => Self::WrongUse { which },
        }
    }

    const fn which(&self) -> Option<&Which> {
        match self {
            Self::TooMany { .. } | Self::ShelfFull { .. } => None,
            Self::Duplicate { which }
            | Self::TooLarge { which }
            | Self::Malformed { which }
            | Self::Invalid { which }
            | Self::Unusable { which }
            | Self::Uncertified { which }
            | Self::OutOfTime { which }
            | Self::TooLong { which }
            | Self::WrongUse { which } => Some(which),
        }
    }
}

impl Fault for KeyPackageError {
    fn code(&self) -> Code {
        match self {
            Self::ShelfFull { .. } => Code::Conflict,
            _ => Code::InvalidInput,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many_key_packages",
            Self::Duplicate { .. } => "key_package_duplicate",
            Self::TooLarge { .. } => "key_package_too_large",
            Self::Malformed { .. } => "key_package_malformed",
            Self::Invalid { .. } => "key_package_invalid",
            Self::Unusable { .. } => "key_package_unusable",
            Self::Uncertified { .. } => "key_package_uncertified",
            Self::OutOfTime { .. } => "key_package_expired",
            Self::TooLong { .. } => "key_package_lives_too_long",
            Self::WrongUse { .. } => "key_package_last_resort",
            Self::ShelfFull { .. } => "shelf_full",
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let Some(which) = self.which() else { return Map::new() };
        [
            ("one_time".to_owned(), json!(which.one_time)),
            ("last_resort".to_owned(), json!(which.last_resort)),
        ]
        .into_iter()
        .collect()
    }
}

/// An upload as it comes: each an encoded KeyPackage.
#[derive(Default)]
pub(crate) struct RawUpload {
    pub(crate) one_time: Vec<Vec<u8>>,
    pub(crate) last_resort: Option<Vec<u8>>,
}

/// An upload whose KeyPackages are all sound.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) one_time: Vec<KeyPackage>,
    pub(crate) last_resort: Option<KeyPackage>,
}

impl Upload {
    /// Checks each KeyPackage of an upload, and that none is there twice. Where several have
    /// flaws, those with the worst one are named.
    pub(crate) fn check(
        raw: &RawUpload,
        owner: Claim,
        lifetimes: &Lifetimes,
    ) -> Result<Self, KeyPackageError> {
        let mut upload = Self::default();
        let mut flawed = BTreeMap::<Flaw, Which>::new();
        for (place, bytes) in raw.one_time.iter().enumerate() {
            match KeyPackage::check(bytes, Use::Once, owner, lifetimes) {
                Ok(package) => upload.one_time.push(package),
                Err(flaw) => flawed.entry(flaw).or_default().one_time.push(place),
            }
        }
        if let Some(bytes) = &raw.last_resort {
            match KeyPackage::check(bytes, Use::LastResort, owner, lifetimes) {
                Ok(package) => upload.last_resort = Some(package),
                Err(flaw) => flawed.entry(flaw).or_default().last_resort = true,
            }
        }
        if let Some((flaw, which)) = flawed.pop_first() {
            return Err(KeyPackageError::of(flaw, which));
        }
        let mut seen = HashSet::new();
        let twice = upload.one_time.iter().enumerate();
        let twice = twice.filter(|(_, package)| !seen.insert(package.reference));
        let one_time: Vec<_> = twice.map(|(place, _)| place).collect();
        if one_time.is_empty() {
            Ok(upload)
        } else {
            let which = Which { one_time, last_resort: false };
            Err(KeyPackageError::Duplicate { which })
        }
    }
}
