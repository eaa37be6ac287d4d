//! Bodies, in the manner of the REST endpoints: ids are texts, bytes are base64.

use serde::{Deserialize, Serialize};
use sotto_ids::{AccountId, AccountUuid, Base64Bytes, ClientMsgId};
use sotto_kit::openapi;
use sotto_proto::socket::{Accepted, CiphertextType, Envelope, MessageClass, QueueOverflow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::RestError;

/// A send, without its recipient.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Send)]
#[serde(deny_unknown_fields)]
pub(super) struct SendBody {
    #[schema(value_type = openapi::Uuid7)]
    pub(super) client_msg_id: String,
    /// One for each device of the recipient.
    pub(super) messages: Vec<MessageBody>,
    /// How long the message may wait; 0 for as long as the server keeps any.
    #[serde(default)]
    pub(super) ttl_seconds: u32,
    #[serde(default)]
    pub(super) class: Class,
}

/// A ciphertext for one device.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DeviceMessage)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageBody {
    #[schema(value_type = openapi::DeviceId)]
    pub(super) device_id: u32,
    pub(super) registration_id: u32,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[schema(value_type = openapi::Base64)]
    pub(super) ciphertext: Base64Bytes,
}

/// libsignal's kinds of ciphertext for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CiphertextType)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Whisper,
    Prekey,
}

/// How a message is treated on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MessageClass)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    #[default]
    Normal,
    Urgent,
    Ephemeral,
}

impl Kind {
    pub(super) const fn into_proto(self) -> CiphertextType {
        match self {
            Self::Whisper => CiphertextType::Whisper,
            Self::Prekey => CiphertextType::Prekey,
        }
    }
}

impl Class {
    pub(super) const fn into_proto(self) -> MessageClass {
        match self {
            Self::Normal => MessageClass::Unspecified,
            Self::Urgent => MessageClass::Urgent,
            Self::Ephemeral => MessageClass::Ephemeral,
        }
    }

    const fn of(class: MessageClass) -> Self {
        match class {
            MessageClass::Unspecified => Self::Normal,
            MessageClass::Urgent => Self::Urgent,
            MessageClass::Ephemeral => Self::Ephemeral,
        }
    }
}

/// The answer to a send.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(super) struct AcceptedBody {
    server_time_ms: u64,
    /// Devices whose queue is full.
    #[schema(value_type = Vec<openapi::DeviceId>)]
    full: Vec<u32>,
}

impl From<Accepted> for AcceptedBody {
    fn from(Accepted { server_time_ms, full }: Accepted) -> Self {
        Self { server_time_ms, full }
    }
}

/// Envelopes, and whether others wait.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct PageBody {
    pub(super) envelopes: Vec<EnvelopeBody>,
    /// Whether no others wait.
    pub(super) last: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) overflow: Option<OverflowBody>,
}

/// While the device was away its queue was full.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueOverflow)]
pub(super) struct OverflowBody {
    since_ms: u64,
    /// How many messages were not taken.
    turned_away: u64,
}

impl From<QueueOverflow> for OverflowBody {
    fn from(QueueOverflow { since_ms, turned_away }: QueueOverflow) -> Self {
        Self { since_ms, turned_away }
    }
}

/// A message as it waits for one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Envelope)]
pub(super) struct EnvelopeBody {
    #[schema(value_type = openapi::Uuid7)]
    id: Uuid,
    #[schema(value_type = openapi::AccountUuid)]
    sender: Uuid,
    #[schema(value_type = openapi::DeviceId)]
    sender_device: u32,
    #[serde(rename = "type")]
    kind: Kind,
    #[schema(value_type = openapi::Base64)]
    ciphertext: Base64Bytes,
    server_time_ms: u64,
    class: Class,
}

impl EnvelopeBody {
    /// `None` where a stored envelope is damaged.
    pub(super) fn of(envelope: &Envelope) -> Option<Self> {
        let (kind, class) = (envelope.r#type(), envelope.class());
        Some(Self {
            id: Uuid::from_slice(&envelope.id).ok()?,
            sender: Uuid::from_slice(&envelope.sender).ok()?,
            sender_device: envelope.sender_device,
            kind: match kind {
                CiphertextType::Whisper => Kind::Whisper,
                CiphertextType::Prekey => Kind::Prekey,
                CiphertextType::Unspecified => return None,
            },
            ciphertext: envelope.ciphertext.to_vec().into(),
            server_time_ms: envelope.server_time_ms,
            class: Class::of(class),
        })
    }
}

/// The account that a path names, by its id or its UUID.
pub(super) fn account(text: &str) -> Result<AccountUuid, RestError> {
    if let Ok(id) = text.parse::<AccountId>() {
        return Ok(id.uuid());
    }
    text.parse().map_err(|_| RestError::MalformedRecipient)
}

/// The name of a send.
pub(super) fn message_id(text: &str) -> Result<ClientMsgId, RestError> {
    let uuid = Uuid::try_parse(text).map_err(|_| RestError::MalformedMessageId)?;
    ClientMsgId::try_from(uuid.as_bytes().as_slice()).map_err(|_| RestError::MalformedMessageId)
}

/// Reads what a path names: the same text has one meaning wherever it stands.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    if let Ok(account) = account(text) {
        assert_eq!(self::account(&account.to_string()).ok(), Some(account));
    }
    if let Ok(id) = message_id(text) {
        assert_eq!(message_id(&id.to_string()).ok(), Some(id));
    }
}

/// Shows a stored envelope: with the ciphertext that it has, or not at all.
#[cfg(fuzzing)]
pub(super) fn fuzz_envelope(data: &[u8]) {
    use prost::Message as _;

    let Ok(envelope) = Envelope::decode(data) else { return };
    let Some(body) = EnvelopeBody::of(&envelope) else { return };
    let shown = serde_json::to_value(&body).expect("it is JSON");
    let ciphertext: Base64Bytes =
        serde_json::from_value(shown["ciphertext"].clone()).expect("it is base64");
    assert_eq!(ciphertext.0, envelope.ciphertext);
}
