//! A group in the eyes of one device: its MLS state, and what it read from the log.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use openmls::{
    group::{MlsGroup, StagedCommit},
    prelude::{
        DeserializeBytes as _, MlsMessageIn, ProcessedMessageContent, ProtocolMessage, Sender,
    },
};
use openmls_traits::OpenMlsProvider as _;
use prost::bytes::Bytes;
use sotto_ids::{ClientMsgId, GroupId};
use sotto_mls::{
    Policy, commit,
    metadata::{self, EXPORTER_LABEL, KEY_BYTES, Metadata},
};
use sotto_mls_provider::{Crypto, Provider, Signer, Values};
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use super::{api::Head, certified::Certified, device::Written, text::Text};

/// A group of a device.
pub struct Room {
    pub(super) mls: MlsGroup,
    pub(super) metadata: Arc<Metadata>,
    /// The last entry that was taken in.
    cursor: u64,
    /// The entry with which the device came.
    joined: u64,
    /// The entry with which it went.
    removed: Option<u64>,
    /// What the group is called, as the last commit brought it; empty before the first.
    sealed: Bytes,
    /// What it wrote itself, by the id under which it comes back.
    own: HashMap<Bytes, Text>,
    /// What a person would see, in the order in which it came.
    shown: Vec<(u64, Text)>,
    /// Entries that came by the socket.
    pub(super) by_socket: u64,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// How far entries were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of them.
    All,
    /// One is missing before the next: the log has it.
    Gap,
    /// The device is no member any more.
    Out,
}

/// Where a member stands; what all members of an epoch have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The epoch.
    pub epoch: u64,
    /// RFC 9420, 8.7: it is the same only where everything is.
    pub authenticator: Vec<u8>,
    /// Of the ratchet tree.
    pub tree_hash: Vec<u8>,
}

impl Room {
    pub(super) fn new(mls: MlsGroup, metadata: Arc<Metadata>, seq: u64, sealed: Bytes) -> Self {
        Self {
            mls,
            metadata,
            cursor: seq,
            joined: seq,
            removed: None,
            sealed,
            own: HashMap::new(),
            shown: Vec::new(),
            by_socket: 0,
        }
    }

    /// The last entry that was taken in.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The entry with which the device came.
    pub fn joined(&self) -> u64 {
        self.joined
    }

    /// The entry with which it went.
    pub fn removed(&self) -> Option<u64> {
        self.removed
    }

    /// What a person would see, each with its place in the log.
    pub fn shown(&self) -> &[(u64, Text)] {
        &self.shown
    }

    /// Where the member stands.
    pub fn standing(&self) -> Standing {
        Standing {
            epoch: self.mls.epoch().as_u64(),
            authenticator: self.mls.epoch_authenticator().as_slice().to_vec(),
            tree_hash: self.mls.public_group().group_context().tree_hash().to_vec(),
        }
    }

    /// The name that the last commit brought, opened with the key of the epoch; `None` where
    /// there was none since the device came.
    pub(super) fn name(&self, group: GroupId) -> anyhow::Result<Option<String>> {
        if self.sealed.is_empty() {
            return Ok(None);
        }
        let policy = Policy::from_extensions(self.mls.extensions())?;
        let key = self.mls.export_secret(&Crypto, EXPORTER_LABEL, b"", KEY_BYTES)?;
        let key = key.as_slice().try_into().context("the exporter gave another length")?;
        let epoch = self.mls.epoch().as_u64();
        let opened = metadata::open(key, &group.mls_id(0), epoch, &self.sealed, &policy)?;
        Ok(Some(opened.name))
    }

    pub(super) fn write(
        &mut self,
        id: ClientMsgId,
        text: Text,
        provider: &Provider<Values>,
        signer: &Signer,
    ) -> anyhow::Result<Written> {
        let message = self.mls.create_message(provider, signer, &text.bytes())?.to_bytes()?;
        self.own.insert(Bytes::copy_from_slice(id.as_bytes()), text);
        Ok(Written { at: (0, self.mls.epoch().as_u64()), message })
    }

    /// Merges the pending commit, where nothing else came before it in the log.
    pub(super) fn committed(
        &mut self,
        head: Head,
        provider: &Provider<Values>,
    ) -> anyhow::Result<Taken> {
        if head.seq <= self.cursor {
            return Ok(Taken::All);
        }
        if head.seq > self.cursor + 1 {
            // The log has it too.
            return Ok(Taken::Gap);
        }
        self.mls.merge_pending_commit(provider)?;
        self.cursor = head.seq;
        // Whoever has sealed it knows what is in it.
        self.sealed = Bytes::new();
        Ok(Taken::All)
    }

    pub(super) fn take(
        &mut self,
        entries: &[GroupEntry],
        provider: &Provider<Values>,
        certified: &Certified,
    ) -> anyhow::Result<Taken> {
        for entry in entries {
            if self.removed.is_some() {
                return Ok(Taken::Out);
            }
            if entry.seq <= self.cursor {
                continue;
            }
            if entry.seq > self.cursor + 1 {
                return Ok(Taken::Gap);
            }
            self.take_next(entry, provider, certified)
                .with_context(|| format!("entry {} of the log", entry.seq))?;
            self.cursor = entry.seq;
        }
        Ok(if self.removed.is_some() { Taken::Out } else { Taken::All })
    }

    fn take_next(
        &mut self,
        entry: &GroupEntry,
        provider: &Provider<Values>,
        certified: &Certified,
    ) -> anyhow::Result<()> {
        match entry.kind() {
            GroupEntryKind::Message => {
                let own = self.own.get(&entry.client_msg_id).copied();
                let text = match own {
                    Some(text) => text,
                    None => self.open(entry, provider)?,
                };
                self.shown.push((entry.seq, text));
            }
            GroupEntryKind::Commit => self.follow(entry, provider, certified)?,
            GroupEntryKind::Proposal => {
                let processed = self.mls.process_message(provider, message_of(entry)?)?;
                let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content()
                else {
                    bail!("it is no proposal");
                };
                self.mls.store_pending_proposal(provider.storage(), *queued)?;
            }
            GroupEntryKind::Metadata => self.sealed = entry.sealed_metadata.clone(),
            GroupEntryKind::Reset | GroupEntryKind::Unspecified => bail!("no such entry is due"),
        }
        Ok(())
    }

    fn open(&mut self, entry: &GroupEntry, provider: &Provider<Values>) -> anyhow::Result<Text> {
        let processed = self.mls.process_message(provider, message_of(entry)?)?;
        let ProcessedMessageContent::ApplicationMessage(text) = processed.into_content() else {
            bail!("it is no message");
        };
        Text::read(&text.into_bytes()).context("the text is none of the run")
    }

    fn follow(
        &mut self,
        entry: &GroupEntry,
        provider: &Provider<Values>,
        certified: &Certified,
    ) -> anyhow::Result<()> {
        ensure!(entry.epoch == self.mls.epoch().as_u64(), "the commit is of another epoch");
        let processed = self.mls.process_message(provider, message_of(entry)?)?;
        let sender = processed.sender().clone();
        match processed.into_content() {
            ProcessedMessageContent::OwnPendingCommit => self.mls.merge_pending_commit(provider)?,
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                self.judge(&sender, &staged, certified)?;
                if staged.self_removed() {
                    // The state stays as it was, so that it can be tried what it still opens.
                    self.removed = Some(entry.seq);
                    return Ok(());
                }
                self.mls.clear_pending_commit(provider.storage())?;
                self.mls.merge_staged_commit(provider, *staged)?;
            }
            _ => bail!("it is no commit"),
        }
        self.sealed = entry.sealed_metadata.clone();
        Ok(())
    }

    fn judge(
        &self,
        sender: &Sender,
        staged: &StagedCommit,
        certified: &Certified,
    ) -> anyhow::Result<()> {
        let checked = commit::check(self.mls.public_group(), sender, staged)?;
        ensure!(certified.holds(&checked.claims), "a leaf is not certified");
        Ok(())
    }

    pub(super) fn could_open(&mut self, entry: &GroupEntry, provider: &Provider<Values>) -> bool {
        message_of(entry).is_ok_and(|message| self.mls.process_message(provider, message).is_ok())
    }
}

fn message_of(entry: &GroupEntry) -> anyhow::Result<ProtocolMessage> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(&entry.message)?;
    Ok(message.try_into_protocol_message()?)
}
