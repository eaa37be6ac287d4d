//! Reading what comes from others, in the one way that does not panic.
//!
//! `tls_codec` has two ways to read. The one over slices (`tls_deserialize_bytes`, and all that
//! ends in `_bytes`) asserts in debug builds that input is as long as it says. These functions
//! read the other way, and to the end.

use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{
        KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage, PublicMessageIn,
        RatchetTreeIn, Welcome,
    },
};
use tls_codec::Deserialize;

/// The bytes are not what they should be (RFC 9420, 6), or more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no such message of MLS")]
pub struct Malformed;

/// Reads a value that takes all of the bytes.
///
/// # Errors
///
/// Where they are none, or more.
pub fn exactly<T: Deserialize>(bytes: &[u8]) -> Result<T, Malformed> {
    T::tls_deserialize_exact(bytes).map_err(|_| Malformed)
}

fn body(bytes: &[u8]) -> Result<MlsMessageBodyIn, Malformed> {
    Ok(exactly::<MlsMessageIn>(bytes)?.extract())
}

/// Reads a commit or a proposal in the clear, or an application message.
///
/// # Errors
///
/// Where the bytes are neither.
pub fn protocol_message(bytes: &[u8]) -> Result<ProtocolMessage, Malformed> {
    exactly::<MlsMessageIn>(bytes)?.try_into_protocol_message().map_err(|_| Malformed)
}

/// Reads a commit or a proposal in the clear.
///
/// # Errors
///
/// Where the bytes are none.
pub fn public_message(bytes: &[u8]) -> Result<PublicMessageIn, Malformed> {
    match body(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) => Ok(message),
        _ => Err(Malformed),
    }
}

/// Reads a GroupInfo.
///
/// # Errors
///
/// Where the bytes are none.
pub fn group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, Malformed> {
    match body(bytes)? {
        MlsMessageBodyIn::GroupInfo(info) => Ok(info),
        _ => Err(Malformed),
    }
}

/// Reads a Welcome.
///
/// # Errors
///
/// Where the bytes are none.
pub fn welcome(bytes: &[u8]) -> Result<Welcome, Malformed> {
    match body(bytes)? {
        MlsMessageBodyIn::Welcome(welcome) => Ok(welcome),
        _ => Err(Malformed),
    }
}

/// Reads a KeyPackage, bare as the keys service takes and gives it.
///
/// # Errors
///
/// Where the bytes are none.
pub fn key_package(bytes: &[u8]) -> Result<KeyPackageIn, Malformed> {
    exactly(bytes)
}

/// Reads a ratchet tree, as [`tree::decompress`](crate::tree::decompress) gives it.
///
/// # Errors
///
/// Where the bytes are none.
pub fn ratchet_tree(bytes: &[u8]) -> Result<RatchetTreeIn, Malformed> {
    exactly(bytes)
}
