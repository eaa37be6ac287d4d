use std::fmt;

use sotto_identity::safety_number::safety_number;
use sotto_ids::AccountId;

/// The number that two people compare to know that nobody is between them.
///
/// It follows from both account ids and both account keys, so it is the same on
/// either side, stays when a device is added, and changes when an account key
/// does.
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    digits: String,
}

impl SafetyNumber {
    pub(crate) fn between(own: (AccountId, &[u8; 32]), peer: (AccountId, &[u8; 32])) -> Self {
        Self { digits: safety_number(own, peer) }
    }

    /// The 60 digits.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five, as people read them to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, digit) in self.digits.chars().enumerate() {
            if index > 0 && index % 5 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyNumber(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_the_same_twelve_groups() {
        let alice = (AccountId::new([1; 32]), &[11; 32]);
        let bob = (AccountId::new([2; 32]), &[22; 32]);

        let number = SafetyNumber::between(alice, bob);

        assert_eq!(number, SafetyNumber::between(bob, alice));
        assert_eq!(number.digits().len(), 60);
        let groups: Vec<_> = number.to_string().split(' ').map(str::len).collect();
        assert_eq!(groups, [5; 12]);
    }
}
