use std::collections::{BTreeSet, HashMap};

use sotto_ids::{ClientMsgId, GroupId};
use sotto_proto::socket::GroupEntry;
use uuid::Uuid;

use crate::{
    db::append::Standing,
    domain::{Epoch, Head, Refusal, Send},
    gateways::Ticket,
    roster::Roster,
};

/// A message that is well-formed and comes from a live device.
#[derive(Debug)]
pub(in crate::ops) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) send: Send,
}

/// What becomes of a message, once its transaction is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stands in the log; if not since now, it had come before.
    Stands {
        seq: u64,
        server_time_ms: u64,
        new: bool,
    },
    /// The group is in another epoch.
    Stale {
        head: Head,
    },
    Refused(Refusal),
}

/// The groups of a batch as they stand while the transaction holds them.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) heads: HashMap<GroupId, Head>,
    pub(super) rosters: HashMap<GroupId, Roster>,
    pub(super) repeated: HashMap<(GroupId, Uuid), Standing>,
}

/// What a transaction is to do, and what it will have meant for each message.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// One for each message of the batch, in its order.
    pub(super) fates: Vec<Fate>,
    /// Entries to be added, those of one group in the order of their numbers.
    pub(super) entries: Vec<(GroupId, GroupEntry)>,
}

impl Held {
    /// Decides on the messages, in their order. The groups are held: what is decided here is
    /// still so when the transaction ends.
    pub(super) fn plan<'s>(mut self, sends: impl Iterator<Item = &'s Send>, now_ms: u64) -> Plan {
        let mut plan = Plan::default();
        for send in sends {
            let fate = self.decide(send, now_ms);
            if let Fate::Stands { seq, new: true, .. } = fate {
                plan.entries.push((send.group, send.entry(seq, now_ms)));
            }
            plan.fates.push(fate);
        }
        plan
    }

    fn decide(&mut self, send: &Send, now_ms: u64) -> Fate {
        let name = (send.group, send.id.as_uuid());
        if let Some(Standing { seq, server_time_ms }) = self.repeated.get(&name).copied() {
            return Fate::Stands { seq, server_time_ms, new: false };
        }
        let Some(head) = self.heads.get_mut(&send.group) else {
            return Fate::Refused(Refusal::NoSuchGroup);
        };
        // First: who is not in the group learns nothing of where it is.
        if !self.rosters.get(&send.group).is_some_and(|roster| roster.has(send.sender)) {
            return Fate::Refused(Refusal::NotAMember);
        }
        if send.at != head.at {
            return Fate::Stale { head: *head };
        }
        head.seq += 1;
        let seq = head.seq;
        // Should it be in this batch a second time.
        self.repeated.insert(name, Standing { seq, server_time_ms: now_ms });
        Fate::Stands { seq, server_time_ms: now_ms, new: true }
    }

    pub(super) fn epochs(&self) -> impl Iterator<Item = (GroupId, Epoch)> {
        self.heads.values().map(|head| (head.group, head.at))
    }
}

impl Plan {
    /// The entries of each group.
    pub(super) fn by_group(&self) -> HashMap<GroupId, Vec<GroupEntry>> {
        let mut groups: HashMap<GroupId, Vec<GroupEntry>> = HashMap::new();
        for (group, entry) in &self.entries {
            groups.entry(*group).or_default().push(entry.clone());
        }
        groups
    }

    /// The last number of each group.
    pub(super) fn ends(&self) -> Vec<(GroupId, u64)> {
        let ends: HashMap<GroupId, u64> =
            self.entries.iter().map(|(group, entry)| (*group, entry.seq)).collect();
        ends.into_iter().collect()
    }
}

/// The groups of these messages, each once.
pub(super) fn groups(sends: &[Pending]) -> Vec<GroupId> {
    let groups: BTreeSet<GroupId> = sends.iter().map(|pending| pending.send.group).collect();
    groups.into_iter().collect()
}

/// The names of these messages.
pub(super) fn names(sends: &[Pending]) -> Vec<(GroupId, ClientMsgId)> {
    sends.iter().map(|pending| (pending.send.group, pending.send.id)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sotto_ids::{AccountId, DeviceAddress, DeviceId};

    use super::*;

    const AT: Epoch = Epoch { generation: 0, epoch: 7 };

    fn device(seed: u8) -> DeviceAddress {
        DeviceAddress::new(AccountId::new([seed; 32]).uuid(), DeviceId::FIRST)
    }

    fn group() -> GroupId {
        GroupId::new([1; 16])
    }

    fn send(sender: u8, id: u64, at: Epoch) -> Send {
        Send {
            sender: device(sender),
            group: group(),
            at,
            id: ClientMsgId::new(id, [0; 10]),
            message: Bytes::from_static(b"sealed"),
        }
    }

    /// A group of the devices 1 and 2 with ten entries, of which message 3 is the sixth.
    fn held() -> Held {
        let head = Head { group: group(), at: AT, seq: 10 };
        let third = ClientMsgId::new(3, [0; 10]).as_uuid();
        Held {
            heads: [(group(), head)].into(),
            rosters: [(group(), Roster::new(AT, vec![device(2), device(1)]))].into(),
            repeated: [((group(), third), Standing { seq: 6, server_time_ms: 1 })].into(),
        }
    }

    fn seqs(plan: &Plan) -> Vec<u64> {
        plan.entries.iter().map(|(_, entry)| entry.seq).collect()
    }

    #[test]
    fn messages_get_the_next_numbers_without_gaps_whatever_is_refused_between_them() {
        let over = Epoch { generation: 0, epoch: 6 };
        let sends = [
            send(1, 20, AT),
            send(9, 21, AT),
            send(2, 22, over),
            send(2, 3, over),
            send(2, 23, AT),
        ];

        let plan = held().plan(sends.iter(), 99);

        let head = Head { group: group(), at: AT, seq: 11 };
        let fates = [
            Fate::Stands { seq: 11, server_time_ms: 99, new: true },
            Fate::Refused(Refusal::NotAMember),
            Fate::Stale { head },
            Fate::Stands { seq: 6, server_time_ms: 1, new: false },
            Fate::Stands { seq: 12, server_time_ms: 99, new: true },
        ];
        assert_eq!(plan.fates, fates);
        assert_eq!(seqs(&plan), [11, 12]);
        assert_eq!(plan.ends(), [(group(), 12)]);
    }

    #[test]
    fn a_message_that_is_in_a_batch_twice_is_stored_once() {
        let sends = [send(1, 20, AT), send(1, 20, AT)];

        let plan = held().plan(sends.iter(), 99);

        assert_eq!(seqs(&plan), [11]);
        assert_eq!(plan.fates[1], Fate::Stands { seq: 11, server_time_ms: 99, new: false });
    }

    #[test]
    fn who_is_not_in_the_group_does_not_hear_that_the_group_has_moved_on() {
        let over = Epoch { generation: 0, epoch: 6 };
        let plan = held().plan([send(9, 20, over)].iter(), 99);
        assert_eq!(plan.fates, [Fate::Refused(Refusal::NotAMember)]);
    }
}
