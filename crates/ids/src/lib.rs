//! Typed ids, limits and small value types that every other crate speaks in.
//!
//! No I/O, no async, no clock. A value of one of these types is already checked:
//! what comes from outside is parsed once, at the door.

mod account;
mod base64_bytes;
mod device;
mod group;
mod handle;
pub mod limits;
mod messages;

pub use account::{AccountId, AccountUuid, MalformedAccountId, MalformedAccountUuid};
pub use base64_bytes::Base64Bytes;
pub use device::{DeviceAddress, DeviceId, MalformedDeviceId};
pub use group::{GroupId, MalformedGroupId};
pub use handle::{Handle, MalformedHandle};
pub use messages::{ClientMsgId, ConnectionId, EnvelopeId, MalformedMessageId};

/// Whether a UUID is one of RFC 9562 and of this version. The version says so only with
/// the variant (section 4.1).
fn is_of_version(version: usize, uuid: uuid::Uuid) -> bool {
    uuid.get_variant() == uuid::Variant::RFC4122 && uuid.get_version_num() == version
}
