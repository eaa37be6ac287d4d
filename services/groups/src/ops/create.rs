use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sotto_ids::{GroupId, limits::MAX_SEALED_METADATA_BYTES};
use sotto_kit::auth::Caller;
use sotto_mls::{LeafId, Policy};

use super::{
    Groups,
    commit::{MAX_GROUP_INFO_BYTES, check_size},
    standing::leaf_of,
};
use crate::{
    db::{self, groups::Group},
    domain::{Epoch, Head, entry},
    error::GroupsError,
    metrics,
    mls::{self, Beginning, MAKERS_LEAF},
};

/// With what a generation of a group begins.
#[derive(Debug, Clone)]
pub(crate) struct BeginRequest {
    /// With the tree, of which the maker is the only leaf.
    pub(crate) group_info: Bytes,
    /// Empty where there are none.
    pub(crate) sealed_metadata: Bytes,
}

impl BeginRequest {
    pub(super) fn check_sizes(&self) -> Result<(), GroupsError> {
        let sealed = self.sealed_metadata.len();
        check_size("group_info", self.group_info.len(), MAX_GROUP_INFO_BYTES)?;
        check_size("sealed_metadata", sealed, MAX_SEALED_METADATA_BYTES)
    }

    /// By which a request is known that comes again.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.group_info).into()
    }
}

/// A group, and whether this request has made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Created {
    pub(crate) head: Head,
    pub(crate) is_new: bool,
}

impl Groups {
    /// Makes a group with its maker alone, in generation 0. The same again is the same group.
    #[tracing::instrument(name = "groups.create", skip_all)]
    pub(crate) async fn create(
        &self,
        request: BeginRequest,
        caller: &Caller,
    ) -> Result<Created, GroupsError> {
        request.check_sizes()?;
        let bytes = request.group_info.clone();
        let group = mls::group_of(&bytes)?;
        let beginning = self.begin((group, 0), None, &request, leaf_of(caller)).await?;
        self.certify(&caller.app, &[beginning.claim], &[].into()).await?;

        let digest = request.digest();
        let mut tx = self.db.begin().await?;
        if !db::groups::insert(group, &digest, &mut *tx).await? {
            tx.rollback().await?;
            return self.created_before(group, &digest).await;
        }
        let now_ms = self.clock.now_ms();
        let first = entry::beginning(1, 0, request.sealed_metadata.clone(), now_ms);
        let turn = self.delivery.publications.turn(group, 1);
        db::log::insert(group, std::slice::from_ref(&first), &mut *tx).await?;
        db::members::join(group, 1, &[(caller.device, MAKERS_LEAF)], &mut *tx).await?;
        db::states::set(group, &state_of(&beginning, &request), &mut *tx).await?;
        tx.commit().await?;

        let head = Head { group, at: beginning.tracked.at, seq: 1 };
        self.following.keep(beginning.tracked);
        metrics::begun("made");
        metrics::entries(1);
        turn.publish(vec![first], true);
        self.tell_groups_changed([caller.device]).await;
        Ok(Created { head, is_new: true })
    }

    async fn created_before(
        &self,
        group: GroupId,
        digest: &[u8; 32],
    ) -> Result<Created, GroupsError> {
        let at = Epoch { generation: 0, epoch: 0 };
        match db::groups::find(group, &self.db).await? {
            Some(Group { head, began_with, began_seq, .. })
                if head.at.generation == 0 && began_with == *digest =>
            {
                Ok(Created { head: Head { group, at, seq: began_seq }, is_new: false })
            }
            _ => Err(GroupsError::GroupExists),
        }
    }

    /// Checks with what a generation is to begin, and after which policy.
    pub(super) async fn begin(
        &self,
        begins: (GroupId, u32),
        before: Option<Policy>,
        request: &BeginRequest,
        maker: LeafId,
    ) -> Result<Beginning, GroupsError> {
        let (bytes, external_sender) = (request.group_info.clone(), self.external_sender.clone());
        self.following
            .work(move || mls::begin(&bytes, begins, before.as_ref(), maker, &external_sender))
            .await?
    }
}

/// What is stored of a generation that begins.
pub(super) fn state_of<'a>(
    beginning: &'a Beginning,
    request: &'a BeginRequest,
) -> db::states::State<'a> {
    db::states::State {
        at: beginning.tracked.at,
        state: &beginning.state,
        group_info: &request.group_info,
        sealed_metadata: &request.sealed_metadata,
    }
}
