//! A connection without a socket: what would be a frame is a request, and new messages
//! are asked for. The outbox and the inbox notice no difference.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sotto_ids::EnvelopeId;
use sotto_proto::socket::{ClientFrame, Envelope, MessageClass, ServerFrame, client_frame::Body};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    End, ack,
    inbox::{Delivered, Inbox},
    presence,
    sender::{self, Bounds},
    session::{QUEUE, end_of, ready},
    socket, upkeep,
};
use crate::{
    ClientError, ConnectionState, Event,
    client::Inner,
    groups::{self, FromServer},
    rest::{Rest, messages::Arrived},
};

/// How long the acknowledgements of one page are waited for before the next is asked
/// for. Those of senders who have to be looked up first may take longer.
const SETTLING: Duration = Duration::from_secs(5);

/// Each request is answered before the next is made: the server takes each by itself, and
/// would store what comes behind one that it has refused.
const ONE_BY_ONE: Bounds = Bounds { window: 1, max_frame: sotto_ids::limits::MAX_FRAME_BYTES };

/// Lives by requests to `rest` until `stop`, or until the socket to `probe` opens. `was_open` is
/// set once the server has answered.
pub(super) async fn run(
    inner: &Arc<Inner>,
    rest: &Rest,
    stop: &CancellationToken,
    probe: Option<&Url>,
    was_open: &mut bool,
) -> End {
    let first = async {
        ready(inner).await?;
        ask(inner, rest, Duration::ZERO).await.map_err(end_of)
    };
    let arrived = match stop.run_until_cancelled(Box::pin(first)).await {
        None => return End::Wanted,
        Some(Err(end)) => return end,
        Some(Ok(arrived)) => arrived,
    };
    *was_open = true;
    inner.connection.send_replace(ConnectionState::Draining);
    inner.tell(Event::Connected);
    tracing::debug!("messages go by requests");

    let tuning = &inner.config.tuning;
    let (frames, outgoing) = mpsc::channel(QUEUE);
    let (delivered, inbox) = mpsc::channel(QUEUE);
    let (answers, answered) = mpsc::channel(QUEUE);
    let (acks, acked) = mpsc::channel(QUEUE);
    let (said, said_of_groups) = mpsc::channel(QUEUE);
    let (unacknowledged, low) = (Unacknowledged::default(), Notify::new());
    tokio::select! {
        () = stop.cancelled() => End::Wanted,
        end = Box::pin(carry(inner, rest, outgoing, &answers, &said, &unacknowledged)) => end,
        end = Box::pin(poll(inner, rest, arrived, &delivered, &unacknowledged)) => end,
        end = Box::pin(Inbox::new(Arc::clone(inner), acks).run(inbox)) => end,
        end = Box::pin(sender::run(inner, &frames, answered, ONE_BY_ONE)) => end,
        () = Box::pin(ack::collect(acked, frames.clone(), tuning.ack_delay, tuning.ack_batch)) => {
            End::lost("connection_lost")
        }
        () = Box::pin(upkeep::prekeys(inner, &low)) => End::lost("connection_lost"),
        () = Box::pin(presence::run(inner)) => End::lost("closed"),
        () = Box::pin(groups::poll(inner, &said)) => End::lost("closed"),
        () = Box::pin(groups::run(inner, &frames, said_of_groups)) => {
            End::lost("connection_lost")
        }
        () = Box::pin(wait_for_socket(inner, probe)) => End::SocketWorks,
    }
}

/// Envelopes that were delivered and are not acknowledged at the server. It hands them
/// out again with every request until they are.
#[derive(Default)]
struct Unacknowledged {
    ids: Mutex<HashSet<EnvelopeId>>,
    fewer: Notify,
}

impl Unacknowledged {
    /// Whether this one has not been delivered yet; from now on it has. What the server
    /// does not store it hands out once, and nobody acknowledges it.
    fn note(&self, envelope: &Envelope) -> bool {
        if envelope.class() == MessageClass::Ephemeral {
            return true;
        }
        let mut waiting = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        EnvelopeId::try_from(envelope.id.as_ref()).is_ok_and(|id| waiting.insert(id))
    }

    fn settle(&self, ids: &[EnvelopeId]) {
        let mut waiting = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            waiting.remove(id);
        }
        self.fewer.notify_one();
    }

    fn is_empty(&self) -> bool {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Waits until all are acknowledged, but not for ever.
    async fn settled(&self) {
        let deadline = Instant::now() + SETTLING;
        while !self.is_empty() {
            if timeout_at(deadline, self.fewer.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Asks for messages over and over, and hands on what is new.
async fn poll(
    inner: &Arc<Inner>,
    rest: &Rest,
    first: Arrived,
    delivered: &mpsc::Sender<Delivered>,
    unacknowledged: &Unacknowledged,
) -> End {
    let tuning = &inner.config.tuning;
    let mut drained = false;
    let mut arrived = first;
    loop {
        let mut new = Vec::new();
        let envelopes = arrived.envelopes.into_iter();
        new.extend(envelopes.filter(|one| unacknowledged.note(one)).map(Delivered::Envelope));
        let brought_nothing = new.is_empty();
        new.extend(arrived.overflow.map(Delivered::QueueOverflow));
        if arrived.last && !drained {
            drained = true;
            new.push(Delivered::QueueEmpty);
        }
        for one in new {
            if delivered.send(one).await.is_err() {
                return End::lost("connection_lost");
            }
        }
        unacknowledged.settled().await;
        if brought_nothing {
            // A server that does not wait is not to be asked in a tight loop.
            tokio::time::sleep(tuning.retry_min).await;
        }
        arrived = match ask(inner, rest, tuning.poll_wait).await {
            Ok(arrived) => arrived,
            Err(error) => return end_of(error),
        };
    }
}

async fn ask(inner: &Inner, rest: &Rest, wait: Duration) -> Result<Arrived, ClientError> {
    Ok(inner.auth.with_token(|token| rest.new_messages(wait, token)).await?)
}

/// Makes requests of frames, one after the other, and frames of their answers.
async fn carry(
    inner: &Inner,
    rest: &Rest,
    mut outgoing: mpsc::Receiver<ClientFrame>,
    answers: &mpsc::Sender<ServerFrame>,
    said: &mpsc::Sender<FromServer>,
    unacknowledged: &Unacknowledged,
) -> End {
    while let Some(frame) = outgoing.recv().await {
        let answer = match frame.body {
            Some(Body::Send(send)) => {
                inner.auth.with_token(|token| rest.send_message(&send, token)).await
            }
            Some(Body::Retract(retract)) => {
                inner.auth.with_token(|token| rest.retract_message(&retract, token)).await
            }
            Some(Body::GroupSend(send)) => {
                let answer = groups::send(inner, frame.id, &send).await;
                if said.send(FromServer::Answer(answer)).await.is_err() {
                    return End::lost("connection_lost");
                }
                continue;
            }
            Some(Body::GroupAck(ack)) => {
                groups::acknowledge(inner, &ack).await;
                continue;
            }
            Some(Body::Ack(ack)) => {
                let ids: Vec<_> = ack
                    .envelope_ids
                    .iter()
                    .filter_map(|id| EnvelopeId::try_from(id.as_ref()).ok())
                    .collect();
                let done = inner.auth.with_token(|token| rest.acknowledge(&ids, token)).await;
                match done {
                    Ok(()) => unacknowledged.settle(&ids),
                    Err(error) => return end_of(error.into()),
                }
                continue;
            }
            _ => continue,
        };
        let body = match answer {
            Ok(body) => body,
            Err(error) => return end_of(error.into()),
        };
        let answer = ServerFrame { in_reply_to: frame.id, body: Some(body) };
        if answers.send(answer).await.is_err() {
            return End::lost("connection_lost");
        }
    }
    End::lost("connection_lost")
}

/// Waits until a socket opens. It is opened without a token and closed again, so that it
/// takes nobody's place.
async fn wait_for_socket(inner: &Inner, probe: Option<&Url>) {
    let Some(url) = probe else {
        return std::future::pending().await;
    };
    let tuning = &inner.config.tuning;
    loop {
        tokio::time::sleep(super::spread(tuning.rest_for, &mut inner.rng())).await;
        if let Ok(Ok((mut writer, _))) =
            timeout(tuning.connect_timeout, socket::open(url, None, tuning)).await
        {
            drop(timeout(tuning.retry_min, writer.close()).await);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn envelope(class: MessageClass) -> Envelope {
        let id = Uuid::from_u128(7 << 76 | 2 << 62).into_bytes().to_vec().into();
        Envelope { id, class: class.into(), ..Envelope::default() }
    }

    #[test]
    fn what_is_handed_out_again_is_delivered_once_until_it_is_acknowledged() {
        let (unacknowledged, waiting) =
            (Unacknowledged::default(), envelope(MessageClass::Unspecified));
        assert!(unacknowledged.note(&waiting));
        assert!(!unacknowledged.note(&waiting));

        unacknowledged.settle(&[EnvelopeId::try_from(waiting.id.as_ref()).unwrap()]);

        assert!(unacknowledged.is_empty());
        assert!(unacknowledged.note(&waiting));
    }

    /// It fails where their acknowledgement, which never comes, is waited for: each
    /// request for messages would then be made late.
    #[test]
    fn nobody_waits_for_the_acknowledgement_of_what_is_not_stored() {
        let unacknowledged = Unacknowledged::default();

        assert!(unacknowledged.note(&envelope(MessageClass::Ephemeral)));

        assert!(unacknowledged.is_empty());
    }
}
