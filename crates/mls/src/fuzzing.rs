//! What fuzz targets call and nobody else.

use crate::{
    canonical,
    identity::LeafId,
    policy::Policy,
    tree::{self, MAX_TREE_BYTES},
    welcome, wire,
};
use sotto_proto::groups::GroupMetadata;

/// Reads bytes as everything that this crate reads. What is taken is in its one form.
pub fn everything(data: &[u8]) {
    if let Ok(leaf) = LeafId::decode(data) {
        assert_eq!(leaf.encode(), data);
    }
    if let Ok(policy) = Policy::decode(data) {
        assert_eq!(policy.encode(), data);
    }
    drop(canonical::decode::<GroupMetadata>(data));
    if let Ok(trimmed) = welcome::trim(data) {
        assert!(trimmed.iter().all(|one| welcome::trim(&one.welcome).is_ok()));
    }
    if let Ok(tree) = tree::decompress(data, MAX_TREE_BYTES) {
        assert!(tree.len() <= MAX_TREE_BYTES);
    }
    drop(wire::protocol_message(data));
    drop(wire::public_message(data));
    drop(wire::group_info(data));
    drop(wire::welcome(data));
    drop(wire::key_package(data));
    drop(wire::ratchet_tree(data));
}
