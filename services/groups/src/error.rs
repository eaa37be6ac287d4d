use std::time::Duration;

use prost::Message as _;
use serde_json::{Map, Value, json};
use sotto_ids::Base64Bytes;
use sotto_kit::{
    fault::{Code, Fault, status},
    limits::RateLimited,
    read_only::ReadOnlyError,
};
use sotto_proto::socket::GroupEntry;
use sotto_store::postgres::refuses_writes;

use crate::domain::Epoch;

/// Why a request to the groups service failed.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    // Groups and their members.
    /// The caller's device is not in the group, or there is no such group.
    #[error("the device is not in such a group")]
    NotAMember,
    /// A group with this id was made with other bytes.
    #[error("there is a group with this id already")]
    GroupExists,
    /// The group's policy does not let the caller do this.
    #[error("the policy of the group does not allow this: {rule}")]
    NotAllowed {
        /// The rule that stands against it.
        rule: &'static str,
    },
    /// What was sent was made for a state of the group that is over, or was not complete.
    #[error(transparent)]
    Behind(#[from] Behind),

    // What was sent.
    /// The bytes are no MLSMessage of the kind that belongs here, or of another group.
    #[error("malformed: {what}")]
    MalformedMls {
        /// Which part of the request.
        what: &'static str,
    },
    /// MLS refuses the commit or proposal in this epoch.
    #[error("refused by the rules of MLS: {why}")]
    CommitInvalid {
        /// Which rule it broke.
        why: String,
    },
    /// A leaf is not certified by the chain of the account that it names.
    #[error("a leaf is not that of a live device of its account")]
    LeafUncertified,
    /// The GroupInfo is not that of the epoch that the commit leads to.
    #[error("the group info is not that of the new epoch")]
    GroupInfoMismatch,
    /// The Welcome is not for exactly those whom the commit adds.
    #[error("the welcome is not for exactly those who are added")]
    WelcomeMismatch,
    /// The group would have more devices than a group may have.
    #[error("a group has at most {most} devices")]
    GroupFull {
        /// The most that it may have.
        most: usize,
    },
    /// A part of the request is larger than it may be.
    #[error("{what} has at most {most} bytes")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// In bytes.
        most: usize,
    },
    /// The request has more of something than it may.
    #[error("a request has at most {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that it may have.
        most: usize,
    },
    /// Users of the caller's app may not add this account.
    #[error("users of the caller's app may not add an account that is added")]
    NotInteroperable,

    // What is over.
    /// What the caller asks for is older than what the log holds.
    #[error("the log begins later")]
    LogExpired,
    /// The tree of that epoch is not kept any more.
    #[error("the tree of that epoch is not kept any more")]
    TreeGone,

    // Ours.
    /// Too many commits are under way.
    #[error("too many commits are under way")]
    Busy,
    /// Keys did not answer.
    #[error("keys did not answer")]
    KeysAway,
    /// Nothing can be changed for now.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyError),
    /// The caller asks too much in too short a time.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The database failed.
    #[error("the group database failed")]
    Database(#[source] sqlx::Error),
    /// A stored value has not the form that it was written in.
    #[error("a stored {0} is damaged")]
    Damaged(&'static str),
    /// A task that checks a commit ended before it was done.
    #[error("the check was cut off")]
    CutOff(#[source] tokio::task::JoinError),
    /// The task that was to write a request ended before it said how that went.
    #[error("what became of the request is not known")]
    Unfinished(#[source] tokio::sync::oneshot::error::RecvError),
}

/// In which way a request is behind the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Another commit has ended the epoch.
    EpochTaken,
    /// The commit leaves out proposals that it has to contain.
    ProposalsMissing,
    /// The commit leaves out that a device is to be removed which is none of its account.
    StaleMember,
    /// The epoch is over.
    StaleEpoch,
    /// Another reset has ended the generation.
    GenerationTaken,
    /// The metadata are sealed for this epoch already.
    MetadataSealed,
}

/// A request that was made for a state of the group that is over, with what its maker lacks.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lag.text())]
pub struct Behind {
    pub(crate) lag: Lag,
    /// Where the group is.
    pub(crate) at: Epoch,
    /// What is no message, since the epoch for which the request was made.
    pub(crate) entries: Vec<GroupEntry>,
    /// They are not all of it.
    pub(crate) more: bool,
}

impl Lag {
    /// The reason in problem documents.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::EpochTaken => "epoch_taken",
            Self::ProposalsMissing => "proposals_missing",
            Self::StaleMember => "stale_member",
            Self::StaleEpoch => "stale_epoch",
            Self::GenerationTaken => "generation_taken",
            Self::MetadataSealed => "metadata_sealed",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::EpochTaken => "another commit has ended the epoch",
            Self::ProposalsMissing => "the commit leaves out proposals of this epoch",
            Self::StaleMember => "the commit keeps a device that is none of its account any more",
            Self::StaleEpoch => "the epoch is over",
            Self::GenerationTaken => "the group was reset already",
            Self::MetadataSealed => "the metadata are sealed for this epoch already",
        }
    }
}

impl Behind {
    fn extra(&self) -> Map<String, Value> {
        let entries: Vec<_> =
            self.entries.iter().map(|entry| Base64Bytes(entry.encode_to_vec())).collect();
        [
            ("generation", json!(self.at.generation)),
            ("epoch", json!(self.at.epoch)),
            ("entries", json!(entries)),
            ("more", json!(self.more)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
    }
}

impl Fault for GroupsError {
    fn code(&self) -> Code {
        match self {
            Self::NotAMember | Self::NotAllowed { .. } | Self::NotInteroperable => Code::Forbidden,
            Self::GroupExists | Self::Behind(_) => Code::Conflict,
            Self::MalformedMls { .. }
            | Self::CommitInvalid { .. }
            | Self::LeafUncertified
            | Self::GroupInfoMismatch
            | Self::WelcomeMismatch
            | Self::GroupFull { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. } => Code::InvalidInput,
            Self::LogExpired | Self::TreeGone => Code::Gone,
            Self::Busy | Self::KeysAway | Self::CutOff(_) | Self::Unfinished(_) => {
                Code::Unavailable
            }
            Self::ReadOnly(error) => error.code(),
            Self::RateLimited(error) => error.code(),
            Self::Database(error) => database_code(error),
            Self::Damaged(_) => Code::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotAMember => "not_a_member",
            Self::GroupExists => "group_exists",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Behind(behind) => behind.lag.reason(),
            Self::MalformedMls { .. } => "malformed_mls",
            Self::CommitInvalid { .. } => "commit_invalid",
            Self::LeafUncertified => "leaf_uncertified",
            Self::GroupInfoMismatch => "group_info_mismatch",
            Self::WelcomeMismatch => "welcome_mismatch",
            Self::GroupFull { .. } => "group_full",
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::NotInteroperable => "not_interoperable",
            Self::LogExpired => "log_expired",
            Self::TreeGone => "tree_gone",
            Self::Busy => "busy",
            Self::KeysAway => "unavailable",
            Self::ReadOnly(error) => error.reason(),
            Self::RateLimited(error) => error.reason(),
            Self::Database(_) => "storage",
            Self::Damaged(_) => "damaged",
            Self::CutOff(_) | Self::Unfinished(_) => "internal",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ReadOnly(error) => error.retry_after(),
            Self::RateLimited(error) => error.retry_after(),
            _ => (self.code() == Code::Unavailable).then_some(Duration::from_secs(1)),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            Self::Behind(behind) => behind.extra(),
            Self::NotAllowed { rule } => [("rule".to_owned(), json!(rule))].into_iter().collect(),
            Self::RateLimited(error) => error.extra(),
            _ => Map::new(),
        }
    }

    fn problem_type(&self) -> Option<&'static str> {
        match self {
            Self::RateLimited(error) => error.problem_type(),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for GroupsError {
    fn from(error: sqlx::Error) -> Self {
        if refuses_writes(&error) {
            ReadOnlyError::of_database().into()
        } else {
            Self::Database(error)
        }
    }
}

/// A database that is away or overtaxed is worth another try; so is a transaction
/// that the database itself broke off to end a deadlock (class 40).
fn database_code(error: &sqlx::Error) -> Code {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
            Code::Unavailable
        }
        sqlx::Error::Database(error) => match error.code().as_deref().map(|code| code.get(..2)) {
            // Connection exception, transaction rollback, insufficient resources,
            // operator intervention.
            Some(Some("08" | "40" | "53" | "57")) => Code::Unavailable,
            _ => Code::Internal,
        },
        _ => Code::Internal,
    }
}

impl From<GroupsError> for tonic::Status {
    fn from(error: GroupsError) -> Self {
        status(&error)
    }
}
