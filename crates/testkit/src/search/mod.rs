//! Looking for planted bytes in everything that a server keeps or says.
//!
//! A server that cannot read a message has none of its text: not in a row, a Redis
//! value or a log line, and not behind an encoding either. So each needle is looked
//! for as it is, in hex, and in base64 at each of its three alignments.

mod files;
mod postgres;
mod redis;

use std::{collections::BTreeSet, fmt};

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

pub use self::{files::files, postgres::postgres, redis::Overheard, redis::redis};

/// Shorter needles would turn up by chance.
const SHORTEST: usize = 6;

/// What is to be found nowhere.
#[derive(Debug, Clone)]
pub struct Needles {
    automaton: AhoCorasick,
    // One for each pattern of the automaton: the needle it is of, and its form.
    patterns: Vec<(String, &'static str)>,
}

/// A needle that was found after all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Find {
    /// The needle, by its label.
    pub needle: String,
    /// How it was written: `plain`, `hex` or `base64`.
    pub form: &'static str,
    /// Where, for people.
    pub place: String,
}

/// What a search went through, and what it found.
#[derive(Debug, Clone, Default)]
pub struct Searched {
    /// Rows, values, files or messages.
    pub items: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// What was found, each place once.
    pub finds: BTreeSet<Find>,
}

impl Needles {
    /// Needles with labels, such as `("alice's text", b"...")`.
    ///
    /// # Panics
    ///
    /// On a needle of fewer than 6 bytes.
    pub fn new<L, B>(needles: impl IntoIterator<Item = (L, B)>) -> Self
    where
        L: Into<String>,
        B: AsRef<[u8]>,
    {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        let mut patterns = Vec::new();
        for (label, needle) in needles {
            let (label, needle) = (label.into(), needle.as_ref());
            assert!(needle.len() >= SHORTEST, "{label} is too short to be searched for");
            let mut add = |form, bytes: Vec<u8>| {
                if !forms.contains(&bytes) {
                    forms.push(bytes);
                    patterns.push((label.clone(), form));
                }
            };
            add("plain", needle.to_vec());
            add("hex", HEXLOWER.encode(needle).into_bytes());
            add("hex", HEXUPPER.encode(needle).into_bytes());
            for shift in 0..3 {
                add("base64", base64_inside(needle, shift, |bytes| BASE64_NOPAD.encode(bytes)));
                add("base64", base64_inside(needle, shift, |bytes| BASE64URL_NOPAD.encode(bytes)));
            }
        }
        let automaton = AhoCorasick::new(&forms).expect("needles are few and short");
        Self { automaton, patterns }
    }

    fn find_in<'a>(&'a self, bytes: &[u8]) -> Vec<&'a (String, &'static str)> {
        self.automaton
            .find_overlapping_iter(bytes)
            .filter_map(|found| self.patterns.get(found.pattern().as_usize()))
            .collect()
    }
}

/// The characters of a needle's base64 that do not depend on its neighbours, where
/// `shift` bytes (modulo 3) stand before it.
fn base64_inside(needle: &[u8], shift: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let shifted = [vec![0; shift], needle.to_vec()].concat();
    let encoded = encode(&shifted).into_bytes();
    // A character holds 6 bits: those with a bit of the bytes before are left out, and
    // the last where it has room for a bit of the byte after.
    let first = (shift * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    encoded.get(first..end).unwrap_or_default().to_vec()
}

impl Searched {
    /// Looks through one more item.
    pub fn look(&mut self, needles: &Needles, place: impl fmt::Display, bytes: &[u8]) {
        self.items += 1;
        self.bytes += bytes.len() as u64;
        for (needle, form) in needles.find_in(bytes) {
            self.finds.insert(Find { needle: needle.clone(), form, place: place.to_string() });
        }
    }

    /// Adds what another search went through.
    pub fn add(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.finds.extend(other.finds);
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needle, form, place } = self;
        write!(f, "{needle} ({form}) in {place}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms_found(text: &str) -> Vec<&'static str> {
        let needles = Needles::new([("secret", "marzipan-7f3a")]);
        let mut searched = Searched::default();
        searched.look(&needles, "a text", text.as_bytes());
        searched.finds.into_iter().map(|find| find.form).collect()
    }

    #[test]
    fn a_needle_is_found_in_each_of_its_forms() {
        assert_eq!(forms_found("..marzipan-7f3a.."), ["plain"]);
        assert_eq!(forms_found(r"\x2e6d61727a6970616e2d376633612e"), ["hex"]);
        assert_eq!(forms_found("2E6D61727A6970616E2D376633612E"), ["hex"]);
        assert_eq!(forms_found("marzipan-7f3"), [""; 0]);
    }

    #[test]
    fn base64_is_found_wherever_the_needle_stands_in_it() {
        for before in ["", "a", "ab", "abc", "{\"body\":\""] {
            for after in ["", "z", "zy", "zyx", "\"}"] {
                let text = format!("{before}marzipan-7f3a{after}");
                let encoded = data_encoding::BASE64.encode(text.as_bytes());
                assert_eq!(forms_found(&encoded), ["base64"], "{text}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_needle_that_would_turn_up_by_chance_is_refused() {
        drop(Needles::new([("a", "abc")]));
    }
}
