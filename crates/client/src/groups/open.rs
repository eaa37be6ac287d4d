//! The MLS state of groups in memory.

use std::{cell::RefCell, collections::HashMap};

use openmls::{group::MlsGroup, prelude::GroupId as MlsGroupId};
use sotto_ids::GroupId;
use sotto_mls_provider::{Provider, Values};

use crate::{
    ClientError,
    vault::{
        Tx,
        groups::{self, Group},
        mls_values,
    },
};

/// States that are kept; a group of 1,500 takes about 2 MB.
const CACHED: usize = 16;

/// States that were loaded before. An entry counts only while the group's row has the
/// version that it was kept with, so one of a transaction that was rolled back does no harm.
#[derive(Default)]
pub(crate) struct GroupCache(RefCell<HashMap<GroupId, Open>>);

/// The MLS state of a group, and what it is stored in.
pub(super) struct Open {
    pub(super) mls: MlsGroup,
    pub(super) provider: Provider<Values>,
    generation: u32,
    version: u64,
}

impl Open {
    /// A state that is not kept: it was written as a whole.
    pub(super) fn of(mls: MlsGroup, provider: Provider<Values>) -> Self {
        Self { mls, provider, generation: 0, version: 0 }
    }
}

/// Takes the state of a group out of the cache, or loads it. Whoever has changed something
/// in it puts it back with [`keep`]; it is dropped where that went wrong.
pub(super) fn take(tx: &Tx<'_>, group: &Group) -> Result<Open, ClientError> {
    let cached = tx.groups.0.borrow_mut().remove(&group.id);
    if let Some(open) = cached
        && (open.generation, open.version) == (group.generation, group.version)
    {
        return Ok(open);
    }
    let values = mls_values::of_group(tx.db, &group.mls_id())?;
    let provider = Provider::new(values);
    let mls = load(&provider, &group.mls_id())?.ok_or(ClientError::Crypto("group_state"))?;
    Ok(Open { mls, provider, generation: group.generation, version: group.version })
}

/// Writes what has changed, and the group's row.
pub(super) fn keep(tx: &Tx<'_>, group: &mut Group, mut open: Open) -> Result<(), ClientError> {
    group.version += 1;
    group.epoch = open.mls.epoch().as_u64();
    mls_values::write(tx.db, values(&open.provider))?;
    groups::put(tx.db, group)?;
    open.version = group.version;
    open.generation = group.generation;
    let mut cache = tx.groups.0.borrow_mut();
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(group.id, open);
    Ok(())
}

/// Puts a state back that was only looked at.
pub(super) fn put_back(tx: &Tx<'_>, group: &Group, open: Open) {
    tx.groups.0.borrow_mut().insert(group.id, open);
}

/// Leaves nothing of the state of a group, and writes its row.
pub(super) fn forget(tx: &Tx<'_>, group: &mut Group) -> Result<(), ClientError> {
    tx.groups.0.borrow_mut().remove(&group.id);
    mls_values::forget(tx.db, &group.mls_id())?;
    group.version += 1;
    Ok(groups::put(tx.db, group)?)
}

/// The state of the group with this `group_id` of MLS.
pub(super) fn load(
    provider: &Provider<Values>,
    mls_id: &[u8],
) -> Result<Option<MlsGroup>, ClientError> {
    MlsGroup::load(values(provider), &MlsGroupId::from_slice(mls_id))
        .map_err(|_| ClientError::Crypto("group_state"))
}

/// What a provider stores in.
pub(super) fn values(provider: &Provider<Values>) -> &Values {
    openmls_traits::OpenMlsProvider::storage(provider)
}
