use sotto_ids::GroupId;
use sotto_kit::auth::Caller;

use super::{
    Groups,
    create::{BeginRequest, state_of},
    standing::leaf_of,
};
use crate::{
    db,
    domain::{Epoch, Head, entry},
    error::{GroupsError, Lag},
    metrics,
    mls::MAKERS_LEAF,
};

impl Groups {
    /// Ends a generation of a group, and begins the next with the caller alone, who is an
    /// admin: the last resort when members cannot agree any more. The same again is the same
    /// reset.
    #[tracing::instrument(name = "groups.reset", skip_all)]
    pub(crate) async fn reset(
        &self,
        group: GroupId,
        ends: u32,
        request: BeginRequest,
        caller: &Caller,
    ) -> Result<Head, GroupsError> {
        request.check_sizes()?;
        let next = ends.checked_add(1).ok_or(GroupsError::MalformedMls { what: "generation" })?;
        let digest = request.digest();

        let _lane = self.following.lane(group).await?;
        let standing = self.standing(group, caller.device).await?;
        standing.member()?;
        let now = standing.group;
        if now.head.at.generation != ends {
            if now.head.at.generation == next && now.began_with == digest {
                let at = Epoch { generation: next, epoch: 0 };
                return Ok(Head { group, at, seq: now.began_seq });
            }
            let from = Epoch { generation: ends, epoch: 0 };
            return Err(self.behind(Lag::GenerationTaken, from, &standing).await);
        }
        let Some(tracked) = self.tracked(group, now.head.at).await? else {
            return Err(GroupsError::Busy);
        };
        let policy = tracked.policy();
        self.following.keep(tracked);
        let (maker, policy) = (leaf_of(caller), policy?);
        let beginning = self.begin((group, next), Some(policy), &request, maker).await?;
        self.certify(&caller.app, &[beginning.claim], &[].into()).await?;

        let mut tx = self.db.begin().await?;
        let began = db::groups::begin_generation(group, now.head.at, &digest, &mut *tx).await?;
        let Some(seq) = began else {
            tx.rollback().await?;
            let standing = self.standing(group, caller.device).await?;
            standing.member()?;
            if standing.group.head.at.generation == ends {
                // A commit came first, after which the caller may be no admin any more.
                return Err(GroupsError::Busy);
            }
            let from = Epoch { generation: ends, epoch: 0 };
            return Err(self.behind(Lag::GenerationTaken, from, &standing).await);
        };
        let turn = self.delivery.publications.turn(group, seq);
        let sealed = request.sealed_metadata.clone();
        let reset = entry::beginning(seq, next, sealed, self.clock.now_ms());
        db::log::insert(group, std::slice::from_ref(&reset), &mut *tx).await?;
        let members = db::members::list_present(group, &mut *tx).await?;
        let gone: Vec<_> = members.iter().map(|member| member.device).collect();
        db::members::remove(group, seq, &gone, &mut *tx).await?;
        db::members::join(group, seq, &[(caller.device, MAKERS_LEAF)], &mut *tx).await?;
        db::states::set(group, &state_of(&beginning, &request), &mut *tx).await?;
        db::welcomes::delete_all(group, &mut *tx).await?;
        db::trees::delete_all(group, &mut *tx).await?;
        tx.commit().await?;

        let head = Head { group, at: beginning.tracked.at, seq };
        self.following.keep(beginning.tracked);
        metrics::begun("reset");
        metrics::entries(1);
        turn.publish(vec![reset], true);
        self.tell_groups_changed(gone).await;
        Ok(head)
    }
}
