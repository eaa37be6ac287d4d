//! What was said in a group, as the senders know it, against what each member saw.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use sotto_ids::GroupId;

use super::{crew::Member, room::Room, text::Text};

/// How many members a finding names.
const NAMED: usize = 5;

/// Messages that were accepted, by their place in the log.
#[derive(Debug, Default)]
pub struct Ledger {
    accepted: BTreeMap<u64, Text>,
    /// Two that were said to have the same place.
    twice: Vec<u64>,
}

/// What the members of a group have seen.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Members, those that were removed included.
    pub members: usize,
    /// Messages that were accepted.
    pub accepted: usize,
    /// Messages that all members together were entitled to, and that they saw.
    pub entitled: u64,
    /// The same, as they were seen.
    pub shown: u64,
    /// The epoch in which all members are.
    pub epoch: u64,
    /// Messages that were tried in vain: from before the device came, or after it went.
    pub tried_in_vain: usize,
    /// What is not as it should be.
    pub wrong: Vec<String>,
}

impl Ledger {
    /// A message was accepted, and stands here.
    pub fn accepted(&mut self, seq: u64, text: Text) {
        if self.accepted.insert(seq, text).is_some() {
            self.twice.push(seq);
        }
    }

    /// How many were.
    pub fn len(&self) -> usize {
        self.accepted.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    /// What a member was entitled to: what stands between its coming and its going.
    fn entitled(&self, room: &Room) -> Vec<(u64, Text)> {
        let end = room.removed().unwrap_or(u64::MAX);
        self.accepted
            .range(room.joined() + 1..end.max(room.joined() + 1))
            .map(|(seq, text)| (*seq, *text))
            .collect()
    }

    /// Holds what each member saw against what it was entitled to: all of it, once, in the
    /// order of the log, and nothing else; and each member's epoch against the others'.
    pub fn judge(&self, members: &[Arc<Member>], group: GroupId) -> Verdict {
        let mut verdict = Verdict { accepted: self.accepted.len(), ..Verdict::default() };
        let (mut elsewhere, mut differ, mut nameless) = (Vec::new(), Vec::new(), Vec::new());
        let mut standing = None;
        for member in members {
            let device = member.device();
            let Some(room) = device.room(group) else {
                elsewhere.push(member.number);
                continue;
            };
            verdict.members += 1;
            let entitled = self.entitled(room);
            verdict.entitled += entitled.len() as u64;
            verdict.shown += room.shown().len() as u64;
            if entitled.as_slice() != room.shown() && differ.len() < NAMED {
                differ.push(difference(member.number, &entitled, room.shown()));
            }
            if room.removed().is_some() {
                continue;
            }
            let own = room.standing();
            verdict.epoch = own.epoch;
            if *standing.get_or_insert_with(|| own.clone()) != own {
                elsewhere.push(member.number);
            }
            match room.name(group) {
                Ok(name) if name.as_deref().is_none_or(|name| name == super::crew::NAME) => {}
                _ => nameless.push(member.number),
            }
        }
        verdict.wrong.extend(differ);
        for (who, what) in [
            (&elsewhere, "are in another epoch, or in none"),
            (&nameless, "cannot read what the group is called"),
        ] {
            if !who.is_empty() {
                let named: Vec<_> = who.iter().take(NAMED).collect();
                verdict.wrong.push(format!("{} members {what}: {named:?}", who.len()));
            }
        }
        if !self.twice.is_empty() {
            verdict.wrong.push(format!("two messages have one place: {:?}", self.twice));
        }
        verdict
    }
}

/// The first place at which what was seen is not what should have been.
fn difference(member: u32, entitled: &[(u64, Text)], shown: &[(u64, Text)]) -> String {
    let place = entitled.iter().zip(shown).take_while(|(a, b)| a == b).count();
    let say = |at: Option<&(u64, Text)>| {
        at.map_or("nothing".to_owned(), |(seq, text)| format!("{text} at {seq}"))
    };
    format!(
        "member {member} should have {} messages and has {}; the first that differs is {} in \
         place of {}",
        entitled.len(),
        shown.len(),
        say(shown.get(place)),
        say(entitled.get(place)),
    )
}
