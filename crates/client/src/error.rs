use std::{error::Error, time::Duration};

use rusqlite::ErrorCode;
use sotto_identity::ChainError;
use sotto_ids::limits::MAX_TEXT_CHARS;

type Source = Box<dyn Error + Send + Sync>;

/// Why something could not be done, by what the app can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Register first, or ask to be added to an account.
    #[error("this store holds no account yet")]
    NotRegistered,

    /// Use another store for another account.
    #[error("this store already belongs to an account")]
    AlreadyRegistered,

    /// Go on with the words that the registration began with.
    #[error("a registration was begun with other words")]
    OtherPhrase,

    /// Ask the person to look at the words again.
    #[error("these are not 24 words of a recovery phrase")]
    MalformedPhrase,

    /// Ask for another name.
    #[error("a name is a handle, or `acct:` and 52 characters")]
    MalformedName,

    /// Have the code shown and scanned again.
    #[error("this is no verification code")]
    MalformedCode,

    /// Scan the code that the contact shows for you: this one was made by somebody else,
    /// or for somebody else.
    #[error("the verification code is of another account")]
    CodeOfAnotherAccount,

    /// Have the contact make a new code while they can reach their server. Where that one
    /// is older too, something was changed on their account that they do not know of.
    #[error("the verification code was made before the newest change of the account")]
    CodeOlder,

    /// Shorten the text, or write something.
    #[error("a text has 1 to {MAX_TEXT_CHARS} characters, not {characters}")]
    TextLength {
        /// Characters that it has.
        characters: usize,
    },

    /// Correct what was written: it breaks the limit of this name.
    #[error("a limit of what can be sent is broken: {0}")]
    Limit(&'static str),

    /// Look again: this device does not have the message, or not any more.
    #[error("there is no such message")]
    UnknownMessage,

    /// Leave it: only whoever wrote a message can change it.
    #[error("the message is somebody else's")]
    NotAuthor,

    /// Ask to be added: this device is in no such group.
    #[error("this device is not in the group")]
    UnknownGroup,

    /// Accept the invitation first, or decline it.
    #[error("the invitation to the group was not accepted")]
    GroupNotAccepted,

    /// Ask an admin of the group.
    #[error("the group does not allow it: {rule}")]
    NotAllowedInGroup {
        /// The rule, as a stable word.
        rule: String,
    },

    /// Make somebody else an admin first.
    #[error("the last admin cannot leave while others are in the group")]
    LastGroupAdmin,

    /// Ask an admin to begin the group anew: the server has a change of it that is not to be
    /// followed.
    #[error("a change of the group is not to be followed: {reason}")]
    GroupStopped {
        /// A stable word for the cause, such as `leaf_uncertified`.
        reason: String,
    },

    /// Ask for another name: nobody has this one.
    #[error("there is no such account")]
    UnknownAccount,

    /// Have the request copied again.
    #[error("this is no device request")]
    MalformedRequest,

    /// Approve it on a device that holds the account key.
    #[error("this device does not hold the account key")]
    NotAdmin,

    /// Make a new request: the account's chain has moved since.
    #[error("the account has changed since the device request was made")]
    RequestOutdated,

    /// Have the request approved on another device.
    #[error("the device request is not approved yet")]
    RequestPending,

    /// Have the link's text copied or scanned again.
    #[error("this is no device link")]
    MalformedLink,

    /// Use the app that the link is for: its server is another one.
    #[error("the device link is of another server")]
    LinkElsewhere,

    /// Make a new link on the new device: a link is good for two minutes.
    #[error("the device link has expired")]
    LinkExpired,

    /// Make a new link on the new device: somebody has used this one.
    #[error("the device link has been used already")]
    LinkTaken,

    /// Ask the person: they declined on the other device.
    #[error("the device link was declined")]
    LinkDeclined,

    /// Look at both devices: the link was approved on another account than was
    /// expected.
    #[error("the device link was approved on another account")]
    LinkedElsewhere,

    /// Revoke this device from another admin device, which can then replace the
    /// account key.
    #[error("an admin device cannot take itself off the account")]
    AdminLeaves,

    /// Ask the person for the words of this account.
    #[error("these are not the recovery words of the account")]
    WrongPhrase,

    /// Ask the others who hold recovery keys: the words alone are not enough.
    #[error("the account's recovery needs more keys than one")]
    MoreKeysNeeded,

    /// Get a fresh token from the app's backend; the provider could not.
    #[error("the app gave no token")]
    AppToken(#[source] Source),

    /// Do not go on: what the server served contradicts itself or its owner.
    #[error(transparent)]
    Distrust(#[from] Distrust),

    /// The request is wrong and stays wrong.
    #[error("the server refused the request: {reason}")]
    Refused {
        /// The server's stable word for it.
        reason: String,
        /// The server's sentence for it.
        detail: String,
    },

    /// Try again later.
    #[error("the server cannot be reached or is busy")]
    Unavailable {
        /// Not before this time, where the server said so.
        retry_after: Option<Duration>,
        /// What went wrong.
        #[source]
        source: Source,
    },

    /// Wait longer, or look at the connection.
    #[error("it did not happen in time")]
    TimedOut,

    /// Open the store with the key that it was made with.
    #[error("the key does not open the store, or the file is no store")]
    WrongStoreKey,

    /// Close the other process that uses the store.
    #[error("another process has the store open")]
    StoreInUse,

    /// Update the app: a newer one wrote the store.
    #[error("the store was written by a newer version")]
    StoreTooNew,

    /// Free some disk space, or restore the file.
    #[error("the local store failed")]
    Store(#[source] Source),

    /// Report it: cryptography failed in a way that no outside cause explains.
    #[error("a cryptographic operation failed: {0}")]
    Crypto(&'static str),

    /// Correct the configuration.
    #[error("the configuration is wrong: {0}")]
    Config(&'static str),

    /// Open a new client: this one is closed.
    #[error("the client is closed")]
    Closed,
}

/// Something from the server that an honest server would not have sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// The chain does not verify.
    #[error("the chain of the account does not verify")]
    Chain(#[source] ChainError),

    /// The chain is of another account than the one asked for.
    #[error("the server sent the chain of another account")]
    OtherAccount,

    /// The chain is shorter than one seen before.
    #[error("the server sent an older chain than before")]
    Rollback,

    /// The chain differs from one seen before. The account is frozen until a
    /// person has looked at it.
    #[error("the account has two chains that contradict each other")]
    Fork,

    /// A bundle is of a device that the chain does not have.
    #[error("the server named a device that the account's chain does not have")]
    GhostDevice,

    /// A device was named in a key or a message with another key than the
    /// chain's.
    #[error("the identity key is not the one that the account's chain certifies")]
    IdentityMismatch,

    /// A bundle has no post-quantum prekey.
    #[error("the post-quantum prekey was left out of the bundle")]
    KyberStripped,

    /// A key that gives a shared secret anybody knows.
    #[error("a key is all-zero or of low order")]
    LowOrderKey,

    /// A prekey's signature does not verify.
    #[error("the signature of a prekey does not verify")]
    BadSignature,

    /// What was in the mailbox of a device link was not put there by the other
    /// device.
    #[error(
        "the mailbox of the device link holds something that the other device did not put there"
    )]
    LinkSwapped,

    /// The identity document says something else than the chain, which counts.
    #[error("the server's identity document contradicts the chain in `{field}`")]
    DocumentMismatch {
        /// The first member that differs.
        field: &'static str,
    },

    /// An account key in the contact's code is another one than is seen here: the code is
    /// from before it was replaced, or somebody stands between the two.
    #[error("the verification code has another account key than is seen here")]
    CodeDiffers,

    /// The chain that is served here does not have the op that is the newest for the
    /// contact themselves: the two are shown different chains.
    #[error("the verification code names an op that the contact's chain does not have")]
    CodeForked,

    /// Bytes that are no key, or no answer to the request.
    #[error("the server sent something malformed")]
    Malformed,
}

impl Distrust {
    /// A stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.reason(),
            Self::OtherAccount => "chain_of_another_account",
            Self::Rollback => "chain_rollback",
            Self::Fork => "chain_fork",
            Self::GhostDevice => "ghost_device",
            Self::IdentityMismatch => "identity_mismatch",
            Self::KyberStripped => "kyber_stripped",
            Self::LowOrderKey => "low_order_key",
            Self::BadSignature => "bad_prekey_signature",
            Self::LinkSwapped => "link_swapped",
            Self::DocumentMismatch { .. } => "document_mismatch",
            Self::CodeDiffers => "code_differs",
            Self::CodeForked => "code_forked",
            Self::Malformed => "malformed_answer",
        }
    }
}

impl ClientError {
    /// A stable word for programs, such as `unknown_account`. For
    /// [`Self::Refused`] it is the server's.
    pub fn reason(&self) -> &str {
        match self {
            Self::NotRegistered => "not_registered",
            Self::AlreadyRegistered => "already_registered",
            Self::OtherPhrase => "other_phrase",
            Self::MalformedPhrase => "malformed_phrase",
            Self::MalformedName => "malformed_name",
            Self::MalformedCode => "malformed_code",
            Self::CodeOfAnotherAccount => "code_of_another_account",
            Self::CodeOlder => "code_older",
            Self::TextLength { .. } => "text_length",
            Self::Limit(limit) => limit,
            Self::UnknownMessage => "unknown_message",
            Self::NotAuthor => "not_author",
            Self::UnknownGroup => "unknown_group",
            Self::GroupNotAccepted => "group_not_accepted",
            Self::NotAllowedInGroup { .. } => "not_allowed_in_group",
            Self::LastGroupAdmin => "last_group_admin",
            Self::GroupStopped { .. } => "group_stopped",
            Self::UnknownAccount => "unknown_account",
            Self::MalformedRequest => "malformed_request",
            Self::NotAdmin => "not_admin",
            Self::RequestOutdated => "request_outdated",
            Self::RequestPending => "request_pending",
            Self::MalformedLink => "malformed_link",
            Self::LinkElsewhere => "link_elsewhere",
            Self::LinkExpired => "link_expired",
            Self::LinkTaken => "link_taken",
            Self::LinkDeclined => "link_declined",
            Self::LinkedElsewhere => "linked_elsewhere",
            Self::AdminLeaves => "admin_leaves",
            Self::WrongPhrase => "wrong_phrase",
            Self::MoreKeysNeeded => "more_keys_needed",
            Self::AppToken(_) => "app_token",
            Self::Distrust(distrust) => distrust.reason(),
            Self::Refused { reason, .. } => reason,
            Self::Unavailable { .. } => "unavailable",
            Self::TimedOut => "timed_out",
            Self::WrongStoreKey => "wrong_store_key",
            Self::StoreInUse => "store_in_use",
            Self::StoreTooNew => "store_too_new",
            Self::Store(_) => "store",
            Self::Crypto(_) => "crypto",
            Self::Config(_) => "config",
            Self::Closed => "closed",
        }
    }

    /// Whether the same may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TimedOut | Self::RequestPending)
    }

    /// The earliest time for a new attempt, where the server named one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the store itself has failed, and would with any other value too. One
    /// that does not fit into its column, or that a constraint forbids, is the fault
    /// of the value.
    pub(crate) fn is_of_the_store(&self) -> bool {
        let Self::Store(source) = self else {
            return matches!(self, Self::Closed);
        };
        match source.downcast_ref::<rusqlite::Error>() {
            Some(rusqlite::Error::ToSqlConversionFailure(_)) => false,
            Some(error) => !matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
            ),
            None => true,
        }
    }

    pub(crate) fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable { retry_after: None, source: source.into() }
    }
}

impl From<ChainError> for ClientError {
    fn from(error: ChainError) -> Self {
        Self::Distrust(Distrust::Chain(error))
    }
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(Box::new(error))
    }
}
