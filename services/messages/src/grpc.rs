use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use sotto_proto::messages::{
    GatewayBatch, MessagesBatch, Uplink, messages_service_server::MessagesService, uplink::Item,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    error::MessagesError,
    gateways::Gateway,
    metrics,
    ops::{Messages, PullRequest, Wish},
};

/// How long a gateway may take to say who it is.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends and retractions that are judged together, so that keys is asked once for all of
/// them.
const WISHES_AT_ONCE: usize = 512;

/// The gRPC face.
#[derive(Debug)]
pub(crate) struct GrpcMessages(pub(crate) Messages);

#[tonic::async_trait]
impl MessagesService for GrpcMessages {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<MessagesBatch, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if self.0.lifecycle.is_draining() {
            return Err(MessagesError::Draining.into());
        }
        let mut uplink = request.into_inner();
        let first = match tokio::time::timeout(ATTACH_TIMEOUT, uplink.message()).await {
            Ok(first) => first?,
            Err(_) => None,
        };
        let (attach, items) = first
            .and_then(|batch| Some((batch.attach?, batch.items)))
            .ok_or(MessagesError::AttachFirst)?;
        let (gateway, downlink) = self.0.gateways.attach(attach.gateway, &self.0.config)?;

        let talk = talk(self.0.clone(), gateway, uplink, items);
        self.0.lifecycle.spawn("messages.stream", self.0.streams.track_future(talk));
        let batches = stream::unfold(downlink, |mut downlink| async move {
            Some((downlink.next().await?, downlink))
        });
        Ok(Response::new(Box::pin(batches)))
    }
}

/// One stream, from its first items to the last outcome.
///
/// Three things go on beside each other, so that none holds the others up: reading,
/// judging sends (which may wait for keys and for writers), and reading pages.
/// Acknowledgements are taken in passing.
async fn talk(
    messages: Messages,
    gateway: Arc<Gateway>,
    mut uplink: Streaming<GatewayBatch>,
    first: Vec<Uplink>,
) {
    tracing::info!(gateway = gateway.name(), "gateway attached");
    let credit = usize::try_from(messages.config.credit).unwrap_or(usize::MAX);
    // As many as there are credits: a batch in it has one submit at least.
    let (to_judge, to_be_judged) = mpsc::channel(credit);
    let (to_read, to_be_read) = mpsc::channel(messages.config.pages.waiting);
    let reading = async {
        let how = read(&messages, &gateway, &mut uplink, first, to_judge, to_read).await;
        messages.gateways.detach(&gateway);
        if let Err(error) = how {
            gateway.end(Err(error));
        }
    };
    tokio::join!(
        reading,
        judge(&messages, &gateway, to_be_judged),
        messages.read_pages(&gateway, to_be_read),
    );

    tracing::info!(gateway = gateway.name(), "gateway left");

    // Whoever still listens hears what became of all that was sent.
    let stopped = messages.lifecycle.stopped();
    tokio::select! {
        () = gateway.all_answered() => {}
        () = gateway.gone() => {}
        () = gateway.ended() => {}
        () = stopped.cancelled() => {}
    }
    gateway.end(Ok(()));
    // Letting go of the uplink before would reset the stream under the last batch.
    tokio::select! {
        () = gateway.gone() => {}
        () = stopped.cancelled() => {}
    }
}

/// Reads until the gateway ends, breaks a rule, or is to be left: because the replica
/// ends, or because announcements were lost.
async fn read(
    messages: &Messages,
    gateway: &Arc<Gateway>,
    uplink: &mut Streaming<GatewayBatch>,
    first: Vec<Uplink>,
    to_judge: mpsc::Sender<Vec<Wish>>,
    to_read: mpsc::Sender<PullRequest>,
) -> Result<(), MessagesError> {
    let draining = messages.lifecycle.draining();
    let mut items = first;
    loop {
        metrics::batch("up", items.len());
        let mut wishes = Vec::new();
        for item in items.into_iter().filter_map(|uplink| uplink.item) {
            match item {
                Item::Submit(submit) => wishes.push(Wish::Send(submit)),
                Item::Retract(retract) => wishes.push(Wish::Retract(retract)),
                Item::Acknowledge(acknowledge) => messages.acknowledge(&acknowledge),
                // It fails when nobody reads pages any more: the process ends.
                Item::Pull(pull) => drop(to_read.send(pull.into()).await),
            }
        }
        if !wishes.is_empty() {
            gateway.take_credit(wishes.len())?;
            if to_judge.send(wishes).await.is_err() {
                return Ok(());
            }
        }
        items = tokio::select! {
            batch = uplink.message() => match batch {
                Ok(Some(batch)) => batch.items,
                // A broken connection is an end like any other.
                Ok(None) | Err(_) => return Ok(()),
            },
            () = draining.cancelled() => return Ok(()),
            () = gateway.ended() => return Ok(()),
            () = gateway.due() => {
                tracing::info!(gateway = gateway.name(), "announcements were lost");
                return Ok(());
            }
        };
    }
}

async fn judge(
    messages: &Messages,
    gateway: &Arc<Gateway>,
    mut to_be_judged: mpsc::Receiver<Vec<Wish>>,
) {
    while let Some(mut wishes) = to_be_judged.recv().await {
        while wishes.len() < WISHES_AT_ONCE
            && let Ok(more) = to_be_judged.try_recv()
        {
            wishes.extend(more);
        }
        messages.submit(gateway, wishes).await;
    }
}
