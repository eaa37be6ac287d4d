//! Entries of a log on their way to all sockets of a group, made once for all of them.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::{Bytes, BytesMut};
use sotto_ids::limits::MAX_FRAME_BYTES;

use super::group::Group;
use crate::session::codec::{Encoding, decode_group_deliver, encode_group_deliver};

/// See the module. The bytes are those of the frame as it goes over the wire; every socket
/// writes the same memory.
pub(crate) struct Broadcast {
    group: Arc<Group>,
    proto: Bytes,
    /// Where in `proto` the encoded `GroupDeliver` begins.
    deliver: usize,
    /// Made when the first socket asks for it.
    json: OnceLock<Option<Bytes>>,
}

impl Broadcast {
    /// `encoded`: a `sotto.socket.v1.GroupDeliver`. Nothing where it is larger than a frame
    /// may be.
    pub(super) fn new(group: Arc<Group>, encoded: &Bytes) -> Option<Arc<Self>> {
        let mut proto = BytesMut::new();
        let deliver = encode_group_deliver(encoded, &mut proto);
        let fits = proto.len() <= MAX_FRAME_BYTES;
        let proto = proto.freeze();
        fits.then(|| Arc::new(Self { group, proto, deliver, json: OnceLock::new() }))
    }

    /// The group whose entries they are.
    pub(crate) const fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The frame as it goes over the wire. Nothing where it would be larger in this form than
    /// a frame may be.
    pub(crate) fn wire(&self, encoding: Encoding) -> Option<Bytes> {
        match encoding {
            Encoding::Proto => Some(self.proto.clone()),
            Encoding::Json => self.json.get_or_init(|| self.make_json()).clone(),
        }
    }

    /// What it counts in a mailbox.
    pub(crate) const fn length(&self) -> usize {
        self.proto.len()
    }

    fn make_json(&self) -> Option<Bytes> {
        let frame = decode_group_deliver(self.proto.slice(self.deliver..))?;
        let mut json = BytesMut::new();
        Encoding::Json.encode(&frame, &mut json);
        (json.len() <= MAX_FRAME_BYTES).then(|| json.freeze())
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("length", &self.proto.len()).finish_non_exhaustive()
    }
}

impl PartialEq for Broadcast {
    fn eq(&self, other: &Self) -> bool {
        self.proto == other.proto
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use sotto_ids::GroupId;
    use sotto_proto::socket::{GroupDeliver, GroupEntry, GroupHead, ServerFrame, server_frame};

    use super::*;

    fn deliver(bytes: usize) -> GroupDeliver {
        let entry = GroupEntry { seq: 1, message: vec![7; bytes].into(), ..GroupEntry::default() };
        GroupDeliver { group: vec![1; 16].into(), entries: vec![entry] }
    }

    fn broadcast(bytes: usize) -> Option<Arc<Broadcast>> {
        let group = Group::new(GroupId::new([1; 16]), &GroupHead::default());
        Broadcast::new(Arc::new(group), &deliver(bytes).encode_to_vec().into())
    }

    #[test]
    fn each_form_is_made_once_and_is_what_the_codec_makes() {
        let broadcast = broadcast(300).unwrap();
        let body = Some(server_frame::Body::GroupDeliver(deliver(300)));
        let frame = ServerFrame { in_reply_to: 0, body };

        for encoding in Encoding::ALL {
            let mut expected = BytesMut::new();
            encoding.encode(&frame, &mut expected);
            let (first, second) = (broadcast.wire(encoding), broadcast.wire(encoding));

            assert_eq!(first.as_deref(), Some(&expected[..]), "{encoding:?}");
            assert_eq!(first.unwrap().as_ptr(), second.unwrap().as_ptr(), "{encoding:?}");
        }
    }

    #[test]
    fn a_form_that_is_too_large_is_not_made() {
        let broadcast = broadcast(MAX_FRAME_BYTES - 1024).unwrap();
        assert!(broadcast.wire(Encoding::Proto).is_some());
        assert!(broadcast.wire(Encoding::Json).is_none());

        assert!(self::broadcast(MAX_FRAME_BYTES).is_none());
    }
}
