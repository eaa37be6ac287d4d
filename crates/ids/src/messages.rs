use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::DeviceAddress;

/// The bytes are no message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message id is 16 bytes of a UUIDv7")]
pub struct MalformedMessageId;

macro_rules! uuid_v7 {
    ($name:ident) => {
        impl $name {
            /// As a plain UUID, for a database row.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Milliseconds since 1970, as the time bits of the UUIDv7 say.
            pub fn unix_ms(&self) -> u64 {
                let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
                u64::from_be_bytes([0, 0, a, b, c, d, e, f])
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = MalformedMessageId;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                let uuid = Uuid::from_slice(bytes).map_err(|_| MalformedMessageId)?;
                if crate::is_of_version(7, uuid) { Ok(Self(uuid)) } else { Err(MalformedMessageId) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

/// Names a send: a UUIDv7 that the sending device makes, and repeats when it
/// sends again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId(Uuid);

uuid_v7!(ClientMsgId);

impl ClientMsgId {
    /// Makes an id with these time bits and this randomness. Ids with the same
    /// time sort by `random`.
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }
}

/// Names an envelope in the queue of one device: a UUIDv7, so that queues sort by
/// time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId(Uuid);

uuid_v7!(EnvelopeId);

impl EnvelopeId {
    /// The id that a send has in the queue of one device.
    ///
    /// It follows from the send alone, so that a send that comes again, whenever
    /// and wherever, is the same envelope: the time bits are those of the
    /// `ClientMsgId`, the rest is a truncated SHA-256 of the sending device, the
    /// receiving device and the `ClientMsgId`.
    pub fn derive(sender: DeviceAddress, recipient: DeviceAddress, send: ClientMsgId) -> Self {
        let digest = Sha256::new()
            .chain_update(b"sotto/envelope/v1")
            .chain_update(sender.account.as_bytes())
            .chain_update([sender.device.as_u8()])
            .chain_update(recipient.account.as_bytes())
            .chain_update([recipient.device.as_u8()])
            .chain_update(send.as_bytes())
            .finalize();
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(digest) {
            *to = from;
        }
        Self(Builder::from_unix_timestamp_millis(send.unix_ms(), &random).into_uuid())
    }

    /// Takes a UUID as it stands in a database row of ours.
    pub const fn from_stored(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// Names a socket within the life of one gateway process; random, so that it may
/// stand in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, DeviceId};

    fn device(account: u8, device: u32) -> DeviceAddress {
        DeviceAddress::new(
            AccountId::new([account; 32]).uuid(),
            DeviceId::try_from(device).unwrap(),
        )
    }

    #[test]
    fn a_send_that_comes_again_is_the_same_envelope() {
        let send = ClientMsgId::new(1_700_000_000_123, [4; 10]);

        let first = EnvelopeId::derive(device(1, 1), device(2, 1), send);

        assert_eq!(first, EnvelopeId::derive(device(1, 1), device(2, 1), send));
        assert_eq!(first.unix_ms(), 1_700_000_000_123);
        assert_eq!(EnvelopeId::try_from(first.as_bytes().as_slice()), Ok(first));
    }

    #[test]
    fn another_device_on_either_side_is_another_envelope() {
        let send = ClientMsgId::new(1_700_000_000_123, [4; 10]);
        let first = EnvelopeId::derive(device(1, 1), device(2, 1), send);

        assert_ne!(first, EnvelopeId::derive(device(1, 2), device(2, 1), send));
        assert_ne!(first, EnvelopeId::derive(device(1, 1), device(2, 2), send));
        assert_ne!(first, EnvelopeId::derive(device(3, 1), device(2, 1), send));
    }

    #[test]
    fn ids_of_other_versions_are_refused() {
        assert!(ClientMsgId::try_from(Uuid::nil().as_bytes().as_slice()).is_err());
        assert!(ClientMsgId::try_from([1; 15].as_slice()).is_err());
        let mut of_another_variant = *ClientMsgId::new(1, [4; 10]).as_bytes();
        of_another_variant[8] |= 0xC0;
        assert!(ClientMsgId::try_from(of_another_variant.as_slice()).is_err());
    }
}
