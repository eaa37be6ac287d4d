//! What nobody may read: what was said before they came, and after they went.

use std::sync::Arc;

use anyhow::Context as _;
use sotto_ids::GroupId;
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use super::{crew::Member, ledger::Verdict, story::Story};

/// Messages that are tried in vain by each who came later or went before.
const TRIED: usize = 50;

impl Story<'_> {
    /// Has those who came late try what was said before, and those who went what was said
    /// after.
    pub(super) async fn try_in_vain(
        &self,
        verdict: &mut Verdict,
        admin: &Arc<Member>,
        late: &[Arc<Member>],
        gone: &[Arc<Member>],
        group: GroupId,
    ) -> anyhow::Result<()> {
        for (who, of) in [("came later", late), ("went before", gone)] {
            let Some(one) = of.first() else { continue };
            let (joined, removed) = {
                let device = one.device();
                let room = device.room(group).context("it is in no such group")?;
                (room.joined(), room.removed())
            };
            let after = removed.unwrap_or(0);
            let until = removed.map_or(joined, |_| u64::MAX);
            let messages = self.messages_between(admin, group, after, until).await?;
            verdict.tried_in_vain += messages.len() * of.len();
            let mut opened = 0;
            for member in of {
                let messages = messages.clone();
                let tried =
                    self.crew.work(member, move |device| device.could_open(group, &messages));
                opened += tried.await?;
                // Nor does the server give it to them.
                let given = self.crew.api.log(group, after, &member.token).await;
                let outside = given.map_or(0, |page| {
                    let is_outside = |seq| removed.is_some_and(|end| seq > end) || seq < joined;
                    page.entries.iter().filter(|entry| is_outside(entry.seq)).count()
                });
                if outside > 0 {
                    let text = format!("the server gave {outside} entries to one who {who}");
                    verdict.wrong.push(text);
                }
            }
            if opened > 0 {
                verdict.wrong.push(format!("{opened} messages were opened by who {who}"));
            }
            if messages.is_empty() {
                verdict.wrong.push(format!("nobody who {who} had anything to try"));
            }
        }
        Ok(())
    }

    /// The first messages of a log after an entry and before another, as they are stored.
    async fn messages_between(
        &self,
        reader: &Member,
        group: GroupId,
        mut after: u64,
        before: u64,
    ) -> anyhow::Result<Vec<GroupEntry>> {
        let mut messages = Vec::new();
        loop {
            let page = self.crew.api.log(group, after, &reader.token).await?;
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { break };
            let of_kind = page
                .entries
                .into_iter()
                .filter(|entry| entry.kind() == GroupEntryKind::Message && entry.seq < before);
            messages.extend(of_kind.take(TRIED - messages.len()));
            if messages.len() >= TRIED || last >= page.head_seq.min(before) {
                break;
            }
            after = last;
        }
        Ok(messages)
    }
}
