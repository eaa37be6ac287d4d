//! The table `groups`: the groups of this device.

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use sotto_ids::{AccountId, GroupId};
use sotto_mls::{Policy, metadata::Metadata};
use sotto_proto::groups::GroupMetadata;
use uuid::Uuid;

use super::value;
use crate::GroupStanding;

/// A group as it stands here.
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) generation: u32,
    pub(crate) epoch: u64,
    /// Counts the times that the MLS state was written.
    pub(crate) version: u64,
    /// Up to where its log has been taken in.
    pub(crate) cursor: u64,
    pub(crate) standing: GroupStanding,
    pub(crate) inviter: Option<AccountId>,
    pub(crate) policy: Policy,
    pub(crate) metadata: Option<Metadata>,
    /// Whether the server has the metadata under the key of this epoch.
    pub(crate) sealed: bool,
    /// Why the next entry of the log is not followed.
    pub(crate) refused: Option<String>,
    pub(crate) joined_ms: u64,
}

impl Group {
    /// The `group_id` of MLS.
    pub(crate) fn mls_id(&self) -> [u8; 20] {
        self.id.mls_id(self.generation)
    }
}

/// One group.
pub(crate) fn find(db: &Connection, id: GroupId) -> rusqlite::Result<Option<Group>> {
    db.prepare_cached("SELECT * FROM groups WHERE id = ?1")?
        .query_row([id.as_bytes()], from_row)
        .optional()
}

/// All groups, that which was joined last first.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Group>> {
    db.prepare_cached("SELECT * FROM groups ORDER BY joined_ms DESC, id")?
        .query_map([], from_row)?
        .collect()
}

/// Writes a group, in place of what was there.
pub(crate) fn put(db: &Connection, group: &Group) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO groups (id, generation, epoch, version, cursor, standing, inviter, policy,
             metadata, sealed, refused, joined_ms)
         VALUES (:id, :generation, :epoch, :version, :cursor, :standing, :inviter, :policy,
             :metadata, :sealed, :refused, :joined_ms)
         ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, epoch = excluded.epoch,
             version = excluded.version, cursor = excluded.cursor, standing = excluded.standing,
             inviter = excluded.inviter, policy = excluded.policy, metadata = excluded.metadata,
             sealed = excluded.sealed, refused = excluded.refused,
             joined_ms = excluded.joined_ms",
    )?
    .execute(named_params! {
        ":id": group.id.as_bytes(),
        ":generation": group.generation,
        ":epoch": group.epoch,
        ":version": group.version,
        ":cursor": group.cursor,
        ":standing": group.standing.as_str(),
        ":inviter": group.inviter.map(|account| *account.as_bytes()),
        ":policy": group.policy.encode(),
        ":metadata": group.metadata.as_ref().map(encode),
        ":sealed": group.sealed,
        ":refused": group.refused,
        ":joined_ms": group.joined_ms,
    })?;
    Ok(())
}

/// A column that names a group, where there is one.
pub(super) fn id(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<GroupId>> {
    let bytes: Option<[u8; 16]> = row.get(column)?;
    Ok(bytes.map(|bytes| GroupId::from_stored(Uuid::from_bytes(bytes))))
}

fn encode(metadata: &Metadata) -> Vec<u8> {
    GroupMetadata {
        v: 1,
        salt: metadata.salt.to_vec().into(),
        version: metadata.version,
        name: metadata.name.clone(),
        picture: metadata.picture.clone().into(),
    }
    .encode_to_vec()
}

fn decode(bytes: &[u8]) -> Option<Metadata> {
    let metadata = GroupMetadata::decode(bytes).ok()?;
    Some(Metadata {
        salt: metadata.salt[..].try_into().ok()?,
        version: metadata.version,
        name: metadata.name,
        picture: metadata.picture.into(),
    })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Group> {
    let inviter: Option<[u8; 32]> = row.get("inviter")?;
    let metadata: Option<Vec<u8>> = row.get("metadata")?;
    Ok(Group {
        id: GroupId::from_stored(Uuid::from_bytes(row.get("id")?)),
        generation: row.get("generation")?,
        epoch: row.get("epoch")?,
        version: row.get("version")?,
        cursor: row.get("cursor")?,
        standing: value::read(row, "standing", |word: String| GroupStanding::from_word(&word))?,
        inviter: inviter.map(AccountId::new),
        policy: value::read(row, "policy", |bytes: Vec<u8>| Policy::decode(&bytes).ok())?,
        metadata: metadata.and_then(|bytes| decode(&bytes)),
        sealed: row.get("sealed")?,
        refused: row.get("refused")?,
        joined_ms: row.get("joined_ms")?,
    })
}
