//! What a message says: which one it is.

use crate::light::content;

/// Bytes of a text: a short one, as people write it.
const LENGTH: usize = 120;

/// A message of the run, by numbers of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    /// Who wrote it.
    pub from: u32,
    /// Its number among theirs.
    pub number: u64,
}

impl Text {
    /// The plaintext that says so.
    pub(super) fn bytes(self) -> Vec<u8> {
        content::write(self.from, self.number, LENGTH).to_vec()
    }

    /// Reads a plaintext.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        content::read(bytes).map(|(from, number)| Self { from, number })
    }
}

impl std::fmt::Display for Text {
    /// `17 #42`: the 43rd that 17 wrote.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.from, self.number)
    }
}
