/// A value of OpenMLS has no encoding, or an entry is no encoding of what OpenMLS looks for.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A key or a value in postcard.
    #[error("a stored value of OpenMLS is not what it should be")]
    Postcard(#[from] postcard::Error),
    /// The configuration of a group, in JSON.
    #[error("the stored configuration of a group is not what it should be")]
    Json(#[from] serde_json::Error),
}

/// The bytes are no snapshot of [`Values`](super::Values).
#[derive(Debug, thiserror::Error)]
pub enum MalformedValues {
    /// They are of a form that is not known here.
    #[error("the snapshot is of an unknown version")]
    UnknownVersion,
    /// They cannot be read.
    #[error("the snapshot cannot be read")]
    Unreadable(#[source] postcard::Error),
    /// Something stands behind them.
    #[error("the snapshot is longer than what it holds")]
    TrailingBytes,
}
