use bytes::Bytes;
use sotto_ids::{GroupId, limits::MAX_SEALED_METADATA_BYTES};
use sotto_kit::auth::Caller;

use super::{Groups, commit::check_size};
use crate::{
    db,
    domain::{Epoch, entry},
    error::{GroupsError, Lag},
    metrics,
};

impl Groups {
    /// Takes the metadata of a group sealed for its epoch, where those that are stored are
    /// sealed for an earlier one. The `seq` of the entry.
    #[tracing::instrument(name = "groups.reseal", skip_all)]
    pub(crate) async fn reseal(
        &self,
        group: GroupId,
        at: Epoch,
        sealed: Bytes,
        caller: &Caller,
    ) -> Result<u64, GroupsError> {
        check_size("sealed_metadata", sealed.len(), MAX_SEALED_METADATA_BYTES)?;
        if sealed.is_empty() {
            return Err(GroupsError::MalformedMls { what: "sealed_metadata" });
        }
        let standing = self.standing(group, caller.device).await?;
        standing.member()?;

        let mut tx = self.db.begin().await?;
        let Some(seq) = db::groups::take_seqs(group, at, 1, &mut *tx).await? else {
            tx.rollback().await?;
            return Err(self.behind(Lag::StaleEpoch, at, &standing).await);
        };
        if !db::states::set_metadata(group, at, &sealed, &mut *tx).await? {
            tx.rollback().await?;
            return Err(self.behind(Lag::MetadataSealed, at, &standing).await);
        }
        let turn = self.delivery.publications.turn(group, seq);
        let resealed = entry::metadata(seq, at, sealed, self.clock.now_ms());
        db::log::insert(group, std::slice::from_ref(&resealed), &mut *tx).await?;
        tx.commit().await?;

        metrics::entries(1);
        turn.publish(vec![resealed], false);
        Ok(seq)
    }
}
