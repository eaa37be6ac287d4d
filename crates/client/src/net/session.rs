//! One connection, from opening the socket to its end.

use std::{sync::Arc, time::Duration};

use sotto_proto::socket::{
    Authenticate, ClientFrame, Goodbye, Hello, Resume, ServerFrame, client_frame,
    server_frame::Body,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    End, REQUEST_PENDING, ack, close,
    inbox::{Delivered, Inbox},
    presence,
    sender::{self, Bounds},
    socket::{self, Incoming, Reader, Refusal, Writer},
    upkeep,
};
use crate::{
    ClientError, ConnectionState, Event, Phase,
    client::Inner,
    groups::{self, FromServer},
    prekeys::{self, Fill},
    vault::own,
};

/// Frames and answers that wait between the loops of a connection. Beyond that the
/// socket is not read, and the server holds back.
pub(super) const QUEUE: usize = 256;

/// The gateway's word for a resume ticket that it does not take.
const RESUME_REFUSED: &str = "resume_refused";

/// The number of the frame that says who this is. Later ones on the socket go on from
/// there: even ones are sends.
const FIRST_FRAME: u64 = 1;

/// How long the last frames of a connection that is to end may take.
const PARTING: Duration = Duration::from_secs(1);

/// How long a server that has said goodbye may take to close.
const GOODBYE: Duration = Duration::from_secs(5);

/// Opens a socket and lives with it. `was_open` is set once the server has greeted.
pub(super) async fn run(
    inner: &Arc<Inner>,
    stop: &CancellationToken,
    url: &Url,
    was_open: &mut bool,
) -> End {
    let Some(opened) = stop.run_until_cancelled(Box::pin(open(inner, url))).await else {
        return End::Wanted;
    };
    let (mut writer, reader, hello) = match opened {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    *was_open = true;
    inner.keep_resume_ticket(&hello.resume_ticket);
    inner.server_clock.set(hello.server_time_ms);
    inner.connection.send_replace(ConnectionState::Draining);
    inner.tell(Event::Connected);
    tracing::debug!(connection = hello.connection, "connection open");
    Box::pin(live(inner, stop, &mut writer, reader, &hello)).await
}

async fn open(inner: &Arc<Inner>, url: &Url) -> Result<(Writer, Reader, Hello), End> {
    let tuning = &inner.config.tuning;
    ready(inner).await?;
    // Good once, and only so soon after the last socket that the server remembers it.
    let ticket = inner.take_resume_ticket();
    let token = match ticket {
        Some(_) => None,
        None => Some(inner.auth.token().await.map_err(end_of)?.text),
    };
    let deadline = Instant::now() + tuning.connect_timeout;
    let opened = timeout_at(deadline, socket::open(url, token.as_deref(), tuning)).await;
    if let Some(ticket) = &ticket
        && !matches!(opened, Ok(Ok(_)))
    {
        // Nobody has seen it: after a drain the next gateway is to have it, not keys a login.
        inner.keep_resume_ticket(ticket);
    }
    let (mut writer, mut reader) = match opened.map_err(|_| End::lost("connect_timeout"))? {
        Ok(halves) => halves,
        Err(Refusal::Token) => {
            inner.auth.forget().await;
            return Err(End::lost("token_refused"));
        }
        Err(Refusal::Other { reason, after }) => return Err(End::Lost { reason, after }),
    };
    if let Some(ticket) = ticket {
        introduce(&mut writer, client_frame::Body::Resume(Resume { ticket })).await?;
    }
    let mut goodbye: Option<Goodbye> = None;
    loop {
        let incoming =
            timeout_at(deadline, reader.next()).await.map_err(|_| End::lost("hello_timeout"))?;
        match incoming {
            Incoming::Frame(frame) => match frame.body {
                Some(Body::Hello(hello)) => return Ok((writer, reader, hello)),
                Some(Body::Goodbye(said)) => goodbye = Some(said),
                Some(Body::Error(error)) if error.reason == RESUME_REFUSED => {
                    let token = inner.auth.token().await.map_err(end_of)?.text;
                    let authenticate = Authenticate { token };
                    introduce(&mut writer, client_frame::Body::Authenticate(authenticate)).await?;
                }
                _ => {}
            },
            Incoming::Beat => {}
            Incoming::Closed { code, reason } => {
                if code.is_some_and(close::is_about_token) {
                    inner.auth.forget().await;
                }
                return Err(close::end(code, &reason, goodbye.as_ref()));
            }
        }
    }
}

/// Says who this is, on a socket that was opened without a token.
async fn introduce(writer: &mut Writer, body: client_frame::Body) -> Result<(), End> {
    let frame = ClientFrame { id: FIRST_FRAME, body: Some(body) };
    writer.send(&frame).await.map_err(|_| End::lost("connection_lost"))
}

/// Sees to it that the device may connect; how the attempt ends where it may not.
pub(super) async fn ready(inner: &Arc<Inner>) -> Result<(), End> {
    make_ready(inner).await.map_err(|error| match error {
        ClientError::RequestPending => End::Lost {
            reason: REQUEST_PENDING.to_owned(),
            after: Some(inner.config.tuning.approval_poll),
        },
        error => end_of(error),
    })
}

/// Sees to it that the device is certified, and that its first prekeys are at the
/// server before anybody can find it online.
async fn make_ready(inner: &Arc<Inner>) -> Result<(), ClientError> {
    let phase = inner.vault.run(|tx| Ok(own::load(tx.db)?.phase)).await?;
    match phase {
        Phase::Ready => Ok(()),
        Phase::Made => Err(ClientError::NotRegistered),
        Phase::Requested => inner.finish_device().await.map(drop),
        Phase::Certified => {
            prekeys::maintain(&inner.vault, &inner.rest, &inner.auth, Fill::IfLow).await
        }
    }
}

/// Whether an error before the socket is open may pass.
pub(super) fn end_of(error: ClientError) -> End {
    match error {
        ClientError::Unavailable { retry_after, .. } => {
            End::Lost { reason: "unavailable".to_owned(), after: retry_after }
        }
        // A provider that has no good token now may have one later, and a disk that
        // is full now may have room.
        ClientError::TimedOut | ClientError::AppToken(_) | ClientError::Store(_) => {
            End::lost(error.reason())
        }
        ClientError::Refused { reason, .. } if !is_final(&reason) => End::lost(reason),
        error => End::Final { reason: error.reason().to_owned() },
    }
}

/// Whether a refusal to log in, to take prekeys or to hand out messages stays until
/// somebody has done something.
fn is_final(reason: &str) -> bool {
    matches!(
        reason,
        "binding_conflict"
            | "wrong_proof"
            | "device_revoked"
            | "device_expired"
            | "unknown_account"
            | "unknown_device"
            | "displaced"
    )
}

/// What the loops of one connection tell each other.
struct Lines {
    delivered: mpsc::Sender<Delivered>,
    answers: mpsc::Sender<ServerFrame>,
    groups: mpsc::Sender<FromServer>,
    prekeys_low: Arc<Notify>,
    expires_at_ms: watch::Sender<u64>,
}

async fn live(
    inner: &Arc<Inner>,
    stop: &CancellationToken,
    writer: &mut Writer,
    reader: Reader,
    hello: &Hello,
) -> End {
    let tuning = &inner.config.tuning;
    let (frames, mut outgoing) = mpsc::channel::<ClientFrame>(QUEUE);
    let (delivered, inbox) = mpsc::channel(QUEUE);
    let (answers, answered) = mpsc::channel(QUEUE);
    let (groups, said_of_groups) = mpsc::channel(QUEUE);
    let (acks, acked) = mpsc::channel(QUEUE);
    let (expires_at_ms, expiry) = watch::channel(hello.token_expires_at_ms);
    let prekeys_low = Arc::new(Notify::new());
    let lines =
        Lines { delivered, answers, groups, prekeys_low: Arc::clone(&prekeys_low), expires_at_ms };
    let heartbeat = heartbeat(hello);
    let max_frame = match usize::try_from(hello.max_frame_bytes) {
        Ok(0) | Err(_) => sotto_ids::limits::MAX_FRAME_BYTES,
        Ok(bytes) => bytes,
    };
    let bounds = Bounds { window: tuning.send_window, max_frame };

    let end = tokio::select! {
        () = stop.cancelled() => End::Wanted,
        end = Box::pin(read(inner, reader, &lines, heartbeat)) => end,
        end = Box::pin(write(writer, &mut outgoing, heartbeat)) => end,
        end = Box::pin(Inbox::new(Arc::clone(inner), acks).run(inbox)) => end,
        end = Box::pin(sender::run(inner, &frames, answered, bounds)) => end,
        () = Box::pin(ack::collect(acked, frames.clone(), tuning.ack_delay, tuning.ack_batch)) => {
            End::lost("connection_lost")
        }
        () = Box::pin(upkeep::prekeys(inner, &prekeys_low)) => End::lost("connection_lost"),
        () = Box::pin(upkeep::token(inner, &frames, expiry)) => End::lost("connection_lost"),
        () = Box::pin(presence::run(inner)) => End::lost("closed"),
        () = Box::pin(groups::run(inner, &frames, said_of_groups)) => {
            End::lost("connection_lost")
        }
    };
    if end == End::Wanted {
        // What was stored and not acknowledged yet would come again: no harm.
        let parting = async {
            while let Ok(frame) = outgoing.try_recv() {
                writer.feed(&frame).await?;
            }
            writer.close().await
        };
        drop(timeout(PARTING, parting).await);
    }
    end
}

fn heartbeat(hello: &Hello) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_mins(5);
    match hello.heartbeat_ms {
        0 => MOST,
        ms => Duration::from_millis(ms.into()).clamp(LEAST, MOST),
    }
}

/// Writes frames as they come, several to a flush, and a ping where there are none.
async fn write(
    writer: &mut Writer,
    outgoing: &mut mpsc::Receiver<ClientFrame>,
    heartbeat: Duration,
) -> End {
    loop {
        let written = match timeout(heartbeat, outgoing.recv()).await {
            Ok(Some(frame)) => feed(writer, outgoing, frame).await,
            Ok(None) => return End::lost("connection_lost"),
            Err(_) => writer.ping().await,
        };
        if written.is_err() {
            return End::lost("connection_lost");
        }
    }
}

async fn feed(
    writer: &mut Writer,
    outgoing: &mut mpsc::Receiver<ClientFrame>,
    first: ClientFrame,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    writer.feed(&first).await?;
    while let Ok(frame) = outgoing.try_recv() {
        writer.feed(&frame).await?;
    }
    writer.flush().await
}

/// Reads frames and passes them on. A socket on which nothing comes for two and a
/// half heartbeats, not even the answer to a ping, is dead.
async fn read(inner: &Arc<Inner>, mut reader: Reader, lines: &Lines, heartbeat: Duration) -> End {
    let mut goodbye: Option<Goodbye> = None;
    loop {
        let patience = if goodbye.is_some() { GOODBYE } else { heartbeat.mul_f64(2.5) };
        let frame = match timeout(patience, reader.next()).await {
            Ok(Incoming::Frame(frame)) => *frame,
            Ok(Incoming::Beat) => continue,
            Ok(Incoming::Closed { code, reason }) => {
                if code.is_some_and(close::is_about_token) {
                    inner.auth.forget().await;
                }
                return close::end(code, &reason, goodbye.as_ref());
            }
            Err(_) if goodbye.is_some() => return close::end(None, "", goodbye.as_ref()),
            Err(_) => return End::lost("heartbeat"),
        };
        match frame.body {
            Some(Body::Goodbye(said)) => goodbye = Some(said),
            Some(_) => {
                if !pass_on(frame, lines).await {
                    return End::lost("connection_lost");
                }
            }
            None => tracing::debug!("a frame that is not known was passed over"),
        }
    }
}

/// Passes a frame on; `false` where nobody takes it.
async fn pass_on(frame: ServerFrame, lines: &Lines) -> bool {
    match frame.body {
        Some(Body::Deliver(deliver)) => {
            for envelope in deliver.envelopes {
                if lines.delivered.send(Delivered::Envelope(envelope)).await.is_err() {
                    return false;
                }
            }
        }
        Some(Body::Accepted(_) | Body::DeviceMismatch(_) | Body::Retracted(_)) => {
            return lines.answers.send(frame).await.is_ok();
        }
        Some(Body::GroupAccepted(_) | Body::GroupStale(_)) => {
            return lines.groups.send(FromServer::Answer(frame)).await.is_ok();
        }
        Some(Body::Error(_)) if groups::is_group_frame(frame.in_reply_to) => {
            return lines.groups.send(FromServer::Answer(frame)).await.is_ok();
        }
        Some(Body::GroupDeliver(deliver)) => {
            return lines.groups.send(FromServer::Deliver(deliver)).await.is_ok();
        }
        Some(Body::GroupHeads(heads)) => {
            return lines.groups.send(FromServer::Heads(heads)).await.is_ok();
        }
        Some(Body::Error(ref error)) => {
            if frame.in_reply_to != 0 && frame.in_reply_to.is_multiple_of(2) {
                return lines.answers.send(frame).await.is_ok();
            }
            tracing::warn!(reason = error.reason, "the server refused a frame");
        }
        // After what was delivered before it, so that it is true when it is told.
        Some(Body::QueueEmpty(_)) => {
            return lines.delivered.send(Delivered::QueueEmpty).await.is_ok();
        }
        Some(Body::QueueOverflow(overflow)) => {
            return lines.delivered.send(Delivered::QueueOverflow(overflow)).await.is_ok();
        }
        Some(Body::PrekeysLow(_) | Body::KeyPackagesLow(_)) => lines.prekeys_low.notify_one(),
        Some(Body::Authenticated(authenticated)) => {
            lines.expires_at_ms.send_replace(authenticated.token_expires_at_ms);
        }
        Some(Body::Hello(_) | Body::Goodbye(_)) | None => {}
    }
    true
}
