use std::collections::HashMap;

use sotto_ids::GroupId;
use sotto_proto::socket::GroupEntry;

use super::{
    super::Groups,
    batch::{self, Fate, Held, Pending},
};
use crate::{db, domain::Head, gateways::Turn, roster::Roster};

/// What a transaction has done.
#[derive(Debug)]
pub(super) struct Stored {
    /// One for each message, in their order.
    pub(super) fates: Vec<Fate>,
    /// What is to be published, group by group, each in its turn.
    pub(super) publications: Vec<(Turn, Vec<GroupEntry>)>,
}

impl Groups {
    /// Stores messages of any groups in one transaction (I-2, I-4).
    ///
    /// It holds the rows of the groups from before it looks at their epochs until it has
    /// committed: no commit ends an epoch between the look and the message, and the numbers
    /// are given out without gaps and in the order in which they become visible.
    pub(super) async fn store(&self, sends: &[Pending]) -> sqlx::Result<Stored> {
        let mut tx = self.db.begin().await?;
        let heads = db::append::lock(&batch::groups(sends), &mut *tx).await?;
        let heads: HashMap<GroupId, Head> =
            heads.into_iter().map(|head| (head.group, head)).collect();
        let repeated = db::append::find_repeated(&batch::names(sends), &mut *tx).await?;
        let mut held = Held { heads, repeated, rosters: HashMap::new() };

        held.rosters = self.delivery.rosters.remembered(held.epochs());
        let missing: Vec<GroupId> =
            held.heads.keys().copied().filter(|group| !held.rosters.contains_key(group)).collect();
        if !missing.is_empty() {
            // Nobody comes or goes while the groups are held.
            for (group, devices) in db::append::list_rosters(&missing, &mut *tx).await? {
                let Some(head) = held.heads.get(&group) else { continue };
                let roster = Roster::new(head.at, devices);
                self.delivery.rosters.remember(group, roster.clone());
                held.rosters.insert(group, roster);
            }
        }

        let sends = sends.iter().map(|pending| &pending.send);
        let plan = held.plan(sends, self.clock.now_ms());
        let mut publications = Vec::new();
        for (group, entries) in plan.by_group() {
            let first_seq = entries.first().map_or(0, |entry| entry.seq);
            publications.push((self.delivery.publications.turn(group, first_seq), entries));
        }
        if !plan.entries.is_empty() {
            db::append::insert_messages(&plan.entries, &plan.ends(), &mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Stored { fates: plan.fates, publications })
    }
}
