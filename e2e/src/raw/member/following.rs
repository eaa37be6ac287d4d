//! What a member does with what comes.

use openmls::{
    group::StagedWelcome,
    prelude::{
        DeserializeBytes as _, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent,
        ProtocolMessage, RatchetTreeIn,
    },
};
use openmls_traits::OpenMlsProvider as _;
use sotto_ids::ClientMsgId;
use sotto_mls::config;
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use super::Member;

impl Member {
    /// Comes into a group by a Welcome, which leads to the entry `seq`.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub fn come_in(&mut self, welcome: &[u8], tree: &[u8], seq: u64) {
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).expect("a tree");
        let message = MlsMessageIn::tls_deserialize_exact_bytes(welcome).expect("a message");
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!("no Welcome") };
        let config = config::join_config();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, Some(tree));
        let staged = staged.expect("a Welcome for this device");
        self.group = Some(staged.into_group(&self.provider).expect("a group"));
        self.cursor = seq;
    }

    /// Whether it has not been removed, as far as it knows.
    ///
    /// # Panics
    ///
    /// When it was never in a group.
    pub fn is_in(&self) -> bool {
        self.mls().is_active()
    }

    /// Takes entries of the log in, those that it has already left out.
    ///
    /// # Panics
    ///
    /// When one is missing, or cannot be processed: the members have diverged then.
    pub fn take(&mut self, entries: &[GroupEntry]) {
        for entry in entries {
            if entry.seq <= self.cursor || !self.is_in() {
                continue;
            }
            assert_eq!(entry.seq, self.cursor + 1, "the log has no gaps");
            self.take_next(entry);
            self.cursor = entry.seq;
        }
    }

    fn take_next(&mut self, entry: &GroupEntry) {
        let own = ClientMsgId::try_from(entry.client_msg_id.as_ref())
            .ok()
            .and_then(|id| self.own.get(&id).cloned());
        match entry.kind() {
            GroupEntryKind::Message => {
                let text = own.unwrap_or_else(|| self.open(entry));
                self.shown.push((entry.seq, text));
            }
            GroupEntryKind::Commit | GroupEntryKind::Proposal => self.follow(entry),
            _ => {}
        }
    }

    fn open(&mut self, entry: &GroupEntry) -> String {
        let mls = self.group.as_mut().expect("it is in a group");
        let processed = mls.process_message(&self.provider, message_of(entry));
        match processed.expect("a message of this epoch").into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => {
                // What the SDK has written is no bare text.
                String::from_utf8_lossy(&text.into_bytes()).into_owned()
            }
            _ => panic!("no message"),
        }
    }

    fn follow(&mut self, entry: &GroupEntry) {
        let mls = self.group.as_mut().expect("it is in a group");
        let processed = mls.process_message(&self.provider, message_of(entry));
        match processed.expect("the log can be followed").into_content() {
            ProcessedMessageContent::OwnPendingCommit => {
                mls.merge_pending_commit(&self.provider).expect("its own commit");
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                mls.clear_pending_commit(self.provider.storage()).expect("memory");
                mls.merge_staged_commit(&self.provider, *staged).expect("a sound commit");
            }
            ProcessedMessageContent::ProposalMessage(proposal) => {
                mls.store_pending_proposal(self.provider.storage(), *proposal).expect("memory");
            }
            _ => panic!("neither a commit nor a proposal"),
        }
    }

    /// The server has taken its commit as the entry `seq`: then it is in the new epoch, unless
    /// there is something before that to take in.
    ///
    /// # Panics
    ///
    /// When no commit is pending.
    pub fn committed(&mut self, seq: u64) {
        if seq == self.cursor + 1 {
            let mls = self.group.as_mut().expect("it is in a group");
            mls.merge_pending_commit(&self.provider).expect("its own commit");
            self.cursor = seq;
        }
    }

    /// Its commit from outside stands in the log as the entry `seq`.
    pub fn came_in_from_outside(&mut self, seq: u64) {
        self.cursor = seq;
    }
}

fn message_of(entry: &GroupEntry) -> ProtocolMessage {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(&entry.message);
    message.expect("a message of MLS").try_into_protocol_message().expect("of a group")
}
