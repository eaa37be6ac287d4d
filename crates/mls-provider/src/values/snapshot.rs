use serde::{Deserialize, Serialize};

use super::{MalformedValues, Values};

/// The form of a snapshot. A change of what stands in values is a new number as well.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Pair<'a> {
    #[serde(with = "serde_bytes")]
    key: &'a [u8],
    #[serde(with = "serde_bytes")]
    value: &'a [u8],
}

impl Values {
    /// All entries as one blob, for a store that keeps a group as a whole. Changes that have
    /// not been taken are not in it.
    #[expect(clippy::missing_panics_doc, reason = "memory takes bytes")]
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = self.lock();
        let pairs: Vec<_> =
            content.entries.iter().map(|(key, value)| Pair { key, value }).collect();
        let room = content.entries.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let mut bytes = Vec::with_capacity(room);
        bytes.push(VERSION);
        postcard::to_extend(&pairs, bytes).expect("pairs of bytes always have an encoding")
    }

    /// Holds what [`Values::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// Where the bytes are no such blob.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedValues> {
        let Some((&VERSION, bytes)) = bytes.split_first() else {
            return Err(MalformedValues::UnknownVersion);
        };
        let (pairs, rest) = postcard::take_from_bytes::<Vec<Pair<'_>>>(bytes)
            .map_err(MalformedValues::Unreadable)?;
        if !rest.is_empty() {
            return Err(MalformedValues::TrailingBytes);
        }
        Ok(Self::from_entries(
            pairs.into_iter().map(|pair| (pair.key.to_vec(), pair.value.to_vec())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_gives_the_same_entries_and_nothing_else_is_one() {
        let values = Values::from_entries([(vec![1], vec![2; 300]), (vec![], vec![])]);

        let bytes = values.to_bytes();
        let again = Values::from_bytes(&bytes).unwrap();

        assert_eq!(again.entries(), values.entries());
        assert!(again.take_changes().is_empty());
        assert!(Values::from_bytes(&[]).is_err());
        assert!(Values::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Values::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        let other = [&[VERSION + 1], bytes.split_first().unwrap().1].concat();
        assert!(matches!(Values::from_bytes(&other), Err(MalformedValues::UnknownVersion)));
    }
}
