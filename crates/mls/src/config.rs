//! How groups are made and joined.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, Credential, CredentialType, Extension,
    ExtensionType, Extensions, ExternalSender, GroupContext, InvalidExtensionError, KeyPackage,
    Lifetime, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroupCreateConfig, MlsGroupJoinConfig,
    ProtocolVersion, RequiredCapabilitiesExtension, SenderRatchetConfiguration, WireFormatPolicy,
};

use crate::policy::{POLICY_EXTENSION, Policy};

/// The suite of all groups. [`sotto_mls_provider::Crypto`] can one more, for a day when this one
/// has to go.
pub const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Seconds for which a `KeyPackage` is good: 84 days, and an hour for clocks that go wrong.
pub const KEY_PACKAGE_LIFETIME_S: u64 = 84 * 24 * 3_600 + 3_600;

/// Messages of one sender that may come in another order than they were sent.
const OUT_OF_ORDER: u32 = 64;

/// Messages of one sender that may be missing before one that is read.
const FORWARD: u32 = 10_000;

/// Commits and proposals are in the clear and signed, so that the server can follow the tree;
/// messages are encrypted (RFC 9420, 6.2 and 6.3).
const WIRE: WireFormatPolicy = MIXED_PLAINTEXT_WIRE_FORMAT_POLICY;

/// What each leaf and each `KeyPackage` says that it can.
pub fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&sotto_mls_provider::CIPHERSUITES),
        Some(&[ExtensionType::Unknown(POLICY_EXTENSION), ExtensionType::LastResort]),
        Some(&[]),
        Some(&[CredentialType::Basic]),
    )
}

/// Whether a leaf can what a member of a group has to.
pub fn is_capable(capabilities: &Capabilities) -> bool {
    capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities.ciphersuites().contains(&CIPHERSUITE.into())
        && capabilities.extensions().contains(&ExtensionType::Unknown(POLICY_EXTENSION))
        && capabilities.credentials().contains(&CredentialType::Basic)
}

/// Whether the suite, the capabilities and the extensions of a `KeyPackage` are ours. OpenMLS
/// has checked its signatures and its lifetime before there is one.
pub fn is_usable(key_package: &KeyPackage) -> bool {
    key_package.ciphersuite() == CIPHERSUITE && is_capable(key_package.leaf_node().capabilities())
}

/// The lifetime of a new `KeyPackage`.
pub fn key_package_lifetime() -> Lifetime {
    Lifetime::new(KEY_PACKAGE_LIFETIME_S)
}

/// How a member joins, by a Welcome or by itself, and what it does from then on.
///
/// Trees travel beside Welcomes. Keys of past epochs are not kept: a member reads all messages
/// of an epoch before the commit that ends it, because one log has both. MLS adds no padding:
/// content is padded before it is encrypted, to a group as to a person.
pub fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(WIRE)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(sender_ratchets())
        .build()
}

/// How a group is made, as [`join_config`] has it for who joins.
///
/// # Errors
///
/// None that can be, where `external_sender` is one.
pub fn create_config(
    policy: &Policy,
    external_sender: ExternalSender,
) -> Result<MlsGroupCreateConfig, InvalidExtensionError> {
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .capabilities(capabilities())
        .lifetime(key_package_lifetime())
        .with_group_context_extensions(group_extensions(policy, external_sender)?)
        .wire_format_policy(WIRE)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(sender_ratchets())
        .build())
}

fn sender_ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD)
}

/// The extensions of the GroupContext of a new group: what its members have to be able to, the
/// deployment's external sender, and the policy.
///
/// # Errors
///
/// None that can be, where `external_sender` is one.
pub fn group_extensions(
    policy: &Policy,
    external_sender: ExternalSender,
) -> Result<Extensions<GroupContext>, InvalidExtensionError> {
    let required = RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(POLICY_EXTENSION)],
        &[],
        &[CredentialType::Basic],
    );
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::ExternalSenders(vec![external_sender]),
        policy.to_extension(),
    ])
}

/// The extensions of a group with another policy, for a commit that changes it.
///
/// # Errors
///
/// None that can be: they were extensions of a GroupContext before.
pub fn with_policy(
    extensions: &Extensions<GroupContext>,
    policy: &Policy,
) -> Result<Extensions<GroupContext>, InvalidExtensionError> {
    let mut extensions = extensions.clone();
    extensions.add_or_replace(policy.to_extension())?;
    Ok(extensions)
}

/// The credential of the external sender of a deployment.
pub fn external_sender_credential(domain: &str) -> Credential {
    BasicCredential::new(format!("sotto/external-sender/v1:{domain}").into_bytes()).into()
}

/// The external sender of a deployment, with its Ed25519 key.
pub fn external_sender(domain: &str, signature_key: &[u8; 32]) -> ExternalSender {
    ExternalSender::new(signature_key.as_slice().into(), external_sender_credential(domain))
}

/// Whether extensions of a GroupContext are those of a new group of this deployment, with
/// whatever policy.
pub fn is_ours(extensions: &Extensions<GroupContext>, external_sender: &ExternalSender) -> bool {
    Policy::from_extensions(extensions)
        .and_then(|policy| {
            group_extensions(&policy, external_sender.clone())
                .map_err(|_| crate::policy::MalformedPolicy::Unreadable)
        })
        .is_ok_and(|ours| ours == *extensions)
}
