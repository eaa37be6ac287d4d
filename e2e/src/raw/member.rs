//! Members of groups with an OpenMLS state of their own, who ask each thing of the server
//! one by one, and repeat to the byte what they have asked.

mod asking;
mod content;
mod following;

use std::collections::HashMap;

use openmls::{
    group::MlsGroup,
    key_packages::{KeyPackage, KeyPackageIn},
    prelude::{
        DeserializeBytes as _, LeafNodeIndex, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn,
        MlsMessageOut, ProtocolVersion, RatchetTreeIn, tls_codec::Serialize as _,
    },
};
use openmls_traits::OpenMlsProvider as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sotto_ids::{Base64Bytes, ClientMsgId, DeviceId, GroupId};
use sotto_mls::{
    CIPHERSUITE, LeafId, Members, Policy, capabilities, config,
    metadata::{self, EXPORTER_LABEL, KEY_BYTES, Metadata},
};
use sotto_mls_provider::{Crypto, Provider, Signer, Values};

pub use self::asking::{entries_of, new_group};
use super::{Party, message_id};

/// A device that is in one group, or in none.
pub struct Member {
    /// The device, as leaves name it.
    pub leaf: LeafId,
    /// The last entry of the log that it has taken in.
    pub cursor: u64,
    /// What a person would see: the place of each message in the log, and what it says.
    pub shown: Vec<(u64, String)>,
    token: String,
    signer: Signer,
    provider: Provider<Values>,
    group: Option<MlsGroup>,
    /// What it wrote itself, by the id under which it comes back.
    own: HashMap<ClientMsgId, String>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// What a commit is to do.
#[derive(Debug, Clone)]
pub enum Change<'a> {
    /// The committer takes new keys.
    Update,
    /// Those whose KeyPackages these are come in.
    Add(&'a [Vec<u8>]),
    /// These devices go.
    Remove(&'a [LeafId]),
    /// Both.
    Exchange(&'a [Vec<u8>], &'a [LeafId]),
    /// The group has another policy.
    Policy(&'a Policy),
}

impl Member {
    /// The device of that number of somebody. It is in no group.
    ///
    /// # Panics
    ///
    /// When there is no such device.
    pub fn of(party: &Party, number: u32) -> Self {
        let device = DeviceId::try_from(number).expect("the number of a device");
        Self {
            leaf: LeafId::new(party.account.id, device),
            cursor: 0,
            shown: Vec::new(),
            token: party.token(number).to_owned(),
            signer: Signer::new(&party.keys(number).mls_seed()),
            provider: Provider::new(Values::default()),
            group: None,
            own: HashMap::new(),
        }
    }

    /// Asks with the token of another device from now on.
    pub fn borrow_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    fn mls(&self) -> &MlsGroup {
        self.group.as_ref().expect("it is in a group")
    }

    /// The group that it is in, and the generation.
    ///
    /// # Panics
    ///
    /// When it is in none.
    pub fn group(&self) -> (GroupId, u32) {
        GroupId::from_mls_id(self.mls().group_id().as_slice()).expect("a group of ours")
    }

    /// The epoch in which it is, and what all members of it have the same, and nobody else
    /// (RFC 9420, 8.7).
    ///
    /// # Panics
    ///
    /// When it is in no group.
    pub fn standing(&self) -> (u64, Vec<u8>) {
        let mls = self.mls();
        (mls.epoch().as_u64(), mls.epoch_authenticator().as_slice().to_vec())
    }

    /// What the exporter gives in this epoch for the metadata of the group: what the server
    /// must not have.
    ///
    /// # Panics
    ///
    /// When it is in no group.
    pub fn metadata_key(&self) -> Vec<u8> {
        self.mls().export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES).expect("a key")
    }

    /// What the group is called in this epoch, of what the server has sealed.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    pub fn open_metadata(&self, sealed: &[u8]) -> Metadata {
        let (group, generation) = self.group();
        let policy = Policy::from_extensions(self.mls().extensions()).expect("a policy");
        let key = self.metadata_key().try_into().expect("32 bytes");
        let opened =
            metadata::open(&key, &group.mls_id(generation), self.standing().0, sealed, &policy);
        opened.expect("the metadata of this epoch")
    }

    /// A KeyPackage, as the shelf takes it.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn key_package(&self, last_resort: bool) -> Vec<u8> {
        self.key_package_of(self.leaf, &self.signer, last_resort)
    }

    /// One that names itself and has a key that its chain does not know.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn uncertified_key_package(&self) -> Vec<u8> {
        let signer = Signer::new(&StdRng::from_os_rng().random());
        self.key_package_of(self.leaf, &signer, false)
    }

    fn key_package_of(&self, leaf: LeafId, signer: &Signer, last_resort: bool) -> Vec<u8> {
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(config::key_package_lifetime());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let credential = leaf.credential_with_key(&signer.public_key());
        let bundle = builder.build(CIPHERSUITE, &self.provider, signer, credential);
        bundle.expect("a KeyPackage").key_package().tls_serialize_detached().expect("it encodes")
    }

    /// Begins a group, or a generation of it, on its own side, with itself as the only admin.
    /// A body of `POST /v1/groups`.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn begin(&mut self, group: GroupId, generation: u32, sender: &[u8; 32]) -> Value {
        let policy = Policy {
            metadata_version: 1,
            metadata_hash: None,
            admins: [self.leaf.account].into(),
            members_may_add: false,
        };
        let sender = config::external_sender(sotto_testkit::cluster::DOMAIN, sender);
        let mls = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config::create_config(&policy, sender).expect("extensions of ours"),
            openmls::group::GroupId::from_slice(&group.mls_id(generation)),
            self.leaf.credential_with_key(&self.signer.public_key()),
        );
        let mls = mls.expect("a group");
        let info = mls.export_group_info(&Crypto, &self.signer, true).expect("a GroupInfo");
        self.group = Some(mls);
        json!({
            "group_info": Base64Bytes(info.to_bytes().expect("it encodes")),
            "sealed_metadata": Base64Bytes(b"sealed".to_vec()),
        })
    }

    /// Makes a commit, which stays pending: a body of `POST .../commits`.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn commit(&mut self, change: &Change<'_>) -> Value {
        let mls = self.group.as_mut().expect("it is in a group");
        mls.clear_pending_commit(self.provider.storage()).expect("memory");
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        match change {
            Change::Add(packages) => added.extend(packages.iter().map(|bytes| validated(bytes))),
            Change::Remove(leaves) => removed = leaves_of(mls, leaves),
            Change::Exchange(packages, leaves) => {
                added.extend(packages.iter().map(|bytes| validated(bytes)));
                removed = leaves_of(mls, leaves);
            }
            Change::Update | Change::Policy(_) => {}
        }
        let extensions = match change {
            Change::Policy(policy) => {
                Some(config::with_policy(mls.extensions(), policy).expect("extensions"))
            }
            _ => None,
        };
        let mut builder = mls
            .commit_builder()
            .force_self_update(true)
            .propose_adds(added)
            .propose_removals(removed);
        if let Some(extensions) = extensions {
            builder = builder.propose_group_context_extensions(extensions).expect("extensions");
        }
        let bundle = builder
            .load_psks(self.provider.storage())
            .expect("there are none")
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("a commit")
            .stage_commit(&self.provider)
            .expect("a commit");
        let (commit, welcome, group_info) = bundle.into_messages();
        let encoded = |message: MlsMessageOut| Base64Bytes(message.to_bytes().expect("it encodes"));
        json!({
            "commit": encoded(commit),
            "group_info": encoded(group_info.expect("a GroupInfo")),
            "welcome": welcome.map(encoded),
            "sealed_metadata": Base64Bytes(b"sealed again".to_vec()),
        })
    }

    /// Makes an external commit, by what the server tells of the group. It is in the new epoch
    /// from here on, if that is taken.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn commit_from_outside(&mut self, group_info: &[u8], tree: &[u8]) -> Value {
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).expect("a tree");
        let message = MlsMessageIn::tls_deserialize_exact_bytes(group_info).expect("a message");
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else { panic!("no GroupInfo") };
        self.provider = Provider::new(Values::default());
        let leaf = LeafNodeParameters::builder().with_capabilities(capabilities()).build();
        let (mls, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(config::join_config())
            .build_group(
                &self.provider,
                info,
                self.leaf.credential_with_key(&self.signer.public_key()),
            )
            .expect("a group")
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .expect("there are none")
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("a commit")
            .finalize(&self.provider)
            .expect("a commit");
        self.group = Some(mls);
        let (commit, _, group_info) = bundle.into_messages();
        let encoded = |message: MlsMessageOut| Base64Bytes(message.to_bytes().expect("it encodes"));
        json!({
            "commit": encoded(commit),
            "group_info": encoded(group_info.expect("a GroupInfo")),
        })
    }

    /// Its own Remove proposal, which it does not keep: a body of `POST .../proposals`.
    ///
    /// # Panics
    ///
    /// When OpenMLS makes none.
    pub fn leave(&mut self) -> Value {
        let mls = self.group.as_mut().expect("it is in a group");
        let proposal = mls.leave_group(&self.provider, &self.signer).expect("a proposal");
        mls.clear_pending_proposals(self.provider.storage()).expect("memory");
        json!({ "proposal": Base64Bytes(proposal.to_bytes().expect("it encodes")) })
    }

    /// Encrypts a message in the epoch that it is in, under a new name: a body of
    /// `POST .../messages`.
    ///
    /// # Panics
    ///
    /// When OpenMLS does not encrypt it.
    pub fn write(&mut self, text: &str) -> Value {
        self.write_as(message_id(), text)
    }

    /// The same under a name that it may have had in an epoch before.
    ///
    /// # Panics
    ///
    /// When OpenMLS does not encrypt it.
    pub fn write_as(&mut self, id: ClientMsgId, text: &str) -> Value {
        self.own.insert(id, text.to_owned());
        self.encrypt(id, text.as_bytes())
    }

    /// A text as the SDK writes it, for members who are the SDK.
    ///
    /// # Panics
    ///
    /// When OpenMLS does not encrypt it.
    pub fn write_content(&mut self, text: &str) -> Value {
        let id = message_id();
        self.own.insert(id, text.to_owned());
        self.encrypt(id, &content::of_text(id, text))
    }

    fn encrypt(&mut self, id: ClientMsgId, plaintext: &[u8]) -> Value {
        let mls = self.group.as_mut().expect("it is in a group");
        let message = mls.create_message(&self.provider, &self.signer, plaintext);
        let message = message.expect("a message").to_bytes().expect("it encodes");
        json!({
            "client_msg_id": id.to_string(),
            "generation": self.group().1,
            "epoch": self.standing().0,
            "message": Base64Bytes(message),
        })
    }
}

fn validated(bytes: &[u8]) -> KeyPackage {
    let package = KeyPackageIn::tls_deserialize_exact_bytes(bytes).expect("a KeyPackage");
    package.validate(&Crypto, ProtocolVersion::Mls10).expect("a sound KeyPackage")
}

/// Where in the tree these devices are.
fn leaves_of(mls: &MlsGroup, leaves: &[LeafId]) -> Vec<LeafNodeIndex> {
    let members = Members::of(mls.public_group()).expect("leaves of ours");
    leaves.iter().map(|leaf| members.find(leaf).expect("a member")).collect()
}
