use crate::{Rsig, keys::KeyFault};

/// Why an op is refused. The chain is as it was before.
///
/// [`ChainError::reason`] is what programs go by; it is part of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    // The bytes.
    /// The payload is no protobuf message of this form.
    #[error("the payload is not an op")]
    MalformedOp,
    /// Encoding what was decoded gives other bytes.
    #[error("the payload is not in its canonical form")]
    NotCanonical,
    /// The payload is over the limit.
    #[error("the payload is larger than an op may be")]
    OpTooLarge,
    /// The op has no body at all.
    #[error("the op has no body")]
    MissingBody,
    /// The body is one that has its number but is not built yet.
    #[error("the op {name} is not supported yet")]
    UnsupportedOp {
        /// The name of its body, such as `tombstone`.
        name: &'static str,
    },
    /// The op is of a later version, or has a field that must not be passed over.
    #[error("the op is from a later version of the protocol")]
    UpgradeNeeded,

    // Its place in the chain.
    /// There are no ops.
    #[error("the chain has no ops")]
    EmptyChain,
    /// The first op of a chain is another than genesis.
    #[error("the first op of a chain is its genesis")]
    GenesisExpected,
    /// A genesis stands elsewhere than at the start.
    #[error("a chain has one genesis")]
    UnexpectedGenesis,
    /// The op names another account.
    #[error("the op belongs to another account")]
    WrongAccount,
    /// The op is not the next one.
    #[error("the op's number is not the next one of the chain")]
    WrongSeq,
    /// The op follows another one than the head.
    #[error("the op does not follow the head of the chain")]
    WrongPrev,
    /// The chain is at its limit.
    #[error("the chain has as many ops as a chain may have")]
    ChainTooLong,
    /// An admin was revoked, and the account key has not been replaced since.
    #[error("an admin device was revoked: the account key has to be rotated first")]
    RotationDue,
    /// A recovery kept no admin, and none has been added since.
    #[error("the recovery kept no admin device: one has to be added first")]
    AdminDue,

    // Its signatures.
    /// There are more signatures than an op may have.
    #[error("the op has more signatures than it may have")]
    TooManySignatures,
    /// A key whose signature the op needs has not signed.
    #[error("a signature that the op needs is missing")]
    MissingSignature,
    /// A signature does not verify, or is not 64 bytes by a 32-byte key.
    #[error("a signature does not verify")]
    BadSignature,
    /// A key signed whose signature the op does not need.
    #[error("the op has a signature that it does not need")]
    SuperfluousSignature,
    /// A key signed twice.
    #[error("a key signed the op twice")]
    DuplicateSignature,
    /// A key of the device did not sign that it wants to be there.
    #[error("the reverse signature by the {0} key does not verify")]
    BadReverseSignature(Rsig),

    // What it says.
    /// A key is not of its form.
    #[error("the {0} key is malformed")]
    MalformedKey(KeyKind),
    /// A key is a point of low order.
    #[error("the {0} key is of low order")]
    LowOrderKey(KeyKind),
    /// A key has, or had, another place in this account.
    #[error("the {0} key is or was in use in this account")]
    KeyReused(KeyKind),
    /// The recovery set is missing, empty, too large, or its threshold does not fit.
    #[error("a recovery set has 1 to 16 keys and a threshold from 1 to their number, at most 15")]
    MalformedRecovery,
    /// The recovery set asks for a delay, or would; announcing a recovery is not
    /// built yet.
    #[error("a recovery that has to be announced first is not supported yet")]
    RecoveryDelayed,
    /// The devices that a recovery keeps do not stand by rising ids.
    #[error("the devices that are kept do not stand by rising ids")]
    UnorderedDevices,
    /// The nonce of genesis is not 16 bytes.
    #[error("the nonce is not 16 bytes")]
    MalformedNonce,
    /// The home server is no domain.
    #[error("the home is not a lower-case domain name")]
    MalformedHome,
    /// Genesis comes without a device, or with one that cannot be the first.
    #[error("the first device has the id 1 and is an admin")]
    WrongFirstDevice,
    /// The device id is out of range.
    #[error("a device id is a number from 1 to 127")]
    MalformedDeviceId,
    /// The registration id is out of range.
    #[error("a registration id is a number from 1 to 16380")]
    MalformedRegistrationId,
    /// The device id was used before.
    #[error("the device id was used before in this account")]
    DeviceIdReused,
    /// All device ids of the account have been used.
    #[error("the account has used all of its device ids")]
    DeviceIdsExhausted,
    /// The account has as many live devices as it may have.
    #[error("the account has as many live devices as it may have")]
    TooManyDevices,
    /// The account has no such device.
    #[error("the account has no such device")]
    UnknownDevice,
    /// The device is already off the account.
    #[error("the device is already revoked")]
    DeviceRevoked,
    /// The account would be left without an admin device.
    #[error("the account would have no admin device left")]
    LastAdmin,
    /// The text is no handle.
    #[error("the handle is malformed")]
    MalformedHandle,
    /// There is no handle to drop.
    #[error("the account goes by no handle")]
    NoHandle,
    /// The endpoint has no kind, or its URL no scheme or a wrong length or alphabet.
    #[error("the endpoint is malformed")]
    MalformedEndpoint,
    /// The account has the endpoint already.
    #[error("the account has this endpoint already")]
    EndpointExists,
    /// The account has no such endpoint.
    #[error("the account has no such endpoint")]
    UnknownEndpoint,
    /// The account has as many endpoints as it may have.
    #[error("the account has as many endpoints as it may have")]
    TooManyEndpoints,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519, one of the recovery set.
    Recovery,
    /// Ed25519, the account's.
    Account,
    /// Ed25519, the device's own.
    Device,
    /// X25519, libsignal's identity key.
    Identity,
    /// Ed25519, for MLS leaves.
    Mls,
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Recovery => "recovery",
            Self::Account => "account",
            Self::Device => "device",
            Self::Identity => "identity",
            Self::Mls => "MLS",
        })
    }
}

impl ChainError {
    /// A stable word for programs, such as `wrong_prev`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::MalformedOp => "malformed_op",
            Self::NotCanonical => "not_canonical",
            Self::OpTooLarge => "op_too_large",
            Self::MissingBody => "missing_body",
            Self::UnsupportedOp { .. } => "unsupported_op",
            Self::UpgradeNeeded => "upgrade_needed",
            Self::EmptyChain => "empty_chain",
            Self::GenesisExpected => "genesis_expected",
            Self::UnexpectedGenesis => "unexpected_genesis",
            Self::WrongAccount => "wrong_account",
            Self::WrongSeq => "wrong_seq",
            Self::WrongPrev => "wrong_prev",
            Self::ChainTooLong => "chain_too_long",
            Self::RotationDue => "rotation_due",
            Self::AdminDue => "admin_due",
            Self::TooManySignatures => "too_many_signatures",
            Self::MissingSignature => "missing_signature",
            Self::BadSignature => "bad_signature",
            Self::SuperfluousSignature => "superfluous_signature",
            Self::DuplicateSignature => "duplicate_signature",
            Self::BadReverseSignature(_) => "bad_reverse_signature",
            Self::MalformedKey(_) => "malformed_key",
            Self::LowOrderKey(_) => "low_order_key",
            Self::KeyReused(_) => "key_reused",
            Self::MalformedRecovery => "malformed_recovery",
            Self::RecoveryDelayed => "recovery_delayed",
            Self::UnorderedDevices => "unordered_devices",
            Self::MalformedNonce => "malformed_nonce",
            Self::MalformedHome => "malformed_home",
            Self::WrongFirstDevice => "wrong_first_device",
            Self::MalformedDeviceId => "malformed_device_id",
            Self::MalformedRegistrationId => "malformed_registration_id",
            Self::DeviceIdReused => "device_id_reused",
            Self::DeviceIdsExhausted => "device_ids_exhausted",
            Self::TooManyDevices => "too_many_devices",
            Self::UnknownDevice => "unknown_device",
            Self::DeviceRevoked => "device_revoked",
            Self::LastAdmin => "last_admin",
            Self::MalformedHandle => "malformed_handle",
            Self::NoHandle => "no_handle",
            Self::MalformedEndpoint => "malformed_endpoint",
            Self::EndpointExists => "endpoint_exists",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::TooManyEndpoints => "too_many_endpoints",
        }
    }
}

impl KeyKind {
    pub(crate) const fn refused(self, fault: KeyFault) -> ChainError {
        match fault {
            KeyFault::Malformed => ChainError::MalformedKey(self),
            KeyFault::LowOrder => ChainError::LowOrderKey(self),
        }
    }
}
