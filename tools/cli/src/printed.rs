//! How far `listen` has printed what came in.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sotto_client::{Direction, Message};

use crate::{failure::Failure, profile::unusable};

/// What a profile remembers of it, in `printed.json`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Position of the newest message that was printed or passed over; 0 before the
    /// first.
    position: u64,
}

/// The place up to which a profile's messages were printed.
#[derive(Debug)]
pub(crate) struct Printed {
    file: PathBuf,
    saved: Remembered,
    now: Remembered,
}

impl Printed {
    /// What the profile remembers; the beginning where nothing was printed yet.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let file = folder.join("printed.json");
        let saved = match fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| unusable(&file, &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Remembered::default(),
            Err(error) => return Err(unusable(&file, &error)),
        };
        Ok(Self { file, saved, now: saved })
    }

    /// Messages after this position were not printed.
    pub(crate) const fn position(&self) -> u64 {
        self.now.position
    }

    /// Prints what others wrote of `messages`, which follow the position in order;
    /// `left` of them at most, which it counts down. It stops at the first that cannot
    /// be printed, so that this one comes again.
    pub(crate) fn print(
        &mut self,
        messages: &[Message],
        left: &mut usize,
        mut print: impl FnMut(&Message) -> io::Result<()>,
    ) -> io::Result<()> {
        for message in messages {
            if *left == 0 {
                break;
            }
            if message.direction == Direction::Received {
                print(message)?;
                *left -= 1;
            }
            self.now.position = message.position;
        }
        Ok(())
    }

    /// Makes the profile remember it. The file is replaced as a whole, so that it is
    /// never half written.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        if self.now == self.saved {
            return Ok(());
        }
        let fresh = self.file.with_extension("json.new");
        let json = serde_json::to_vec(&self.now).map_err(|error| unusable(&self.file, &error))?;
        fs::write(&fresh, json)
            .and_then(|()| fs::rename(&fresh, &self.file))
            .map_err(|error| unusable(&self.file, &error))?;
        self.saved = self.now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sotto_client::{Body, ConversationId, MessageState, ids::AccountId};

    use super::*;

    fn message(position: u64, direction: Direction) -> Message {
        let peer = AccountId::new([2; 32]);
        Message {
            group: None,
            group_seq: None,
            position,
            id: "0190a5b0-0000-7000-8000-000000000000".parse().unwrap(),
            conversation: ConversationId::between(&AccountId::new([1; 32]), &peer),
            peer,
            direction,
            device: 1_u32.try_into().unwrap(),
            body: Body::Text("hi".to_owned()),
            sent_at_ms: 1,
            server_time_ms: Some(1),
            stored_at_ms: 1,
            state: MessageState::Received,
            reply_to: None,
            edited_at_ms: None,
            expire_after: None,
            expires_at_ms: None,
            read_at_ms: None,
        }
    }

    /// The positions that a `listen` prints in a profile whose store has `messages`.
    fn listen(folder: &Path, messages: &[Message], count: usize) -> Vec<u64> {
        let mut printed = Printed::load(folder).unwrap();
        let first = messages.partition_point(|one| one.position <= printed.position());
        let (mut left, mut positions) = (count, Vec::new());
        printed
            .print(&messages[first..], &mut left, |message| {
                positions.push(message.position);
                Ok(())
            })
            .unwrap();
        printed.save().unwrap();
        positions
    }

    #[test]
    fn what_came_in_while_another_command_ran_is_printed_once() {
        let profile = tempfile::tempdir().unwrap();
        let mut store = vec![message(1, Direction::Sent), message(2, Direction::Received)];

        assert_eq!(listen(profile.path(), &store, usize::MAX), [2]);
        // `send` went online, and two messages came in beside its own.
        let send = [(4, Direction::Received), (5, Direction::Sent), (7, Direction::Received)];
        store.extend(send.map(|(position, direction)| message(position, direction)));
        assert_eq!(listen(profile.path(), &store, usize::MAX), [4, 7]);

        assert_eq!(listen(profile.path(), &store, usize::MAX), [0; 0]);
    }

    #[test]
    fn what_a_count_leaves_over_comes_with_the_next() {
        let profile = tempfile::tempdir().unwrap();
        let store: Vec<_> = (1..=5).map(|n| message(n, Direction::Received)).collect();

        assert_eq!(listen(profile.path(), &store, 2), [1, 2]);
        assert_eq!(listen(profile.path(), &store, 0), [0; 0]);
        assert_eq!(listen(profile.path(), &store, usize::MAX), [3, 4, 5]);
    }

    #[test]
    fn a_message_that_could_not_be_printed_comes_again() {
        let profile = tempfile::tempdir().unwrap();
        let store = [message(1, Direction::Received), message(2, Direction::Received)];
        let mut printed = Printed::load(profile.path()).unwrap();

        let broken = printed.print(&store, &mut 9, |message| match message.position {
            1 => Ok(()),
            _ => Err(ErrorKind::BrokenPipe.into()),
        });
        printed.save().unwrap();

        assert!(broken.is_err());
        assert_eq!(listen(profile.path(), &store, usize::MAX), [2]);
    }

    #[test]
    fn a_file_that_is_something_else_is_not_overwritten() {
        let profile = tempfile::tempdir().unwrap();
        fs::write(profile.path().join("printed.json"), "{").unwrap();

        assert_eq!(Printed::load(profile.path()).unwrap_err().reason(), "profile");
    }
}
