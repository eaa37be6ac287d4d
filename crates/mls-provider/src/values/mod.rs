mod error;
mod keys;
mod snapshot;
mod storage;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

pub use self::error::{MalformedValues, StorageError};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A key, and what it has become: a value, or nothing where it was deleted.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The storage of OpenMLS as keys and values in memory, which remembers what has changed.
///
/// Load the entries that a step needs, let OpenMLS work, and write [`Values::take_changes`] into
/// the store in the transaction that writes whatever else belongs to the step. Where that fails,
/// drop the `Values` and load them again: OpenMLS itself knows no way back.
///
/// Keys sort so that all entries of a group stand together, see [`Values::group_prefix`];
/// what belongs to the device and to no group stands elsewhere: key packages, and keys that wait
/// for their group. Values are wiped from memory when they are dropped.
#[derive(Default)]
pub struct Values(Mutex<Content>);

#[derive(Default, Clone)]
struct Content {
    entries: BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    changes: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
}

impl Values {
    /// Holds entries that came from [`Values::entries`] or [`Values::take_changes`]. They are
    /// no changes.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries =
            entries.into_iter().map(|(key, value)| (key, Zeroizing::new(value))).collect();
        Self(Mutex::new(Content { entries, changes: BTreeMap::new() }))
    }

    /// All entries, sorted by key.
    pub fn entries(&self) -> Vec<Entry> {
        let content = self.lock();
        content.entries.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }

    /// What has changed since this was last asked, sorted by key, each key once.
    pub fn take_changes(&self) -> Vec<Change> {
        let changes = std::mem::take(&mut self.lock().changes);
        changes
            .into_iter()
            .map(|(key, value)| (key, value.map(|mut value| std::mem::take(&mut *value))))
            .collect()
    }

    /// With what the keys of all entries of a group begin, and no others; `mls_id` is the
    /// `group_id` of MLS.
    pub fn group_prefix(mls_id: &[u8]) -> Vec<u8> {
        keys::group_prefix(mls_id)
    }

    /// With what the keys of all entries begin that belong to no group.
    pub fn device_prefix() -> Vec<u8> {
        keys::device_prefix()
    }

    /// The bytes of all values: what the entries weigh in memory, about.
    pub fn weight(&self) -> usize {
        self.lock().entries.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let value = Zeroizing::new(value);
        if self.entries.get(&key).is_some_and(|present| **present == *value) {
            return;
        }
        self.changes.insert(key.clone(), Some(value.clone()));
        self.entries.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        if self.entries.remove(&key).is_some() {
            self.changes.insert(key, None);
        }
    }
}

impl Clone for Values {
    /// Copies the entries, and the changes that have not been taken.
    fn clone(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("entries", &self.lock().entries.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_what_became_of_each_key_since_they_were_last_taken() {
        let values = Values::from_entries([(vec![1], vec![10]), (vec![2], vec![20])]);

        values.lock().put(vec![1], vec![10]);
        values.lock().put(vec![3], vec![30]);
        values.lock().put(vec![3], vec![31]);
        values.lock().delete(vec![2]);
        values.lock().delete(vec![4]);

        assert_eq!(values.take_changes(), [(vec![2], None), (vec![3], Some(vec![31]))]);
        assert_eq!(values.take_changes(), []);
        assert_eq!(values.entries(), [(vec![1], vec![10]), (vec![3], vec![31])]);
    }

    #[test]
    fn a_value_that_was_put_and_deleted_is_a_deletion() {
        let values = Values::default();

        values.lock().put(vec![1], vec![10]);
        values.lock().delete(vec![1]);

        assert_eq!(values.take_changes(), [(vec![1], None)]);
    }
}
