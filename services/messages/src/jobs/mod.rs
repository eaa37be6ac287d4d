//! What goes on in the background, until the service ends.

mod purge;

use std::{future::Future, time::Duration};

use futures_util::StreamExt as _;
use sotto_ids::AccountUuid;
use sotto_kit::{clock::millis, fault::chain};
use sotto_store::device_changes::{DeviceChangeStream, DeviceChanges};
use sqlx::PgPool;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{config::MessagesConfig, db, metrics, ops::Messages, outage::Outage};

/// How far ahead of the clock days are made: the job may fail for a day and a half
/// before a send finds no day for it.
const DAYS_AHEAD: Duration = Duration::from_hours(48);

/// How far the clocks of two replicas may differ before one of them could drop a day
/// that another still writes to.
const CLOCK_MARGIN: Duration = Duration::from_hours(1);

/// The pause after a job has failed, and before Redis is listened to again.
const RETRY: Duration = Duration::from_secs(5);

/// Starts all of them. When it returns, changes of devices are heard, unless Redis is
/// away.
pub(crate) async fn start(messages: &Messages, changes: DeviceChanges) {
    let outage = Outage::new("device changes");
    let heard = listen(&changes, &outage, messages).await;
    let life = &messages.lifecycle;
    life.spawn("messages.end", end(messages.clone(), life.hold()));
    life.spawn("messages.partitions", partitions(messages.clone()));
    life.spawn("messages.sweep", sweep(messages.clone()));
    life.spawn("messages.purge", purge::purge(messages.clone()));
    life.spawn("messages.device_changes", device_changes(messages.clone(), changes, outage, heard));
}

/// Makes the days that envelopes may fall on.
pub(crate) async fn make_days(
    now_ms: u64,
    config: &MessagesConfig,
    db: &PgPool,
) -> sqlx::Result<()> {
    let behind = config.max_clock_behind + CLOCK_MARGIN;
    let from_ms = now_ms.saturating_sub(millis(behind));
    let until_ms = now_ms.saturating_add(millis(DAYS_AHEAD));
    let made = db::partitions::create(from_ms, until_ms, db).await?;
    metrics::partitions("made", u64::try_from(made).unwrap_or(0));
    Ok(())
}

/// Drops the days on which no envelope can be that has not expired: one that was
/// accepted as late as it could be has waited as long as it may.
async fn drop_days(messages: &Messages) -> sqlx::Result<()> {
    let longest = messages.config.queue.max_age + messages.config.max_clock_behind;
    let before_ms = messages.clock.now_ms().saturating_sub(millis(longest + 2 * CLOCK_MARGIN));
    let dropped = db::partitions::drop_before(before_ms, &messages.db).await?;
    metrics::partitions("dropped", u64::try_from(dropped).unwrap_or(0));
    Ok(())
}

/// Tells the writers to finish once no stream can bring anything new. The process does
/// not stop before they have: until then gateways hear what became of their sends.
async fn end(messages: Messages, hold: TaskTrackerToken) {
    messages.lifecycle.draining().cancelled().await;
    messages.streams.close();
    let patience = messages.config.leave_timeout;
    if tokio::time::timeout(patience, messages.streams.wait()).await.is_err() {
        tracing::warn!("some gateways did not take their last outcomes in time");
    }
    messages.finishing.cancel();
    messages.finishers.close();
    messages.finishers.wait().await;
    drop(hold);
}

async fn partitions(messages: Messages) {
    // The days to come were made before the service was ready.
    let every = messages.config.queue.partitions_every;
    let mut wait = RETRY.min(every);
    while !ends_within(wait, &messages).await {
        if messages.read_only.check().is_err() {
            wait = RETRY.min(every);
            continue;
        }
        let days = make_days(messages.clock.now_ms(), &messages.config, &messages.db);
        let made = outcome("make_days", days).await;
        let dropped = outcome("drop_days", drop_days(&messages)).await;
        wait = if made && dropped { every } else { RETRY.min(every) };
    }
}

async fn sweep(messages: Messages) {
    while !ends_within(messages.config.queue.sweep_every, &messages).await {
        if messages.read_only.check().is_ok() {
            outcome("sweep", sweep_all(&messages)).await;
            outcome("forget_overflows", forget_overflows(&messages)).await;
        }
    }
}

/// Deletes what is over, a bounded batch at a time.
async fn sweep_all(messages: &Messages) -> sqlx::Result<()> {
    let limit = messages.config.queue.sweep_rows;
    loop {
        let mut tx = messages.db.begin().await?;
        let now_ms = messages.clock.now_ms();
        let over = db::queue::lock_expired(now_ms, limit, &mut *tx).await?;
        let rows = db::queue::delete_many(&over, &mut *tx).await?;
        tx.commit().await?;
        metrics::expired(rows);
        if over.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// Forgets overflows that devices have been told of for long enough.
async fn forget_overflows(messages: &Messages) -> sqlx::Result<()> {
    db::overflows::forget_told(messages.told_before_ms(), &messages.db).await.map(drop)
}

/// Forgets device sets as they change, and has queues of devices that are gone deleted.
async fn device_changes(
    messages: Messages,
    changes: DeviceChanges,
    outage: Outage,
    mut heard: Option<DeviceChangeStream>,
) {
    loop {
        if let Some(mut heard) = heard.take() {
            while let Some(account) = next(&mut heard, &messages).await {
                messages.device_sets.forget(account);
                messages.purges.add(account);
            }
        }
        if ends_within(RETRY, &messages).await {
            return;
        }
        heard = listen(&changes, &outage, &messages).await;
    }
}

/// Begins to listen, then forgets what is remembered: changes of the time before were
/// not heard.
async fn listen(
    changes: &DeviceChanges,
    outage: &Outage,
    messages: &Messages,
) -> Option<DeviceChangeStream> {
    match tokio::time::timeout(RETRY, changes.subscribe()).await {
        Ok(Ok(heard)) => {
            outage.ends();
            messages.device_sets.forget_all();
            Some(heard)
        }
        Ok(Err(error)) => {
            outage.begins(&error);
            None
        }
        Err(_) => {
            outage.begins(&"no answer in time");
            None
        }
    }
}

async fn next(heard: &mut DeviceChangeStream, messages: &Messages) -> Option<AccountUuid> {
    tokio::select! {
        account = heard.next() => account,
        () = messages.finishing.cancelled() => None,
    }
}

async fn ends_within(wait: Duration, messages: &Messages) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        () = messages.finishing.cancelled() => true,
    }
}

/// Whether the run of a job went well; where it did not, that is logged and counted.
async fn outcome(job: &'static str, run: impl Future<Output = sqlx::Result<()>>) -> bool {
    match run.await {
        Ok(()) => true,
        Err(error) => {
            metrics::job_failed(job);
            tracing::warn!(job, error = chain(&error), "job failed");
            false
        }
    }
}
