//! A socket on an upgraded HTTP/1 connection of actix-web.
//!
//! The request's payload is what the device sends, the response's body is what it
//! gets. Beside the dispatcher's own buffers an idle socket holds next to nothing.

use std::sync::Arc;

use actix_http::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};

use super::{
    Gone, Transport,
    frames::{Broken, Budget, FrameReader, Incoming},
    pipe::{PipeWriter, pipe},
};

/// Why a request does not become a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnUpgrade {
    #[error(transparent)]
    Handshake(#[from] actix_http::ws::HandshakeError),

    /// Its bytes would be taken for those of the socket, or the other way round.
    #[error("an upgrade has no body")]
    Body,
}

/// See the module.
pub(crate) struct Http1 {
    payload: web::Payload,
    frames: FrameReader,
    writer: PipeWriter,
}

/// Answers an upgrade. `subprotocol` is the one that was chosen.
///
/// # Errors
///
/// The request is no upgrade to a WebSocket, or announces a body.
pub(crate) fn accept(
    request: &HttpRequest,
    payload: web::Payload,
    subprotocol: &'static str,
    budget: Arc<Budget>,
) -> Result<(HttpResponse, Http1), NotAnUpgrade> {
    if announces_body(request) {
        return Err(NotAnUpgrade::Body);
    }
    let mut response = actix_http::ws::handshake(request.head())?;
    response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, subprotocol));
    let (writer, body) = pipe();
    // Unwrap safety: all headers are constants, but for the accept key, which is base64.
    let response = response.message_body(BoxBody::new(body)).expect("valid headers");
    let socket = Http1 { payload, frames: FrameReader::new(budget), writer };
    Ok((HttpResponse::from(response), socket))
}

/// RFC 9112 section 6: a body is there where one of two headers says so.
fn announces_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let is_empty = |length: &header::HeaderValue| length.as_bytes() == b"0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).any(|length| !is_empty(length))
}

impl Transport for Http1 {
    async fn next(&mut self) -> Result<Incoming, Broken> {
        loop {
            if let Some(incoming) = self.frames.next()? {
                return Ok(incoming);
            }
            match self.payload.next().await {
                Some(Ok(bytes)) => self.frames.feed(bytes),
                Some(Err(_)) | None => return Err(Broken::Gone),
            }
        }
    }

    fn bound_frames(&mut self, largest: usize) {
        self.frames.bound(largest);
    }

    async fn write(&mut self, wire: Bytes) -> Result<(), Gone> {
        self.writer.write(wire).await
    }

    async fn gone(&mut self) {
        self.writer.gone().await;
    }

    fn has_left(&mut self) -> bool {
        // The dispatcher is not asked for more meanwhile: this takes what it has.
        while let Some(arrived) = self.payload.next().now_or_never() {
            match arrived {
                Some(Ok(bytes)) => self.frames.feed(bytes),
                Some(Err(_)) | None => return true,
            }
        }
        self.frames.has_close() || self.writer.gone().now_or_never().is_some()
    }
}
