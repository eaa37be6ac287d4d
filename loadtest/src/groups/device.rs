//! A device with OpenMLS: its keys, its groups, and what it makes for others.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use openmls::{
    group::{MlsGroup, StagedWelcome},
    key_packages::{KeyPackage, KeyPackageBuilder, KeyPackageIn},
    prelude::{
        DeserializeBytes as _, LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion,
        RatchetTreeIn, tls_codec::Serialize as _,
    },
};
use openmls_traits::OpenMlsProvider as _;
use prost::bytes::Bytes;
use rand::{SeedableRng as _, rngs::StdRng};
use sotto_ids::{ClientMsgId, GroupId};
use sotto_mls::{
    CIPHERSUITE, LeafId, Members, Policy, capabilities,
    config::{self, key_package_lifetime},
    identity::Claim,
    metadata::{self, EXPORTER_LABEL, KEY_BYTES, Metadata},
    tree::{self, MAX_TREE_BYTES},
};
use sotto_mls_provider::{Crypto, Provider, Signer, Values};
use sotto_proto::socket::GroupEntry;

use super::{
    api::{Head, Package, Welcome},
    certified::Certified,
    room::{Room, Taken},
    text::Text,
};

/// A device that is in groups. All of it is in memory.
pub struct Device {
    leaf: LeafId,
    signer: Signer,
    provider: Provider<Values>,
    certified: Arc<Certified>,
    rng: StdRng,
    rooms: BTreeMap<GroupId, Room>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(..)")
    }
}

/// A member cannot follow the log: what it has and what the log has are no longer the same.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a member cannot follow the log")]
pub struct Diverged;

/// What a commit is to do.
#[derive(Debug, Clone)]
pub enum Intent {
    /// The committer takes new keys.
    Update,
    /// Those whose KeyPackages these are come in.
    Add(Vec<Package>),
    /// These devices go.
    Remove(Vec<LeafId>),
}

/// A commit, and what goes to the server with it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// An MLSMessage with a PublicMessage.
    pub commit: Vec<u8>,
    /// An MLSMessage with the GroupInfo of the epoch after it.
    pub group_info: Vec<u8>,
    /// An MLSMessage with the Welcome of those who come in, if any do.
    pub welcome: Option<Vec<u8>>,
    /// What the group is called, for the epoch after it.
    pub sealed_metadata: Vec<u8>,
}

/// A message, encrypted in an epoch.
#[derive(Debug, Clone)]
pub struct Written {
    /// The generation and the epoch.
    pub at: (u32, u64),
    /// An MLSMessage with a PrivateMessage.
    pub message: Vec<u8>,
}

impl Device {
    /// A device that is in no group yet; `seed` is the private half of its MLS key.
    pub(super) fn new(leaf: LeafId, seed: &[u8; 32], certified: Arc<Certified>) -> Self {
        Self {
            leaf,
            signer: Signer::new(seed),
            provider: Provider::new(Values::default()),
            certified,
            rng: StdRng::from_os_rng(),
            rooms: BTreeMap::new(),
        }
    }

    /// The device, as leaves name it.
    pub fn leaf(&self) -> LeafId {
        self.leaf
    }

    /// The groups that it is, or was, in.
    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.rooms.keys().copied().collect()
    }

    /// A group that it is, or was, in.
    pub fn room(&self, group: GroupId) -> Option<&Room> {
        self.rooms.get(&group)
    }

    /// New KeyPackages: so many for one use each, and one of last resort.
    pub(super) fn key_packages(&self, count: usize) -> anyhow::Result<(Vec<Vec<u8>>, Vec<u8>)> {
        let one_time = (0..count).map(|_| self.key_package(|builder| builder));
        let one_time = one_time.collect::<anyhow::Result<_>>()?;
        Ok((one_time, self.key_package(KeyPackageBuilder::mark_as_last_resort)?))
    }

    fn key_package(
        &self,
        kind: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder,
    ) -> anyhow::Result<Vec<u8>> {
        let builder = KeyPackage::builder()
            .key_package_lifetime(key_package_lifetime())
            .leaf_node_capabilities(capabilities());
        let credential = self.leaf.credential_with_key(&self.signer.public_key());
        let bundle = kind(builder).build(CIPHERSUITE, &self.provider, &self.signer, credential)?;
        Ok(bundle.key_package().tls_serialize_detached()?)
    }

    /// Makes a group with itself alone, as its admin. The GroupInfo with the tree, and what
    /// it is called, sealed.
    pub(super) fn create(
        &mut self,
        group: GroupId,
        metadata: &Arc<Metadata>,
        (domain, external_sender): (&str, &[u8; 32]),
    ) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        let policy = Policy {
            metadata_version: metadata.version,
            metadata_hash: Some(metadata.hash()),
            admins: [self.leaf.account].into(),
            members_may_add: false,
        };
        let sender = config::external_sender(domain, external_sender);
        let config = config::create_config(&policy, sender)?;
        let mls = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            openmls::group::GroupId::from_slice(&group.mls_id(0)),
            self.leaf.credential_with_key(&self.signer.public_key()),
        )?;
        let info = mls.export_group_info(&Crypto, &self.signer, true)?.to_bytes()?;
        let key = mls.export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES)?;
        let sealed = self.seal(&key, group, 0, metadata)?;
        let sealed_here = Bytes::from(sealed.clone());
        self.rooms.insert(group, Room::new(mls, Arc::clone(metadata), 1, sealed_here));
        Ok((info, sealed))
    }

    /// Comes into a group by a Welcome, if each leaf of the tree is certified.
    pub(super) fn join(
        &mut self,
        welcome: &Welcome,
        tree: &[u8],
        metadata: &Arc<Metadata>,
    ) -> anyhow::Result<()> {
        let tree = tree::decompress(tree, MAX_TREE_BYTES)?;
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&tree)?;
        let message = MlsMessageIn::tls_deserialize_exact_bytes(&welcome.welcome.0)?;
        let MlsMessageBodyIn::Welcome(message) = message.extract() else {
            bail!("what came is no Welcome");
        };
        let config = config::join_config();
        let staged = StagedWelcome::build_from_welcome(&self.provider, &config, message)?
            .with_ratchet_tree(tree)
            .build()?;
        let context = staged.group_context();
        ensure!(
            context.group_id().as_slice() == welcome.group.mls_id(welcome.generation)
                && context.epoch().as_u64() == welcome.epoch,
            "the Welcome leads elsewhere"
        );
        Policy::from_extensions(context.extensions())?;
        let claims: Vec<_> = staged
            .members()
            .map(|member| Claim::of_parts(&member.credential, &member.signature_key))
            .collect::<Result<_, _>>()?;
        ensure!(self.certified.holds(&claims), "a leaf of the tree is not certified");
        let mls = staged.into_group(&self.provider)?;
        let room = Room::new(mls, Arc::clone(metadata), welcome.seq, Bytes::new());
        self.rooms.insert(welcome.group, room);
        self.forget_changes();
        Ok(())
    }

    /// Makes a commit, which is pending until the log has it, or another.
    pub(super) fn commit(&mut self, group: GroupId, intent: &Intent) -> anyhow::Result<Commit> {
        let room = self.rooms.get_mut(&group).context("no such group")?;
        let mls = &mut room.mls;
        mls.clear_pending_commit(self.provider.storage())?;
        let removed = match intent {
            Intent::Remove(leaves) => leaves_of(mls, leaves)?,
            _ => Vec::new(),
        };
        let added = match intent {
            Intent::Add(packages) => packages.iter().map(validated).collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let bundle = mls
            .commit_builder()
            .force_self_update(true)
            .propose_adds(added)
            .propose_removals(removed)
            .load_psks(self.provider.storage())?
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        let pending = mls.pending_commit().context("the commit is not pending")?;
        let key = pending.export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES)?;
        let (epoch, metadata) = (pending.epoch().as_u64(), Arc::clone(&room.metadata));
        let commit = Commit {
            commit: commit.to_bytes()?,
            group_info: group_info.context("no GroupInfo")?.to_bytes()?,
            welcome: welcome.map(|welcome| welcome.to_bytes()).transpose()?,
            sealed_metadata: self.seal(&key, group, epoch, &metadata)?,
        };
        self.forget_changes();
        Ok(commit)
    }

    /// The server took the pending commit, and says where.
    pub(super) fn committed(&mut self, group: GroupId, head: Head) -> anyhow::Result<Taken> {
        let room = self.rooms.get_mut(&group).context("no such group")?;
        let taken = room.committed(head, &self.provider)?;
        self.forget_changes();
        Ok(taken)
    }

    /// Encrypts a message in the epoch that it is in. The same id may be encrypted again in
    /// a later one.
    pub(super) fn write(
        &mut self,
        group: GroupId,
        id: ClientMsgId,
        text: Text,
    ) -> anyhow::Result<Written> {
        let room = self.rooms.get_mut(&group).context("no such group")?;
        let written = room.write(id, text, &self.provider, &self.signer)?;
        self.forget_changes();
        Ok(written)
    }

    /// Takes entries of a log in.
    pub(super) fn take(&mut self, group: GroupId, entries: &[GroupEntry]) -> anyhow::Result<Taken> {
        let room = self.rooms.get_mut(&group).context("no such group")?;
        let taken = room.take(entries, &self.provider, &self.certified);
        self.forget_changes();
        taken.context(Diverged)
    }

    /// How many of these messages can be opened with the keys that it has. Nothing is taken
    /// in.
    pub(super) fn could_open(&mut self, group: GroupId, entries: &[GroupEntry]) -> usize {
        let Some(room) = self.rooms.get_mut(&group) else { return 0 };
        entries.iter().filter(|entry| room.could_open(entry, &self.provider)).count()
    }

    /// Entries of a log came by the socket.
    pub(super) fn count_heard(&mut self, group: GroupId, entries: u64) {
        if let Some(room) = self.rooms.get_mut(&group) {
            room.by_socket += entries;
        }
    }

    /// Where a new id for a message takes its randomness from.
    pub(super) fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    fn seal(
        &mut self,
        key: &[u8],
        group: GroupId,
        epoch: u64,
        metadata: &Metadata,
    ) -> anyhow::Result<Vec<u8>> {
        let key = key.try_into().context("the exporter gave another length")?;
        Ok(metadata::seal(key, &group.mls_id(0), epoch, metadata, &mut self.rng)?)
    }

    /// There is no store that wants to hear of them.
    fn forget_changes(&self) {
        drop(self.provider.storage().take_changes());
    }
}

fn validated(package: &Package) -> anyhow::Result<KeyPackage> {
    let package = KeyPackageIn::tls_deserialize_exact_bytes(&package.bytes)?;
    Ok(package.validate(&Crypto, ProtocolVersion::Mls10)?)
}

/// Where in the tree these devices are.
fn leaves_of(mls: &MlsGroup, leaves: &[LeafId]) -> anyhow::Result<Vec<LeafNodeIndex>> {
    let members = Members::of(mls.public_group())?;
    let find = |leaf| members.find(leaf).context("who is to be removed is no member");
    leaves.iter().map(find).collect()
}
