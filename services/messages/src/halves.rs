use std::{collections::HashMap, hash::Hash};

/// A map of bounded size, in two halves: when the young half is full, it becomes the
/// old one, and the old one goes. What is looked for moves to the young half. So what
/// nobody asks for leaves without a search.
#[derive(Debug)]
pub(crate) struct Halves<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V> Halves<K, V> {
    /// With room for `capacity` entries, at least two.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn find(&mut self, key: K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(&key) {
            self.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Without moving any of them.
    pub(crate) fn values(&mut self) -> impl Iterator<Item = &mut V> {
        self.young.values_mut().chain(self.old.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut halves = Halves::new(10);
        for key in 0..200 {
            halves.insert(key, key);
            halves.find(key / 2);
            assert!(halves.values().count() <= 10);
        }
        assert_eq!(halves.find(199), Some(&mut 199));
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut halves = Halves::new(10);
        halves.insert(250, ());
        for key in 0..200 {
            halves.insert(key, ());
            assert!(halves.find(250).is_some());
        }
    }

    #[test]
    fn a_key_has_one_value() {
        let mut halves = Halves::new(4);
        for key in [1, 2, 3, 1] {
            halves.insert(key, key);
        }
        assert_eq!(halves.values().filter(|key| **key == 1).count(), 1);
    }
}
