use openmls::prelude::*;
use openmls::treesync::RatchetTree;
use sotto_ids::{AccountId, DeviceId, GroupId as Group};
use sotto_mls::{
    CIPHERSUITE, LeafId, Policy, capabilities,
    commit::{self, Checked, CommitError},
    config,
    identity::Claim,
    wire,
};
use sotto_mls_provider::{Provider, Signer, Values};

pub(crate) const DOMAIN: &str = "example.org";

pub(crate) fn account(number: u8) -> AccountId {
    AccountId::new([number; 32])
}

pub(crate) fn mls_id() -> [u8; 20] {
    Group::new([9; 16]).mls_id(0)
}

pub(crate) fn external_signer() -> Signer {
    Signer::new(&[255; 32])
}

pub(crate) fn external_sender() -> ExternalSender {
    config::external_sender(DOMAIN, &external_signer().public_key())
}

pub(crate) fn policy(admins: &[u8]) -> Policy {
    Policy {
        metadata_version: 1,
        metadata_hash: None,
        admins: admins.iter().copied().map(account).collect(),
        members_may_add: false,
    }
}

/// A device with a storage of its own, in a group or not.
pub(crate) struct Device {
    pub(crate) leaf: LeafId,
    pub(crate) signer: Signer,
    pub(crate) provider: Provider<Values>,
    pub(crate) group: Option<MlsGroup>,
}

/// What a member sends when it commits.
pub(crate) struct Commit {
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    /// How its author judges it.
    pub(crate) verdict: Result<Checked, CommitError>,
}

type Builder<'a> = CommitBuilder<'a, Initial>;

impl Device {
    pub(crate) fn new(account: u8, device: u8) -> Self {
        Self {
            leaf: LeafId::new(
                self::account(account),
                DeviceId::try_from(u32::from(device)).unwrap(),
            ),
            signer: Signer::new(&[account * 16 + device; 32]),
            provider: Provider::default(),
            group: None,
        }
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim { leaf: self.leaf, signature_key: self.signer.public_key() }
    }

    pub(crate) fn credential(&self) -> CredentialWithKey {
        self.leaf.credential_with_key(&self.signer.public_key())
    }

    pub(crate) fn group(&self) -> &MlsGroup {
        self.group.as_ref().unwrap()
    }

    /// What all members of an epoch have in common, and nobody else.
    pub(crate) fn secret(&self) -> Vec<u8> {
        self.group().epoch_authenticator().as_slice().to_vec()
    }

    pub(crate) fn index(&self) -> LeafNodeIndex {
        self.group().own_leaf_index()
    }

    pub(crate) fn create(&mut self, policy: &Policy) -> Server {
        let config = config::create_config(policy, external_sender()).unwrap();
        let id = GroupId::from_slice(&mls_id());
        let group = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            id,
            self.credential(),
        )
        .unwrap();
        self.group = Some(group);
        Server::new(&self.info(true))
    }

    pub(crate) fn info(&self, with_tree: bool) -> Vec<u8> {
        let crypto = self.provider.crypto();
        let info = self.group().export_group_info(crypto, &self.signer, with_tree).unwrap();
        info.to_bytes().unwrap()
    }

    pub(crate) fn key_package(&self) -> KeyPackage {
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(config::key_package_lifetime())
            .build(CIPHERSUITE, &self.provider, &self.signer, self.credential())
            .unwrap()
            .into_key_package()
    }

    /// Makes a commit, judges it, and takes it back.
    pub(crate) fn commit(&mut self, what: impl FnOnce(Builder<'_>) -> Builder<'_>) -> Commit {
        let group = self.group.as_mut().unwrap();
        let bundle = what(group.commit_builder().force_self_update(true))
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let sender = Sender::Member(group.own_leaf_index());
        let staged = group.pending_commit().unwrap();
        let verdict = commit::check(group.public_group(), &sender, staged);
        let welcome = bundle.to_welcome_msg().map(|welcome| welcome.to_bytes().unwrap());
        Commit { commit: bundle.into_commit().to_bytes().unwrap(), welcome, verdict }
    }

    pub(crate) fn forget_commit(&mut self) {
        let storage = self.provider.storage();
        self.group.as_mut().unwrap().clear_pending_commit(storage).unwrap();
    }

    pub(crate) fn merge(&mut self) {
        self.group.as_mut().unwrap().merge_pending_commit(&self.provider).unwrap();
    }

    /// Judges a commit of another, and merges it where it is allowed.
    pub(crate) fn judge(&mut self, commit: &[u8]) -> Result<Checked, CommitError> {
        let group = self.group.as_mut().unwrap();
        let processed =
            group.process_message(&self.provider, wire::protocol_message(commit).unwrap()).unwrap();
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("no commit")
        };
        let checked = commit::check(group.public_group(), &sender, &staged)?;
        group.merge_staged_commit(&self.provider, *staged).unwrap();
        Ok(checked)
    }

    pub(crate) fn hear(&mut self, proposal: &[u8]) {
        let group = self.group.as_mut().unwrap();
        let processed = group
            .process_message(&self.provider, wire::protocol_message(proposal).unwrap())
            .unwrap();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
            panic!("no proposal")
        };
        group.store_pending_proposal(self.provider.storage(), *proposal).unwrap();
    }

    pub(crate) fn leave(&mut self) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        group.leave_group(&self.provider, &self.signer).unwrap().to_bytes().unwrap()
    }

    pub(crate) fn join(&mut self, welcome: &[u8], tree: RatchetTreeIn) {
        let welcome = wire::welcome(welcome).unwrap();
        let config = config::join_config();
        let staged =
            StagedWelcome::new_from_welcome(&self.provider, &config, welcome, Some(tree)).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// Joins by its own commit, and gives it.
    pub(crate) fn join_by_itself(&mut self, info: &[u8], tree: RatchetTreeIn) -> Vec<u8> {
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(config::join_config())
            .build_group(&self.provider, wire::group_info(info).unwrap(), self.credential())
            .unwrap()
            .leaf_node_parameters(
                LeafNodeParameters::builder().with_capabilities(capabilities()).build(),
            )
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        self.group = Some(group);
        bundle.into_commit().to_bytes().unwrap()
    }
}

/// The delivery service: it sees what is in the clear.
pub(crate) struct Server {
    provider: Provider<Values>,
    pub(crate) group: PublicGroup,
}

impl Server {
    fn new(info: &[u8]) -> Self {
        let provider = Provider::new(Values::default());
        let info = wire::group_info(info).unwrap();
        let tree = info.extensions().ratchet_tree().unwrap().ratchet_tree().clone();
        let (group, _) = PublicGroup::from_external(
            provider.crypto(),
            provider.storage(),
            tree,
            info,
            ProposalStore::new(),
        )
        .unwrap();
        Self { provider, group }
    }

    /// Judges a commit, and merges it where it is allowed.
    pub(crate) fn judge(&mut self, commit: &[u8]) -> Result<Checked, CommitError> {
        let crypto = self.provider.crypto();
        let processed =
            self.group.process_message(crypto, wire::protocol_message(commit).unwrap()).unwrap();
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("no commit")
        };
        let checked = commit::check(&self.group, &sender, &staged)?;
        self.group.merge_commit(self.provider.storage(), *staged).unwrap();
        Ok(checked)
    }

    /// Takes a proposal in; whose own leave it is, where it is one.
    pub(crate) fn hear(&mut self, proposal: &[u8]) -> Option<LeafNodeIndex> {
        let crypto = self.provider.crypto();
        let processed =
            self.group.process_message(crypto, wire::protocol_message(proposal).unwrap()).unwrap();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
            panic!("no proposal")
        };
        let leaver = commit::own_leave(&proposal).ok();
        self.group.add_proposal(self.provider.storage(), *proposal).unwrap();
        leaver
    }

    pub(crate) fn tree(&self) -> RatchetTree {
        self.group.export_ratchet_tree()
    }

    pub(crate) fn revoke(&mut self, leaf: LeafNodeIndex) -> Vec<u8> {
        let context = self.group.group_context();
        let proposal = ExternalProposal::new_remove::<Provider<Values>>(
            leaf,
            context.group_id().clone(),
            context.epoch(),
            &external_signer(),
            SenderExtensionIndex::new(0),
        );
        proposal.unwrap().to_bytes().unwrap()
    }
}

/// A group with a server, in which the first of these devices added the others.
pub(crate) fn group_of(policy: &Policy, devices: &mut [Device]) -> Server {
    let (maker, others) = devices.split_first_mut().unwrap();
    let mut server = maker.create(policy);
    let packages: Vec<_> = others.iter().map(Device::key_package).collect();
    let commit = maker.commit(|commit| commit.propose_adds(packages));
    commit.verdict.unwrap();
    server.judge(&commit.commit).unwrap();
    maker.merge();
    for device in others {
        device.join(commit.welcome.as_ref().unwrap(), server.tree().into());
    }
    server
}
