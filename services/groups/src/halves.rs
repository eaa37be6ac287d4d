use std::{collections::HashMap, hash::Hash};

/// A map of bounded weight, in two halves: when the young half is full, it becomes the
/// old one, and the old one goes. What is looked for moves to the young half. So what
/// nobody asks for leaves without a search.
#[derive(Debug)]
pub(crate) struct Halves<K, V> {
    half: usize,
    weight: usize,
    young: HashMap<K, (usize, V)>,
    old: HashMap<K, (usize, V)>,
}

impl<K: Copy + Eq + Hash, V> Halves<K, V> {
    /// With room for `capacity`, of whatever the weights count. One entry has room in any
    /// case.
    pub(crate) fn new(capacity: usize) -> Self {
        let half = (capacity / 2).max(1);
        Self { half, weight: 0, young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn find(&mut self, key: K) -> Option<&mut V> {
        if let Some((weight, value)) = self.old.remove(&key) {
            self.insert(key, weight, value);
        }
        self.young.get_mut(&key).map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: K, weight: usize, value: V) {
        self.remove(key);
        if !self.young.is_empty() && self.weight + weight > self.half {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, (weight, value));
    }

    pub(crate) fn remove(&mut self, key: K) {
        if let Some((weight, _)) = self.young.remove(&key) {
            self.weight -= weight;
        }
        self.old.remove(&key);
    }

    /// Without moving any of them.
    #[cfg(test)]
    fn values(&mut self) -> impl Iterator<Item = &mut V> {
        self.young.values_mut().chain(self.old.values_mut()).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut halves = Halves::new(10);
        for key in 0..200 {
            halves.insert(key, 1 + key % 3, 1 + key % 3);
            halves.find(key / 2);
            assert!(halves.values().map(|weight| *weight).sum::<usize>() <= 10);
        }
        assert_eq!(halves.find(199), Some(&mut 2));
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut halves = Halves::new(10);
        halves.insert(250, 1, ());
        for key in 0..200 {
            halves.insert(key, 1, ());
            assert!(halves.find(250).is_some());
        }
    }

    #[test]
    fn a_key_has_one_value_and_its_weight_counts_once() {
        let mut halves = Halves::new(8);
        for _ in 0..100 {
            halves.insert(1, 3, 1);
        }
        halves.insert(2, 1, 2);
        assert_eq!(halves.values().count(), 2, "nothing had to go");
        halves.remove(1);
        assert_eq!(halves.find(1), None);
        assert_eq!(halves.weight, 1);
    }
}
