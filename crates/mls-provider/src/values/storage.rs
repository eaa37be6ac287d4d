//! The storage trait of OpenMLS. Values are in postcard, which takes a third of what CBOR takes
//! and a quarter of the time for a large tree. The one exception is the configuration of a
//! group, which OpenMLS reads in a way that only a self-describing format answers: that is JSON.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::{
    StorageError, Values,
    keys::{OfDevice, OfGroup, of_device, of_group, of_group_and},
};

/// The one version of the trait that there is.
const V: u16 = CURRENT_VERSION;

type Stored<T> = Result<T, StorageError>;

impl Values {
    fn put<T: Serialize + ?Sized>(&self, key: Vec<u8>, value: &T) -> Stored<()> {
        let value = postcard::to_stdvec(value)?;
        self.lock().put(key, value);
        Ok(())
    }

    fn find<T: DeserializeOwned>(&self, key: &[u8]) -> Stored<Option<T>> {
        let content = self.lock();
        let value = content.entries.get(key).map(|value| postcard::from_bytes(value));
        Ok(value.transpose()?)
    }

    fn delete(&self, key: Vec<u8>) {
        self.lock().delete(key);
    }

    /// The elements of a list, each in postcard.
    fn list(&self, key: &[u8]) -> Stored<Vec<ByteBuf>> {
        Ok(self.find(key)?.unwrap_or_default())
    }
}

fn each<'a, T: Deserialize<'a>>(list: &'a [ByteBuf]) -> Stored<Vec<T>> {
    list.iter().map(|bytes| Ok(postcard::from_bytes(bytes)?)).collect()
}
impl StorageProvider<V> for Values {
    type Error = StorageError;

    fn write_tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::Tree, group_id)?, value)
    }

    fn tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::Tree, group_id)?)
    }

    fn delete_tree<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::Tree, group_id)?);
        Ok(())
    }

    fn write_context<G: traits::GroupId<V>, T: traits::GroupContext<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::Context, group_id)?, value)
    }

    fn group_context<G: traits::GroupId<V>, T: traits::GroupContext<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::Context, group_id)?)
    }

    fn delete_context<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::Context, group_id)?);
        Ok(())
    }

    fn write_interim_transcript_hash<G: traits::GroupId<V>, T: traits::InterimTranscriptHash<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::InterimTranscriptHash, group_id)?, value)
    }

    fn interim_transcript_hash<G: traits::GroupId<V>, T: traits::InterimTranscriptHash<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::InterimTranscriptHash, group_id)?)
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::InterimTranscriptHash, group_id)?);
        Ok(())
    }

    fn write_confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::ConfirmationTag, group_id)?, value)
    }

    fn confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::ConfirmationTag, group_id)?)
    }

    fn delete_confirmation_tag<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::ConfirmationTag, group_id)?);
        Ok(())
    }

    fn write_message_secrets<G: traits::GroupId<V>, T: traits::MessageSecrets<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::MessageSecrets, group_id)?, value)
    }

    fn message_secrets<G: traits::GroupId<V>, T: traits::MessageSecrets<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::MessageSecrets, group_id)?)
    }

    fn delete_message_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::MessageSecrets, group_id)?);
        Ok(())
    }

    fn write_resumption_psk_store<G: traits::GroupId<V>, T: traits::ResumptionPskStore<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::ResumptionPsks, group_id)?, value)
    }

    fn resumption_psk_store<G: traits::GroupId<V>, T: traits::ResumptionPskStore<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::ResumptionPsks, group_id)?)
    }

    fn delete_all_resumption_psk_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::ResumptionPsks, group_id)?);
        Ok(())
    }

    fn write_own_leaf_index<G: traits::GroupId<V>, T: traits::LeafNodeIndex<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::OwnLeafIndex, group_id)?, value)
    }

    fn own_leaf_index<G: traits::GroupId<V>, T: traits::LeafNodeIndex<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::OwnLeafIndex, group_id)?)
    }

    fn delete_own_leaf_index<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::OwnLeafIndex, group_id)?);
        Ok(())
    }

    fn write_group_epoch_secrets<G: traits::GroupId<V>, T: traits::GroupEpochSecrets<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::EpochSecrets, group_id)?, value)
    }

    fn group_epoch_secrets<G: traits::GroupId<V>, T: traits::GroupEpochSecrets<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::EpochSecrets, group_id)?)
    }

    fn delete_group_epoch_secrets<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::EpochSecrets, group_id)?);
        Ok(())
    }

    fn write_group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        group_id: &G,
        value: &T,
    ) -> Stored<()> {
        self.put(of_group(OfGroup::State, group_id)?, value)
    }

    fn group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        self.find(&of_group(OfGroup::State, group_id)?)
    }

    fn delete_group_state<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::State, group_id)?);
        Ok(())
    }

    fn write_mls_join_config<G: traits::GroupId<V>, T: traits::MlsGroupJoinConfig<V>>(
        &self,
        group_id: &G,
        config: &T,
    ) -> Stored<()> {
        let config = serde_json::to_vec(config)?;
        self.lock().put(of_group(OfGroup::Config, group_id)?, config);
        Ok(())
    }

    fn mls_group_join_config<G: traits::GroupId<V>, T: traits::MlsGroupJoinConfig<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Option<T>> {
        let key = of_group(OfGroup::Config, group_id)?;
        let content = self.lock();
        let config = content.entries.get(&key).map(|config| serde_json::from_slice(config));
        Ok(config.transpose()?)
    }

    fn delete_group_config<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::Config, group_id)?);
        Ok(())
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, T: traits::LeafNode<V>>(
        &self,
        group_id: &G,
        leaf_node: &T,
    ) -> Stored<()> {
        let key = of_group(OfGroup::OwnLeafNodes, group_id)?;
        let mut list = self.list(&key)?;
        list.push(ByteBuf::from(postcard::to_stdvec(leaf_node)?));
        self.put(key, &list)
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, T: traits::LeafNode<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Vec<T>> {
        each(&self.list(&of_group(OfGroup::OwnLeafNodes, group_id)?)?)
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group_id: &G) -> Stored<()> {
        self.delete(of_group(OfGroup::OwnLeafNodes, group_id)?);
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<V>,
        R: traits::ProposalRef<V>,
        T: traits::QueuedProposal<V>,
    >(
        &self,
        group_id: &G,
        proposal_ref: &R,
        proposal: &T,
    ) -> Stored<()> {
        self.put(of_group_and(OfGroup::Proposal, group_id, proposal_ref)?, proposal)?;
        let key = of_group(OfGroup::ProposalRefs, group_id)?;
        let mut list = self.list(&key)?;
        let proposal_ref = ByteBuf::from(postcard::to_stdvec(proposal_ref)?);
        if !list.contains(&proposal_ref) {
            list.push(proposal_ref);
        }
        self.put(key, &list)
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
    ) -> Stored<Vec<R>> {
        each(&self.list(&of_group(OfGroup::ProposalRefs, group_id)?)?)
    }

    fn queued_proposals<
        G: traits::GroupId<V>,
        R: traits::ProposalRef<V>,
        T: traits::QueuedProposal<V>,
    >(
        &self,
        group_id: &G,
    ) -> Stored<Vec<(R, T)>> {
        let refs: Vec<R> = self.queued_proposal_refs(group_id)?;
        let mut proposals = Vec::with_capacity(refs.len());
        for proposal_ref in refs {
            let key = of_group_and(OfGroup::Proposal, group_id, &proposal_ref)?;
            if let Some(proposal) = self.find(&key)? {
                proposals.push((proposal_ref, proposal));
            }
        }
        Ok(proposals)
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
        proposal_ref: &R,
    ) -> Stored<()> {
        self.delete(of_group_and(OfGroup::Proposal, group_id, proposal_ref)?);
        let key = of_group(OfGroup::ProposalRefs, group_id)?;
        let mut list = self.list(&key)?;
        let proposal_ref = postcard::to_stdvec(proposal_ref)?;
        list.retain(|present| *present != proposal_ref);
        self.put(key, &list)
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group_id: &G,
    ) -> Stored<()> {
        let refs: Vec<R> = self.queued_proposal_refs(group_id)?;
        for proposal_ref in refs {
            self.delete(of_group_and(OfGroup::Proposal, group_id, &proposal_ref)?);
        }
        self.delete(of_group(OfGroup::ProposalRefs, group_id)?);
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        K: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &G,
        epoch: &K,
        leaf_index: u32,
        key_pairs: &[T],
    ) -> Stored<()> {
        let key = of_group_and(OfGroup::EpochKeyPairs, group_id, &(epoch, leaf_index))?;
        self.put(key, key_pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        K: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &G,
        epoch: &K,
        leaf_index: u32,
    ) -> Stored<Vec<T>> {
        let key = of_group_and(OfGroup::EpochKeyPairs, group_id, &(epoch, leaf_index))?;
        Ok(self.find(&key)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, K: traits::EpochKey<V>>(
        &self,
        group_id: &G,
        epoch: &K,
        leaf_index: u32,
    ) -> Stored<()> {
        self.delete(of_group_and(OfGroup::EpochKeyPairs, group_id, &(epoch, leaf_index))?);
        Ok(())
    }

    fn write_key_package<K: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        which: &K,
        value: &T,
    ) -> Stored<()> {
        self.put(of_device(OfDevice::KeyPackage, which)?, value)
    }

    fn key_package<K: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        which: &K,
    ) -> Stored<Option<T>> {
        self.find(&of_device(OfDevice::KeyPackage, which)?)
    }

    fn delete_key_package<K: traits::HashReference<V>>(&self, which: &K) -> Stored<()> {
        self.delete(of_device(OfDevice::KeyPackage, which)?);
        Ok(())
    }

    fn write_encryption_key_pair<K: traits::EncryptionKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        which: &K,
        value: &T,
    ) -> Stored<()> {
        self.put(of_device(OfDevice::EncryptionKeyPair, which)?, value)
    }

    fn encryption_key_pair<T: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(
        &self,
        which: &K,
    ) -> Stored<Option<T>> {
        self.find(&of_device(OfDevice::EncryptionKeyPair, which)?)
    }

    fn delete_encryption_key_pair<K: traits::EncryptionKey<V>>(&self, which: &K) -> Stored<()> {
        self.delete(of_device(OfDevice::EncryptionKeyPair, which)?);
        Ok(())
    }

    fn write_signature_key_pair<
        K: traits::SignaturePublicKey<V>,
        T: traits::SignatureKeyPair<V>,
    >(
        &self,
        which: &K,
        value: &T,
    ) -> Stored<()> {
        self.put(of_device(OfDevice::SignatureKeyPair, which)?, value)
    }

    fn signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        which: &K,
    ) -> Stored<Option<T>> {
        self.find(&of_device(OfDevice::SignatureKeyPair, which)?)
    }

    fn delete_signature_key_pair<K: traits::SignaturePublicKey<V>>(&self, which: &K) -> Stored<()> {
        self.delete(of_device(OfDevice::SignatureKeyPair, which)?);
        Ok(())
    }

    fn write_psk<K: traits::PskId<V>, T: traits::PskBundle<V>>(
        &self,
        which: &K,
        value: &T,
    ) -> Stored<()> {
        self.put(of_device(OfDevice::Psk, which)?, value)
    }

    fn psk<T: traits::PskBundle<V>, K: traits::PskId<V>>(&self, which: &K) -> Stored<Option<T>> {
        self.find(&of_device(OfDevice::Psk, which)?)
    }

    fn delete_psk<K: traits::PskId<V>>(&self, which: &K) -> Stored<()> {
        self.delete(of_device(OfDevice::Psk, which)?);
        Ok(())
    }
}
