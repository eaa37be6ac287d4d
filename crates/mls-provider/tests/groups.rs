//! Groups of OpenMLS that talk through this provider, in both suites, each step through a store
//! that holds nothing but what came out of the step before.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use openmls::prelude::*;
use sotto_mls_provider::{CIPHERSUITES, Provider, Signer, Values};

/// A device, and a store of rows that outlives each step.
struct Device {
    signer: Signer,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    suite: Ciphersuite,
}

const GROUP: [u8; 20] = [7; 20];

impl Device {
    fn new(seed: u8, suite: Ciphersuite) -> Self {
        Self { signer: Signer::new(&[seed; 32]), rows: BTreeMap::new(), suite }
    }

    /// Loads all rows, lets OpenMLS work, and writes the changes.
    fn step<T>(&mut self, work: impl FnOnce(&Provider<Values>, &Signer) -> T) -> T {
        let provider = Provider::new(Values::from_entries(self.rows.clone()));
        let result = work(&provider, &self.signer);
        let values = provider.into_storage();
        for (key, value) in values.take_changes() {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        assert_eq!(values.entries(), self.rows.clone().into_iter().collect::<Vec<_>>());
        result
    }

    fn in_group<T>(
        &mut self,
        work: impl FnOnce(&mut MlsGroup, &Provider<Values>, &Signer) -> T,
    ) -> T {
        self.step(|provider, signer| {
            let id = GroupId::from_slice(&GROUP);
            let mut group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
            work(&mut group, provider, signer)
        })
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.signer.public_key().to_vec()).into(),
            signature_key: self.signer.public_key().as_slice().into(),
        }
    }

    fn create(&mut self) {
        let (suite, credential) = (self.suite, self.credential());
        self.step(|provider, signer| {
            let config = MlsGroupCreateConfig::builder()
                .ciphersuite(suite)
                .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
                .build();
            let id = GroupId::from_slice(&GROUP);
            MlsGroup::new_with_group_id(provider, signer, &config, id, credential).unwrap();
        });
    }

    fn key_package(&mut self) -> KeyPackage {
        let (suite, credential) = (self.suite, self.credential());
        self.step(|provider, signer| {
            let builder = KeyPackage::builder();
            let bundle = builder.build(suite, provider, signer, credential).unwrap();
            bundle.into_key_package()
        })
    }

    fn add(&mut self, key_package: KeyPackage) -> (Vec<u8>, Vec<u8>, RatchetTreeIn) {
        self.in_group(|group, provider, signer| {
            let (commit, welcome, _) = group.add_members(provider, signer, &[key_package]).unwrap();
            group.merge_pending_commit(provider).unwrap();
            let tree = group.export_ratchet_tree().into();
            (commit.to_bytes().unwrap(), welcome.to_bytes().unwrap(), tree)
        })
    }

    fn join(&mut self, welcome: &[u8], tree: RatchetTreeIn) {
        self.step(|provider, _| {
            let message = MlsMessageIn::tls_deserialize_exact_bytes(welcome).unwrap();
            let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!() };
            let config = MlsGroupJoinConfig::builder()
                .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
                .build();
            StagedWelcome::new_from_welcome(provider, &config, welcome, Some(tree))
                .unwrap()
                .into_group(provider)
                .unwrap();
        });
    }

    fn update(&mut self) -> Vec<u8> {
        self.in_group(|group, provider, signer| {
            let parameters = LeafNodeParameters::default();
            let bundle = group.self_update(provider, signer, parameters).unwrap();
            bundle.into_commit().to_bytes().unwrap()
        })
    }

    fn propose_update(&mut self) -> Vec<u8> {
        self.in_group(|group, provider, signer| {
            let parameters = LeafNodeParameters::default();
            let (proposal, _) = group.propose_self_update(provider, signer, parameters).unwrap();
            proposal.to_bytes().unwrap()
        })
    }

    fn merge(&mut self) {
        self.in_group(|group, provider, _| group.merge_pending_commit(provider).unwrap());
    }

    fn leave(&mut self) -> Vec<u8> {
        self.in_group(|group, provider, signer| {
            group.leave_group(provider, signer).unwrap().to_bytes().unwrap()
        })
    }

    fn commit_proposals(&mut self) -> Vec<u8> {
        self.in_group(|group, provider, signer| {
            let (commit, _, _) = group.commit_to_pending_proposals(provider, signer).unwrap();
            commit.to_bytes().unwrap()
        })
    }

    fn send(&mut self, text: &[u8]) -> Vec<u8> {
        self.in_group(|group, provider, signer| {
            group.create_message(provider, signer, text).unwrap().to_bytes().unwrap()
        })
    }

    /// Takes a message in; the text of an application message.
    fn receive(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.in_group(|group, provider, _| {
            let message = MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap();
            let message = message.try_into_protocol_message().unwrap();
            match group.process_message(provider, message).unwrap().into_content() {
                ProcessedMessageContent::ApplicationMessage(text) => Some(text.into_bytes()),
                ProcessedMessageContent::ProposalMessage(proposal) => {
                    group.store_pending_proposal(provider.storage(), *proposal).unwrap();
                    None
                }
                ProcessedMessageContent::StagedCommitMessage(staged) => {
                    group.merge_staged_commit(provider, *staged).unwrap();
                    None
                }
                _ => panic!(),
            }
        })
    }

    fn epoch(&mut self) -> (u64, Vec<u8>) {
        self.in_group(|group, _, _| {
            (group.epoch().as_u64(), group.epoch_authenticator().as_slice().to_vec())
        })
    }
}

#[test]
fn a_group_lives_through_its_store_in_each_suite() {
    for suite in CIPHERSUITES {
        let [mut alice, mut bob] = [1, 2].map(|seed| Device::new(seed, suite));
        alice.create();

        let (_, welcome, tree) = alice.add(bob.key_package());
        bob.join(&welcome, tree);
        let hello = alice.send(b"hello");
        assert_eq!(bob.receive(&hello).unwrap(), b"hello");

        let commit = bob.update();
        alice.receive(&commit);
        bob.merge();
        assert_eq!(alice.epoch(), bob.epoch());
        // Out of order, so that the store carries keys of messages that were skipped.
        let texts = [b"one", b"two", b"ten"].map(|text| (text, bob.send(text)));
        for (text, message) in texts.iter().rev() {
            assert_eq!(alice.receive(message).unwrap(), *text);
        }

        // A leaf that somebody else will commit waits in the store with its private key.
        let update = bob.propose_update();
        alice.receive(&update);
        let commit = alice.commit_proposals();
        bob.receive(&commit);
        alice.merge();
        assert_eq!(alice.epoch(), bob.epoch());
        let hello = alice.send(b"again");
        assert_eq!(bob.receive(&hello).unwrap(), b"again");

        let leave = bob.leave();
        alice.receive(&leave);
        let commit = alice.commit_proposals();
        bob.receive(&commit);
        alice.merge();
        assert_eq!(alice.in_group(|group, _, _| group.members().count()), 1);
        assert!(!bob.in_group(|group, _, _| group.is_active()));
    }
}

#[test]
fn all_entries_of_a_group_stand_under_its_prefix_and_go_with_it() {
    let mut alice = Device::new(1, CIPHERSUITES[0]);
    let mut bob = Device::new(2, CIPHERSUITES[0]);
    alice.create();
    alice.add(bob.key_package());
    alice.update();
    alice.merge();
    alice.key_package();

    let prefix = Values::group_prefix(&GROUP);
    let (of_group, others): (Vec<_>, Vec<_>) =
        alice.rows.keys().partition(|key| key.starts_with(&prefix));
    assert!(of_group.len() > 10, "{}", of_group.len());
    assert!(others.iter().all(|key| key.starts_with(&Values::device_prefix())));
    alice.in_group(|group, provider, _| group.delete(provider.storage()).unwrap());

    assert!(!alice.rows.keys().any(|key| key.starts_with(&prefix)), "{:?}", alice.rows.keys());
}

#[test]
fn a_server_follows_a_group_through_snapshots() {
    let [mut alice, mut bob] = [1, 2].map(|seed| Device::new(seed, CIPHERSUITES[0]));
    alice.create();
    let (info, tree) = alice.in_group(|group, provider, signer| {
        let info = group.export_group_info(provider.crypto(), signer, false).unwrap();
        (info.to_bytes().unwrap(), group.export_ratchet_tree())
    });
    let provider = Provider::new(Values::default());
    let info = MlsMessageIn::tls_deserialize_exact_bytes(&info).unwrap();
    let MlsMessageBodyIn::GroupInfo(info) = info.extract() else { panic!() };
    PublicGroup::from_external(
        provider.crypto(),
        provider.storage(),
        tree.into(),
        info,
        ProposalStore::new(),
    )
    .unwrap();
    let mut snapshot = provider.storage().to_bytes();

    let (added, welcome, tree) = alice.add(bob.key_package());
    bob.join(&welcome, tree);
    let leave = bob.leave();
    alice.receive(&leave);
    let gone = alice.commit_proposals();
    alice.merge();
    for message in [added, leave, gone] {
        let provider = Provider::new(Values::from_bytes(&snapshot).unwrap());
        let id = GroupId::from_slice(&GROUP);
        let mut group = PublicGroup::load(provider.storage(), &id).unwrap().unwrap();
        let message = MlsMessageIn::tls_deserialize_exact_bytes(&message).unwrap();
        let message = message.try_into_protocol_message().unwrap();
        match group.process_message(provider.crypto(), message).unwrap().into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.add_proposal(provider.storage(), *proposal).unwrap();
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                group.merge_commit(provider.storage(), *staged).unwrap();
            }
            _ => panic!(),
        }
        snapshot = provider.storage().to_bytes();
    }

    let values = Values::from_bytes(&snapshot).unwrap();
    let group = PublicGroup::load(&values, &GroupId::from_slice(&GROUP)).unwrap().unwrap();
    assert_eq!(group.members().count(), 1);
    assert_eq!(group.group_context().epoch().as_u64(), alice.epoch().0);
    assert_eq!(
        group.group_context().tree_hash(),
        alice.in_group(|group, _, _| group.public_group().group_context().tree_hash().to_vec())
    );
}
