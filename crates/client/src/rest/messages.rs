//! Messages by requests, for where no socket can be opened.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode};
use sotto_ids::{AccountUuid, ClientMsgId, EnvelopeId};
use sotto_proto::socket::{
    Accepted, CiphertextType, DeviceMismatch, Envelope, Error, MessageClass, QueueOverflow,
    Retract, Send, server_frame::Body,
};

use super::{
    Rest, RestError,
    wire::{Acknowledged, NewMessage, NewMessages, Page, Stored, Waiting},
};
use crate::{ClientError, Distrust};

/// Messages of a page that is asked for.
const PAGE: usize = 100;

/// What a request for new messages brought.
pub(crate) struct Arrived {
    pub(crate) envelopes: Vec<Envelope>,
    /// Nothing more waits.
    pub(crate) last: bool,
    pub(crate) overflow: Option<QueueOverflow>,
}

impl Rest {
    /// `PUT /v1/messages/{recipient}`: what the answer would be on a socket.
    pub(crate) async fn send_message(&self, send: &Send, token: String) -> Result<Body, RestError> {
        let malformed = || RestError::Other(ClientError::Crypto("outbox"));
        let recipient = AccountUuid::try_from(send.recipient.as_ref()).map_err(|_| malformed())?;
        let id = ClientMsgId::try_from(send.client_msg_id.as_ref()).map_err(|_| malformed())?;
        let message = |message: &sotto_proto::socket::DeviceMessage| NewMessage {
            device_id: message.device_id,
            registration_id: message.registration_id,
            r#type: match message.r#type() {
                CiphertextType::Prekey => "prekey",
                _ => "whisper",
            },
            ciphertext: STANDARD.encode(&message.ciphertext),
        };
        let body = NewMessages {
            client_msg_id: id.to_string(),
            messages: send.messages.iter().map(message).collect(),
            ttl_seconds: (send.ttl_seconds != 0).then_some(send.ttl_seconds),
            class: match send.class() {
                MessageClass::Unspecified => "normal",
                MessageClass::Urgent => "urgent",
                MessageClass::Ephemeral => "ephemeral",
            },
        };
        let request = self.request(Method::PUT, &["messages", &recipient.to_string()]);
        match Self::json::<Stored>(request.bearer_auth(token).json(&body)).await {
            Ok(Stored { server_time_ms, full }) => {
                Ok(Body::Accepted(Accepted { server_time_ms, full }))
            }
            Err(error) => answer_of(error),
        }
    }

    /// `DELETE /v1/messages/{recipient}/{client_msg_id}?device_ids=`.
    pub(crate) async fn retract_message(
        &self,
        retract: &Retract,
        token: String,
    ) -> Result<Body, RestError> {
        let malformed = || RestError::Other(ClientError::Crypto("outbox"));
        let recipient =
            AccountUuid::try_from(retract.recipient.as_ref()).map_err(|_| malformed())?;
        let id = ClientMsgId::try_from(retract.client_msg_id.as_ref()).map_err(|_| malformed())?;
        let devices: Vec<_> = retract.device_ids.iter().map(ToString::to_string).collect();
        let request = self.request_with(
            Method::DELETE,
            &["messages", &recipient.to_string(), &id.to_string()],
            &[("device_ids", &devices.join(","))],
        );
        match Self::send(request.bearer_auth(token)).await {
            Ok(_) => Ok(Body::Retracted(sotto_proto::socket::Retracted {})),
            Err(error) => answer_of(error),
        }
    }

    /// `GET /v1/messages?wait_ms=&limit=`: what waits, oldest first, or what comes within
    /// `wait`.
    pub(crate) async fn new_messages(
        &self,
        wait: Duration,
        token: String,
    ) -> Result<Arrived, RestError> {
        let request = self
            .request_with(
                Method::GET,
                &["messages"],
                &[("wait_ms", &wait.as_millis().to_string()), ("limit", &PAGE.to_string())],
            )
            .timeout(self.timeout.saturating_add(wait));
        let page: Page = Self::json(request.bearer_auth(token)).await?;
        let envelope = |waiting: Waiting| Envelope {
            id: waiting.id.into_bytes().to_vec().into(),
            sender: waiting.sender.as_bytes().to_vec().into(),
            sender_device: waiting.sender_device,
            r#type: match waiting.r#type.as_str() {
                "whisper" => CiphertextType::Whisper,
                "prekey" => CiphertextType::Prekey,
                _ => CiphertextType::Unspecified,
            }
            .into(),
            ciphertext: waiting.ciphertext.0.into(),
            server_time_ms: waiting.server_time_ms,
            class: match waiting.class.as_deref() {
                Some("urgent") => MessageClass::Urgent,
                Some("ephemeral") => MessageClass::Ephemeral,
                _ => MessageClass::Unspecified,
            }
            .into(),
        };
        Ok(Arrived {
            envelopes: page.envelopes.into_iter().map(envelope).collect(),
            last: page.last,
            overflow: page.overflow.map(|overflow| QueueOverflow {
                since_ms: overflow.since_ms,
                turned_away: overflow.turned_away,
            }),
        })
    }

    /// `POST /v1/messages/ack`.
    pub(crate) async fn acknowledge(
        &self,
        ids: &[EnvelopeId],
        token: String,
    ) -> Result<(), RestError> {
        let body = Acknowledged { envelope_ids: ids.iter().map(ToString::to_string).collect() };
        let request = self.request(Method::POST, &["messages", "ack"]);
        Self::send(request.bearer_auth(token).json(&body)).await.map(drop)
    }
}

/// What a refusal would be on a socket; the error where it is none, but a request that
/// came to nothing or a token that is not taken.
fn answer_of(error: RestError) -> Result<Body, RestError> {
    match error {
        RestError::Refused { status: StatusCode::UNAUTHORIZED, .. } => Err(error),
        RestError::Refused { problem, .. }
            if problem.reason.as_deref() == Some("device_mismatch") =>
        {
            let (missing, extra, stale) = (problem.missing, problem.extra, problem.stale);
            Ok(Body::DeviceMismatch(DeviceMismatch { missing, extra, stale }))
        }
        RestError::Refused { status, problem } => Ok(Body::Error(Error {
            reason: problem.reason.unwrap_or_else(|| format!("http_{}", status.as_u16())),
            detail: problem.detail.unwrap_or_default(),
            retry_after_ms: as_u32(problem.retry_after_ms.unwrap_or_default()),
            server_time_ms: problem.server_time_ms.unwrap_or_default(),
        })),
        RestError::Other(ClientError::Unavailable { retry_after: Some(after), source }) => {
            Ok(Body::Error(Error {
                reason: source.to_string(),
                detail: String::new(),
                retry_after_ms: as_u32(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)).max(1),
                server_time_ms: 0,
            }))
        }
        RestError::Other(ClientError::Distrust(Distrust::Malformed)) => {
            Err(ClientError::unavailable("an answer that is none").into())
        }
        error @ RestError::Other(_) => Err(error),
    }
}

fn as_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
