//! What is looked at, and read.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sotto_ids::{AccountId, GroupId};
use sotto_proto::socket::GroupEntry;
use tokio::time::sleep;

use super::Done;
use crate::{
    ClientError, GroupStanding,
    client::Inner,
    groups::log::{self, Pushed},
    vault::{groups, own},
};

/// Everything may have changed while there was no connection.
pub(super) async fn look_at_all(inner: &Inner) {
    inner.groups.add_again();
    match inner.vault.run(|tx| Ok(groups::list(tx.db)?)).await {
        Ok(rows) => {
            for row in rows
                .iter()
                .filter(|row| row.standing.is_in() || row.standing == GroupStanding::Awaiting)
            {
                inner.groups.touch_changed(row.id, row.cursor);
            }
        }
        Err(error) => {
            tracing::error!(reason = error.reason(), "the groups could not be looked at");
        }
    }
}

/// The devices of the own account may be others now.
pub(super) async fn chain_moved(inner: &Inner, account: AccountId) {
    let own = inner.vault.run(|tx| Ok(own::certified(tx.db)?.account)).await;
    if own.is_ok_and(|own| own == account) {
        look_at_all(inner).await;
    }
}

/// Entries of a group that is not known here wait for the Welcome, which comes by itself.
pub(super) async fn take_known(
    inner: &Arc<Inner>,
    group: GroupId,
    entries: Vec<GroupEntry>,
) -> Result<Pushed, ClientError> {
    match log::take_pushed(inner, group, entries).await {
        Err(ClientError::UnknownGroup) => Ok(Pushed::Taken),
        taken => taken,
    }
}

pub(super) fn catch_up(
    inner: Arc<Inner>,
    group: GroupId,
    after: Duration,
) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        sleep(after).await;
        Done::Log(group, log::catch_up(&inner, group).await.map(|()| Pushed::Taken))
    })
}
