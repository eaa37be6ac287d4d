//! Mailboxes for linking a device. Without a token: the new device has none yet.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::{Rest, RestError, wire::Mailbox};
use crate::{ClientError, link::Slot};

impl Rest {
    /// `POST /v1/link`.
    pub(crate) async fn open_mailbox(&self) -> Result<Mailbox, ClientError> {
        let request = self.request(Method::POST, &["link"]);
        Ok(Self::json(request.json(&serde_json::json!({}))).await?)
    }

    /// `PUT /v1/link/{id}/{slot}`. A slot takes one message.
    pub(crate) async fn put_slot(
        &self,
        id: &str,
        slot: Slot,
        sealed: Vec<u8>,
    ) -> Result<(), ClientError> {
        let request = self
            .request(Method::PUT, &["link", id, slot.name()])
            .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
            .body(sealed);
        Self::send(request).await.map(drop).map_err(link_error)
    }

    /// `GET /v1/link/{id}/{slot}`; `None` where nothing came within `wait`.
    pub(crate) async fn take_slot(
        &self,
        id: &str,
        slot: Slot,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let wait_ms = wait.as_millis().to_string();
        let request = self
            .request_with(Method::GET, &["link", id, slot.name()], &[("wait_ms", &wait_ms)])
            .timeout(self.timeout.saturating_add(wait));
        let answer = Self::exchange(request).await.map_err(link_error)?;
        Ok((answer.status == StatusCode::OK).then_some(answer.body))
    }
}

fn link_error(error: RestError) -> ClientError {
    if error.is_status(StatusCode::NOT_FOUND) {
        ClientError::LinkExpired
    } else if error.is("link_slot_taken") {
        ClientError::LinkTaken
    } else {
        error.into()
    }
}
