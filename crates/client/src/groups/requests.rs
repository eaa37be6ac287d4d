//! Groups without a socket: what would be a frame is a request, and where logs end is asked.

use std::sync::Arc;

use sotto_ids::GroupId;
use sotto_proto::socket::{
    Error, GroupAccepted, GroupAck, GroupHead, GroupHeads, GroupSend, GroupStale, ServerFrame,
    server_frame::Body,
};
use tokio::sync::mpsc;

use super::FromServer;
use crate::{
    ClientError,
    backoff::Backoff,
    client::Inner,
    rest::{RestError, groups::Moved},
};

/// Asks over and over where the logs of this device's groups end.
pub(crate) async fn poll(inner: &Arc<Inner>, groups: &mpsc::Sender<FromServer>) {
    let tuning = &inner.config.tuning;
    let mut backoff = Backoff::new(tuning.retry_min, tuning.retry_max);
    loop {
        let rest = &inner.rest;
        match inner.auth.with_token(|token| rest.groups(token)).await {
            Ok(rows) => {
                backoff.reset();
                let in_them = rows.into_iter().filter(|row| row.removed_seq.is_none());
                let heads = in_them.map(|row| GroupHead {
                    group: row.group.as_bytes().to_vec().into(),
                    generation: row.generation,
                    epoch: 0,
                    seq: row.seq,
                });
                let heads = GroupHeads { heads: heads.collect(), complete: true };
                if groups.send(FromServer::Heads(heads)).await.is_err() {
                    return;
                }
                tokio::time::sleep(tuning.group_poll).await;
            }
            Err(error) => {
                let error = ClientError::from(error);
                tracing::info!(reason = error.reason(), "the groups could not be asked for");
                let pause = backoff.pause(&mut inner.rng());
                tokio::time::sleep(pause.max(tuning.believed(error.retry_after()))).await;
            }
        }
    }
}

/// Sends a message to a group; what the answer would be on a socket.
pub(crate) async fn send(inner: &Inner, id: u64, send: &GroupSend) -> ServerFrame {
    let rest = &inner.rest;
    let answer = inner.auth.with_token(|token| rest.send_to_group(send, token)).await;
    let body = match answer {
        Ok(sent) => Body::GroupAccepted(GroupAccepted {
            seq: sent.seq,
            server_time_ms: sent.server_time_ms,
        }),
        Err(RestError::Refused { problem, status }) => {
            if let Some(Moved { entries, more }) = Moved::of(&problem) {
                Body::GroupStale(GroupStale { entries, more, ..GroupStale::default() })
            } else {
                let server_time_ms = problem.server_time_ms.unwrap_or_default();
                refused(&RestError::Refused { problem, status }.into(), server_time_ms)
            }
        }
        Err(error) => refused(&error.into(), 0),
    };
    ServerFrame { in_reply_to: id, body: Some(body) }
}

fn refused(error: &ClientError, server_time_ms: u64) -> Body {
    let after = error.retry_after().map_or(0, |after| after.as_millis());
    Body::Error(Error {
        reason: error.reason().to_owned(),
        detail: String::new(),
        retry_after_ms: u32::try_from(after).unwrap_or(u32::MAX),
        server_time_ms,
    })
}

/// Says how far this device has come. What is lost is said again with the next.
pub(crate) async fn acknowledge(inner: &Inner, ack: &GroupAck) {
    let cursors: Vec<_> = ack
        .cursors
        .iter()
        .filter_map(|one| Some((GroupId::try_from(one.group.as_ref()).ok()?, one.seq)))
        .collect();
    let rest = &inner.rest;
    let put = inner.auth.with_token(|token| rest.put_group_cursors(&cursors, token)).await;
    if let Err(error) = put {
        tracing::debug!(reason = ClientError::from(error).reason(), "cursors were not noted");
    }
}
