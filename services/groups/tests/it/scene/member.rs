use openmls::prelude::{
    CommitBuilder, Extensions, GroupContext, GroupId as MlsGroupId, Initial, KeyPackage,
    LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    OpenMlsProvider as _, ProcessedMessageContent, ProtocolMessage, RatchetTreeIn, StagedWelcome,
};
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use sotto_ids::{Base64Bytes, DeviceAddress, GroupId};
use sotto_mls::{CIPHERSUITE, LeafId, Policy, capabilities, config, tree};
use sotto_mls_provider::{Provider, Signer, Values};
use sotto_proto::{
    groups::LogPage,
    socket::{GroupEntry, GroupEntryKind},
};
use tls_codec::Deserialize as _;

use super::{
    answer::{Answer, bytes_of},
    external_sender, random,
};
use crate::stage::Replica;

/// A device with a state of MLS of its own, which is in one group or in none.
pub(crate) struct Member {
    pub(crate) leaf: LeafId,
    pub(crate) signer: Signer,
    pub(crate) provider: Provider<Values>,
    pub(crate) group: Option<MlsGroup>,
    /// The last entry that it has processed.
    pub(crate) cursor: u64,
    http: reqwest::Client,
    token: String,
    base: String,
}

/// A commit that is about to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) commit: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) sealed_metadata: Vec<u8>,
}

impl Prepared {
    pub(crate) fn body(&self) -> Value {
        json!({
            "commit": base64(&self.commit),
            "group_info": base64(&self.group_info),
            "welcome": self.welcome.as_ref().map(|welcome| base64(welcome)),
            "sealed_metadata": base64(&self.sealed_metadata),
        })
    }
}

pub(crate) type Builder<'a> = CommitBuilder<'a, Initial>;

impl Member {
    pub(super) fn new(leaf: LeafId, signer: Signer, token: String, replica: &Replica) -> Self {
        Self {
            leaf,
            signer,
            provider: Provider::default(),
            group: None,
            cursor: 0,
            http: reqwest::Client::new(),
            token,
            base: replica.http.clone(),
        }
    }

    pub(crate) fn address(&self) -> DeviceAddress {
        DeviceAddress::new(self.leaf.account.uuid(), self.leaf.device)
    }

    /// Speaks to this replica from now on.
    pub(crate) fn turn_to(&mut self, replica: &Replica) {
        self.base.clone_from(&replica.http);
    }

    pub(crate) fn mls(&self) -> &MlsGroup {
        self.group.as_ref().expect("it is in a group")
    }

    /// The group that it is in, and the generation.
    pub(crate) fn id(&self) -> (GroupId, u32) {
        GroupId::from_mls_id(self.mls().group_id().as_slice()).unwrap()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.mls().epoch().as_u64()
    }

    /// What all members of an epoch have in common, and nobody else.
    pub(crate) fn secret(&self) -> Vec<u8> {
        self.mls().epoch_authenticator().as_slice().to_vec()
    }

    pub(crate) fn index(&self) -> LeafNodeIndex {
        self.mls().own_leaf_index()
    }

    pub(crate) fn key_package(&self) -> KeyPackage {
        KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(config::key_package_lifetime())
            .build(
                CIPHERSUITE,
                &self.provider,
                &self.signer,
                self.leaf.credential_with_key(&self.signer.public_key()),
            )
            .unwrap()
            .into_key_package()
    }

    // Making groups.

    /// A policy with itself as the only admin.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            metadata_version: 1,
            metadata_hash: None,
            admins: [self.leaf.account].into(),
            members_may_add: false,
        }
    }

    /// Makes a group on its own side, and the body of the request for it.
    pub(crate) fn found(&mut self, group: GroupId, generation: u32, policy: &Policy) -> Value {
        let config = config::create_config(policy, external_sender()).unwrap();
        let made = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            MlsGroupId::from_slice(&group.mls_id(generation)),
            self.leaf.credential_with_key(&self.signer.public_key()),
        )
        .unwrap();
        self.group = Some(made);
        json!({ "group_info": base64(&self.group_info(true)), "sealed_metadata": base64(b"name") })
    }

    pub(crate) fn group_info(&self, with_tree: bool) -> Vec<u8> {
        let crypto = self.provider.crypto();
        let info = self.mls().export_group_info(crypto, &self.signer, with_tree).unwrap();
        info.to_bytes().unwrap()
    }

    /// Makes a group with itself alone.
    pub(crate) async fn make_group(&mut self) -> GroupId {
        let group = GroupId::new(random());
        let body = self.found(group, 0, &self.policy());
        self.call(Method::POST, "", &body).await.ok();
        self.cursor = 1;
        group
    }

    // Changing groups.

    /// Makes a commit, which stays pending.
    pub(crate) fn prepare(&mut self, what: impl FnOnce(Builder<'_>) -> Builder<'_>) -> Prepared {
        let group = self.group.as_mut().unwrap();
        let bundle = what(group.commit_builder().force_self_update(true))
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let group_info = MlsMessageOut::from(bundle.group_info().unwrap().clone());
        Prepared {
            group_info: group_info.to_bytes().unwrap(),
            welcome: bundle.to_welcome_msg().map(|welcome| welcome.to_bytes().unwrap()),
            commit: bundle.into_commit().to_bytes().unwrap(),
            sealed_metadata: b"sealed name".to_vec(),
        }
    }

    pub(crate) fn prepare_update(&mut self) -> Prepared {
        self.prepare(|builder| builder)
    }

    pub(crate) fn prepare_adds(&mut self, key_packages: Vec<KeyPackage>) -> Prepared {
        self.prepare(|builder| builder.propose_adds(key_packages))
    }

    pub(crate) fn prepare_policy(&mut self, policy: &Policy) -> Prepared {
        let extensions = config::with_policy(self.mls().extensions(), policy).unwrap();
        self.prepare_extensions(extensions)
    }

    pub(crate) fn prepare_extensions(&mut self, extensions: Extensions<GroupContext>) -> Prepared {
        self.prepare(|builder| builder.propose_group_context_extensions(extensions).unwrap())
    }

    pub(crate) fn forget_commit(&mut self) {
        let storage = self.provider.storage();
        self.group.as_mut().unwrap().clear_pending_commit(storage).unwrap();
    }

    pub(crate) async fn post(&self, prepared: &Prepared) -> Answer {
        self.call(Method::POST, &self.path("commits"), &prepared.body()).await
    }

    /// Sends a commit and takes it in, if it is taken.
    pub(crate) async fn commit(&mut self, prepared: &Prepared) -> Answer {
        let answer = self.post(prepared).await;
        if answer.status.is_success() {
            self.merge(answer.json()["seq"].as_u64().unwrap());
        } else {
            self.forget_commit();
        }
        answer
    }

    pub(crate) fn merge(&mut self, seq: u64) {
        self.group.as_mut().unwrap().merge_pending_commit(&self.provider).unwrap();
        self.cursor = seq;
    }

    pub(crate) async fn update(&mut self) {
        let prepared = self.prepare_update();
        self.commit(&prepared).await.ok();
    }

    pub(crate) async fn add(&mut self, others: &[Self]) {
        let prepared = self.prepare_adds(others.iter().map(Self::key_package).collect());
        self.commit(&prepared).await.ok();
    }

    pub(crate) async fn remove(&mut self, others: &[LeafNodeIndex]) -> Answer {
        let prepared = self.prepare(|builder| builder.propose_removals(others.iter().copied()));
        self.commit(&prepared).await
    }

    /// Its own Remove proposal, which it does not keep.
    pub(crate) fn leave_proposal(&mut self) -> Vec<u8> {
        let group = self.group.as_mut().unwrap();
        let proposal = group.leave_group(&self.provider, &self.signer).unwrap();
        group.clear_pending_proposals(self.provider.storage()).unwrap();
        proposal.to_bytes().unwrap()
    }

    pub(crate) async fn propose(&self, proposal: &[u8]) -> Answer {
        let body = json!({ "proposal": base64(proposal) });
        self.call(Method::POST, &self.path("proposals"), &body).await
    }

    // Following groups.

    /// Joins by the newest Welcome that waits, and deletes it.
    pub(crate) async fn join(&mut self) {
        let welcomes = self.get("/welcomes").await.ok();
        let waiting = welcomes["welcomes"].as_array().unwrap().last().expect("a welcome").clone();
        self.join_by(&waiting).await;
        let group = waiting["group"].as_str().unwrap();
        let (generation, epoch) = (&waiting["generation"], &waiting["epoch"]);
        let path = format!("/{group}/welcome?generation={generation}&epoch={epoch}");
        self.call(Method::DELETE, &path, &Value::Null).await.ok();
    }

    pub(crate) async fn join_by(&mut self, waiting: &Value) {
        let group = waiting["group"].as_str().unwrap();
        let (generation, epoch) = (&waiting["generation"], &waiting["epoch"]);
        let tree = self.tree(group, generation, epoch).await;
        let welcome = MlsMessageIn::tls_deserialize_exact(bytes_of(&waiting["welcome"])).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else { panic!("no welcome") };
        let staged = StagedWelcome::new_from_welcome(
            &self.provider,
            &config::join_config(),
            welcome,
            Some(tree),
        )
        .unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
        self.cursor = waiting["seq"].as_u64().unwrap();
    }

    pub(crate) async fn tree(
        &self,
        group: &str,
        generation: &Value,
        epoch: &Value,
    ) -> RatchetTreeIn {
        let path = format!("/{group}/tree?generation={generation}&epoch={epoch}");
        let compressed = self.get(&path).await.octets();
        let bytes = tree::decompress(&compressed, tree::MAX_TREE_BYTES).unwrap();
        RatchetTreeIn::tls_deserialize_exact(bytes).unwrap()
    }

    /// What a device needs to join a group from outside.
    pub(crate) async fn info(&self, group: GroupId) -> (Value, RatchetTreeIn) {
        let info = self.get(&format!("/{group}/info")).await.ok();
        let tree = self.tree(&group.to_string(), &info["generation"], &info["epoch"]).await;
        (info, tree)
    }

    /// Makes an external commit into a group. It is in the new epoch from here on.
    pub(crate) fn prepare_rejoin(&mut self, (info, tree): (Value, RatchetTreeIn)) -> Prepared {
        let message = MlsMessageIn::tls_deserialize_exact(bytes_of(&info["group_info"])).unwrap();
        let MlsMessageBodyIn::GroupInfo(group_info) = message.extract() else { panic!("no info") };
        self.provider = Provider::default();
        let (joined, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(config::join_config())
            .build_group(
                &self.provider,
                group_info,
                self.leaf.credential_with_key(&self.signer.public_key()),
            )
            .unwrap()
            .leaf_node_parameters(
                LeafNodeParameters::builder().with_capabilities(capabilities()).build(),
            )
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        self.group = Some(joined);
        let group_info = MlsMessageOut::from(bundle.group_info().unwrap().clone());
        Prepared {
            group_info: group_info.to_bytes().unwrap(),
            welcome: None,
            commit: bundle.into_commit().to_bytes().unwrap(),
            sealed_metadata: Vec::new(),
        }
    }

    pub(crate) async fn rejoin(&mut self, group: GroupId) -> Answer {
        let info = self.info(group).await;
        let prepared = self.prepare_rejoin(info);
        let answer = self.post(&prepared).await;
        if answer.status.is_success() {
            self.cursor = answer.json()["seq"].as_u64().unwrap();
        }
        answer
    }

    /// Reads the log and processes what is new, in its order.
    pub(crate) async fn catch_up(&mut self) -> Vec<GroupEntry> {
        let mut read = Vec::new();
        loop {
            let path = self.path(&format!("log?after={}", self.cursor));
            let page = LogPage::decode(self.get(&path).await.octets().as_slice()).unwrap();
            for entry in &page.entries {
                assert_eq!(entry.seq, self.cursor + 1, "the log has no gaps");
                self.process(entry);
            }
            read.extend(page.entries);
            if self.cursor >= page.head_seq {
                return read;
            }
        }
    }

    /// Processes an entry as any member would.
    pub(crate) fn process(&mut self, entry: &GroupEntry) {
        self.cursor = entry.seq;
        if ![GroupEntryKind::Commit, GroupEntryKind::Proposal].contains(&entry.kind()) {
            return;
        }
        let group = self.group.as_mut().unwrap();
        if !group.is_active() {
            return;
        }
        let message = MlsMessageIn::tls_deserialize_exact(&entry.message[..]).unwrap();
        let message: ProtocolMessage = message.try_into_protocol_message().unwrap();
        let processed = group.process_message(&self.provider, message).unwrap();
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                group.merge_staged_commit(&self.provider, *staged).unwrap();
            }
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(self.provider.storage(), *proposal).unwrap();
            }
            _ => panic!("an entry of another kind"),
        }
    }

    // Asking.

    /// The path of something of its group.
    pub(crate) fn path(&self, of: &str) -> String {
        format!("/{}/{of}", self.id().0)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}/v1/groups{path}", self.base))
            .bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(body);
        }
        Answer::of(request.send().await.unwrap()).await
    }
}

pub(crate) fn base64(bytes: &[u8]) -> Base64Bytes {
    bytes.to_vec().into()
}
