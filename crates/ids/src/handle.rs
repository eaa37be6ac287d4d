use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A name that people type: 3 to 32 of `a-z`, `0-9`, `_` and `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Handle(String);

/// The text is no handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a handle has 3 to 32 of the characters a-z, 0-9, _ and ., starts with a letter or digit, \
     and has no two marks in a row nor one at its end"
)]
pub struct MalformedHandle;

impl Handle {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the handle looks like at a glance: two handles with the same skeleton
    /// could be taken for one another, so only one of them may exist.
    ///
    /// The pairs are those of Unicode TR 39 that lie within the alphabet of
    /// handles (0 and o, 1 and l, rn and m), and two that people fall for all the same:
    /// i with 1 and l (adm1n), and vv for w. Marks are left out.
    pub fn skeleton(&self) -> String {
        self.0
            .replace(['_', '.'], "")
            .replace('0', "o")
            .replace(['1', 'i'], "l")
            .replace("rn", "m")
            .replace("vv", "w")
    }
}

impl FromStr for Handle {
    type Err = MalformedHandle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_mark = |byte: u8| matches!(byte, b'_' | b'.');
        let bytes = text.as_bytes();
        let of_alphabet = bytes
            .iter()
            .all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_mark(byte));
        let at_the_edge = bytes.first().is_some_and(|&byte| is_mark(byte))
            || bytes.last().is_some_and(|&byte| is_mark(byte));
        let in_a_row = bytes.windows(2).any(|pair| pair.iter().all(|&byte| is_mark(byte)));
        if !(3..=32).contains(&bytes.len()) || !of_alphabet || at_the_edge || in_a_row {
            return Err(MalformedHandle);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_the_alphabet_are_taken() {
        for text in ["bob", "alice.b", "a_b_c", "0xdad", "a".repeat(32).as_str()] {
            assert_eq!(text.parse::<Handle>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn others_are_refused() {
        let long = "a".repeat(33);
        for text in ["", "ab", "Bob", "bo b", "böb", ".bob", "bob_", "bo..b", "bo._b", &long] {
            assert_eq!(text.parse::<Handle>(), Err(MalformedHandle), "{text}");
        }
    }

    #[test]
    fn handles_that_look_alike_share_a_skeleton() {
        let skeleton = |text: &str| text.parse::<Handle>().unwrap().skeleton();
        assert_eq!(skeleton("bob"), skeleton("b0b"));
        assert_eq!(skeleton("paypal"), skeleton("paypa1"));
        assert_eq!(skeleton("modern"), skeleton("rnodem"));
        assert_eq!(skeleton("ann.lee"), skeleton("annlee"));
        assert_eq!(skeleton("admin"), skeleton("adm1n"));
        assert_ne!(skeleton("ian"), skeleton("jan"));
    }
}
