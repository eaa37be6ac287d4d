use std::time::Duration;

use redis::RedisError;
use serde_json::{Map, Value, json};
use sotto_identity::ChainError;
use sotto_ids::{AccountUuid, Base64Bytes, DeviceId};
use sotto_kit::{
    auth::AuthError,
    fault::{Code, Fault, status},
    limits::RateLimited,
    read_only::ReadOnlyError,
};
use sotto_store::postgres::refuses_writes;

use crate::{
    apps::AppTokenError,
    domain::{
        Head, key_package_upload::KeyPackageError, mailbox::MailboxError,
        registration::RegistrationError, upload::UploadError,
    },
};

/// Why a request to the keys service failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    // Accounts and chains.
    /// No account here has this name.
    #[error("there is no such account")]
    UnknownAccount,
    /// No account goes by this handle now.
    #[error("nobody goes by this handle")]
    UnknownHandle,
    /// The name is of another domain than this deployment's.
    #[error("this is the home of other accounts")]
    OtherDomain,
    /// What stands before a registration refuses it.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A mailbox for linking cannot be used.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The caller is a device of another account.
    #[error("the account is not the caller's own")]
    NotYourAccount,
    /// The genesis names another home server.
    #[error("the genesis names another home than `{domain}`")]
    WrongHome {
        /// This deployment.
        domain: String,
    },
    /// The account is registered, and with other ops or by another user.
    #[error("the account is registered already, with other ops or by another user")]
    AccountExists,
    /// An account whose id begins with the same 16 bytes is registered.
    #[error("another account has the same UUID")]
    UuidTaken,
    /// The request has no op.
    #[error("the request has no op")]
    NoOps,
    /// The request has more ops than an account may append at once.
    #[error("a request has at most {most} ops")]
    TooManyOps {
        /// The most that it may have.
        most: u64,
    },
    /// The account appends faster than it may.
    #[error("the account has appended too many ops")]
    OpRate {
        /// When the request may come again.
        retry_after: Duration,
    },
    /// The ops do not follow the chain as it is by now.
    #[error("the chain has moved on")]
    HeadMoved {
        /// Its newest op.
        head: Head,
    },
    /// The rules of the chain refuse an op.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Another account has, or had, this handle or one that looks like it.
    #[error("the handle, or one that looks like it, is taken")]
    HandleTaken,
    /// Nobody may take this handle.
    #[error("the handle, or one that looks like it, is reserved")]
    HandleReserved,
    /// The account holds as many handles as it may.
    #[error("an account may hold {most} handles, the former ones included")]
    TooManyHandles {
        /// The most that it may hold.
        most: u16,
    },

    // Devices and prekeys.
    /// The account has no such live devices.
    #[error("the account has no such device")]
    UnknownDevices {
        /// Which of those that the request named.
        device_ids: Vec<DeviceId>,
    },
    /// These devices have not published their prekeys yet.
    #[error("the device has not published its prekeys yet")]
    DevicesNotReady {
        /// Which of those that the request named.
        device_ids: Vec<DeviceId>,
    },
    /// The device was taken off its account.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// The certificate of the device has ended.
    #[error("the certificate of the device has ended")]
    DeviceExpired,
    /// The caller's app and the apps of the account do not let their users meet.
    #[error("users of the caller's app may not write to this account")]
    NotInteroperable,
    /// The caller has claimed the bundles of this account too often.
    #[error("the device has asked for the bundles of this account too often")]
    TooManyClaims {
        /// When the request may come again.
        retry_after: Duration,
    },
    /// The same, of some of the accounts that the request names.
    #[error("users of the caller's app may not write to some of the accounts")]
    SomeNotInteroperable {
        /// Which of those that the request named.
        accounts: Vec<AccountUuid>,
    },
    /// The caller has claimed the keys of some of the accounts too often.
    #[error("the device has asked for the keys of some of the accounts too often")]
    TooManyClaimsOfSome {
        /// Which of those that the request named.
        accounts: Vec<AccountUuid>,
        /// When the request may come again.
        retry_after: Duration,
    },
    /// The request names an account twice.
    #[error("the request names an account twice")]
    DuplicateAccounts,
    /// The upload is refused.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The upload of KeyPackages is refused.
    #[error(transparent)]
    KeyPackages(#[from] KeyPackageError),

    // Logging in.
    /// The request needs a token.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The token of the app is not taken.
    #[error(transparent)]
    AppToken(#[from] AppTokenError),
    /// The challenge was not given out, was used, or has waited too long.
    #[error("there is no such challenge: it was used, or it has expired")]
    UnknownChallenge,
    /// The proof is not a signature by the device key for this login.
    #[error("the proof does not verify")]
    WrongProof,
    /// The user of the app is bound to another account.
    #[error("the user of the app is bound to another account")]
    BindingConflict,

    // Between the roles.
    /// The bytes name no account.
    #[error("an account is named by the 16 bytes of its UUID")]
    MalformedAccount,
    /// The request asks for more accounts than one may.
    #[error("a request has at most {most} accounts")]
    TooManyAccounts {
        /// The most that it may have.
        most: usize,
    },

    // Ours.
    /// The database failed.
    #[error("the key database failed")]
    Database(#[source] sqlx::Error),
    /// Nothing can be changed for now.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyError),
    /// The caller asks too much in too short a time.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// Redis failed.
    #[error("redis failed")]
    Redis(#[from] RedisError),
    /// A stored chain does not verify: the database was altered.
    #[error("a stored chain is damaged")]
    DamagedChain(#[source] ChainError),
    /// A stored value has not the form that it was written in.
    #[error("a stored {0} is damaged")]
    Damaged(&'static str),
    /// A token could not be signed.
    #[error("a token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
    /// A task that verifies signatures ended before it was done.
    #[error("verification was cut off")]
    CutOff(#[source] tokio::task::JoinError),

    /// The task that was to write a request ended before it said how that went.
    #[error("what became of the request is not known")]
    Unfinished(#[source] tokio::sync::oneshot::error::RecvError),
}

impl Fault for KeysError {
    fn code(&self) -> Code {
        match self {
            Self::UnknownAccount
            | Self::UnknownHandle
            | Self::OtherDomain
            | Self::UnknownDevices { .. } => Code::NotFound,
            Self::Registration(error) => error.code(),
            Self::Mailbox(error) => error.code(),
            Self::NotYourAccount
            | Self::TooManyHandles { .. }
            | Self::DeviceRevoked
            | Self::DeviceExpired
            | Self::NotInteroperable
            | Self::SomeNotInteroperable { .. } => Code::Forbidden,
            Self::AccountExists
            | Self::UuidTaken
            | Self::HeadMoved { .. }
            | Self::HandleTaken
            | Self::DevicesNotReady { .. }
            | Self::BindingConflict => Code::Conflict,
            Self::WrongHome { .. }
            | Self::NoOps
            | Self::TooManyOps { .. }
            | Self::Chain(_)
            | Self::HandleReserved
            | Self::MalformedAccount
            | Self::DuplicateAccounts
            | Self::TooManyAccounts { .. } => Code::InvalidInput,
            Self::OpRate { .. } | Self::TooManyClaims { .. } | Self::TooManyClaimsOfSome { .. } => {
                Code::TooManyRequests
            }
            Self::UnknownChallenge | Self::WrongProof => Code::Unauthenticated,
            Self::Auth(error) => error.code(),
            Self::Upload(error) => error.code(),
            Self::KeyPackages(error) => error.code(),
            Self::AppToken(error) => error.code(),
            Self::Database(error) => database_code(error),
            Self::ReadOnly(error) => error.code(),
            Self::RateLimited(error) => error.code(),
            Self::Redis(_) | Self::CutOff(_) | Self::Unfinished(_) => Code::Unavailable,
            Self::DamagedChain(_) | Self::Damaged(_) | Self::Signing(_) => Code::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::UnknownHandle => "unknown_handle",
            Self::OtherDomain => "other_domain",
            Self::Registration(error) => error.reason(),
            Self::Mailbox(error) => error.reason(),
            Self::NotYourAccount => "not_your_account",
            Self::WrongHome { .. } => "wrong_home",
            Self::AccountExists => "account_exists",
            Self::UuidTaken => "uuid_taken",
            Self::NoOps => "no_ops",
            Self::TooManyOps { .. } => "too_many_ops",
            Self::OpRate { .. } => "op_rate",
            Self::HeadMoved { .. } => "head_moved",
            Self::Chain(error) => error.reason(),
            Self::HandleTaken => "handle_taken",
            Self::HandleReserved => "handle_reserved",
            Self::TooManyHandles { .. } => "too_many_handles",
            Self::UnknownDevices { .. } => "unknown_device",
            Self::DevicesNotReady { .. } => "device_not_ready",
            Self::DeviceRevoked => "device_revoked",
            Self::DeviceExpired => "device_expired",
            Self::NotInteroperable | Self::SomeNotInteroperable { .. } => "not_interoperable",
            Self::TooManyClaims { .. } | Self::TooManyClaimsOfSome { .. } => "too_many_claims",
            Self::DuplicateAccounts => "duplicate_accounts",
            Self::Auth(error) => error.reason(),
            Self::Upload(error) => error.reason(),
            Self::KeyPackages(error) => error.reason(),
            Self::AppToken(error) => error.reason(),
            Self::UnknownChallenge => "unknown_challenge",
            Self::WrongProof => "wrong_proof",
            Self::BindingConflict => "binding_conflict",
            Self::MalformedAccount => "malformed_account",
            Self::TooManyAccounts { .. } => "too_many_accounts",
            Self::Database(_) | Self::Redis(_) => "storage",
            Self::ReadOnly(error) => error.reason(),
            Self::RateLimited(error) => error.reason(),
            Self::DamagedChain(_) | Self::Damaged(_) => "damaged",
            Self::Signing(_) | Self::CutOff(_) | Self::Unfinished(_) => "internal",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OpRate { retry_after }
            | Self::TooManyClaims { retry_after }
            | Self::TooManyClaimsOfSome { retry_after, .. } => Some(*retry_after),
            Self::ReadOnly(error) => error.retry_after(),
            Self::RateLimited(error) => error.retry_after(),
            _ => (self.code() == Code::Unavailable).then_some(Duration::from_secs(1)),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            Self::HeadMoved { head } => {
                let hash = Base64Bytes(head.hash.as_bytes().to_vec());
                one("head", json!({ "seq": head.seq, "hash": hash }))
            }
            Self::UnknownDevices { device_ids } | Self::DevicesNotReady { device_ids } => {
                one("device_ids", json!(device_ids))
            }
            Self::SomeNotInteroperable { accounts }
            | Self::TooManyClaimsOfSome { accounts, .. } => one("accounts", json!(accounts)),
            Self::Upload(error) => error.extra(),
            Self::KeyPackages(error) => error.extra(),
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

fn one(name: &str, value: Value) -> Map<String, Value> {
    [(name.to_owned(), value)].into_iter().collect()
}

impl From<sqlx::Error> for KeysError {
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

impl From<KeysError> for tonic::Status {
    fn from(error: KeysError) -> Self {
        status(&error)
    }
}
