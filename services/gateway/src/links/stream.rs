//! What the streams to replicas of all roles have in common.

use std::time::Duration;

use sotto_kit::grpc;
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use super::{Item, Link, Outstanding};
use crate::config::LinksConfig;

/// Batches between the gathering and the connection.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// Where fewer wait than this, the next batch is given time to gather.
const NO_PAUSE_ABOVE: usize = 256;

/// How often it is looked whether an answer is overdue.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The most that the envelope of an item in a batch adds to its length.
const OVERHEAD: usize = 16;

/// Why a stream could not be attached, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the replica cannot be reached")]
    Unreachable(#[from] grpc::MalformedAddress),
    #[error("the replica refused or broke the stream")]
    Stream(#[from] Status),
    #[error("the replica ended the stream")]
    Ended,
    #[error("the replica did not answer in time")]
    Overdue,
    #[error("the replica sent something else than a welcome first")]
    NoWelcome,
}

/// Sends what sockets put on a link: what waits goes at once, and while it is on its way the
/// next batch gathers. `batch` makes one of items.
pub(crate) async fn send_up<I: Item, B>(
    items: &mut mpsc::Receiver<I>,
    outstanding: &Outstanding<I::Question>,
    config: &LinksConfig,
    batches: &mpsc::Sender<B>,
    batch: impl Fn(Vec<I>) -> B,
) -> LinkError {
    let mut gathered = Vec::new();
    loop {
        if items.recv_many(&mut gathered, config.batch_items).await == 0 {
            return LinkError::Ended;
        }
        outstanding.note(gathered.iter().filter_map(Item::question), Instant::now());
        for items in cut(&mut gathered, config.batch_bytes.0) {
            if batches.send(batch(items)).await.is_err() {
                return LinkError::Ended;
            }
        }
        if items.len() <= NO_PAUSE_ABOVE && !config.batch_pause.is_zero() {
            tokio::time::sleep(config.batch_pause).await;
        }
    }
}

/// Returns once an answer is overdue.
pub(crate) async fn overdue<Q>(outstanding: &Outstanding<Q>, config: &LinksConfig) -> LinkError
where
    Q: Copy + Eq + std::hash::Hash,
{
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if outstanding.is_overdue(config.answer_timeout, Instant::now()) {
            return LinkError::Overdue;
        }
    }
}

/// Ends a link. Gives all that will get no answer any more.
pub(crate) async fn unanswered<I: Item>(
    link: &Link<I>,
    mut items: mpsc::Receiver<I>,
    outstanding: &Outstanding<I::Question>,
) -> Vec<I::Question> {
    link.close();
    items.close();
    let mut unanswered = outstanding.give_up();
    while let Some(item) = items.recv().await {
        unanswered.extend(item.question());
    }
    unanswered
}

/// Cuts what has gathered into batches of about `most` bytes.
fn cut<I: Item>(gathered: &mut Vec<I>, most: usize) -> Vec<Vec<I>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::with_capacity(gathered.len()), 0);
    for item in gathered.drain(..) {
        let cost = item.length() + OVERHEAD;
        if bytes + cost > most && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += cost;
        batch.push(item);
    }
    batches.push(batch);
    batches
}

#[cfg(test)]
mod tests {
    use sotto_proto::{
        messages::{Submit, uplink},
        socket::{DeviceMessage, Send},
    };

    use super::*;

    fn submit(bytes: usize) -> uplink::Item {
        let message =
            DeviceMessage { ciphertext: vec![0; bytes].into(), ..DeviceMessage::default() };
        let send = Send { messages: vec![message], ..Send::default() };
        uplink::Item::Submit(Submit { send: Some(send), ..Submit::default() })
    }

    #[test]
    fn batches_are_cut_by_their_bytes() {
        let mut gathered: Vec<_> = [10, 10, 980, 200, 2_000, 10].map(submit).into();

        let batches = cut(&mut gathered, 1_000);

        let lengths: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1, 1, 1]);
        assert!(gathered.is_empty());
    }
}
