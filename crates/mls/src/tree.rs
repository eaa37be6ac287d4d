//! Ratchet trees on their way to whoever joins: TLS-serialised and compressed with zstd.

use std::io::Read as _;

/// Bytes of a ratchet tree of [`sotto_ids::limits::MAX_GROUP_DEVICES`] leaves, with room.
pub const MAX_TREE_BYTES: usize = 4 * 1024 * 1024;

/// Half the size of zstd's best, in a tenth of its time.
const LEVEL: i32 = 3;

/// The largest window that a frame may ask for: 8 MiB, zstd's own advice for what comes from
/// strangers.
const WINDOW_LOG: u32 = 23;

/// The bytes are no compressed tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// They are no zstd.
    #[error("the tree cannot be decompressed")]
    Unreadable(#[source] std::io::Error),
    /// They are more than the bound.
    #[error("the tree is too large")]
    TooLarge,
}

/// Compresses a tree.
#[expect(clippy::missing_panics_doc, reason = "memory takes bytes")]
pub fn compress(tree: &[u8]) -> Vec<u8> {
    zstd::encode_all(tree, LEVEL).expect("neither reading nor writing memory fails")
}

/// Decompresses a tree of at most `max` bytes. No more than that is ever held in memory, and
/// a window of 8 MiB.
///
/// # Errors
///
/// Where the bytes are no zstd, or give more.
pub fn decompress(compressed: &[u8], max: usize) -> Result<Vec<u8>, TreeError> {
    let mut decoder = zstd::Decoder::with_buffer(compressed).map_err(TreeError::Unreadable)?;
    decoder.window_log_max(WINDOW_LOG).map_err(TreeError::Unreadable)?;
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut tree = Vec::new();
    decoder.take(limit).read_to_end(&mut tree).map_err(TreeError::Unreadable)?;
    if tree.len() > max { Err(TreeError::TooLarge) } else { Ok(tree) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_comes_back_and_a_bomb_does_not_go_off() {
        let tree = vec![7; 100_000];
        let compressed = compress(&tree);

        assert!(compressed.len() < 1_000);
        assert_eq!(decompress(&compressed, 100_000).unwrap(), tree);
        assert!(matches!(decompress(&compressed, 99_999), Err(TreeError::TooLarge)));
        assert!(matches!(decompress(&tree, 100_000), Err(TreeError::Unreadable(_))));
        let cut = &compressed[..compressed.len() - 1];
        assert!(matches!(decompress(cut, 100_000), Err(TreeError::Unreadable(_))));
    }
}
