use prost::Message;

/// Decodes a message that has to be in the one form that our own encoder gives, so that
/// whoever hashes or compares bytes sees what whoever reads fields sees.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    (message.encode_to_vec() == bytes).then_some(message)
}
