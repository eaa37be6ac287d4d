//! What the fuzz targets reach. Nothing of it is in a build that is not for them.

use std::str::FromStr;

use sotto_identity::{Evidence, SignedOp};

use crate::{
    DeviceLink, DeviceRequest, MessageId, PeerName, PublicName, RecoveryPhrase, VerificationCode,
    content::{self, Content},
    link,
    rest::wire,
};

/// What a peer has encrypted to us: padded or not, it is read or refused by a word.
pub fn content(data: &[u8]) {
    if let Some(plaintext) = content::unpad(data.to_vec()) {
        assert_eq!(content::pad(plaintext), data, "one content has one encoding");
    }
    if let Ok(content) = Content::decode(data) {
        // What was understood is written as something that is understood alike.
        let again = Content::decode(&content.encode()).expect("our own encoding");
        assert_eq!(again.encode(), content.encode());
    }
}

/// What a server answers.
pub fn server_answers(data: &[u8]) {
    wire::fuzz(data);
    let mut rest = data;
    while let Ok(_op) = <SignedOp as prost::Message>::decode_length_delimited(&mut rest) {
        if rest.is_empty() {
            break;
        }
    }
}

/// What stands in the mailbox of a link: the server, or a stranger, may have put it there.
pub fn link_messages(data: &[u8]) {
    link::fuzz(data);
}

/// What people paste, scan or hand over as a file.
pub fn pasted_texts(data: &[u8]) {
    if let Ok(evidence) = Evidence::from_bytes(data) {
        let _verdict = evidence.verify();
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(link) = text.parse::<DeviceLink>() {
        assert!(link.to_string().parse::<DeviceLink>().is_ok(), "a link that reads itself back");
    }
    let _read = (
        DeviceRequest::from_str(text).is_ok(),
        PeerName::from_str(text).is_ok(),
        PublicName::from_str(text).is_ok(),
        VerificationCode::from_str(text).is_ok(),
        RecoveryPhrase::from_str(text).is_ok(),
        MessageId::from_str(text).is_ok(),
    );
}
