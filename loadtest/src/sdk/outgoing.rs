use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sotto_client::MessageId;

use crate::oracle::{Letter, Oracle};

/// What became of a message, by the name that the SDK gave it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Accepted,
    Refused,
}

/// Which message has which name.
///
/// The SDK may tell of a message before the call that wrote it has returned its name to
/// us; such words wait.
#[derive(Debug, Default)]
pub(super) struct Outgoing(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    written: HashMap<MessageId, Letter>,
    early: HashMap<MessageId, Fate>,
    done: HashSet<MessageId>,
}

impl Outgoing {
    /// A message was written under this name.
    pub(super) fn written(&self, id: MessageId, letter: Letter, oracle: &Oracle) {
        let mut names = self.names();
        match names.early.remove(&id) {
            Some(fate) => tell(letter, fate, oracle),
            None => drop(names.written.insert(id, letter)),
        }
    }

    /// The SDK says what became of the message of this name.
    pub(super) fn decided(&self, id: MessageId, fate: Fate, oracle: &Oracle) {
        let mut names = self.names();
        match names.written.remove(&id) {
            Some(letter) => {
                names.done.insert(id);
                tell(letter, fate, oracle);
            }
            None if names.done.contains(&id) => {}
            None => drop(names.early.insert(id, fate)),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(letter: Letter, fate: Fate, oracle: &Oracle) {
    match fate {
        Fate::Accepted => oracle.accepted(letter, None),
        Fate::Refused => oracle.refused(letter),
    }
}
