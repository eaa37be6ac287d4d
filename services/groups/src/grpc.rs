use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use sotto_proto::groups::{
    GatewayBatch, GroupsBatch, Submit, Uplink, groups_service_server::GroupsService, uplink::Item,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    gateways::{Gateway, StreamError},
    metrics,
    ops::{Groups, Question, group_ids},
};

/// How long a gateway may take to say who it is.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages that are judged together, so that keys is asked once for all of them.
const SUBMITS_AT_ONCE: usize = 512;

/// The gRPC face.
#[derive(Debug)]
pub(crate) struct GrpcGroups(pub(crate) Groups);

#[tonic::async_trait]
impl GroupsService for GrpcGroups {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<GroupsBatch, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if self.0.lifecycle.is_draining() {
            return Err(StreamError::Draining.into());
        }
        let mut uplink = request.into_inner();
        let first = match tokio::time::timeout(ATTACH_TIMEOUT, uplink.message()).await {
            Ok(first) => first?,
            Err(_) => None,
        };
        let (attach, items) = first
            .and_then(|batch| Some((batch.attach?, batch.items)))
            .ok_or(StreamError::AttachFirst)?;
        let config = &self.0.config.gateways;
        let (gateway, downlink) = self.0.delivery.gateways.attach(attach.gateway, config)?;

        let talk = talk(self.0.clone(), gateway, uplink, items);
        self.0.lifecycle.spawn("groups.stream", self.0.delivery.streams.track_future(talk));
        let batches = stream::unfold(downlink, |mut downlink| async move {
            Some((downlink.next().await?, downlink))
        });
        Ok(Response::new(Box::pin(batches)))
    }
}

/// One stream, from its first items to the last outcome.
///
/// Three things go on beside each other, so that none holds the others up: reading,
/// judging messages (which may wait for keys and for writers), and answering questions.
/// Acknowledgements and watches are taken in passing.
async fn talk(
    groups: Groups,
    gateway: Arc<Gateway>,
    mut uplink: Streaming<GatewayBatch>,
    first: Vec<Uplink>,
) {
    tracing::info!(gateway = gateway.name(), "gateway attached");
    let config = &groups.config.gateways;
    let credit = usize::try_from(config.credit).unwrap_or(usize::MAX);
    // As many as there are credits: a batch in it has one submit at least.
    let (to_judge, to_be_judged) = mpsc::channel(credit);
    let (to_ask, questions) = mpsc::channel(config.questions);
    let reading = async {
        let how = read(&groups, &gateway, &mut uplink, first, to_judge, to_ask).await;
        groups.delivery.gateways.detach(&gateway);
        groups.delivery.publications.forget(&gateway);
        if let Err(error) = how {
            gateway.end(Err(error));
        }
    };
    tokio::join!(
        reading,
        judge(&groups, &gateway, to_be_judged),
        groups.answer_questions(&gateway, questions),
    );

    tracing::info!(gateway = gateway.name(), "gateway left");

    // Whoever still listens hears what became of all that was sent.
    let stopped = groups.lifecycle.stopped();
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
/// ends, or because publications were lost.
async fn read(
    groups: &Groups,
    gateway: &Arc<Gateway>,
    uplink: &mut Streaming<GatewayBatch>,
    first: Vec<Uplink>,
    to_judge: mpsc::Sender<Vec<Submit>>,
    to_ask: mpsc::Sender<Question>,
) -> Result<(), StreamError> {
    let draining = groups.lifecycle.draining();
    let publications = &groups.delivery.publications;
    let mut items = first;
    loop {
        metrics::batch("up", items.len());
        let mut submits = Vec::new();
        for item in items.into_iter().filter_map(|uplink| uplink.item) {
            match item {
                Item::Submit(submit) => submits.push(submit),
                Item::Acknowledge(acknowledge) => groups.acknowledged(&acknowledge),
                // A question that comes after a watch is answered after it: whatever is
                // stored between the answer and the next publication is published.
                Item::Watch(watch) => publications.watch(gateway, group_ids(&watch.groups)),
                Item::Unwatch(watch) => publications.unwatch(gateway, group_ids(&watch.groups)),
                // It fails when nobody answers any more: the process ends.
                Item::ListGroups(list) => drop(to_ask.send(list.into()).await),
                Item::ReadHeads(read) => drop(to_ask.send(read.into()).await),
            }
        }
        if !submits.is_empty() {
            gateway.take_credit(submits.len())?;
            if to_judge.send(submits).await.is_err() {
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
                tracing::info!(gateway = gateway.name(), "publications were lost");
                return Ok(());
            }
        };
    }
}

async fn judge(
    groups: &Groups,
    gateway: &Arc<Gateway>,
    mut to_be_judged: mpsc::Receiver<Vec<Submit>>,
) {
    while let Some(mut submits) = to_be_judged.recv().await {
        while submits.len() < SUBMITS_AT_ONCE
            && let Ok(more) = to_be_judged.try_recv()
        {
            submits.extend(more);
        }
        groups.submit(gateway, submits).await;
    }
}
