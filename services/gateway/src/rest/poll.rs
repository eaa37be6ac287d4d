//! `GET /v1/messages`

use std::time::Duration;

use actix_web::{rt, web};
use prost::Message as _;
use serde::Deserialize;
use sotto_kit::{auth::Caller, fault::Problem};
use sotto_proto::socket::Envelope;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use utoipa::OpenApi;

use super::{
    body::{EnvelopeBody, PageBody},
    call::Call,
    error::RestError,
    identity,
};
use crate::{
    entrance::Opening,
    gateway::Gateway,
    session::io::{Event, Identity, Page},
};

#[derive(OpenApi)]
#[openapi(paths(poll))]
pub(super) struct Document;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// How long to wait where nothing waits, in milliseconds; at most
    /// `gateway.poll.max_wait`.
    #[serde(default)]
    wait_ms: u64,
    /// Envelopes at most; no more than `gateway.session.page`.
    #[serde(default)]
    limit: Option<usize>,
}

/// The oldest envelopes, or the next that come. They come again until they are
/// acknowledged, but for those of the ephemeral class.
#[utoipa::path(
    get,
    path = "/v1/messages",
    tag = "messages",
    operation_id = "poll",
    summary = "Reads the oldest envelopes that wait for the caller, or the next that come",
    description = "They come again until they are acknowledged, but for those of the ephemeral \
                   class. A later socket or request of the device ends the wait.",
    security(("sotto_token" = [])),
    params(Query),
    responses(
        (status = 200, body = PageBody, description = "Envelopes, or none."),
        (status = 403, description = "`device_revoked`"),
        (status = 409, description = "`displaced`"),
        (status = 422),
    ),
)]
pub(super) async fn poll(
    caller: Caller,
    query: web::Query<Query>,
    gateway: web::Data<Gateway>,
) -> Result<web::Json<PageBody>, Problem> {
    let identity = identity(caller);
    let call = Call::open(&gateway, &identity)?;
    let opening = gateway
        .entrance
        .open()
        .map_err(|retry_after| RestError::TooManyConnections { retry_after })?;
    let most = gateway.session.page;
    let limit = query.limit.unwrap_or(most).clamp(1, most);
    // Nobody is served past the end of the token.
    let left_ms = identity.token_expires_at_ms.saturating_sub(gateway.clock.now_ms());
    let wait = Duration::from_millis(query.wait_ms.min(left_ms)).min(gateway.config.poll.max_wait);
    let poll = Poll {
        call,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        until: Instant::now() + wait,
        opening: Some(opening),
    };
    // A task of its own, since it has a place to give back however the request ends. (A
    // caller that hangs up is not noticed: the wait goes on to its end.)
    let (answer, answered) = oneshot::channel();
    rt::spawn(poll.run(gateway.clone(), identity, answer));
    let page = answered.await.map_err(|_| RestError::Unavailable)??;
    gateway.meters.delivered.increment(page.envelopes.len() as u64);
    Ok(web::Json(page))
}

/// A socket in all but its wire.
struct Poll {
    call: Call,
    limit: u32,
    until: Instant,
    /// Until the first page is here.
    opening: Option<Opening>,
}

impl Poll {
    async fn run(
        mut self,
        gateway: web::Data<Gateway>,
        identity: Identity,
        mut answer: oneshot::Sender<Result<PageBody, RestError>>,
    ) {
        let handle = self.call.handle().clone();
        let admit = gateway.admission.admit(&handle, identity.device, || answer.is_closed());
        if admit.await {
            let served = tokio::select! {
                served = self.serve() => Some(served),
                () = answer.closed() => None,
            };
            if let Some(served) = served {
                // Where the caller has gone by now, nothing is lost: all of it still waits.
                drop(answer.send(served));
            }
        }
        self.call.leave();
        gateway.admission.leave(&handle, identity.device).await;
    }

    async fn serve(&mut self) -> Result<PageBody, RestError> {
        loop {
            let (page, hinted) = self.pull().await?;
            self.opening = None;
            let is_news = !page.envelopes.is_empty() || page.overflow.is_some();
            if is_news || Instant::now() >= self.until {
                return Ok(page);
            }
            // What came while the page was read may not be in it.
            if hinted {
                continue;
            }
            match timeout_at(self.until, self.news()).await {
                Err(_) => return Ok(page),
                Ok(Ok(None)) => {}
                Ok(Ok(Some(passing))) => return Ok(passing),
                Ok(Err(ending)) => return Err(ending),
            }
        }
    }

    /// A page of the queue, and whether an envelope was announced before it came.
    async fn pull(&mut self) -> Result<(PageBody, bool), RestError> {
        let limit = self.limit;
        self.call.put(|asker| asker.pull(&[], limit));
        let (mut hinted, mut passing) = (false, Vec::new());
        loop {
            match self.call.next().await {
                Event::Page(page) => {
                    let mut body = body(&page)?;
                    body.envelopes.append(&mut passing);
                    return Ok((body, hinted));
                }
                Event::Delivery(_) | Event::Missed => hinted = true,
                Event::Ephemeral(encoded) => passing.extend(decode(&encoded)),
                event => ending(&event)?,
            }
        }
    }

    /// Waits until the queue is worth another read, or for envelopes that no queue holds.
    async fn news(&mut self) -> Result<Option<PageBody>, RestError> {
        loop {
            match self.call.next().await {
                Event::Delivery(_) | Event::Missed => return Ok(None),
                Event::Ephemeral(encoded) => {
                    let envelopes = decode(&encoded).into_iter().collect();
                    return Ok(Some(PageBody { envelopes, last: true, overflow: None }));
                }
                event => ending(&event)?,
            }
        }
    }
}

/// What ends a poll.
const fn ending(event: &Event) -> Result<(), RestError> {
    match event {
        Event::Displaced => Err(RestError::Displaced),
        Event::Revoked => Err(RestError::Revoked),
        Event::Drain { .. } => Err(RestError::Draining),
        _ => Ok(()),
    }
}

fn body(page: &Page) -> Result<PageBody, RestError> {
    if page.revoked {
        return Err(RestError::Revoked);
    }
    if page.failed {
        return Err(RestError::Unavailable);
    }
    let envelopes = page.envelopes.iter().filter_map(|stored| decode(&stored.encoded)).collect();
    Ok(PageBody { envelopes, last: page.last, overflow: page.overflow.map(Into::into) })
}

fn decode(encoded: &bytes::Bytes) -> Option<EnvelopeBody> {
    let body =
        Envelope::decode(encoded.clone()).ok().and_then(|envelope| EnvelopeBody::of(&envelope));
    if body.is_none() {
        tracing::error!("a stored envelope is damaged");
    }
    body
}

/// Reads the query of a poll.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let _query = web::Query::<Query>::from_query(text);
}
